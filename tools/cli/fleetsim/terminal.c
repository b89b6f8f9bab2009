#include "tools/cli/fleetsim/terminal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/fleetsim/platform.h"

enum {
	CONNECT_US = 10 * 1000000, /* for TCP, TLS and the answer of the login */
	LEAVE_US = 2 * 1000000,
	BACKOFF_FIRST_US = 200 * 1000,
	BACKOFF_MAX_US = 5 * 1000000,
	BACKLOG_MAX = 64 * 1024, /* bytes a link may hold back */
	REST_S = 60,		 /* engine off this long: the session ends */
	BURST = 64,		 /* frames a terminal sends in one tick */
};

/* Which state may follow. */
static const unsigned next_states[TERMINAL_STATE_COUNT] = {
	[TERMINAL_OFFLINE] = 1u << TERMINAL_CONNECTING | 1u << TERMINAL_DONE,
	[TERMINAL_CONNECTING] = 1u << TERMINAL_ACTIVATING | 1u << TERMINAL_GREETING |
				1u << TERMINAL_ONLINE | 1u << TERMINAL_OFFLINE,
	[TERMINAL_ACTIVATING] =
		1u << TERMINAL_GREETING | 1u << TERMINAL_ONLINE | 1u << TERMINAL_OFFLINE,
	[TERMINAL_GREETING] = 1u << TERMINAL_ONLINE | 1u << TERMINAL_OFFLINE,
	[TERMINAL_ONLINE] = 1u << TERMINAL_LEAVING | 1u << TERMINAL_OFFLINE,
	[TERMINAL_LEAVING] = 1u << TERMINAL_OFFLINE | 1u << TERMINAL_DONE,
	[TERMINAL_DONE] = 0,
};

static void move(struct terminal *t, enum terminal_state next)
{
	assert(next_states[t->state] & 1u << next);
	t->state = next;
	t->since_us = t->shared->now_us;
}

/* ---- frames that carry no samples ---- */

static void send_bytes(struct terminal *t, const uint8_t *bytes, size_t size)
{
	t->shared->tally->sent_bytes += size;
	link_send(t->link, bytes, size);
}

static void send_control(struct terminal *t, uint8_t command, bool answered)
{
	const int64_t at = t->shared->drive_us / 1000000;
	uint8_t buf[128], *unit = buf + FRAME_HEAD_SIZE;
	const size_t room = sizeof(buf) - FRAME_HEAD_SIZE - 1;
	size_t n = 0;
	int64_t awaited = at;

	if (command == COMMAND_LOGIN)
		n = unit_login(at, t->login_serial, t->plan.iccid, t->plan.dialect->header, unit,
			       room);
	else if (command == COMMAND_LOGOUT)
		n = unit_logout(at, t->login_serial, unit, room);
	else
		awaited = WIRE_TIME_NONE;
	n = truck_frame(&t->plan, command, n, buf, sizeof(buf));
	if (answered)
		outbox_sent_other(&t->outbox, command, awaited, t->shared->now_us);
	send_bytes(t, buf, n);
}

/* ---- the connection ---- */

static void schedule_connect(struct terminal *t)
{
	int64_t wait = BACKOFF_FIRST_US;

	for (unsigned i = 0; i < t->failures && wait < BACKOFF_MAX_US; i++)
		wait += wait / 2;
	wait = wait < BACKOFF_MAX_US ? wait : BACKOFF_MAX_US;
	/* Half of it by chance, so that a fleet does not come back as one. */
	t->next_connect_us = t->shared->now_us + wait / 2 +
			     (int64_t)prng_below(&t->chance, (uint64_t)wait / 2 + 1);
	t->failures++;
}

void terminal_hang_up(struct terminal *t)
{
	if (t->link != NULL && !t->plan.platform)
		link_close(t->link);
	t->link = NULL;
}

/* The connection is gone, or goes now. */
static void go_offline(struct terminal *t)
{
	terminal_hang_up(t);
	inbox_clear(&t->inbox);
	outbox_lost(&t->outbox, t->shared->now_us / 1000);
	if (t->state == TERMINAL_LEAVING && t->over && outbox_owed(&t->outbox) == 0)
		move(t, TERMINAL_DONE);
	else
		move(t, TERMINAL_OFFLINE);
}

static void go_online(struct terminal *t)
{
	move(t, TERMINAL_ONLINE);
	t->failures = 0;
	t->was_online = true;
	t->next_sync_us = t->shared->now_us;
	/* What may be asked of the platform besides. */
	if (t->plan.dialect->header == HEADER_V && t->plan.dialect->answered)
		send_control(t, COMMAND_SYNC, true);
	else if (t->plan.dialect->header == HEADER_P && t->plan.dialect->start == 0x23)
		send_control(t, COMMAND_HEARTBEAT, true);
}

/*
 * Single bytes are dear: few trucks, and only until the first answer.  Who waits for each answer
 * has never two frames to merge.
 */
static void choose_cuts(struct terminal *t)
{
	static const enum segments cuts[] = { SEGMENT_whole, SEGMENT_random, SEGMENT_merged };
	const enum segments drawn = cuts[t->plan.index % 3];
	const bool one_by_one = t->outbox.answered && t->outbox.window == 1;

	t->whole = !t->shared->cuts ||
		   (drawn == SEGMENT_whole && t->plan.index % 16 != 7 && !t->plan.platform);
	if (t->whole || t->plan.platform)
		return;
	if (t->plan.index % 16 == 7)
		link_cut(t->link, SEGMENT_byte, &t->chance);
	else
		link_cut(t->link, drawn == SEGMENT_merged && one_by_one ? SEGMENT_random : drawn,
			 &t->chance);
}

static void log_in(struct terminal *t)
{
	t->shared->tally->logins++;
	t->login_serial = (uint16_t)(t->login_serial % 65531 + 1);
	send_control(t, COMMAND_LOGIN, t->plan.dialect->login_answered);
	if (t->link == NULL)
		return;
	if (t->plan.dialect->login_answered)
		move(t, TERMINAL_GREETING);
	else
		go_online(t);
	if (t->link != NULL)
		link_flush(t->link);
}

/* The platform must know the key before the first signed report comes. */
static void activate(struct terminal *t)
{
	uint8_t buf[FRAME_HEAD_SIZE + CHIP_ACTIVATION_SIZE + 1];
	size_t n = chip_activation(t->trust.chip, t->plan.vin, t->shared->drive_us / 1000000,
				   buf + FRAME_HEAD_SIZE, CHIP_ACTIVATION_SIZE);

	n = truck_frame(&t->plan, COMMAND_ACTIVATION, n, buf, sizeof(buf));
	t->shared->tally->activations++;
	t->activation_us = t->shared->now_us;
	send_bytes(t, buf, n);
	if (t->link != NULL)
		link_flush(t->link);
}

static void on_opened(void *arg)
{
	struct terminal *t = arg;

	assert(t->state == TERMINAL_CONNECTING);
	if (!t->plan.platform) {
		t->shared->tally->connects++;
		t->shared->tally->reconnects += t->was_online;
	}
	choose_cuts(t);
	if (t->trust.chip == NULL || !chip_activates(t->trust.chip) || t->activated) {
		log_in(t);
		return;
	}
	move(t, TERMINAL_ACTIVATING);
	activate(t);
}

static void on_link_closed(void *arg, bool was_open)
{
	struct terminal *t = arg;

	t->link = NULL;
	if (t->state == TERMINAL_DONE)
		return;
	if (!t->plan.platform) { /* else the platform counts it, once */
		t->shared->tally->lost += was_open && t->state != TERMINAL_LEAVING;
		t->shared->tally->connect_failures += !was_open;
	}
	go_offline(t);
	schedule_connect(t);
}

static void pump(struct terminal *t);

/* 01: activated, now or earlier.  Refused, or waiting for a person: asked again, as terminals do.
 */
static void on_activation(struct terminal *t, const struct frame *f)
{
	enum { ACTIVATED = 1 };

	if (t->state != TERMINAL_ACTIVATING)
		return;
	t->activated = f->unit_size == 2 && f->unit[0] == ACTIVATED;
	if (t->activated) {
		t->outbox.patient_until_ms = t->shared->now_us / 1000 + PATIENCE_MS;
		log_in(t);
		return;
	}
	t->shared->tally->activations_refused++;
	schedule_connect(t);
	go_offline(t);
}

static void on_order(struct terminal *t, const struct frame *f)
{
	uint8_t buf[FRAME_HEAD_SIZE + DOWNLINK_UNIT_MAX + 1];
	struct order_answer answer;
	struct frame reply = *f;

	if (t->state != TERMINAL_ONLINE || !obey(&t->obedience, f, &answer))
		return;
	reply.answer = answer.flag;
	reply.unit = answer.unit;
	reply.unit_size = answer.unit_size;
	t->shared->tally->orders++;
	t->shared->tally->orders_refused += answer.flag != ANSWER_SUCCESS;
	send_bytes(t, buf, frame_encode(&reply, buf, sizeof(buf)));
	if (t->link == NULL)
		return;
	link_flush(t->link);
	if (answer.leaves && t->link != NULL && link_backlog(t->link) == 0) {
		schedule_connect(t);
		go_offline(t);
	}
}

static void on_answer(struct terminal *t, const struct frame *f)
{
	struct tally *tally = t->shared->tally;
	int64_t at = WIRE_TIME_NONE;
	const bool success = f->header == HEADER_V || f->answer == ANSWER_SUCCESS;

	if (is_order(f)) {
		on_order(t, f);
		return;
	}
	if (f->command == COMMAND_ACTIVATION_ANSWER) {
		on_activation(t, f);
		return;
	}
	if (f->unit_size >= WIRE_TIME_SIZE && f->header == HEADER_P)
		at = wire_time_decode(f->unit);
	const int64_t us = outbox_answer(&t->outbox, f->command, at, success, t->shared->now_us);
	tally->answers++;
	tally->errors += !success;
	tally->unasked += us < 0;
	if (us >= 0 && t->whole &&
	    (f->command == COMMAND_REALTIME || f->command == COMMAND_SUPPLEMENT))
		tally_latency(tally, us);
	if (t->state == TERMINAL_GREETING && f->command == COMMAND_LOGIN) {
		if (success) {
			go_online(t);
		} else {
			schedule_connect(t);
			go_offline(t);
		}
	} else if (t->state == TERMINAL_LEAVING && f->command == COMMAND_LOGOUT) {
		go_offline(t);
	}
	if (t->link != NULL && t->plan.index % 16 == 7 && !t->plan.platform)
		link_cut(t->link, SEGMENT_whole, &t->chance);
}

static void on_received(void *arg, const uint8_t *bytes, size_t size)
{
	struct terminal *t = arg;
	const struct link *link = t->link;
	struct frame f;

	t->shared->now_us = (int64_t)(uv_hrtime() / 1000);
	t->shared->tally->received_bytes += size;
	while (t->link == link && inbox_next(&t->inbox, &bytes, &size, &f))
		on_answer(t, &f);
	if (t->state == TERMINAL_ONLINE)
		pump(t);
}

void terminal_hear(struct terminal *t, const struct frame *f)
{
	on_answer(t, f);
	if (t->state == TERMINAL_ONLINE)
		pump(t);
}

void terminal_cut_off(struct terminal *t)
{
	on_link_closed(t, true);
}

static const struct link_handler handler = { on_opened, on_received, on_link_closed };

/* Once the platform is logged in: until then it is asked again at each tick. */
static void go_aboard(struct terminal *t)
{
	t->link = platform_link(t->shared->platform);
	if (t->link == NULL)
		return;
	move(t, TERMINAL_CONNECTING);
	on_opened(t);
}

static void connect_now(struct terminal *t)
{
	struct terminal_shared *s = t->shared;
	const bool tls = t->plan.tls && s->tls_context != NULL;

	if (t->plan.platform) {
		go_aboard(t);
		return;
	}
	if (s->connects_allowed <= 0)
		return;
	s->connects_allowed--;
	move(t, TERMINAL_CONNECTING);
	if (link_open(s->loop, (const struct sockaddr *)(tls ? &s->tls : &s->tcp),
		      tls ? s->tls_context : NULL, &handler, t, &t->link) != 0) {
		s->tally->connect_failures++;
		t->link = NULL;
		go_offline(t);
		schedule_connect(t);
	} else if (tls) {
		terminal_certify(t);
	}
}

/* ---- sending ---- */

static void pump(struct terminal *t)
{
	struct terminal_shared *s = t->shared;
	uint8_t buf[PARCEL_FRAME_MAX], command;
	struct parcel *p;

	for (unsigned n = 0; n < BURST && t->link != NULL && link_backlog(t->link) < BACKLOG_MAX;
	     n++) {
		p = outbox_next(&t->outbox, s->now_us / 1000, &command);
		if (p == NULL)
			break;
		const int64_t sent_at =
			parcel_time(p, t->plan.dialect, command, s->drive_us / 1000000);
		const size_t size =
			parcel_frame(p, &t->plan, &t->trust, command, sent_at, buf, sizeof(buf));
		s->tally->frames++;
		s->tally->platform_frames += t->plan.platform;
		s->tally->signed_frames += t->trust.chip != NULL;
		s->tally->encrypted_frames += t->trust.cipher != NULL;
		outbox_sent(&t->outbox, p, command, sent_at, s->now_us);
		send_bytes(t, buf, size);
	}
	if (t->link != NULL)
		link_flush(t->link);
}

static void leave(struct terminal *t)
{
	const bool answered = t->plan.dialect->answered;

	send_control(t, COMMAND_LOGOUT, answered);
	if (t->link == NULL)
		return;
	move(t, TERMINAL_LEAVING);
	if (!t->plan.platform)
		link_cut(t->link, SEGMENT_whole, &t->chance);
	link_flush(t->link);
}

/* Answers stay out. */
static void give_up(struct terminal *t)
{
	if (t->plan.platform) {
		platform_give_up(t->shared->platform);
		return;
	}
	t->shared->tally->given_up++;
	go_offline(t);
	schedule_connect(t);
}

/* What was held back goes on; the platform does that for its own connection. */
static void tick_link(struct terminal *t)
{
	if (t->link != NULL && !t->plan.platform)
		link_tick(t->link);
}

static void tick_online(struct terminal *t)
{
	struct terminal_shared *s = t->shared;
	const uint32_t owed = outbox_owed(&t->outbox);
	const bool pause = owed == 0 && t->filling == NULL;

	if (terminal_in_dead_zone(t)) {
		s->tally->dead_zones++;
		go_offline(t);
		t->next_connect_us = s->now_us;
		t->failures = 0;
		return;
	}
	if (outbox_tick(&t->outbox, s->now_us / 1000) == OUTBOX_RECONNECT) {
		give_up(t);
		return;
	}
	t->resting = t->off_seconds >= REST_S;
	if (pause && (t->over || t->resting)) {
		leave(t);
		return;
	}
	const bool last = t->over && t->outbox.live.count == 0 && t->outbox.late.count == 0;
	if (!t->outbox.answered && outbox_wants_sync(&t->outbox, s->now_us / 1000) &&
	    (last || s->now_us >= t->next_sync_us)) {
		/* As often as it helps in a compressed drive, once a frame in a live one. */
		t->next_sync_us = s->now_us + (int64_t)(FRAME_SECONDS / s->speed * 1e6);
		send_control(t, COMMAND_SYNC, true);
	}
	if (t->link != NULL)
		pump(t);
	tick_link(t);
}

static void tick_offline(struct terminal *t)
{
	const bool owes = outbox_owed(&t->outbox) > 0;

	t->resting = t->off_seconds >= REST_S;
	if (t->over && !owes)
		move(t, TERMINAL_DONE);
	else if ((owes || !t->resting) && t->shared->now_us >= t->next_connect_us &&
		 !terminal_in_dead_zone(t))
		connect_now(t);
}

void terminal_early(struct terminal *t)
{
	if (t->state == TERMINAL_OFFLINE && t->shared->now_us >= t->next_connect_us)
		connect_now(t);
	else
		tick_link(t);
}

void terminal_tick(struct terminal *t)
{
	struct terminal_shared *s = t->shared;

	terminal_make(t);
	switch (t->state) {
	case TERMINAL_OFFLINE:
		tick_offline(t);
		break;
	case TERMINAL_CONNECTING:
	case TERMINAL_ACTIVATING:
	case TERMINAL_GREETING:
		if (t->state == TERMINAL_ACTIVATING &&
		    s->now_us - t->activation_us > ANSWER_MS * 1000)
			activate(t);
		tick_link(t);
		if (t->link != NULL && s->now_us - t->since_us > CONNECT_US)
			give_up(t);
		break;
	case TERMINAL_ONLINE:
		tick_online(t);
		break;
	case TERMINAL_LEAVING:
		/* Where logouts are not answered, the bytes on their way are enough. */
		if (s->now_us - t->since_us > LEAVE_US ||
		    (!t->plan.dialect->answered && link_backlog(t->link) == 0))
			go_offline(t);
		break;
	default:
		break;
	}
	const uint32_t owed = outbox_owed(&t->outbox);
	s->owed += (int64_t)owed - t->owed_before;
	t->owed_before = owed;
}
