/* The database, the connection or the process dies at any moment: nothing is lost, nothing is
 * double. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/store/traffic.h"

static void assert_equal_to_orderly(struct fixture *f)
{
	char *derived = fixture_derived(f);

	assert_traffic_stored(f);
	assert_string_equal(derived, traffic_derived());
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM quarantine"), 0);
	free(derived);
}

static void pause_random(struct random *r, unsigned min_ms, unsigned max_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000L *
						   (min_ms + random_below(r, max_ms - min_ms)) };

	nanosleep(&pause, NULL);
}

/* Method: the session of the store is ended again and again while it works. */
static void test_backend_is_terminated(void **state)
{
	struct random r = { 1 };
	struct fixture f;
	long ended = 0;

	(void)state;
	fixture_open(&f);
	traffic_disorderly(&f, &r, 50);
	f.config.store_batch_frames = 2;
	f.config.store_checkpoint_s = 1;
	fixture_store_open(&f);
	for (unsigned i = 0; i < 300 && ended < 12; i++) {
		pause_random(&r, 5, 60);
		ended += fixture_number(
			&f, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
			    "WHERE application_name = 'haulgate-store'");
	}
	assert_true(ended >= 4);
	fixture_wait_stored(&f);
	fixture_store_close(&f);
	assert_equal_to_orderly(&f);
	fixture_close(&f);
}

static void reload_with(struct fixture *f, const char *sql)
{
	fixture_execute(f, sql);
	fixture_execute(f, "SELECT pg_reload_conf()");
}

static void wait_for(struct fixture *f, const char *sql)
{
	const struct timespec slice = { .tv_nsec = 5 * 1000000 };

	while (fixture_number(f, sql) == 0)
		nanosleep(&slice, NULL);
}

static void feed_frames(struct fixture *f, int64_t at, unsigned frames)
{
	for (unsigned i = 0; i < frames; i++) {
		const struct bytes frame = truck_report(1, COMMAND_REALTIME, at + 10 * i, 10);

		fixture_feed(f, &frame, at + 10 * i + 11, VERDICT_ACCEPTED);
	}
}

/*
 * Method: a COMMIT that waits for a standby that does not exist; the session is ended there.  The
 * transaction is committed and nobody told the store.
 */
static void test_commit_without_answer(void **state)
{
	const int64_t at = BASE_AT + 12 * 3600;
	struct samples stored, expected = { 0 };
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_execute(&f, "SELECT haulgate_make_partitions('2026-11-20', '2026-11-20');"
			    "SELECT haulgate_make_partitions(current_date - 1, current_date + 5);"
			    "INSERT INTO vehicle (vin) VALUES ('LTEST000000000001')");
	fixture_store_open(&f);
	for (unsigned i = 0; i < 3; i++) {
		/* Not while it connects, or that would wait for the standby as well. */
		wait_for(&f, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
			     "'haulgate-store' AND "
			     "state = 'idle' AND backend_start < now() - interval '0.5 s'");
		reload_with(&f, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
		feed_frames(&f, at + 100 * i, 10);
		wait_for(&f, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
			     "AND query = 'COMMIT'");
		fixture_execute(&f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
				    "WHERE wait_event = 'SyncRep'");
		reload_with(&f, "ALTER SYSTEM RESET synchronous_standby_names");
		fixture_wait_stored(&f);
	}
	fixture_store_close(&f);
	samples_expect(&expected, 1, at, 300);
	fixture_samples(&f, &stored);
	assert_samples(&stored, &expected);
	/* Those transactions were taken over, not done again: nothing was found to be there
	 * already. */
	assert_int_equal(metrics_read(f.metrics, METRIC_store_samples_total), 300);
	assert_int_equal(metrics_read(f.metrics, METRIC_store_duplicate_samples_total), 0);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 300);
	fixture_close(&f);
}

/* Never returns: stores everything, unless it is killed before. */
static void child_main(struct fixture *f)
{
	f->conn = PQconnectdb(f->owner);
	fixture_spool_open(f);
	fixture_store_open(f);
	fixture_wait_stored(f);
	fixture_store_close(f);
	fixture_spool_close(f);
	_exit(0);
}

/* Method: a process that runs spool and store is killed with -9 at chance moments, and started
 * again. */
static void test_process_is_killed(void **state)
{
	struct random r = { 2 };
	struct fixture f;
	unsigned killed = 0;
	int status = -1;

	(void)state;
	fixture_open(&f);
	traffic_disorderly(&f, &r, 50);
	fixture_spool_close(&f); /* no thread may live across the fork */
	f.config.store_checkpoint_s = 1;
	for (unsigned i = 0; i < 200; i++) {
		pid_t pid;

		f.config.store_batch_frames = i < 20 ? 3 : 64;
		pid = fork();
		if (pid == 0)
			child_main(&f);
		if (i < 20) {
			pause_random(&r, 30, 250);
			kill(pid, SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		killed += WIFSIGNALED(status);
		if (WIFEXITED(status))
			break;
	}
	assert_int_equal(status, 0);
	assert_true(killed > 5);
	fixture_spool_open(&f);
	assert_equal_to_orderly(&f);
	fixture_close(&f);
}

static void server_control(const char *command)
{
	char line[512];

	/* PostgreSQL's own programs refuse to run as root. */
	snprintf(line, sizeof(line),
		 "cd / && %s $(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/pg_ctl -D "
		 "'%s' -s -w %s "
		 ">/dev/null 2>&1",
		 geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups" : "",
		 getenv("HAULGATE_TEST_PGDATA"), command);
	assert_int_equal(system(line), 0);
}

/* Method: the server goes down without a word, twice, and comes back. */
static void test_server_is_stopped(void **state)
{
	struct random r = { 3 };
	struct fixture f;
	char *socket;

	(void)state;
	if (getenv("HAULGATE_TEST_PGDATA") == NULL) {
		print_message("skipped: the server is not ours\n");
		skip();
	}
	fixture_open(&f);
	traffic_disorderly(&f, &r, 50);
	f.config.store_batch_frames = 4;
	f.config.store_checkpoint_s = 1;
	/* with_postgres gives these on the command line, which a plain start does not repeat. */
	fixture_execute(&f, "ALTER SYSTEM SET listen_addresses = ''");
	socket = fixture_text(&f, "SELECT format('ALTER SYSTEM SET unix_socket_directories = %L', "
				  "current_setting('unix_socket_directories'))");
	fixture_execute(&f, socket);
	free(socket);
	fixture_store_open(&f);
	for (unsigned i = 0; i < 2; i++) {
		pause_random(&r, 100, 300);
		server_control("-m immediate stop");
		pause_random(&r, 100, 300);
		server_control("-t 60 start");
	}
	PQreset(f.conn);
	fixture_wait_stored(&f);
	fixture_store_close(&f);
	assert_equal_to_orderly(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend_is_terminated),
		cmocka_unit_test(test_commit_without_answer),
		cmocka_unit_test(test_process_is_killed),
		cmocka_unit_test(test_server_is_stopped),
	};

	traffic_derived(); /* while all is well */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
