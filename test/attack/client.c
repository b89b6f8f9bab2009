#include "test/attack/client.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 30, CONNECTING_MAX = 256 };

static const int64_t second = 1000000000, milli = 1000000;

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * second + t.tv_nsec;
}

bool client_send(struct crowd *w, struct client *c, const uint8_t *bytes, size_t size)
{
	const ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		w->sent_bytes += (uint64_t)n;
	return n == (ssize_t)size;
}

static void watch(struct crowd *w, struct client *c, int operation)
{
	const bool floods = c->state == CLIENT_IN && c->role->flood != NULL;
	const bool writes = c->state == CLIENT_CONNECTING || floods;
	const bool reads =
		c->state != CLIENT_CONNECTING && !(c->state == CLIENT_IN && c->role->deaf);
	struct epoll_event event = {
		.events = (writes ? (uint32_t)EPOLLOUT : 0) | (reads ? (uint32_t)EPOLLIN : 0),
		.data.ptr = c,
	};

	epoll_ctl(w->epoll, operation, c->fd, &event);
}

void client_connect(struct crowd *w, struct client *c)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr = c->source };
	const int one = 1;

	assert(c->state == CLIENT_AWAY);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		fprintf(stderr, "attack: %s; too many connections for one process?\n",
			strerror(errno));
		exit(1);
	}
	/* The port is chosen at connect(), so that addresses share the ports between them. */
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->state = CLIENT_CONNECTING;
	c->began_ns = now_ns();
	c->next_ns = c->began_ns + PATIENCE_S * second;
	c->in_size = 0;
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(c->fd, (struct sockaddr *)&w->server, sizeof(w->server)) != 0 &&
	     errno != EINPROGRESS)) {
		close(c->fd);
		c->state = CLIENT_AWAY;
		c->next_ns = now_ns() + c->role->reconnect_ms * milli;
		return;
	}
	w->connects++;
	w->connecting++;
	watch(w, c, EPOLL_CTL_ADD);
}

void client_leave(struct crowd *w, struct client *c, int64_t again_ns)
{
	if (c->state == CLIENT_AWAY)
		return;
	w->connecting -= c->state == CLIENT_CONNECTING;
	w->connected -= c->state != CLIENT_CONNECTING;
	w->in -= c->state == CLIENT_IN;
	close(c->fd);
	c->state = CLIENT_AWAY;
	c->next_ns = again_ns;
}

/* The other side ended it. */
static void client_lost(struct crowd *w, struct client *c)
{
	if (c->state == CLIENT_IN)
		w->disconnects++;
	client_leave(w, c, now_ns() + c->role->reconnect_ms * milli);
}

static void come_in(struct crowd *w, struct client *c)
{
	const int64_t now = now_ns();

	if (c->role->logs_in && w->logins < LATENCIES_MAX)
		w->login_us[w->logins++] = (uint32_t)((now - c->began_ns) / 1000);
	c->state = CLIENT_IN;
	c->began_ns = 0;
	w->in++;
	/* Spread over the interval: trucks do not report in step. */
	c->next_ns = now + c->peer.number * 7919u % (c->interval_ms + 1) * milli;
	watch(w, c, EPOLL_CTL_MOD);
}

static void on_connected(struct crowd *w, struct client *c)
{
	uint8_t login[LOAD_REQUEST_MAX];
	int failed = 0;
	socklen_t size = sizeof(failed);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
	if (failed != 0) {
		client_leave(w, c, now_ns() + c->role->reconnect_ms * milli);
		return;
	}
	w->connecting--;
	w->connected++;
	if (!c->role->logs_in) {
		come_in(w, c);
		return;
	}
	c->state = CLIENT_LOGGING_IN;
	watch(w, c, EPOLL_CTL_MOD);
	client_send(w, c, login, load_frames.open(&c->peer, login, sizeof(login)));
}

static void on_answer(struct crowd *w, struct client *c)
{
	if (c->state == CLIENT_LOGGING_IN) {
		come_in(w, c);
		return;
	}
	w->answered++;
	if (c->began_ns > 0 && w->latencies < LATENCIES_MAX)
		w->latency_us[w->latencies++] = (uint32_t)((now_ns() - c->began_ns) / 1000);
	c->began_ns = 0;
}

static void on_readable(struct crowd *w, struct client *c)
{
	const ssize_t n = recv(c->fd, c->in + c->in_size, sizeof(c->in) - c->in_size, 0);
	size_t used = 0, answer;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_lost(w, c);
		return;
	}
	c->in_size += (size_t)n;
	while (c->state != CLIENT_AWAY &&
	       (answer = load_frames.answer(c->in + used, c->in_size - used)) > 0) {
		used += answer;
		on_answer(w, c);
	}
	memmove(c->in, c->in + used, c->in_size - used);
	c->in_size -= used;
	if (c->in_size == sizeof(c->in))
		client_lost(w, c); /* no answer is as long */
}

void client_event(struct crowd *w, struct client *c, uint32_t events)
{
	if (c->state == CLIENT_CONNECTING) {
		on_connected(w, c);
		return;
	}
	if (events & EPOLLIN)
		on_readable(w, c);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_lost(w, c);
	if (c->state == CLIENT_IN && events & EPOLLOUT)
		c->role->flood(w, c);
}

void client_tick(struct crowd *w, struct client *c, int64_t now)
{
	if (c->next_ns > now)
		return;
	if (c->state == CLIENT_AWAY) {
		/* Else our own slowness would look like a terminal that connects and says nothing.
		 */
		if (w->connecting < CONNECTING_MAX)
			client_connect(w, c);
	} else if (c->state == CLIENT_IN) {
		c->next_ns = now + c->interval_ms * milli;
		c->role->act(w, c);
	} else {
		client_leave(w, c, now); /* no answer for so long: again, from the start */
	}
}
