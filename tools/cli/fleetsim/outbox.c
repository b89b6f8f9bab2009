#include "tools/cli/fleetsim/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

static void list_init(struct parcel_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->count = 0;
}

static void push(struct parcel_list *l, struct parcel *p)
{
	assert(!p->queued);
	p->queued = true;
	p->next = NULL;
	*l->tail = p; /* NOLINT(clang-analyzer-unix.Malloc): it does not see pop() move the tail */
	l->tail = &p->next;
	l->count++;
}

static void push_front(struct parcel_list *l, struct parcel *p)
{
	assert(!p->queued);
	p->queued = true;
	p->next = l->head;
	if (l->head == NULL)
		l->tail = &p->next;
	l->head = p;
	l->count++;
}

static struct parcel *pop(struct parcel_list *l)
{
	struct parcel *p = l->head;

	if (p == NULL)
		return NULL;
	l->head = p->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->count--;
	p->queued = false;
	p->next = NULL;
	return p;
}

static void release_if_over(struct parcel *p)
{
	if (p->done && p->in_flight == 0 && !p->queued)
		free(p);
}

void outbox_init(struct outbox *o, const struct truck_plan *truck, unsigned window, int64_t pace_ms)
{
	assert(window >= 1 && window <= WINDOW_MAX);
	memset(o, 0, sizeof(*o));
	o->answered = truck->dialect->answered;
	o->by_time = truck->dialect->header == HEADER_P;
	o->layout = truck->dialect->layout;
	o->regroups = truck->regroups;
	o->window = window;
	o->pace_ms = pace_ms;
	list_init(&o->again);
	list_init(&o->live);
	list_init(&o->late);
	list_init(&o->kept);
}

/* Takes the copy out of the row; its parcel is freed when that was the last thing to wait for. */
static void drop_copy(struct outbox *o, unsigned i)
{
	struct parcel *p = o->copies[i].parcel;

	assert(i < o->count);
	memmove(&o->copies[i], &o->copies[i + 1], (o->count - i - 1) * sizeof(o->copies[0]));
	o->count--;
	if (p != NULL) {
		assert(p->in_flight > 0);
		p->in_flight--;
		release_if_over(p);
	}
}

static void free_list(struct parcel_list *l)
{
	for (struct parcel *p; (p = pop(l)) != NULL;) {
		p->done = true;
		release_if_over(p);
	}
}

void outbox_release(struct outbox *o)
{
	free_list(&o->again);
	free_list(&o->live);
	free_list(&o->late);
	free_list(&o->kept);
	while (o->count > 0) {
		if (o->copies[0].parcel != NULL)
			o->copies[0].parcel->done = true;
		drop_copy(o, 0);
	}
}

void outbox_add(struct outbox *o, struct parcel *p, bool online)
{
	p->late = !online;
	push(online ? &o->live : &o->late, p);
}

/* ---- what to send next ---- */

static unsigned flying(const struct outbox *o)
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->count; i++) {
		const struct copy *c = &o->copies[i];
		n += c->parcel != NULL && !c->parcel->done && !c->expired;
	}
	return n;
}

/*
 * An answer of header V names its command only.  After a second copy was sent, the answer of the
 * first would be taken for that of the next report: so nothing new is sent until all copies are
 * accounted for.
 */
static bool ambiguous(const struct outbox *o)
{
	if (o->by_time)
		return false;
	for (unsigned i = 0; i < o->count; i++) {
		const struct copy *c = &o->copies[i];
		if (c->parcel != NULL && (c->parcel->done || c->expired))
			return true;
	}
	return false;
}

/* Sometimes two supplements travel as one, sometimes one as two: the samples count, not the frames.
 */
static struct parcel *regroup(struct outbox *o, struct parcel *p)
{
	struct parcel *other = NULL;

	if (p->tries > 0 || p->refused > 0)
		return p;
	if (o->order % 3 == 0 && o->late.head != NULL &&
	    parcel_can_merge(p, o->late.head, o->layout)) {
		struct parcel *b = pop(&o->late);
		other = parcel_merge(p, b);
		if (other == NULL) {
			push_front(&o->late, b);
			return p;
		}
		other->late = p->done = b->done = true;
		release_if_over(p);
		release_if_over(b);
		o->regrouped++;
		return other;
	}
	if (o->order % 3 == 1 && p->seconds >= 2 && p->last - p->first == p->seconds - 1) {
		other = parcel_split(p);
		if (other == NULL)
			return p;
		other->late = true;
		push_front(&o->late, other);
		o->regrouped++;
	}
	return p;
}

struct parcel *outbox_next(struct outbox *o, int64_t now_ms, uint8_t *ret_command)
{
	struct parcel *p;

	if (o->count == COPIES_MAX)
		return NULL;
	while ((p = pop(&o->again)) != NULL) {
		if (!p->done) {
			*ret_command = p->late ? COMMAND_SUPPLEMENT : COMMAND_REALTIME;
			return p;
		}
		release_if_over(p);
	}
	if (o->answered ? flying(o) >= o->window || ambiguous(o) : o->kept.count >= UNPROVED_MAX)
		return NULL;
	if ((p = pop(&o->live)) != NULL) {
		*ret_command = COMMAND_REALTIME;
		return p;
	}
	if (now_ms < o->next_late_ms || (p = pop(&o->late)) == NULL)
		return NULL;
	if (o->regroups)
		p = regroup(o, p);
	o->next_late_ms = now_ms + o->pace_ms;
	o->supplements++;
	*ret_command = COMMAND_SUPPLEMENT;
	return p;
}

static void add_copy(struct outbox *o, struct parcel *p, uint8_t command, int64_t at,
		     int64_t now_us)
{
	assert(o->count < COPIES_MAX);
	o->copies[o->count++] = (struct copy){
		.parcel = p, .command = command, .at = at, .sent_us = now_us, .covers = o->order
	};
	if (p != NULL)
		p->in_flight++;
}

void outbox_sent(struct outbox *o, struct parcel *p, uint8_t command, int64_t at, int64_t now_us)
{
	assert(!p->queued && !p->done);
	o->resent += p->tries > 0;
	p->tries++;
	p->sent_order = ++o->order;
	p->sent_ms = now_us / 1000;
	if (o->answered)
		add_copy(o, p, command, at, now_us);
	else
		push(&o->kept, p);
}

void outbox_sent_other(struct outbox *o, uint8_t command, int64_t at, int64_t now_us)
{
	if (o->count < COPIES_MAX)
		add_copy(o, NULL, command, at, now_us);
}

/* ---- what came back ---- */

static void again_unless_queued(struct outbox *o, struct parcel *p)
{
	if (!p->done && !p->queued)
		push(&o->again, p);
}

static void forget_until(struct outbox *o, uint64_t order)
{
	while (o->kept.head != NULL && o->kept.head->sent_order <= order) {
		struct parcel *kept = pop(&o->kept);
		kept->done = true;
		release_if_over(kept);
	}
}

static void synchronised(struct outbox *o, uint64_t covers, int64_t now_ms)
{
	if (o->read_order > 0 && now_ms - o->read_ms < SETTLE_MS)
		return;
	forget_until(o, o->read_order);
	o->read_order = covers;
	o->read_ms = now_ms;
}

static void settle(struct outbox *o, struct copy *c, bool success, int64_t now_ms)
{
	struct parcel *p = c->parcel;

	if (p == NULL) {
		if (success && c->command == COMMAND_SYNC)
			synchronised(o, c->covers, now_ms);
		return;
	}
	if (success) {
		p->done = true;
		return;
	}
	if (now_ms < o->patient_until_ms)
		o->next_late_ms = now_ms + REFUSED_PAUSE_MS;
	else
		p->refused++;
	if (p->refused >= REFUSALS) {
		o->refused++;
		p->done = true;
	} else if (!p->queued && !p->done) {
		p->late = true;
		push(&o->late, p);
	}
}

int64_t outbox_answer(struct outbox *o, uint8_t command, int64_t at, bool success, int64_t now_us)
{
	unsigned i;

	for (i = 0; i < o->count; i++)
		if (o->copies[i].command == command &&
		    (!o->by_time || o->copies[i].at == at || o->copies[i].at == WIRE_TIME_NONE))
			break;
	if (i == o->count)
		return -1;
	/* Answers come in order: reports before this one were passed over. */
	if (o->by_time) {
		for (; i > 0 && o->copies[0].parcel != NULL; i--) {
			again_unless_queued(o, o->copies[0].parcel);
			drop_copy(o, 0);
		}
	}
	const int64_t waited = now_us - o->copies[i].sent_us;
	settle(o, &o->copies[i], success, now_us / 1000);
	drop_copy(o, i);
	return waited;
}

enum outbox_advice outbox_tick(struct outbox *o, int64_t now_ms)
{
	while (o->kept.head != NULL && now_ms - o->kept.head->sent_ms > UNANSWERED_KEPT_MS) {
		struct parcel *kept = pop(&o->kept);
		kept->done = true;
		release_if_over(kept);
	}
	for (unsigned i = 0; i < o->count; i++) {
		struct copy *c = &o->copies[i];
		const int64_t waited = now_ms - c->sent_us / 1000;
		if (waited < ANSWER_MS)
			continue;
		if (c->parcel == NULL) {
			if (waited >= TRIES * ANSWER_MS)
				return OUTBOX_RECONNECT;
		} else if (c->expired) {
			/* Its parcel was sent again since; answers that stay out this long never
			 * come. */
			if (waited >= (TRIES + 1) * ANSWER_MS)
				return OUTBOX_RECONNECT;
		} else if (c->parcel->done || c->parcel->tries >= TRIES) {
			return OUTBOX_RECONNECT;
		} else {
			c->expired = true;
			again_unless_queued(o, c->parcel);
		}
	}
	return OUTBOX_FINE;
}

void outbox_lost(struct outbox *o, int64_t now_ms)
{
	struct parcel_list all;
	struct parcel *p;

	list_init(&all);
	o->read_order = 0;
	while ((p = pop(&o->kept)) != NULL) {
		if (now_ms - p->sent_ms > UNANSWERED_KEPT_MS)
			p->done = true;
		push(&all, p);
	}
	while (o->count > 0) {
		p = o->copies[0].parcel;
		if (p != NULL && !p->queued)
			push(&all, p);
		drop_copy(o, 0);
	}
	while ((p = pop(&o->again)) != NULL)
		push(&all, p);
	while ((p = pop(&o->live)) != NULL)
		push(&all, p);
	while ((p = pop(&o->late)) != NULL)
		push(&all, p);
	while ((p = pop(&all)) != NULL) {
		if (!p->done) {
			o->resent += p->tries > 0;
			p->tries = 0;
			p->late = true;
			push(&o->late, p);
		}
		release_if_over(p);
	}
}

uint32_t outbox_owed(const struct outbox *o)
{
	uint32_t n = o->again.count + o->live.count + o->late.count + o->kept.count;

	for (unsigned i = 0; i < o->count; i++) {
		const struct parcel *p = o->copies[i].parcel;
		n += p != NULL && !p->done && !p->queued;
	}
	return n;
}

bool outbox_wants_sync(const struct outbox *o, int64_t now_ms)
{
	return o->kept.head != NULL && !outbox_waits(o, COMMAND_SYNC) &&
	       (o->read_order == 0 || now_ms - o->read_ms >= SETTLE_MS);
}

bool outbox_waits(const struct outbox *o, uint8_t command)
{
	for (unsigned i = 0; i < o->count; i++)
		if (o->copies[i].command == command)
			return true;
	return false;
}
