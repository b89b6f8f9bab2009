#include "gateway/link/link.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define BIT(n) (1u << (n))

enum {
	BACKOFF_MIN_MS = 1000,
	LEAVE_MS = 2000,
	STEADY_MS = 60000, /* logged in for so long: the next loss is a new one */
	LOGINS_IN_A_ROW = 3,
	NOISE_MAX = 64 * 1024,	/* bytes that are no frame, since the last one that was */
	ANSWER_UNIT_MAX = 4096, /* an answer has six bytes, a command to us a few more */
	LOG_AGAIN_MS = 3600 * 1000,
	BARREN_MAX = 3, /* connections without an answer, until the operator is told */
	NS_PER_S = 1000000000,
};

static const struct {
	const char *name;
	unsigned next; /* allowed moves */
} states[LINK_STATES] = {
	[LINK_WAITING] = { "waiting", BIT(LINK_CONNECTING) | BIT(LINK_CLOSED) },
	[LINK_CONNECTING] = { "connecting",
			      BIT(LINK_LOGIN) | BIT(LINK_WAITING) | BIT(LINK_CLOSED) },
	[LINK_LOGIN] = { "login", BIT(LINK_ACTIVE) | BIT(LINK_WAITING) | BIT(LINK_CLOSED) },
	[LINK_ACTIVE] = { "active", BIT(LINK_LEAVING) | BIT(LINK_WAITING) | BIT(LINK_CLOSED) },
	[LINK_LEAVING] = { "leaving", BIT(LINK_CLOSED) },
	[LINK_CLOSED] = { "closed", 0 },
};

static const char barren_text[] =
	"logins are answered, reports never; a platform that does not answer what is right cannot "
	"be used (docs/links.md)";

static uint64_t now_ms(const struct link *l)
{
	return uv_now(l->host->loop);
}

/* The only place where a state changes. */
static void link_move(struct link *l, enum link_state next, uint64_t deadline_ms)
{
	assert(l->state < LINK_STATES && next < LINK_STATES);
	assert(states[l->state].next & BIT(next));
	log_line(LOG_DEBUG, "link: %s --> %s link=\"%s\"", states[l->state].name, states[next].name,
		 l->row.name);
	if (l->state == LINK_ACTIVE)
		metrics_add(l->host->metrics, METRIC_link_connected, -1);
	if (next == LINK_ACTIVE)
		metrics_add(l->host->metrics, METRIC_link_connected, 1);
	l->progress.connected_since = next == LINK_ACTIVE ? clock_wall_ns() / NS_PER_S : 0;
	l->state = next;
	l->deadline_ms = deadline_ms;
}

/* From outside in part: the column and the log hold what can be shown. */
__attribute__((format(printf, 2, 0))) static void say(struct link *l, const char *format,
						      va_list args)
{
	char text[LINK_MESSAGE_SIZE];

	vsnprintf(text, sizeof(text), format, args);
	log_text(text, strlen(text), l->progress.message, sizeof(l->progress.message));
}

void link_say(struct link *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(l, format, args);
	va_end(args);
}

void link_complain(struct link *l, uint64_t pause_ms, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(l, format, args);
	va_end(args);
	if (strcmp(l->progress.message, l->reason) == 0 && now_ms(l) - l->reason_ms < LOG_AGAIN_MS)
		return;
	memcpy(l->reason, l->progress.message, sizeof(l->reason));
	l->reason_ms = now_ms(l);
	log_line(LOG_WARNING, "link: %s link=\"%s\" retry_ms=%" PRIu64, l->reason, l->row.name,
		 pause_ms);
}

/* ---- the end of a connection ---- */

static void count_given_up(struct link *l, size_t frames, const char *why)
{
	if (frames == 0)
		return;
	l->progress.refused += (int64_t)frames;
	metrics_add(l->host->metrics, METRIC_link_refused_total, (int64_t)frames);
	log_line(LOG_WARNING, "link: %s, given up link=\"%s\" frames=%zu", why, l->row.name,
		 frames);
}

static void disconnect(struct link *l)
{
	peer_close(l->peer);
	l->peer = NULL;
	l->in_used = l->noise = 0;
	uv_timer_stop(&l->turn);
	count_given_up(l, window_disconnected(&l->window), "frames are never answered");
}

static uint64_t share_by_chance(uint64_t whole)
{
	uint16_t part = 0;

	uv_random(NULL, NULL, &part, sizeof(part), 0, NULL);
	return whole * part / 65536;
}

/* Whatever was on is over; tried again after pause_ms. */
static void pause_link(struct link *l, const char *what, const char *reason, uint64_t pause_ms)
{
	disconnect(l);
	link_complain(l, pause_ms, "%s: %s", what, reason);
	link_move(l, LINK_WAITING, now_ms(l) + pause_ms);
}

/* Ended on purpose: only the database has to be told. */
void link_close(struct link *l)
{
	disconnect(l);
	link_move(l, LINK_CLOSED, 0);
}

/* One more connection on which nothing was answered?  Asked before the window forgets it. */
static bool is_barren(struct link *l)
{
	if (l->state != LINK_ACTIVE)
		return false;
	l->barren += l->window.answered == 0 && l->window.unanswered > 0;
	return l->barren >= BARREN_MAX;
}

void link_frame_answered(struct link *l)
{
	if (l->barren >= BARREN_MAX)
		link_say(l, "%s", "");
	l->barren = 0;
}

void link_lost(struct link *l, const char *reason)
{
	const uint64_t max = (uint64_t)l->host->config->link_retry_max_s * 1000;
	uint64_t pause = BACKOFF_MIN_MS;
	char longer[LINK_MESSAGE_SIZE];
	const char *what = l->state == LINK_ACTIVE  ? "connection lost"
			   : l->state == LINK_LOGIN ? "lost during login"
						    : "cannot connect";

	if (l->state == LINK_LEAVING) {
		link_close(l);
		return;
	}
	if (is_barren(l)) {
		snprintf(longer, sizeof(longer), "%s; %s", reason, barren_text);
		reason = longer;
	}
	if (l->state == LINK_ACTIVE && now_ms(l) - l->active_ms >= STEADY_MS)
		l->failures = 0;
	for (unsigned i = 0; i < l->failures && pause < max; i++)
		pause *= 2;
	pause = pause < max ? pause : max;
	l->failures++;
	pause_link(l, what, reason, pause / 2 + share_by_chance(pause / 2));
}

void link_closed_by_peer(struct link *l, const char *reason)
{
	if (l->state == LINK_ACTIVE)
		count_given_up(l, window_closed(&l->window), "the other side closes on a frame");
	link_lost(l, reason);
}

/* GB/T 32960: again after a minute, after the third after half an hour. */
void link_login_refused(struct link *l, const char *reason)
{
	const struct config *c = l->host->config;
	uint64_t pause;

	l->login_failures++;
	pause = 1000 * (uint64_t)(l->login_failures % LOGINS_IN_A_ROW == 0 ? c->link_login_pause_s
									   : c->link_login_retry_s);
	pause_link(l, "login refused", reason, pause + share_by_chance(pause / 10));
}

void link_logging_in(struct link *l)
{
	link_move(l, LINK_LOGIN, now_ms(l) + (uint64_t)l->host->config->link_answer_s * 1000);
}

void link_logged_in(struct link *l)
{
	l->login_failures = 0;
	l->active_ms = l->last_sent_ms = now_ms(l);
	l->reason[0] = '\0';
	link_move(l, LINK_ACTIVE, 0);
	link_say(l, "%s", l->barren >= BARREN_MAX ? barren_text : "");
	log_line(LOG_NOTICE, "link: logged in link=\"%s\" address=%s tls=%d position=%" PRIu64,
		 l->row.name, l->row.address, l->row.tls, l->progress.position);
	forward_pump(l);
}

/* ---- time ---- */

static void connect_now(struct link *l)
{
	const struct peer_options options = {
		.address = l->row.address,
		.tls = l->row.tls,
		.tls_ca = l->row.tls_ca,
		.events = &talk_events,
		.arg = l,
	};
	struct error err;

	link_move(l, LINK_CONNECTING, 0);
	metrics_add(l->host->metrics, METRIC_link_reconnects_total, 1);
	if (peer_open(l->host->loop, &options, &l->peer, &err) != 0)
		link_lost(l, err.text);
}

static void active_tick(struct link *l)
{
	const struct config *c = l->host->config;
	const struct outgoing_login own = talk_identity(l);
	uint8_t bytes[OUTGOING_SMALL_MAX];

	if (window_overdue(&l->window, now_ms(l), (uint64_t)c->link_answer_s * 1000)) {
		link_lost(l, "a frame is not answered");
		return;
	}
	if (now_ms(l) - l->last_sent_ms >= (uint64_t)c->link_heartbeat_s * 1000) {
		l->last_sent_ms = now_ms(l);
		peer_send(l->peer, bytes, outgoing_heartbeat(&own, bytes));
	}
	forward_pump(l);
}

void link_tick(struct link *l)
{
	const bool due = l->deadline_ms != 0 && now_ms(l) >= l->deadline_ms;

	switch (l->state) {
	case LINK_WAITING:
		forward_learn(l);
		if (due)
			connect_now(l);
		break;
	case LINK_LOGIN:
		if (due)
			link_login_refused(l, "no answer");
		break;
	case LINK_ACTIVE:
		active_tick(l);
		break;
	case LINK_LEAVING:
		if (due)
			link_close(l);
		break;
	case LINK_CONNECTING: /* the peer has deadlines of its own */
	case LINK_CLOSED:
	case LINK_STATES:
		break;
	}
	if (progress_save(l, l->state == LINK_CLOSED) && l->state == LINK_CLOSED)
		l->host->gone(l, l->host->arg); /* and freed */
}

void link_retry_now(struct link *l)
{
	if (l->state == LINK_WAITING)
		l->deadline_ms = now_ms(l);
	l->login_failures = 0;
}

void link_stored(struct link *l)
{
	forward_pump(l);
}

/* ---- life ---- */

void link_row_release(struct link_row *r)
{
	free(r->selection.ids);
	free(r->not_from);
	*r = (struct link_row){ 0 };
}

static void timer_closed(uv_handle_t *handle)
{
	struct link *l = handle->data;

	window_release(&l->window);
	link_row_release(&l->row);
	free(l);
}

struct link *link_new(struct link_host *host, struct link_row *row)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL || !window_init(&l->window, row->in_flight)) {
		free(l);
		link_row_release(row);
		return NULL;
	}
	l->host = host;
	l->row = *row;
	*row = (struct link_row){ 0 };
	l->read_position = l->row.position;
	l->read_sequence = l->row.sequence;
	l->progress = (struct link_progress){
		.position = l->row.position,
		.sequence = l->row.sequence,
		.forwarded = l->row.forwarded,
		.refused = l->row.refused,
		.missing = l->row.missing,
		.login_serial = l->row.login_serial,
	};
	l->saved = l->progress;
	l->saved.login_serial = -1; /* what an earlier process said of the connection is over */
	l->deadline_ms = now_ms(l);
	uv_timer_init(host->loop, &l->turn);
	l->turn.data = l;
	return l;
}

void link_leave(struct link *l)
{
	const struct outgoing_login own = talk_identity(l);
	uint8_t bytes[OUTGOING_SMALL_MAX];
	size_t size;

	if (l->state == LINK_LEAVING || l->state == LINK_CLOSED)
		return;
	if (l->state != LINK_ACTIVE) {
		link_close(l);
		return;
	}
	link_move(l, LINK_LEAVING, now_ms(l) + LEAVE_MS);
	size = outgoing_platform_logout(&own, clock_wall_ns() / NS_PER_S, bytes);
	peer_send(l->peer, bytes, size); /* may lose the link */
	log_line(LOG_NOTICE, "link: logged out link=\"%s\"", l->row.name);
}

void link_drop(struct link *l)
{
	if (l->state != LINK_CLOSED)
		link_close(l);
	if (l->saving)
		database_forget(l->host->database, l);
	spool_reader_close(l->reader);
	l->reader = NULL;
	uv_close((uv_handle_t *)&l->turn, timer_closed);
}
