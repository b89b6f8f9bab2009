/*
 * haulgate-link: forwards the frames of selected vehicles to other platforms.  Reads the spool of
 * one gateway and PostgreSQL; a process of its own, so that nothing of it can hurt a truck.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/log.h"
#include "gateway/link/service.h"

static int usage(FILE *out)
{
	fputs("usage: haulgate-link --config FILE | --help | --version\n"
	      "\n"
	      "Forwards the frames of selected vehicles from the spool of the gateway of FILE to\n"
	      "the platforms that tools/link has set up; see docs/links.md.\n"
	      "\n"
	      "  --config FILE  the gateway's configuration (sections gateway, spool, link)\n"
	      "\n"
	      "SIGHUP reads FILE again and tries all links at once, SIGTERM logs out and ends.\n"
	      "Exit codes: 0 ended as asked, 1 could not start, 64 wrong arguments,\n"
	      "78 wrong configuration.\n",
	      out);
	return out == stdout ? 0 : EX_USAGE;
}

struct program {
	const char *path;
	struct config *config;
	struct service *service;
	uv_signal_t signals[3];
};

static int load_config(const char *path, struct config **ret, struct error *err)
{
	int rc = config_load(path, ret, err);

	if (rc == 0 && (*ret)->link_conninfo[0] == '\0') {
		config_free(*ret);
		rc = error_set(err, ERROR_USAGE,
			       "%s: link.conninfo is empty: haulgate-link needs the database",
			       path);
	}
	return rc;
}

static void reload(struct program *p)
{
	struct config *fresh;
	struct error err;
	char names[512];

	if (load_config(p->path, &fresh, &err) != 0) {
		log_line(LOG_ERROR, "reload refused: %s", err.text);
		return;
	}
	if (config_keep_fixed(fresh, p->config, names, sizeof(names)) > 0)
		log_line(LOG_WARNING, "reload: a restart is needed for %s", names);
	log_set_level((enum log_level)(LOG_ERROR + fresh->gateway_log_level));
	service_reload(p->service, fresh);
	config_free(p->config);
	p->config = fresh;
	log_line(LOG_NOTICE, "configuration reloaded file=%s", p->path);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct program *p = handle->data;

	if (number == SIGHUP) {
		reload(p);
		return;
	}
	log_line(LOG_NOTICE, "stopping signal=%d", number);
	service_stop(p->service);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static int run(struct program *p, struct error *err)
{
	static const int numbers[3] = { SIGTERM, SIGINT, SIGHUP };
	uv_loop_t loop;
	int rc;

	log_set_level((enum log_level)(LOG_ERROR + p->config->gateway_log_level));
	signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&loop) != 0)
		return error_set(err, ERROR_IO, "no event loop");
	rc = service_new(&loop, p->config, &p->service, err);
	for (size_t i = 0; rc == 0 && i < 3; i++) {
		uv_signal_init(&loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
	if (rc == 0)
		log_line(LOG_NOTICE, "started gateway=%lld", (long long)p->config->gateway_id);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	if (rc == 0) {
		service_free(p->service);
		log_line(LOG_NOTICE, "stopped");
	}
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	struct program p = { 0 };
	struct error err;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'c':
			p.path = optarg;
			break;
		case 'h':
			return usage(stdout);
		case 'v':
			puts("haulgate-link " HAULGATE_VERSION);
			return 0;
		default:
			return usage(stderr);
		}
	if (p.path == NULL || optind != argc)
		return usage(stderr);
	if (load_config(p.path, &p.config, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	if ((rc = run(&p, &err)) != 0)
		log_line(LOG_ERROR, "%s", err.text);
	config_free(p.config);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
