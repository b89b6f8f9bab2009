#include "gateway/ingest/command.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

/*
 *   arrived --> in flight: waits for the answers before it, then sent again and again
 *                  |
 *                  +--> answered, given up, or back to the queue
 */

static int64_t now_s(void)
{
	return clock_wall_ns() / 1000000000;
}

static unsigned kind_index(unsigned command)
{
	assert(command >= DOWNLINK_QUERY && command < DOWNLINK_QUERY + COMMAND_KINDS);
	return command - DOWNLINK_QUERY;
}

static bool is_once(const struct downlink_order *o)
{
	return o->command.control != NULL && o->command.control->once;
}

/* ---- the end of an order ---- */

/* answers: how many may still come for what was sent. */
static void owe(struct command_slot *s, unsigned answers)
{
	uint8_t *owed = &s->owed[kind_index(s->order->command.kind)];

	*owed = *owed + answers < UINT8_MAX ? (uint8_t)(*owed + answers) : UINT8_MAX;
}

/* The order is downlink's again; the next one may come from here on. */
static void give_back(struct connection *c, struct downlink_order *order, enum downlink_end end,
		      const uint8_t *answer, size_t size)
{
	atomic_store(&c->command.taken, false);
	downlink_end(c->loop->server->downlink, order, end, answer, size);
}

static void end_order(struct connection *c, enum downlink_end end, const uint8_t *answer,
		      size_t size)
{
	struct command_slot *s = &c->command;
	struct downlink_order *order = s->order;

	owe(s, answer != NULL ? s->sends - 1 : s->sends);
	s->order = NULL;
	s->sends = 0;
	give_back(c, order, end, answer, size);
}

__attribute__((format(printf, 2, 3))) static void explain(struct connection *c, const char *format,
							  ...)
{
	struct downlink_order *o = c->command.order;
	va_list args;

	va_start(args, format);
	vsnprintf(o->message, sizeof(o->message), format, args);
	va_end(args);
}

static void end_silent(struct connection *c)
{
	explain(c, "sent %u times, and no answer", c->command.order->attempts);
	end_order(c, DOWNLINK_SILENT, NULL, 0);
}

/* ---- sending ---- */

/* The last that is done with the order: the connection may not outlive it. */
static void send_order(struct connection *c)
{
	uint8_t unit[WIRE_TIME_SIZE + DOWNLINK_UNIT_MAX];
	uint8_t bytes[FRAME_HEAD_SIZE + sizeof(unit) + 1];
	struct command_slot *s = &c->command;
	struct downlink_order *o = s->order;
	struct frame f = {
		.start = c->session.start,
		.header = HEADER_P,
		.command = (uint8_t)o->command.kind,
		.answer = ANSWER_COMMAND,
		.encryption = 0x01,
		.unit = unit,
		.unit_size = WIRE_TIME_SIZE + o->unit_size,
	};
	size_t size;

	snprintf(f.vin, sizeof(f.vin), "%s", o->vin);
	wire_time_encode(s->sent_at, unit);
	memcpy(unit + WIRE_TIME_SIZE, o->unit, o->unit_size);
	size = frame_encode(&f, bytes, sizeof(bytes));
	assert(size > 0);
	s->sends++;
	s->sent_ms = uv_now(&c->loop->uv);
	o->attempts++;
	downlink_sent(c->loop->server->downlink, o);
	connection_send(c, bytes, size);
}

/* An answer finds its order by this time, also one to a repetition. */
static void choose_time(struct command_slot *s)
{
	const int64_t now = now_s();

	s->sent_at = now > s->sent_at ? now : s->sent_at + 1;
}

/* What speaks against sending it at all.  True: it has ended. */
static bool ends_unsent(struct connection *c)
{
	struct downlink_order *o = c->command.order;
	const bool before = o->attempts > 0; /* in an earlier session */

	if (c->session.header == HEADER_V) {
		explain(c, "the terminal reports by GB 17691 or HJ 1239, whose vehicle link has no "
			   "commands; only GB/T 32960.3 has");
		end_order(c, DOWNLINK_IMPOSSIBLE, NULL, 0);
	} else if (before && is_once(o)) {
		explain(c,
			"sent in an earlier session, which ended before an answer; %s is not "
			"sent again, since it may have been obeyed",
			o->command.control->name);
		end_order(c, DOWNLINK_SILENT, NULL, 0);
	} else if (o->attempts >= (unsigned)c->loop->config->downlink_attempts) {
		end_silent(c);
	} else if (o->expires_at <= now_s()) {
		if (before)
			explain(c, "sent in an earlier session, and expired before it could be "
				   "repeated");
		end_order(c, before ? DOWNLINK_SILENT : DOWNLINK_EXPIRED, NULL, 0);
	} else {
		o->edition = c->session.start == 0x24 ? DOWNLINK_2025 : DOWNLINK_2016;
		o->unit_size = downlink_encode(&o->command, o->edition, o->unit, o->message);
		if (o->unit_size == 0)
			end_order(c, DOWNLINK_IMPOSSIBLE, NULL, 0);
	}
	return c->command.order == NULL;
}

/* Behind the answers that are owed, the one to the login above all. */
static void begin(struct connection *c)
{
	if (c->answers > 0 || ends_unsent(c))
		return;
	choose_time(&c->command);
	send_order(c);
}

void command_arrived(struct connection *c)
{
	struct command_slot *s = &c->command;
	struct downlink_order *order = atomic_exchange(&s->arrived, NULL);

	if (order == NULL)
		return;
	assert(s->order == NULL && atomic_load(&s->taken));
	s->order = order;
	begin(c);
}

void command_sweep(struct connection *c, uint64_t now_ms)
{
	struct command_slot *s = &c->command;
	const struct config *config = c->loop->config;

	assert(s->order != NULL);
	if (s->sends == 0)
		begin(c);
	else if (now_ms < s->sent_ms + (uint64_t)config->downlink_answer_s * 1000)
		return;
	else if (s->order->attempts >= (unsigned)config->downlink_attempts ||
		 s->order->expires_at <= now_s())
		end_silent(c);
	else
		send_order(c);
}

/* ---- the terminal ---- */

void command_logged_in(struct connection *c)
{
	if (c->loop->server->downlink != NULL)
		downlink_logged_in(c->loop->server->downlink, c->session.vin);
}

/*
 * The standard lets a terminal answer with the command's time (6.3.2) or with its own (B.3.3.2, and
 * table B.10 for a query).  An own time is believed when no earlier command of the kind could be
 * meant.
 */
bool command_answer(struct connection *c, const struct frame *f)
{
	struct command_slot *s = &c->command;
	struct downlink_order *o = s->order;
	int64_t at = WIRE_TIME_NONE;
	unsigned kind;

	if (frame_meaning(f) != MEANING_DOWNLINK_ANSWER)
		return false;
	kind = kind_index(f->command);
	if (f->unit_size >= WIRE_TIME_SIZE)
		at = wire_time_decode(f->unit);
	if (o == NULL || s->sends == 0 || o->command.kind != (enum downlink_kind)f->command ||
	    (at != s->sent_at && s->owed[kind] > 0)) {
		s->owed[kind] -= s->owed[kind] > 0;
		return false;
	}
	o->flag = f->answer;
	if (f->answer != ANSWER_SUCCESS)
		explain(c, "the terminal answered with flag %02X", f->answer);
	else if (f->encryption > 0x01 && at == WIRE_TIME_NONE)
		explain(c, "the answer is encrypted and was not opened");
	end_order(c, f->answer == ANSWER_SUCCESS ? DOWNLINK_ANSWERED : DOWNLINK_REFUSED, f->unit,
		  f->unit_size);
	return true;
}

void command_ended(struct connection *c)
{
	struct command_slot *s = &c->command;
	struct downlink_order *arrived = atomic_exchange(&s->arrived, NULL);

	assert(arrived == NULL || s->order == NULL);
	if (arrived != NULL)
		give_back(c, arrived, DOWNLINK_BACK, NULL, 0);
	if (s->order != NULL && s->sends > 0 && is_once(s->order)) {
		explain(c,
			"sent, and the session ended before an answer; %s is not sent again, "
			"since it may have been obeyed",
			s->order->command.control->name);
		end_order(c, DOWNLINK_SILENT, NULL, 0);
	} else if (s->order != NULL) {
		end_order(c, DOWNLINK_BACK, NULL, 0);
	}
	memset(s->owed, 0, sizeof(s->owed)); /* answers do not cross connections */
}

/* ---- downlink's thread ---- */

static void ready_visit(struct vin_owner *owner, void *arg)
{
	struct connection *c = list_entry(owner, struct connection, session.owner);
	bool *ready = arg;

	*ready = !atomic_load(&c->command.taken);
}

bool command_ready(const char *vin, void *arg)
{
	struct server *s = arg;
	bool ready = false;

	vin_table_visit(s->vins, vin, ready_visit, &ready);
	return ready;
}

static void deliver_visit(struct vin_owner *owner, void *arg)
{
	struct connection *c = list_entry(owner, struct connection, session.owner);
	struct downlink_order **order = arg;
	bool taken = false;

	if (!atomic_compare_exchange_strong(&c->command.taken, &taken, true))
		return;
	atomic_store(&c->command.arrived, *order);
	*order = NULL;
	connection_post(c, MAIL_ORDER);
}

void command_deliver(struct downlink_order *order, void *arg)
{
	struct server *s = arg;

	vin_table_visit(s->vins, order->vin, deliver_visit, &order);
	if (order != NULL)
		downlink_end(s->downlink, order, DOWNLINK_BACK, NULL, 0);
}
