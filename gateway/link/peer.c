#include "gateway/link/peer.h"

#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/link/peer_tls.h"

enum { STEP_MS = 10000, KEEPALIVE_S = 60, UNSENT_MS = 60000, BUFFER_SIZE = 16384, HOST_MAX = 256 };

/* LOOKUP --> CONNECTING (each address) --> SHAKING (TLS) --> OPEN; from each of them: OVER */
enum peer_state { PEER_LOOKUP, PEER_CONNECTING, PEER_SHAKING, PEER_OPEN, PEER_OVER };

/* One try of one address: a handle of libuv cannot be used again before its close callback. */
struct attempt {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct peer *peer;
};

struct peer {
	uv_loop_t *loop;
	const struct peer_events *events; /* NULL: closed by the owner */
	void *arg;
	enum peer_state state;
	unsigned pins; /* callbacks of libuv that are still to come */
	uv_getaddrinfo_t lookup;
	uv_timer_t deadline;
	struct addrinfo *addresses, *address;
	struct attempt *attempt; /* NULL: none is open */
	struct peer_tls *tls;
	char host[HOST_MAX], port[16];
	char reason[512]; /* of the last address */
	size_t unsent;
	uint8_t buffer[BUFFER_SIZE];
};

struct write {
	uv_write_t request;
	struct peer *peer;
	size_t size;
	uint8_t bytes[];
};

static void unpin(struct peer *p)
{
	assert(p->pins > 0);
	if (--p->pins > 0)
		return;
	if (p->addresses != NULL)
		uv_freeaddrinfo(p->addresses);
	peer_tls_free(p->tls);
	free(p);
}

static void fail(struct peer *p, const char *reason)
{
	if (p->state == PEER_OVER)
		return;
	p->state = PEER_OVER;
	uv_timer_stop(&p->deadline);
	if (p->events != NULL)
		p->events->failed(reason, p->arg);
}

/* ---- bytes out ---- */

static void write_cb(uv_write_t *request, int status)
{
	struct write *w = (struct write *)request;
	struct peer *p = w->peer;

	assert(p->unsent >= w->size);
	p->unsent -= w->size;
	explicit_bzero(w->bytes, w->size);
	free(w);
	if (status == 0 && p->unsent == 0 && p->state == PEER_OPEN && p->events != NULL)
		p->events->sent(p->arg);
	unpin(p);
}

static void write_out(struct peer *p, const uint8_t *bytes, size_t size)
{
	struct write *w = malloc(sizeof(*w) + size);
	uv_buf_t buffer;

	if (w == NULL) {
		fail(p, "no memory");
		return;
	}
	w->peer = p;
	w->size = size;
	memcpy(w->bytes, bytes, size);
	buffer = uv_buf_init((char *)w->bytes, (unsigned)size);
	if (uv_write(&w->request, (uv_stream_t *)&p->attempt->tcp, &buffer, 1, write_cb) != 0) {
		free(w);
		fail(p, "cannot write");
		return;
	}
	p->unsent += size;
	p->pins++;
}

static void flush_tls(struct peer *p)
{
	uint8_t bytes[BUFFER_SIZE];
	size_t n;

	while (p->state != PEER_OVER && (n = peer_tls_give(p->tls, bytes, sizeof(bytes))) > 0)
		write_out(p, bytes, n);
}

void peer_send(struct peer *p, const uint8_t *bytes, size_t size)
{
	if (p->state != PEER_OPEN)
		return;
	if (p->tls == NULL) {
		write_out(p, bytes, size);
		return;
	}
	if (peer_tls_write(p->tls, bytes, size) < 0)
		fail(p, "TLS broken");
	else
		flush_tls(p);
}

size_t peer_unsent(const struct peer *p)
{
	return p->unsent;
}

/* ---- bytes in ---- */

static void open_now(struct peer *p)
{
	p->state = PEER_OPEN;
	uv_timer_stop(&p->deadline);
	if (p->events != NULL)
		p->events->ready(p->arg);
}

static void received_tls(struct peer *p, const uint8_t *bytes, size_t size)
{
	uint8_t plain[BUFFER_SIZE];
	struct error err;
	int n = 0;

	if (peer_tls_take(p->tls, bytes, size) < 0) {
		fail(p, "no memory");
		return;
	}
	if (p->state == PEER_SHAKING) {
		n = peer_tls_handshake(p->tls, &err);
		flush_tls(p); /* an alert too */
		if (n < 0)
			fail(p, err.text);
		if (n <= 0 || p->state != PEER_SHAKING)
			return;
		open_now(p);
	}
	while (p->state == PEER_OPEN && (n = peer_tls_read(p->tls, plain, sizeof(plain), &err)) > 0)
		p->events->received(plain, (size_t)n, p->arg);
	if (p->state != PEER_OPEN)
		return;
	flush_tls(p); /* key updates */
	if (n < 0)
		fail(p, err.text);
}

static void alloc_cb(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
	struct peer *p = ((struct attempt *)(void *)handle)->peer;

	(void)hint;
	*ret = uv_buf_init((char *)p->buffer, sizeof(p->buffer));
}

static void read_cb(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct peer *p = ((struct attempt *)(void *)stream)->peer;
	const uint8_t *bytes = (const uint8_t *)buffer->base;
	char reason[128];

	if (p->state == PEER_OVER || size == 0)
		return;
	if (size == UV_EOF) {
		fail(p, p->state == PEER_SHAKING
				? "closed by the other side during the TLS handshake"
				: "closed by the other side");
	} else if (size < 0) {
		snprintf(reason, sizeof(reason), "connection lost: %s", uv_strerror((int)size));
		fail(p, reason);
	} else if (p->tls != NULL) {
		received_tls(p, bytes, (size_t)size);
	} else {
		p->events->received(bytes, (size_t)size, p->arg);
	}
}

/* ---- connect ---- */

static void attempt_closed(uv_handle_t *handle)
{
	struct attempt *a = (struct attempt *)(void *)handle;
	struct peer *p = a->peer;

	free(a);
	unpin(p);
}

static void attempt_close(struct peer *p)
{
	if (p->attempt == NULL)
		return;
	uv_close((uv_handle_t *)&p->attempt->tcp, attempt_closed);
	p->attempt = NULL;
}

static void connect_next(struct peer *p);

static void address_failed(struct peer *p, const char *reason)
{
	char text[INET6_ADDRSTRLEN] = "?";

	getnameinfo(p->address->ai_addr, p->address->ai_addrlen, text, sizeof(text), NULL, 0,
		    NI_NUMERICHOST);
	snprintf(p->reason, sizeof(p->reason), "%s port %s: %s", text, p->port, reason);
	attempt_close(p);
	p->address = p->address->ai_next;
	connect_next(p);
}

static void connected(struct peer *p)
{
	uv_tcp_t *tcp = &p->attempt->tcp;
	const int unsent_ms = UNSENT_MS;
	struct error err;
	uv_os_fd_t fd;

	uv_tcp_nodelay(tcp, 1);
	uv_tcp_keepalive(tcp, 1, KEEPALIVE_S);
	if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof(unsent_ms));
	if (uv_read_start((uv_stream_t *)tcp, alloc_cb, read_cb) != 0) {
		fail(p, "cannot read");
		return;
	}
	if (p->tls == NULL) {
		open_now(p);
		return;
	}
	p->state = PEER_SHAKING;
	if (peer_tls_handshake(p->tls, &err) < 0)
		fail(p, err.text);
	else
		flush_tls(p);
}

static void connect_cb(uv_connect_t *request, int status)
{
	struct attempt *a = request->data;
	struct peer *p = a->peer;

	if (p->attempt == a && p->state == PEER_CONNECTING) {
		if (status == 0)
			connected(p);
		else
			address_failed(p, uv_strerror(status));
	}
	unpin(p);
}

static void deadline_cb(uv_timer_t *timer)
{
	struct peer *p = timer->data;

	switch (p->state) {
	case PEER_LOOKUP:
		fail(p, "the name server does not answer");
		break;
	case PEER_CONNECTING:
		address_failed(p, "no answer");
		break;
	case PEER_SHAKING:
		fail(p, "no end of the TLS handshake");
		break;
	default:
		break;
	}
}

static void connect_next(struct peer *p)
{
	struct attempt *a;
	int rc;

	if (p->address == NULL) {
		fail(p, p->reason);
		return;
	}
	if ((a = calloc(1, sizeof(*a))) == NULL) {
		fail(p, "no memory");
		return;
	}
	a->peer = p;
	a->connect.data = a;
	uv_tcp_init(p->loop, &a->tcp);
	p->attempt = a;
	p->pins++; /* attempt_closed */
	p->state = PEER_CONNECTING;
	uv_timer_start(&p->deadline, deadline_cb, STEP_MS, 0);
	rc = uv_tcp_connect(&a->connect, &a->tcp, p->address->ai_addr, connect_cb);
	if (rc == 0)
		p->pins++; /* connect_cb */
	else
		address_failed(p, uv_strerror(rc));
}

static void lookup_cb(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct peer *p = request->data;
	char reason[HOST_MAX + 128];

	if (status == 0)
		p->addresses = p->address = addresses;
	if (p->state == PEER_LOOKUP && status != 0) {
		snprintf(reason, sizeof(reason), "%s cannot be found: %s", p->host,
			 uv_strerror(status));
		fail(p, reason);
	} else if (p->state == PEER_LOOKUP) {
		connect_next(p);
	}
	unpin(p);
}

/* ---- life ---- */

static int split_address(struct peer *p, const char *address, struct error *err)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon != NULL ? (size_t)(colon - address) : 0;

	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(p->host) || strlen(colon + 1) == 0 ||
	    strlen(colon + 1) >= sizeof(p->port))
		return error_set(err, ERROR_USAGE, "address '%.100s' is not host:port", address);
	memcpy(p->host, address, n);
	snprintf(p->port, sizeof(p->port), "%s", colon + 1);
	return 0;
}

static void timer_closed(uv_handle_t *handle)
{
	unpin(handle->data);
}

int peer_open(uv_loop_t *loop, const struct peer_options *options, struct peer **ret,
	      struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct peer *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	p->loop = loop;
	p->events = options->events;
	p->arg = options->arg;
	p->lookup.data = p;
	if ((rc = split_address(p, options->address, err)) != 0 ||
	    (options->tls && (rc = peer_tls_new(options->tls_ca != NULL ? options->tls_ca : "",
						p->host, &p->tls, err)) != 0)) {
		free(p);
		return rc;
	}
	if (uv_getaddrinfo(loop, &p->lookup, lookup_cb, p->host, p->port, &hints) != 0) {
		peer_tls_free(p->tls);
		free(p);
		return error_set(err, ERROR_MEMORY, "cannot ask the name server");
	}
	uv_timer_init(loop, &p->deadline);
	p->deadline.data = p;
	uv_timer_start(&p->deadline, deadline_cb, STEP_MS, 0);
	p->pins = 2; /* lookup_cb, timer_closed */
	*ret = p;
	return 0;
}

void peer_close(struct peer *p)
{
	if (p == NULL)
		return;
	assert(p->events != NULL);
	p->events = NULL;
	if (p->state == PEER_LOOKUP)
		uv_cancel((uv_req_t *)&p->lookup); /* its callback comes all the same */
	p->state = PEER_OVER;
	attempt_close(p);
	uv_close((uv_handle_t *)&p->deadline, timer_closed);
}
