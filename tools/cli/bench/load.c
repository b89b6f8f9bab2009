/*
 * haulgate-bench-load: a load on loopback, the same for every server.
 *
 * Each connection keeps --in-flight requests open and sends the next when an answer comes; or, with
 * --rate, requests go out at that pace over all connections in turn, answered or not.  The
 * server's CPU time is read from /proc before and after, so that the figure is the server's alone.
 * With --every the time is cut into pieces and each has its line, over connections that stay: so
 * that something else can be changed from piece to piece.
 * Ends by itself: --seconds, and a bound on how long answers are awaited.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/bench/load.h"

enum { LATENCIES_MAX = 1 << 20, WAIT_MAX_S = 20, IN_FLIGHT_MAX = 64 };

struct connection {
	int fd;
	bool opened;
	struct load_peer peer;
	uint8_t in[512];
	size_t in_size;
	int64_t sent_ns[IN_FLIGHT_MAX]; /* ring: oldest at tail */
	unsigned tail, in_flight;
};

struct load {
	const struct load_protocol *protocol;
	struct sockaddr_in address;
	unsigned connections, in_flight;
	double seconds;
	double every;
	double rate; /* requests a second; 0: as fast as answers come */
	long pid;
	const char *frames; /* file of the prepared protocol */
	struct frames_file *prepared;
	int epoll;
	struct connection *c;
	uint64_t opened, answered, sent;
	unsigned turn; /* of the connections, with --rate */
	uint32_t *latency_us;
	size_t latencies;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* User and system time of a process in seconds; 0 when it is gone. */
static double cpu_seconds(long pid)
{
	char path[64], text[1024];
	unsigned long user = 0, system = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if ((f = fopen(path, "r")) == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) != NULL) {
		const char *p = strrchr(text, ')');

		if (p == NULL ||
		    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			   &system) != 2)
			user = system = 0;
	}
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static bool send_all(int fd, const uint8_t *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t n = send(fd, buf + done, size - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0)
			done += (size_t)n;
	}
	return true;
}

static void send_request(struct load *l, struct connection *c)
{
	uint8_t buf[LOAD_REQUEST_MAX];
	const size_t n = l->protocol->request(&c->peer, buf, sizeof(buf));

	c->sent_ns[(c->tail + c->in_flight++) % IN_FLIGHT_MAX] = now_ns();
	l->sent++;
	if (!send_all(c->fd, buf, n)) {
		fprintf(stderr, "bench-load: connection %u: %s\n", c->peer.number, strerror(errno));
		exit(1);
	}
}

static void take_answer(struct load *l, struct connection *c, bool more)
{
	if (!c->opened) {
		c->opened = true;
		l->opened++;
		return;
	}
	assert(c->in_flight > 0);
	if (l->latencies < LATENCIES_MAX)
		l->latency_us[l->latencies++] =
			(uint32_t)((now_ns() - c->sent_ns[c->tail % IN_FLIGHT_MAX]) / 1000);
	c->tail = (c->tail + 1) % IN_FLIGHT_MAX;
	c->in_flight--;
	l->answered++;
	if (more)
		send_request(l, c);
}

static void on_readable(struct load *l, struct connection *c, bool more)
{
	const ssize_t n = recv(c->fd, c->in + c->in_size, sizeof(c->in) - c->in_size, 0);
	size_t used = 0, answer;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fprintf(stderr, "bench-load: connection %u was closed by the server\n",
			c->peer.number);
		exit(1);
	}
	c->in_size += (size_t)n;
	while ((answer = l->protocol->answer(c->in + used, c->in_size - used)) > 0) {
		used += answer;
		take_answer(l, c, more);
	}
	memmove(c->in, c->in + used, c->in_size - used);
	c->in_size -= used;
}

/* What is due by now; a connection that is far behind with its answers is passed over. */
static void send_due(struct load *l, int64_t start)
{
	const uint64_t due = (uint64_t)((double)(now_ns() - start) / 1e9 * l->rate);
	struct connection *c;

	for (unsigned passed = 0; l->sent < due && passed < l->connections; passed++) {
		c = &l->c[l->turn++ % l->connections];
		if (c->in_flight < IN_FLIGHT_MAX) {
			send_request(l, c);
			passed = 0;
		}
	}
}

/* Serves events until *count reaches goal or the deadline passes. */
static void serve(struct load *l, const uint64_t *count, uint64_t goal, int64_t deadline, bool more)
{
	struct epoll_event events[256];
	const int64_t start = now_ns();

	while (*count < goal && now_ns() < deadline) {
		const int n = epoll_wait(l->epoll, events, 256, l->rate > 0 ? 1 : 50);

		if (l->rate > 0 && l->opened == l->connections)
			send_due(l, start);
		for (int i = 0; i < n; i++)
			on_readable(l, events[i].data.ptr, more);
	}
}

static void open_connection(struct load *l, unsigned number)
{
	struct connection *c = &l->c[number];
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	const int one = 1;
	uint8_t buf[LOAD_REQUEST_MAX];

	c->peer.number = number;
	c->peer.prepared = l->prepared;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&l->address, sizeof(l->address)) != 0) {
		fprintf(stderr, "bench-load: connection %u: %s\n", number, strerror(errno));
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event);
	send_all(c->fd, buf, l->protocol->open(&c->peer, buf, sizeof(buf)));
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void open_all(struct load *l)
{
	const int64_t patience = (int64_t)WAIT_MAX_S * 1000000000;

	for (unsigned i = 0; i < l->connections; i++)
		open_connection(l, i);
	serve(l, &l->opened, l->connections, now_ns() + patience, false);
	if (l->opened < l->connections) {
		fprintf(stderr, "bench-load: only %lu of %u connections were answered\n", l->opened,
			l->connections);
		exit(1);
	}
}

/* Serves for so long, and prints what came of it. */
static void measure(struct load *l, double seconds)
{
	const double cpu_before = cpu_seconds(l->pid);
	const int64_t start = now_ns();
	double cpu, elapsed;
	uint64_t total;

	l->answered = 0;
	l->latencies = 0;
	serve(l, &l->answered, UINT64_MAX, start + (int64_t)(seconds * 1e9), l->rate <= 0);
	elapsed = (double)(now_ns() - start) / 1e9;
	cpu = cpu_seconds(l->pid) - cpu_before;
	total = l->answered;
	qsort(l->latency_us, l->latencies, sizeof(l->latency_us[0]), by_value);
	printf("protocol=%s connections=%u in_flight=%u seconds=%.1f answered=%lu per_second=%.0f "
	       "cpu_us_each=%.2f p50_us=%u p99_us=%u\n",
	       l->protocol->name, l->connections, l->in_flight, elapsed, total,
	       (double)total / elapsed, total > 0 ? cpu * 1e6 / (double)total : 0.0,
	       l->latencies > 0 ? l->latency_us[l->latencies / 2] : 0,
	       l->latencies > 0 ? l->latency_us[l->latencies * 99 / 100] : 0);
	fflush(stdout);
}

static void run(struct load *l)
{
	double left = l->seconds;

	open_all(l);
	for (unsigned i = 0; i < l->connections && l->rate <= 0; i++)
		for (unsigned k = 0; k < l->in_flight; k++)
			send_request(l, &l->c[i]);
	for (; l->every > 0 && left > l->every; left -= l->every)
		measure(l, l->every);
	measure(l, left);
}

static const struct load_protocol *find_protocol(const char *name)
{
	static const struct load_protocol *const all[] = { &load_frames, &load_mqtt,
							   &load_prepared };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	fprintf(stderr, "bench-load: no protocol '%s'\n", name);
	exit(2);
}

static void parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "protocol", 1, NULL, 'p' },	 { "port", 1, NULL, 'P' },
		{ "connections", 1, NULL, 'c' }, { "in-flight", 1, NULL, 'k' },
		{ "rate", 1, NULL, 'r' },	 { "seconds", 1, NULL, 's' },
		{ "every", 1, NULL, 'e' },	 { "pid", 1, NULL, 'i' },
		{ "frames", 1, NULL, 'f' },	 { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			l->protocol = find_protocol(optarg);
			break;
		case 'P':
			l->address.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
			break;
		case 'c':
			l->connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			l->in_flight = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			l->seconds = strtod(optarg, NULL);
			break;
		case 'e':
			l->every = strtod(optarg, NULL);
			break;
		case 'r':
			l->rate = strtod(optarg, NULL);
			break;
		case 'f':
			l->frames = optarg;
			break;
		case 'i':
			l->pid = strtol(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: haulgate-bench-load --port P --pid PID [--protocol "
					"frames|mqtt|prepared --frames FILE] "
					"[--connections N] [--in-flight K | --rate R] [--seconds S "
					"[--every S]]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct load l = {
		.protocol = &load_frames, .connections = 100, .in_flight = 1, .seconds = 5
	};

	l.address.sin_family = AF_INET;
	l.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	parse(&l, argc, argv);
	if (l.connections == 0 || l.in_flight == 0 || l.in_flight > IN_FLIGHT_MAX || l.pid <= 0) {
		fprintf(stderr,
			"bench-load: --port, --pid, --connections and --in-flight (at most %d) are "
			"needed\n",
			IN_FLIGHT_MAX);
		return 2;
	}
	if ((l.protocol == &load_prepared) != (l.frames != NULL)) {
		fprintf(stderr, "bench-load: --frames FILE belongs to --protocol prepared\n");
		return 2;
	}
	if (l.frames != NULL)
		l.prepared = frames_file_read(l.frames, l.connections);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	l.c = calloc(l.connections, sizeof(*l.c));
	l.latency_us = malloc(LATENCIES_MAX * sizeof(*l.latency_us));
	assert(l.epoll >= 0 && l.c != NULL && l.latency_us != NULL);
	run(&l);
	free(l.c);
	free(l.latency_us);
	frames_file_free(l.prepared);
	return 0;
}
