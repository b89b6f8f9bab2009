/*
 * haulgate-attack-crowd: one process of clients for test/attack/run; loopback only.
 *
 * Connects all of its clients, does what their roles say, and answers commands on stdin, a line
 * each: "report" prints the figures, "reset" begins them anew, "again" ends all connections at once
 * and makes them anew.  The end of stdin ends the program.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test/attack/client.h"

enum { EVENTS = 256, TICK_MS = 5, SLICES = 20 };

struct options {
	const char *roles;    /* names with commas; clients take them in turn */
	unsigned first;	      /* number of the first client: it makes the VIN */
	unsigned per_source;  /* clients that share an address */
	uint32_t source;      /* first address, host order */
	unsigned interval_ms; /* between two acts; 0: as the role says */
	double connect_rate;  /* a second at the start; 0: all at once */
};

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t share(uint32_t *values, size_t n, unsigned percent)
{
	return n > 0 ? values[n * percent / 100 < n ? n * percent / 100 : n - 1] : 0;
}

static void print_report(struct crowd *w)
{
	qsort(w->latency_us, w->latencies, sizeof(w->latency_us[0]), by_value);
	qsort(w->login_us, w->logins, sizeof(w->login_us[0]), by_value);
	printf("clients=%u connected=%u in=%u connects=%" PRIu64 " disconnects=%" PRIu64
	       " late=%" PRIu64 " answered=%" PRIu64 " sent_bytes=%" PRIu64
	       " p50_us=%u p99_us=%u max_us=%u logins=%zu login_p99_us=%u login_max_us=%u\n",
	       w->count, w->connected, w->in, w->connects, w->disconnects, w->late, w->answered,
	       w->sent_bytes, share(w->latency_us, w->latencies, 50),
	       share(w->latency_us, w->latencies, 99), share(w->latency_us, w->latencies, 100),
	       w->logins, share(w->login_us, w->logins, 99), share(w->login_us, w->logins, 100));
	fflush(stdout);
}

static void reset(struct crowd *w)
{
	w->connects = w->disconnects = w->late = w->answered = w->sent_bytes = 0;
	w->latencies = w->logins = 0;
}

static void again(struct crowd *w)
{
	for (unsigned i = 0; i < w->count; i++)
		client_leave(w, &w->clients[i], 0);
}

/* False: the end. */
static bool obey(struct crowd *w)
{
	char text[256], *line, *rest = text;
	const ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0'; /* commands are whole: their sender waits for the answer */
	while ((line = strsep(&rest, "\n")) != NULL)
		if (strcmp(line, "report") == 0)
			print_report(w);
		else if (strcmp(line, "reset") == 0)
			reset(w);
		else if (strcmp(line, "again") == 0)
			again(w);
	return true;
}

static void serve(struct crowd *w)
{
	struct epoll_event events[EVENTS], commands = { .events = EPOLLIN, .data.ptr = NULL };
	int64_t ticked = 0;
	unsigned slice = 0;
	bool on = true;

	epoll_ctl(w->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
	while (on) {
		const int n = epoll_wait(w->epoll, events, EVENTS, TICK_MS);
		const int64_t now = now_ns();

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				on = obey(w);
			else
				client_event(w, events[i].data.ptr, events[i].events);
		if (now - ticked < TICK_MS * 1000000)
			continue;
		ticked = now;
		slice = (slice + 1) % SLICES; /* each client ten times a second */
		for (unsigned i = slice; i < w->count; i += SLICES)
			client_tick(w, &w->clients[i], now);
	}
}

static bool set_up(struct crowd *w, const struct options *o)
{
	const struct role *roles[16];
	char names[256], *name, *rest = names;
	unsigned kinds = 0;

	snprintf(names, sizeof(names), "%s", o->roles);
	while ((name = strsep(&rest, ",")) != NULL && kinds < 16)
		if ((roles[kinds++] = role_named(name)) == NULL)
			return false;
	for (unsigned i = 0; i < w->count; i++) {
		struct client *c = &w->clients[i];

		c->role = roles[i % kinds];
		c->interval_ms = o->interval_ms > 0 ? o->interval_ms : c->role->interval_ms;
		c->peer.number = o->first + i;
		c->source.s_addr = htonl(o->source + i / o->per_source);
		c->next_ns = o->connect_rate > 0
				     ? now_ns() + (int64_t)((double)i / o->connect_rate * 1e9)
				     : 0;
	}
	return true;
}

static int usage(void)
{
	fputs("usage: haulgate-attack-crowd --port P --connections N --roles NAME[,NAME...]\n"
	      "       --source 127.X.Y.Z [--per-source K] [--first I] [--connect-rate R] "
	      "[--interval-ms M]\n",
	      stderr);
	return 2;
}

static bool parse(struct crowd *w, struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{ "port", 1, NULL, 'p' },
		{ "connections", 1, NULL, 'c' },
		{ "roles", 1, NULL, 'r' },
		{ "source", 1, NULL, 's' },
		{ "per-source", 1, NULL, 'k' },
		{ "first", 1, NULL, 'f' },
		{ "connect-rate", 1, NULL, 't' },
		{ "interval-ms", 1, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	struct in_addr source = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 'p':
			w->server.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
			break;
		case 'c':
			w->count = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->roles = optarg;
			break;
		case 's':
			if (inet_pton(AF_INET, optarg, &source) != 1)
				return false;
			break;
		case 'k':
			o->per_source = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			o->first = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			o->interval_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			o->connect_rate = strtod(optarg, NULL);
			break;
		default:
			return false;
		}
	o->source = ntohl(source.s_addr);
	/* Never anywhere else. */
	return o->source >> 24 == IN_LOOPBACKNET && w->server.sin_port != 0 && w->count > 0 &&
	       o->per_source > 0 && o->roles != NULL;
}

int main(int argc, char **argv)
{
	struct crowd w = { .server = { .sin_family = AF_INET } };
	struct options o = { .per_source = 100 };
	struct rlimit files;
	int rc = 1;

	w.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!parse(&w, &o, argc, argv))
		return usage();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	w.epoll = epoll_create1(EPOLL_CLOEXEC);
	w.clients = calloc(w.count, sizeof(*w.clients));
	w.latency_us = malloc(LATENCIES_MAX * sizeof(*w.latency_us));
	w.login_us = malloc(LATENCIES_MAX * sizeof(*w.login_us));
	if (w.epoll < 0 || w.clients == NULL || w.latency_us == NULL || w.login_us == NULL) {
		fputs("attack: out of memory\n", stderr);
		goto out;
	}
	if (!set_up(&w, &o)) {
		rc = usage();
		goto out;
	}
	serve(&w);
	rc = 0;
out:
	free(w.clients);
	free(w.latency_us);
	free(w.login_us);
	return rc;
}
