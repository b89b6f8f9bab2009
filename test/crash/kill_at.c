/*
 * kill_at N COMMAND...: runs a program and kills it with SIGKILL when it is about to make its N-th
 * system call, counted over all threads together from its first getppid().
 *
 * strace's inject counts each call and each thread apart, so that a sweep over its numbers misses
 * the slower thread's calls; here every call of every thread has a number of its own.
 *
 * Prints "killed before call NR" and exits 0, or, when the program ended earlier, "calls TOTAL" and
 * exits 9.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum { EXIT_ENDED = 9 };

/* Number of the call that the thread is about to make, or -1 when this stop is another one. */
static long entered_call(pid_t thread)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return -1;
	return (long)info.entry.nr;
}

static int trace(pid_t child, unsigned long at)
{
	unsigned long calls = 0;
	int counting = 0, status;
	pid_t thread;

	while ((thread = waitpid(-1, &status, __WALL)) > 0) {
		int deliver = 0;

		if (!WIFSTOPPED(status)) {
			if (thread != child)
				continue;
			printf("calls %lu status %d\n", calls,
			       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
			return EXIT_ENDED;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			const long call = entered_call(thread);

			counting = counting || call == SYS_getppid;
			if (call >= 0 && counting && ++calls == at) {
				kill(child, SIGKILL);
				printf("killed before call %ld\n", call);
				while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR)
					;
				return 0;
			}
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, thread, 0, (long)deliver);
	}
	return 2;
}

int main(int argc, char **argv)
{
	pid_t child;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: kill_at N COMMAND...\n");
		return 2;
	}
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    ptrace(PTRACE_SETOPTIONS, child, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			   PTRACE_O_EXITKILL) != 0 ||
	    ptrace(PTRACE_SYSCALL, child, 0, 0) != 0) {
		perror("kill_at");
		return 2;
	}
	return trace(child, strtoul(argv[1], NULL, 10));
}
