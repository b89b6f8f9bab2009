/*
 * haulgate-query: the HTTP service.  Reads PostgreSQL and the metrics files of the gateways; a
 * process of its own, so that no query can stall a truck.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/log.h"
#include "gateway/query/output.h"
#include "gateway/query/route.h"
#include "gateway/query/service.h"

enum { STOP_GRACE_MS = 5000 };

static const char usage[] =
	"usage: haulgate-query --config FILE\n"
	"\n"
	"Answers HTTP requests about vehicles, samples and findings; see docs/api.md.\n"
	"\n"
	"  --config FILE  configuration (sections gateway and query; docs/configuration.md)\n"
	"  --routes       print the table of routes as JSON and end\n"
	"  --version      print the version and end\n"
	"  --help         print this and end\n"
	"\n"
	"SIGTERM and SIGINT end it after running requests, SIGHUP reads the tokens again.\n"
	"Exit: 0 ended on request, 1 could not run, 2 wrong arguments or configuration.\n";

struct program {
	struct service *service;
	uv_signal_t signals[3];
};

static void on_signal(uv_signal_t *handle, int number)
{
	struct program *p = handle->data;
	struct error err;

	if (number == SIGHUP) {
		if (service_reload(p->service, &err) == 0)
			log_line(LOG_NOTICE, "tokens read again");
		else
			log_line(LOG_ERROR, "tokens stay as they were: %s", err.text);
		return;
	}
	log_line(LOG_NOTICE, "stopping signal=%d", number);
	service_stop(p->service, STOP_GRACE_MS);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
}

/* Readers find the whole line or no file. */
static int write_ports(const char *run_dir, const char *address, struct error *err)
{
	char path[4096], part[4096];
	FILE *f;
	int bad;

	if (snprintf(path, sizeof(path), "%s/query.ports", run_dir) >= (int)sizeof(path) - 8)
		return error_set(err, ERROR_USAGE, "gateway.run_dir is too long");
	snprintf(part, sizeof(part), "%.*s.tmp", (int)sizeof(part) - 8, path);
	if ((f = fopen(part, "we")) == NULL)
		return error_errno(err, ERROR_IO, "cannot write %s", part);
	bad = fprintf(f, "http %s\n", address) < 0;
	bad |= fclose(f) != 0;
	if (bad || rename(part, path) != 0)
		return error_errno(err, ERROR_IO, "cannot write %s", path);
	return 0;
}

static int run(const char *path, struct error *err)
{
	static const int numbers[3] = { SIGTERM, SIGINT, SIGHUP };
	struct program p = { 0 };
	struct config *config = NULL;
	uv_loop_t loop;
	int rc;

	if ((rc = config_load(path, &config, err)) != 0)
		return rc;
	log_set_level((enum log_level)(LOG_ERROR + config->gateway_log_level));
	signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&loop) != 0) {
		config_free(config);
		return error_set(err, ERROR_IO, "no event loop");
	}
	rc = service_new(&loop, config, &p.service, err);
	for (size_t i = 0; rc == 0 && i < 3; i++) {
		uv_signal_init(&loop, &p.signals[i]);
		p.signals[i].data = &p;
		uv_signal_start(&p.signals[i], on_signal, numbers[i]);
	}
	if (rc == 0) {
		if ((rc = write_ports(config->gateway_run_dir, service_address(p.service), err)) ==
		    0)
			log_line(LOG_NOTICE, "listening address=%s", service_address(p.service));
		else
			raise(SIGTERM);
	}
	/* After a failed start this only closes what was opened. */
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	config_free(config);
	return rc;
}

static int print_routes(void)
{
	struct output out;
	int rc;

	output_init(&out, 1024 * 1024);
	route_print(&out);
	rc = out.failed || fwrite(out.data, 1, out.used, stdout) != out.used;
	output_release(&out);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "routes", no_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = NULL;
	struct error err = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'r':
			return print_routes();
		case 'v':
			puts("haulgate-query " HAULGATE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("haulgate-query: see --help\n", stderr);
			return 2;
		}
	}
	if (path == NULL || optind != argc) {
		fputs("haulgate-query: --config FILE is needed, and nothing else; see --help\n",
		      stderr);
		return 2;
	}
	if (run(path, &err) == 0)
		return 0;
	log_line(LOG_ERROR, "%s", err.text);
	return err.code == ERROR_USAGE ? 2 : 1;
}
