/* connection_accept.c - how a connection begins: who it is, and whether there is room for it. */
#include "gateway/ingest/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ingest/loop.h"

enum { KEEPALIVE_S = 60, UNSENT_MS = 60000, DROP_LOOKS = 64 };

/* How long a peer may be silent when others wait: a few round trips of a bad mobile network. */
enum { SILENT_MS = 500, SHAKING_MS = 1000 };

static void set_peer(struct connection *c)
{
	struct sockaddr_storage name;
	int size = sizeof(name);

	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&name, &size) != 0)
		return;
	if (name.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&name;

		memset(c->peer + 10, 0xFF, 2);
		memcpy(c->peer + 12, &in->sin_addr, 4);
		memcpy(c->peer + 16, &in->sin_port, 2);
	} else if (name.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&name;

		memcpy(c->peer, &in6->sin6_addr, 16);
		memcpy(c->peer + 16, &in6->sin6_port, 2);
	}
}

const char *connection_peer_text(const struct connection *c, char out[PEER_TEXT_SIZE])
{
	const unsigned port = (unsigned)c->peer[16] << 8 | c->peer[17];
	char host[INET6_ADDRSTRLEN] = "?";
	static const uint8_t mapped[12] = { [10] = 0xFF, [11] = 0xFF };

	if (memcmp(c->peer, mapped, sizeof(mapped)) == 0) {
		uv_inet_ntop(AF_INET, c->peer + 12, host, sizeof(host));
		snprintf(out, PEER_TEXT_SIZE, "%s:%u", host, port);
	} else {
		uv_inet_ntop(AF_INET6, c->peer, host, sizeof(host));
		snprintf(out, PEER_TEXT_SIZE, "[%s]:%u", host, port);
	}
	return out;
}

/* A peer that vanished is noticed by keepalive; one that takes no answers, by the unsent time. */
static void set_socket(struct connection *c)
{
	const int unsent_ms = UNSENT_MS;
	uv_os_fd_t fd;

	uv_tcp_nodelay(&c->tcp, 1);
	uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof(unsent_ms));
}

/* Runs on the newcomer's thread, under the table's lock, which keeps c alive. */
static void taken_over_cb(struct vin_owner *owner)
{
	connection_post(list_entry(owner, struct connection, session.owner), MAIL_TAKEN_OVER);
}

static struct connection *connection_new(struct listener *listener)
{
	struct loop *l = listener->loop;
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = l;
	c->stream = listener->tls ? &stream_tls : &stream_plain;
	c->serial = (uint64_t)l->index << 48 | ++l->serial;
	c->state = listener->tls ? CONNECTION_HANDSHAKE : CONNECTION_GREETING;
	session_init(&c->session);
	c->session.owner.taken_over = taken_over_cb;
	list_init(&c->partial);
	list_init(&c->paused);
	list_init(&c->mail);
	list_init(&c->shaking);
	list_init(&c->silent);
	list_init(&c->slowed);
	list_init(&c->ordered);
	list_init(&c->all);
	list_init(&c->wait);
	list_move_last(&l->connections, &c->all);
	c->wait_ms = uv_now(&l->uv);
	list_move_last(&l->waiting[DEADLINE_LOGIN], &c->wait);
	if (listener->tls) {
		l->handshakes++;
		list_move_last(&l->shaking, &c->shaking);
	}
	l->strangers++;
	connection_silent(c, true);
	uv_tcp_init(&l->uv, &c->tcp);
	return c;
}

/* True when it was given up: it is old enough, and it is not we who keep it waiting. */
static bool give_up(struct connection *c, uint64_t since_ms, uint64_t age_ms)
{
	if (c->put_off || since_ms + age_ms > uv_now(&c->loop->uv))
		return false;
	connection_close(c, END_DROPPED);
	return true;
}

static bool drop_stranger(struct loop *l)
{
	struct connection *oldest = list_entry(l->silent.next, struct connection, silent);

	return !list_empty(&l->silent) && give_up(oldest, oldest->silent_ms, SILENT_MS);
}

static bool drop_handshake(struct loop *l)
{
	struct list *at = l->shaking.next;

	for (unsigned n = 0; n < DROP_LOOKS && at != &l->shaking; n++, at = at->next) {
		struct connection *c = list_entry(at, struct connection, shaking);

		if (give_up(c, c->wait_ms, SHAKING_MS))
			return true;
	}
	return false;
}

bool connection_has_room(struct loop *l, bool tls)
{
	const unsigned share = (unsigned)l->config->limit_unauthenticated / l->server->loop_count;
	const unsigned limit = share > 0 ? share : 1;

	if (tls && l->handshakes >= (unsigned)l->config->limit_handshakes && !drop_handshake(l))
		return false;
	for (unsigned n = quota_early_drop(l->strangers, limit, loop_random(l)); n > 0; n--)
		if (!drop_stranger(l))
			return l->strangers < 2 * limit;
	return true;
}

/* Cheapest checks first: who is shed costs an allocation and two system calls. */
static enum connection_end admit(struct connection *c, int64_t open)
{
	struct loop *l = c->loop;

	if (open > l->config->limit_connections)
		return END_SHED;
	if (!quota_accept(l->server->quota, l->config, c->peer, &c->guest, uv_now(&l->uv)))
		return END_THROTTLED;
	if (c->state == CONNECTION_HANDSHAKE && (c->ssl = tls_accept(l->server->tls, c)) == NULL)
		return END_MEMORY;
	return END_COUNT;
}

void connection_accept(struct listener *listener)
{
	struct loop *l = listener->loop;
	struct connection *c = connection_new(listener);
	enum connection_end end;
	int64_t open;

	listener->deferred = c == NULL; /* the sweep tries again */
	if (c == NULL)
		return;
	open = atomic_fetch_add(&l->server->connections, 1) + 1;
	metrics_add(l->metrics, METRIC_connections_open, 1);
	metrics_add(l->metrics, METRIC_connections_accepted_total, 1);
	if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&c->tcp) != 0) {
		connection_close(c, END_PEER);
		return;
	}
	set_peer(c);
	end = admit(c, open);
	if (end != END_COUNT) {
		connection_close(c, end);
		return;
	}
	set_socket(c);
	connection_read(c);
}
