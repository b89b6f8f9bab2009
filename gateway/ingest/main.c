/* main.c - the program haulgate: arguments, signals, start and stop. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/ingest/list.h"
#include "gateway/ingest/notify.h"
#include "gateway/ingest/server.h"

enum { BEAT_MS = 1000, STUCK_MS = 10000, DESCRIPTORS_RESERVED = 128 };

/* A configuration stays until the end: a loop or the store may still look at it. */
struct config_link {
	struct config_link *older;
	struct config *config;
};

struct process {
	const char *path;
	struct server server;
	struct config_link *configs; /* newest first; the newest is in force */
	uv_loop_t uv;
	uv_timer_t beat;
	uv_signal_t stop_signals[2], reload_signal;
};

static int usage(FILE *out)
{
	fputs("usage: haulgate --config FILE [--check-config | --print-config]\n"
	      "       haulgate --print-config-docs | --help | --version\n"
	      "\n"
	      "Takes the reports of trucks' terminals, makes them durable, answers, and stores\n"
	      "them in PostgreSQL.  docs/configuration.md explains the keys of FILE.\n"
	      "\n"
	      "  --config FILE        the configuration\n"
	      "  --check-config       name all faults of FILE and end\n"
	      "  --print-config       print the values in force and end\n"
	      "  --print-config-docs  print docs/configuration.md and end\n"
	      "\n"
	      "SIGHUP reloads FILE (a bad one changes nothing), SIGTERM drains and ends.\n"
	      "Exit codes: 0 ended as asked, 1 could not start, 64 wrong arguments,\n"
	      "70 the spool failed, 78 wrong configuration.\n",
	      out);
	return out == stdout ? 0 : EX_USAGE;
}

/* One line for each complaint. */
static void log_complaints(const struct error *err)
{
	for (const char *p = err->text; *p != '\0';) {
		const size_t n = strcspn(p, "\n");

		log_line(LOG_ERROR, "%.*s", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

static enum log_level level_of(const struct config *c)
{
	return (enum log_level)(LOG_ERROR + c->gateway_log_level);
}

/* Takes over config.  False without memory. */
static bool configs_push(struct process *p, struct config *config)
{
	struct config_link *link = malloc(sizeof(*link));

	if (link == NULL)
		return false;
	*link = (struct config_link){ p->configs, config };
	p->configs = link;
	return true;
}

static void configs_free(struct process *p)
{
	while (p->configs != NULL) {
		struct config_link *link = p->configs;

		p->configs = link->older;
		config_free(link->config);
		free(link);
	}
}

static void reload_cb(uv_signal_t *handle, int number)
{
	struct process *p = list_entry(handle, struct process, reload_signal);
	struct config *fresh = NULL;
	struct error err;
	char names[512];

	(void)number;
	if (config_load(p->path, &fresh, &err) != 0) {
		log_complaints(&err);
		log_line(LOG_ERROR, "reload refused: the configuration in force stays");
		return;
	}
	if (config_keep_fixed(fresh, p->configs->config, names, sizeof(names)) > 0)
		log_line(LOG_WARNING, "reload: a restart is needed for %s", names);
	if (server_reload(&p->server, fresh, &err) != 0) {
		log_complaints(&err);
		log_line(LOG_ERROR, "reload refused: the configuration in force stays");
		config_free(fresh);
		return;
	}
	log_set_level(level_of(fresh));
	log_line(LOG_NOTICE, "configuration reloaded file=%s", p->path);
	if (!configs_push(p, fresh))
		log_line(LOG_WARNING, "reload: out of memory");
}

static void stop_cb(uv_signal_t *handle, int number)
{
	log_line(LOG_NOTICE, "stopping signal=%d", number);
	uv_stop(handle->loop);
}

/* From any thread.  What is on the disk decides at the next start, so nothing is tidied up. */
static void failed_cb(struct server *s)
{
	(void)s;
	_exit(EX_SOFTWARE);
}

static void beat_cb(uv_timer_t *timer)
{
	struct process *p = list_entry(timer, struct process, beat);

	server_watch(&p->server);
	if (!server_alive(&p->server, STUCK_MS)) {
		log_line(LOG_ERROR, "a loop is stuck: no sign of life is given");
		return;
	}
	metrics_set(metrics_thread(p->server.metrics, SLOT_MAIN), METRIC_heartbeat_ns,
		    clock_wall_ns());
	if (getenv("WATCHDOG_USEC") != NULL)
		notify_supervisor("WATCHDOG=1");
}

static void raise_descriptors(const struct config *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur != RLIM_INFINITY &&
	    (uint64_t)c->limit_connections + DESCRIPTORS_RESERVED > limit.rlim_cur)
		log_line(LOG_WARNING,
			 "limit.connections = %lld is more than the %llu descriptors of this "
			 "process allow",
			 (long long)c->limit_connections, (unsigned long long)limit.rlim_cur);
}

static void watch(struct process *p)
{
	static const int stops[2] = { SIGTERM, SIGINT };

	for (int i = 0; i < 2; i++) {
		uv_signal_init(&p->uv, &p->stop_signals[i]);
		uv_signal_start(&p->stop_signals[i], stop_cb, stops[i]);
	}
	uv_signal_init(&p->uv, &p->reload_signal);
	uv_signal_start(&p->reload_signal, reload_cb, SIGHUP);
	uv_timer_init(&p->uv, &p->beat);
	uv_timer_start(&p->beat, beat_cb, 0, BEAT_MS);
}

static void unwatch(struct process *p)
{
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&p->stop_signals[i], NULL);
	uv_close((uv_handle_t *)&p->reload_signal, NULL);
	uv_close((uv_handle_t *)&p->beat, NULL);
	uv_run(&p->uv, UV_RUN_DEFAULT);
	uv_loop_close(&p->uv);
}

/* A core would hold the keys of the gateway, and those of terminals unwrapped. */
static bool forbid_cores(void)
{
	const struct rlimit none = { 0 };

	if (prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0)
		return true;
	log_line(LOG_ERROR, "cannot forbid core dumps, which would hold keys: %s", strerror(errno));
	return false;
}

static int run(struct process *p)
{
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	log_set_level(level_of(p->configs->config));
	if (!forbid_cores())
		return EXIT_FAILURE;
	raise_descriptors(p->configs->config);
	if (uv_loop_init(&p->uv) != 0)
		return EXIT_FAILURE;
	/* Before the start: a signal that comes in between must not kill us half way. */
	watch(p);
	p->server.failed = failed_cb;
	if (server_start(&p->server, p->configs->config, &err) != 0) {
		log_complaints(&err);
		unwatch(p);
		return EXIT_FAILURE;
	}
	notify_supervisor("READY=1");
	uv_run(&p->uv, UV_RUN_DEFAULT);
	notify_supervisor("STOPPING=1");
	server_stop(&p->server);
	unwatch(p);
	log_line(LOG_NOTICE, "stopped");
	return EXIT_SUCCESS;
}

enum { DO_RUN, DO_CHECK, DO_PRINT };

static int start(const char *path, int what)
{
	struct process *p = calloc(1, sizeof(*p));
	struct config *config = NULL;
	struct error err;
	int rc = 0;

	if (p == NULL)
		return EXIT_FAILURE;
	p->path = path;
	if (config_load(path, &config, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		free(p);
		return EX_CONFIG;
	}
	if (!configs_push(p, config)) {
		config_free(config);
		free(p);
		return EXIT_FAILURE;
	}
	if (what == DO_CHECK)
		printf("%s: no fault found\n", path);
	else if (what == DO_PRINT)
		config_print(config);
	else
		rc = run(p);
	configs_free(p);
	free(p);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'f' },
		{ "check-config", no_argument, NULL, 'c' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "print-config-docs", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	int what = DO_RUN, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'f':
			path = optarg;
			break;
		case 'c':
			what = DO_CHECK;
			break;
		case 'p':
			what = DO_PRINT;
			break;
		case 'd':
			config_print_markdown();
			return 0;
		case 'h':
			return usage(stdout);
		case 'v':
			puts("haulgate " HAULGATE_VERSION);
			return 0;
		default:
			return usage(stderr);
		}
	if (path == NULL || optind != argc)
		return usage(stderr);
	return start(path, what);
}
