#include "gateway/ingest/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

enum {
	BACKLOG = 4096,
	/* A herd must not keep those waiting who are in, nor be taken for silent: what has come is
	 * heard before more is let in. */
	ACCEPTS_PER_TURN = 16,
};

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void address_set(union address *a, const char *text)
{
	char host[CONFIG_HOST_SIZE];
	uint16_t port = 0;
	const bool sound = config_address(text, host, &port);

	assert(sound); /* the configuration was checked */
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
	} else {
		inet_pton(AF_INET6, host, &a->in6.sin6_addr);
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
	}
}

static void address_text(const union address *a, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET)
		snprintf(out, size, "%s:%u",
			 inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)),
			 ntohs(a->in.sin_port));
	else
		snprintf(out, size, "[%s]:%u",
			 inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)),
			 ntohs(a->in6.sin6_port));
}

/* libuv 1.44 cannot set SO_REUSEPORT before it binds, so the socket is made here. */
static int socket_bind(const char *text, union address *ret_bound, struct error *err)
{
	const int on = 1, off = 0;
	union address a;
	socklen_t size = sizeof(*ret_bound);
	int fd;

	address_set(&a, text);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, ERROR_IO, "address %s: cannot make a socket", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
	    bind(fd, &a.any, a.any.sa_family == AF_INET ? sizeof(a.in) : sizeof(a.in6)) != 0 ||
	    getsockname(fd, &ret_bound->any, &size) != 0) {
		error_errno(err, ERROR_IO, "address %s: cannot bind", text);
		close(fd);
		return ERROR_IO;
	}
	return fd;
}

static bool has_room(const struct listener *l)
{
	return l->accepted < ACCEPTS_PER_TURN && connection_has_room(l->loop, l->tls);
}

static void accept_one(struct listener *l)
{
	l->accepted++;
	connection_accept(l);
}

static void connection_cb(uv_stream_t *stream, int status)
{
	struct listener *l = list_entry(stream, struct listener, tcp);

	if (status < 0) /* out of descriptors: libuv has shed the connection */
		metrics_add(l->loop->metrics, METRIC_connections_shed_total, 1);
	else if (!has_room(l))
		l->deferred = true;
	else
		accept_one(l);
}

int listener_open(struct listener *l, struct loop *loop, bool tls, const char *address,
		  char *ret_address, size_t size, struct error *err)
{
	union address bound = { 0 };
	const int fd = socket_bind(address, &bound, err);
	int rc;

	if (fd < 0)
		return fd;
	*l = (struct listener){ .loop = loop, .tls = tls, .open = true };
	uv_tcp_init(&loop->uv, &l->tcp);
	if ((rc = uv_tcp_open(&l->tcp, fd)) != 0)
		close(fd);
	else
		rc = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, connection_cb);
	if (rc != 0) {
		listener_close(l);
		return error_set(err, ERROR_IO, "address %s: cannot listen: %s", address,
				 uv_strerror(rc));
	}
	address_text(&bound, ret_address, size);
	return 0;
}

void listener_close(struct listener *l)
{
	if (!l->open)
		return;
	l->open = false;
	l->deferred = false;
	uv_close((uv_handle_t *)&l->tcp, NULL);
}

void listener_turn_end(struct listener *l)
{
	l->accepted = 0;
	/* Accepting makes libuv offer the next one, which may be deferred again. */
	if (l->open && l->deferred && has_room(l)) {
		l->deferred = false;
		accept_one(l);
	}
}
