/* attack_crowd.c - attackers who want the gateway's room and time: many connections of one kind. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "tools/cli/fleetsim/attacker.h"
#include "tools/cli/fleetsim/outbox.h"

enum { TICK_MS = 20, CONNECTS_A_TICK = 200, BACK_US = 1000000, BURST = 64, SECOND_US = 1000000 };

/* What a kind does. */
struct manner {
	bool logs_in, deaf, floods, drips, resets;
	unsigned every_s; /* all connections end at once, each time this long */
};

static const struct manner manners[ATTACK_COUNT] = {
	[ATTACK_flood] = { .logs_in = true, .floods = true },
	[ATTACK_slow_reader] = { .logs_in = true, .floods = true, .deaf = true },
	[ATTACK_drip_feeder] = { .drips = true },
	[ATTACK_half_open] = { .logs_in = false },
	[ATTACK_herd] = { .logs_in = true, .every_s = 2 },
	[ATTACK_mass_disconnect] = { .logs_in = true, .resets = true, .every_s = 3 },
};

struct guest {
	bool connected, answered;
	int64_t back_us; /* connects from then on */
	int64_t drip_us;
	uint8_t login[96], bytes[64];
	size_t login_size, login_sent, size;
};

struct crowd {
	struct attack *attack;
	const struct manner *manner;
	struct guest *guests;
	struct pollfd *polls;
	int64_t now_us, end_all_us;
};

/* By us or by the gateway; refused ones count as closed by it. */
static void part(struct crowd *w, unsigned i, bool by_gateway)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct guest *g = &w->guests[i];
	struct attack_result *r = &w->attack->result;

	if (by_gateway)
		r->heard[HEARD_closed]++;
	else if (!g->answered)
		r->heard[HEARD_silent]++;
	if (w->manner->resets && !by_gateway)
		setsockopt(w->polls[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(w->polls[i].fd);
	w->polls[i].fd = -1;
	g->connected = g->answered = false;
	g->login_sent = g->size = 0;
	/* What the gateway ended comes back after a while, what we ended at once. */
	g->back_us = by_gateway ? w->now_us + BACK_US : w->now_us;
}

static void count_answers(struct crowd *w, struct guest *g)
{
	size_t used = 0, step;
	struct frame f;

	for (;;) {
		const enum scan scan =
			frame_scan(g->bytes + used, g->size - used, sizeof(g->bytes), &f, &step);
		if (scan == SCAN_MORE)
			break;
		used += step;
		if (scan != SCAN_FRAME)
			continue;
		g->answered = true;
		w->attack->result.heard[f.answer == ANSWER_SUCCESS ? HEARD_success : HEARD_error]++;
	}
	g->size -= used;
	memmove(g->bytes, g->bytes + used, g->size);
	g->size = g->size == sizeof(g->bytes) ? 0 : g->size;
}

static void hear(struct crowd *w, unsigned i)
{
	struct guest *g = &w->guests[i];

	for (unsigned n = 0; n < BURST; n++) {
		const ssize_t got = recv(w->polls[i].fd, g->bytes + g->size,
					 sizeof(g->bytes) - g->size, MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			part(w, i, true);
			return;
		}
		g->size += (size_t)got;
		count_answers(w, g);
	}
}

/* The login, or its next byte. */
static void say_login(struct crowd *w, unsigned i)
{
	struct guest *g = &w->guests[i];
	size_t n = g->login_size - g->login_sent;

	if (w->manner->drips) {
		if (w->now_us < g->drip_us)
			return;
		g->drip_us = w->now_us + SECOND_US;
		n = n > 0 ? 1 : 0;
	}
	const ssize_t sent =
		send(w->polls[i].fd, g->login + g->login_sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		g->login_sent += (size_t)sent;
}

/* Time is asked for: the smallest frame that has an answer. */
static void say_much(struct crowd *w, unsigned i)
{
	uint8_t bytes[BURST * (FRAME_HEAD_SIZE + 1)];
	struct truck_plan truck;
	size_t n = 0;

	plan_truck(&w->attack->settings->plan, w->attack->first + i, KIND_clean, &truck);
	while (n < sizeof(bytes))
		n += truck_frame(&truck, COMMAND_HEARTBEAT, 0, bytes + n, sizeof(bytes) - n);
	/* Whole frames only matter to who wants an answer. */
	if (send(w->polls[i].fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		w->attack->result.attempts += BURST;
}

static void speak(struct crowd *w, unsigned i)
{
	const struct manner *m = w->manner;
	struct guest *g = &w->guests[i];

	if ((m->logs_in || m->drips) && g->login_sent < g->login_size)
		say_login(w, i);
	else if (m->floods)
		say_much(w, i);
}

static void connect_some(struct crowd *w)
{
	unsigned room = CONNECTS_A_TICK;

	for (unsigned i = 0; i < w->attack->count && room > 0; i++) {
		struct guest *g = &w->guests[i];
		if (w->polls[i].fd >= 0 || w->now_us < g->back_us)
			continue;
		room--;
		w->attack->result.attempts++;
		/* All of a kind from one address: what a household, or a carrier, looks like. */
		w->polls[i].fd = attack_socket(w->attack, 0);
		g->back_us = w->now_us + BACK_US;
		if (w->polls[i].fd < 0)
			w->attack->result.unprepared++;
	}
}

static void attend(struct crowd *w, unsigned i)
{
	const short seen = w->polls[i].revents;
	struct guest *g = &w->guests[i];

	if (w->polls[i].fd < 0)
		return;
	if ((seen & POLLOUT) != 0)
		g->connected = true;
	if ((seen & (POLLERR | POLLHUP)) != 0) {
		part(w, i, true);
		return;
	}
	if ((seen & POLLIN) != 0)
		hear(w, i);
	if (w->polls[i].fd >= 0 && g->connected)
		speak(w, i);
}

static void tick(struct crowd *w)
{
	const struct manner *m = w->manner;

	w->now_us = clock_mono_ns() / 1000;
	connect_some(w);
	for (unsigned i = 0; i < w->attack->count; i++) {
		struct pollfd *p = &w->polls[i];
		p->events =
			(short)((m->deaf ? 0 : POLLIN) | (w->guests[i].connected ? 0 : POLLOUT));
	}
	if (poll(w->polls, w->attack->count, TICK_MS) < 0)
		return;
	for (unsigned i = 0; i < w->attack->count; i++)
		attend(w, i);
	if (m->every_s > 0 && w->now_us >= w->end_all_us) {
		for (unsigned i = 0; i < w->attack->count; i++)
			if (w->polls[i].fd >= 0)
				part(w, i, false);
		w->end_all_us = w->now_us + (int64_t)m->every_s * SECOND_US;
	}
	/* Where there is always something to write or hear, poll() does not wait. */
	usleep(TICK_MS * 100);
}

void attack_crowd(struct attack *a)
{
	struct crowd w = { .attack = a, .manner = &manners[a->kind] };
	struct truck_plan truck;

	w.guests = calloc(a->count, sizeof(*w.guests));
	w.polls = calloc(a->count, sizeof(*w.polls));
	if (w.guests == NULL || w.polls == NULL) {
		a->result.unprepared++;
		goto out;
	}
	for (unsigned i = 0; i < a->count; i++) {
		struct guest *g = &w.guests[i];
		w.polls[i].fd = -1;
		plan_truck(&a->settings->plan, a->first + i, KIND_clean, &truck);
		g->login_size = unit_login(clock_wall_ns() / 1000000000, 1, truck.iccid, HEADER_P,
					   g->login + FRAME_HEAD_SIZE,
					   sizeof(g->login) - FRAME_HEAD_SIZE - 1);
		g->login_size = truck_frame(&truck, COMMAND_LOGIN, g->login_size, g->login,
					    sizeof(g->login));
	}
	w.now_us = clock_mono_ns() / 1000;
	w.end_all_us = w.now_us + (int64_t)w.manner->every_s * SECOND_US;
	while (!attack_over(a))
		tick(&w);
	for (unsigned i = 0; i < a->count; i++)
		if (w.polls[i].fd >= 0)
			part(&w, i, false);
out:
	free(w.guests);
	free(w.polls);
}
