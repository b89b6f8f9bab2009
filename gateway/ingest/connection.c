#include "gateway/ingest/connection.h"

#include <assert.h>
#include <stdlib.h>

#include "gateway/ingest/crypto.h"
#include "gateway/ingest/loop.h"

#define BIT(n) (1u << (n))

enum {
	LINGER_MS = 1000,
	/* Of those whose time is over: a crowd of strangers ends together as it came, and who is in
	 * waits no longer than for these. */
	CLOSES_PER_TURN = 8,
};

/*
 *   HANDSHAKE --> GREETING <--> ACTIVE
 *       |             |           |      from each of them: LINGERING, when we have a last word,
 *       +-------------+-----------+      or CLOSING at once
 *                     v
 *                 LINGERING --> CLOSING --> freed by libuv's last callback
 */
static const struct {
	const char *name;
	unsigned next; /* allowed moves */
	enum deadline deadline;
} states[CONNECTION_STATES] = {
	[CONNECTION_HANDSHAKE] = { "handshake",
				   BIT(CONNECTION_GREETING) | BIT(CONNECTION_LINGERING) |
					   BIT(CONNECTION_CLOSING),
				   DEADLINE_LOGIN },
	[CONNECTION_GREETING] = { "greeting",
				  BIT(CONNECTION_ACTIVE) | BIT(CONNECTION_LINGERING) |
					  BIT(CONNECTION_CLOSING),
				  DEADLINE_LOGIN },
	[CONNECTION_ACTIVE] = { "active",
				BIT(CONNECTION_GREETING) | BIT(CONNECTION_LINGERING) |
					BIT(CONNECTION_CLOSING),
				DEADLINE_IDLE },
	[CONNECTION_LINGERING] = { "lingering", BIT(CONNECTION_CLOSING), DEADLINE_LINGER },
	[CONNECTION_CLOSING] = { "closing", 0, DEADLINE_COUNT },
};

static const struct {
	const char *name;
	enum metric metric;	    /* METRIC_COUNT: none */
	enum quota_offence offence; /* OFFENCE_COUNT: none */
} ends[END_COUNT] = {
	[END_PEER] = { "closed by peer", METRIC_COUNT, OFFENCE_COUNT },
	[END_DEADLINE] = { "deadline", METRIC_connections_closed_deadline_total, OFFENCE_DEADLINE },
	[END_BAD_FRAMES] = { "too many bad frames", METRIC_connections_closed_bad_frames_total,
			     OFFENCE_BAD_FRAMES },
	[END_TAKEN_OVER] = { "taken over by a newer login", METRIC_COUNT, OFFENCE_COUNT },
	[END_SLOW] = { "does not read its answers", METRIC_connections_shed_total, OFFENCE_SLOW },
	[END_TLS] = { "TLS error", METRIC_COUNT, OFFENCE_HANDSHAKE },
	[END_MEMORY] = { "out of memory", METRIC_connections_shed_total, OFFENCE_COUNT },
	[END_SHED] = { "too many connections", METRIC_connections_shed_total, OFFENCE_COUNT },
	[END_THROTTLED] = { "too much from its address", METRIC_sources_throttled_total,
			    OFFENCE_COUNT },
	[END_DROPPED] = { "too many without a login", METRIC_unauthenticated_dropped_total,
			  OFFENCE_COUNT },
	[END_REVOKED] = { "not let in any more", METRIC_sessions_revoked_total, OFFENCE_COUNT },
	[END_STOP] = { "gateway stops", METRIC_COUNT, OFFENCE_COUNT },
};

/* The states of those who have shown nobody yet that they are a vehicle. */
static bool is_stranger(enum connection_state state)
{
	return state == CONNECTION_HANDSHAKE || state == CONNECTION_GREETING;
}

void connection_offence(struct connection *c, enum quota_offence offence)
{
	struct loop *l = c->loop;

	quota_offence(l->server->quota, l->config, c->peer, &c->guest, offence, uv_now(&l->uv));
}

void connection_silent(struct connection *c, bool silent)
{
	if (silent && is_stranger((enum connection_state)c->state)) {
		c->silent_ms = uv_now(&c->loop->uv);
		list_move_last(&c->loop->silent, &c->silent);
	} else {
		list_remove(&c->silent);
	}
}

/* The only place where a state changes. */
static void connection_move(struct connection *c, enum connection_state next)
{
	struct loop *l = c->loop;
	const enum connection_state last = (enum connection_state)c->state;

	assert(last < CONNECTION_STATES && next < CONNECTION_STATES);
	assert(states[last].next & BIT(next));
	if (last == CONNECTION_HANDSHAKE) {
		assert(l->handshakes > 0);
		l->handshakes--;
		list_remove(&c->shaking);
	}
	l->strangers += (unsigned)is_stranger(next) - (unsigned)is_stranger(last);
	c->state = (uint8_t)next;
	if (is_stranger(next) != is_stranger(last))
		connection_silent(c, is_stranger(next));
	if (states[next].deadline == DEADLINE_COUNT) {
		list_remove(&c->wait);
	} else if (states[next].deadline != states[last].deadline) {
		c->wait_ms = uv_now(&l->uv);
		list_move_last(&l->waiting[states[next].deadline], &c->wait);
	}
}

/* A truck in a tunnel misses its deadline too, and a bad line breaks TLS: no stranger, no blame. */
static bool is_blamed(const struct connection *c, enum connection_end end)
{
	if (end == END_DEADLINE || end == END_TLS)
		return is_stranger((enum connection_state)c->state);
	return ends[end].offence != OFFENCE_COUNT;
}

/* The one way out of the open states: counted and logged here, once. */
static void connection_leave(struct connection *c, enum connection_end end,
			     enum connection_state next)
{
	char peer[PEER_TEXT_SIZE];

	assert(connection_open(c));
	if (ends[end].metric != METRIC_COUNT)
		metrics_add(c->loop->metrics, ends[end].metric, 1);
	if (is_blamed(c, end))
		connection_offence(c, ends[end].offence);
	log_line(LOG_DEBUG, "connection ends: %s state=%s vin=%s peer=%s", ends[end].name,
		 states[c->state].name, c->session.logged_in ? c->session.vin : "-",
		 connection_peer_text(c, peer));
	c->end = (uint8_t)end;
	session_end(c);
	connection_move(c, next);
	list_remove(&c->partial);
	list_remove(&c->paused);
	list_remove(&c->slowed);
	c->held = HOLD_NONE; /* nobody hears the rest */
	if (c->job != NULL && c->job->done)
		connection_drop_proof(c, connection_take_proof(c));
}

bool connection_open(const struct connection *c)
{
	return c->state != CONNECTION_LINGERING && c->state != CONNECTION_CLOSING;
}

/* Freed when nobody can come back to it: libuv, a turn with an answer for it, or a worker. */
static void connection_reap(struct connection *c)
{
	if (!c->closed || c->answers > 0 || c->job != NULL)
		return;
	assert(c->state == CONNECTION_CLOSING && c->out_size == 0 && !c->session.logged_in);
	list_remove(&c->all);
	loop_memory(c->loop, -(ptrdiff_t)c->in_max);
	free(c->in);
	c->stream->release(c);
	free(c);
}

static void closed_cb(uv_handle_t *handle)
{
	struct connection *c = list_entry(handle, struct connection, tcp);

	c->closed = true;
	quota_closed(c->loop->server->quota, c->loop->config, c->peer, &c->guest,
		     uv_now(&c->loop->uv));
	atomic_fetch_sub(&c->loop->server->connections, 1);
	metrics_add(c->loop->metrics, METRIC_connections_open, -1);
	connection_reap(c);
}

void connection_close(struct connection *c, enum connection_end end)
{
	const unsigned sheds = BIT(END_SHED) | BIT(END_THROTTLED) | BIT(END_DROPPED);

	if (c->state == CONNECTION_CLOSING)
		return;
	if (connection_open(c))
		connection_leave(c, end, CONNECTION_CLOSING);
	else
		connection_move(c, CONNECTION_CLOSING);
	/* The VIN is released, so nobody puts it on the list again. */
	pthread_mutex_lock(&c->loop->mutex);
	list_remove(&c->mail);
	pthread_mutex_unlock(&c->loop->mutex);
	/* Who is shed gets a reset: the kernel keeps nothing of him either. */
	if (!(sheds & BIT(end)) || uv_tcp_close_reset(&c->tcp, closed_cb) != 0)
		uv_close((uv_handle_t *)&c->tcp, closed_cb);
}

static void shutdown_cb(uv_shutdown_t *request, int status)
{
	(void)status;
	free(request);
}

/*
 * close() with bytes unread would send a reset, and the peer could lose answers that it has not
 * read yet.  So our side is shut first, and what still comes is thrown away.
 */
void connection_finish(struct connection *c, enum connection_end end)
{
	uv_shutdown_t *request;

	if (!connection_open(c))
		return;
	c->stream->finish(c);
	if (!connection_open(c))
		return;
	connection_leave(c, end, CONNECTION_LINGERING);
	request = malloc(sizeof(*request));
	if (request == NULL || uv_shutdown(request, (uv_stream_t *)&c->tcp, shutdown_cb) != 0) {
		free(request);
		connection_close(c, end);
		return;
	}
	connection_read(c);
}

/* The peer has said all; when it also got all, both sides are done. */
static void end_after_input(struct connection *c)
{
	if (connection_open(c) && (!c->eof || c->answers > 0 || c->out_size > 0 || c->held))
		return;
	if (connection_open(c))
		c->stream->finish(c);
	connection_close(c, END_PEER);
}

void connection_input_ends(struct connection *c)
{
	c->eof = true;
	connection_hush(c);
	end_after_input(c);
}

void connection_written(struct connection *c)
{
	if (!connection_open(c))
		return;
	end_after_input(c);
	connection_read(c);
}

void connection_unpin(struct connection *c, uint32_t answers, uint32_t size)
{
	assert(c->answers >= answers && c->answers_size >= size);
	c->answers -= answers;
	c->answers_size -= size;
	connection_written(c);
	connection_reap(c);
}

void connection_ready(struct connection *c)
{
	connection_move(c, CONNECTION_GREETING);
}

void connection_logged_in(struct connection *c)
{
	struct loop *l = c->loop;

	quota_welcome(l->server->quota, l->config, c->peer, &c->guest, uv_now(&l->uv));
	if (c->state == CONNECTION_GREETING)
		connection_move(c, CONNECTION_ACTIVE);
}

void connection_logged_out(struct connection *c)
{
	session_end(c);
	if (c->state == CONNECTION_ACTIVE)
		connection_move(c, CONNECTION_GREETING);
}

void connection_alive(struct connection *c)
{
	if (c->state != CONNECTION_ACTIVE)
		return;
	c->wait_ms = uv_now(&c->loop->uv);
	list_move_last(&c->loop->waiting[DEADLINE_IDLE], &c->wait);
}

void connection_post(struct connection *c, enum connection_mail what)
{
	struct loop *l = c->loop;

	pthread_mutex_lock(&l->mutex);
	c->mail_why |= what;
	list_move_last(&l->mail, &c->mail);
	pthread_mutex_unlock(&l->mutex);
	loop_wake(l);
}

void connection_read_mail(struct connection *c, unsigned why)
{
	if (why & MAIL_TAKEN_OVER)
		connection_finish(c, END_TAKEN_OVER);
	if ((why & MAIL_CHANGED) && connection_open(c))
		connection_reconsider(c);
	if ((why & MAIL_ORDER) && c->session.logged_in) {
		command_arrived(c);
		connection_ordered(c);
	}
}

void connection_reconsider(struct connection *c)
{
	const bool revoked = c->certificate != NULL && tls_revoked(c->loop->server->tls, c);
	char peer[PEER_TEXT_SIZE];

	if (!revoked && session_reconsider(c))
		return;
	log_line(LOG_NOTICE, "%s ends a session vin=%s platform=%s peer=%s",
		 revoked ? "a CRL" : "the registry", c->session.logged_in ? c->session.vin : "-",
		 c->session.platform != NULL ? c->session.platform->login : "-",
		 connection_peer_text(c, peer));
	connection_finish(c, END_REVOKED);
}

void connection_ask(struct connection *c, struct crypto_job *job)
{
	assert(c->job == NULL);
	if (job->c == NULL) {
		job->c = c;
		job->loop = c->loop;
		loop_memory(c->loop, (ptrdiff_t)job->size);
	}
	c->job = job;
	c->loop->jobs++;
	connection_silent(c, false);
	crypto_submit(c->loop->server->crypto, job);
}

struct crypto_job *connection_take_proof(struct connection *c)
{
	struct crypto_job *proof = c->job;

	assert(proof == NULL || proof->done);
	c->job = NULL;
	return proof;
}

void connection_drop_proof(struct connection *c, struct crypto_job *proof)
{
	if (proof == NULL)
		return;
	loop_memory(c->loop, -(ptrdiff_t)proof->size);
	crypto_job_free(proof);
}

void connection_job_done(struct connection *c)
{
	assert(c->job != NULL && !c->job->done && c->loop->jobs > 0);
	c->loop->jobs--;
	c->job->done = true;
	if (connection_open(c)) {
		connection_silent(c, !c->session.contends);
		connection_resume(c);
		return;
	}
	connection_drop_proof(c, connection_take_proof(c));
	connection_reap(c);
}

void connection_ordered(struct connection *c)
{
	if (c->command.order == NULL)
		list_remove(&c->ordered);
	else if (list_empty(&c->ordered)) /* a sweep must not meet it twice */
		list_move_last(&c->loop->ordered, &c->ordered);
}

void connection_slow(struct connection *c, unsigned ms)
{
	metrics_add(c->loop->metrics, METRIC_sessions_throttled_total, 1);
	c->slowed_ms = uv_now(&c->loop->uv) + ms;
	list_move_last(&c->loop->slowed, &c->slowed);
}

/* Not to be blamed for a deadline: it is we who do not read.  Who sends too much is to blame. */
static bool connection_held_back(const struct connection *c)
{
	return c->held == HOLD_PAUSE || c->held == HOLD_JOB ||
	       (!list_empty(&c->paused) && (c->loop->pauses & ~(unsigned)PAUSE_MEMORY) != 0);
}

/* False: enough for this turn, and the rest follows in the next one. */
static bool may_close(struct loop *l, unsigned *closes)
{
	if (++*closes <= CLOSES_PER_TURN)
		return true;
	l->overdue = true;
	return false;
}

static void close_waiting(struct loop *l, enum deadline kind, uint64_t limit_ms, unsigned *closes)
{
	const uint64_t now = uv_now(&l->uv);
	struct list *head = &l->waiting[kind];

	while (!list_empty(head)) {
		struct connection *c = list_entry(head->next, struct connection, wait);

		if (c->wait_ms + limit_ms > now || !may_close(l, closes))
			return;
		if (connection_held_back(c)) {
			c->wait_ms = now;
			list_move_last(head, &c->wait);
		} else {
			connection_close(c, c->waits_for_peer ? END_SLOW : END_DEADLINE);
		}
	}
}

static void close_partial(struct loop *l, uint64_t limit_ms, unsigned *closes)
{
	const uint64_t now = uv_now(&l->uv);

	while (!list_empty(&l->partial)) {
		struct connection *c = list_entry(l->partial.next, struct connection, partial);

		if (c->partial_ms + limit_ms > now || !may_close(l, closes))
			return;
		if (connection_held_back(c)) {
			c->partial_ms = now;
			list_move_last(&l->partial, &c->partial);
		} else {
			connection_close(c, END_DEADLINE);
		}
	}
}

void connection_close_overdue(struct loop *l)
{
	const struct config *config = l->config;
	unsigned closes = 0;

	l->overdue = false;
	close_partial(l, (uint64_t)config->session_frame_s * 1000, &closes);
	close_waiting(l, DEADLINE_LOGIN, (uint64_t)config->session_login_s * 1000, &closes);
	close_waiting(l, DEADLINE_IDLE, (uint64_t)config->session_idle_s * 1000, &closes);
	close_waiting(l, DEADLINE_LINGER, LINGER_MS, &closes);
	if (l->overdue)
		loop_wake(l); /* or the next turn may be long in coming */
}

/* Both may leave their list on the way. */
static void sweep_slowed(struct loop *l)
{
	for (struct list *at = l->slowed.next, *next; at != &l->slowed; at = next) {
		struct connection *c = list_entry(at, struct connection, slowed);

		next = at->next;
		if (c->slowed_ms > uv_now(&l->uv))
			continue;
		list_remove(&c->slowed);
		c->held = HOLD_TURN; /* many wait for the same sweep */
		loop_queue(l, c);
	}
}

static void sweep_ordered(struct loop *l)
{
	for (struct list *at = l->ordered.next, *next; at != &l->ordered; at = next) {
		struct connection *c = list_entry(at, struct connection, ordered);

		next = at->next;
		command_sweep(c, uv_now(&l->uv));
		connection_ordered(c);
	}
}

void connection_sweep(struct loop *l)
{
	connection_close_overdue(l);
	sweep_slowed(l);
	sweep_ordered(l);
}
