#include "gateway/downlink/hand.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"

struct entry {
	struct downlink_order order; /* first: its owner knows no more than this */
	/* Under the mutex; the order itself is its owner's until it has ended. */
	struct entry *next, **at;
	bool news, ended, aside;
	enum downlink_end end;
	unsigned attempts, told; /* as sent; of them written down */
	int64_t sent_at, ended_at;
	size_t unit_size;
	uint8_t unit[DOWNLINK_UNIT_MAX];
	uint8_t *answer;
	size_t answer_size;
};

struct hand {
	pthread_mutex_t mutex;
	struct entry *entries;
	size_t count;
};

static const char *const states[] = {
	[DOWNLINK_ANSWERED] = "answered",     [DOWNLINK_REFUSED] = "refused",
	[DOWNLINK_SILENT] = "silent",	      [DOWNLINK_EXPIRED] = "expired",
	[DOWNLINK_IMPOSSIBLE] = "impossible", [DOWNLINK_BACK] = "queued",
};

static int64_t now_s(void)
{
	return clock_wall_ns() / 1000000000;
}

static struct entry *entry_of(const struct downlink_order *order)
{
	static_assert(offsetof(struct entry, order) == 0, "an order begins its entry");
	return (struct entry *)(uintptr_t)order;
}

struct hand *hand_new(void)
{
	struct hand *h = calloc(1, sizeof(*h));

	if (h != NULL)
		pthread_mutex_init(&h->mutex, NULL);
	return h;
}

static void entry_free(struct entry *e)
{
	free(e->answer);
	free(e);
}

void hand_free(struct hand *h)
{
	if (h == NULL)
		return;
	for (struct entry *e = h->entries, *next; e != NULL; e = next) {
		next = e->next;
		entry_free(e);
	}
	pthread_mutex_destroy(&h->mutex);
	free(h);
}

struct downlink_order *hand_add(struct hand *h, const struct queue_row *row)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->order.id = row->id;
	e->order.expires_at = row->expires_at;
	e->order.attempts = e->attempts = e->told = row->attempts;
	snprintf(e->order.vin, sizeof(e->order.vin), "%s", row->vin);
	pthread_mutex_lock(&h->mutex);
	e->at = &h->entries;
	if ((e->next = h->entries) != NULL)
		e->next->at = &e->next;
	h->entries = e;
	h->count++;
	pthread_mutex_unlock(&h->mutex);
	return &e->order;
}

void hand_sent(struct hand *h, const struct downlink_order *order)
{
	struct entry *e = entry_of(order);

	pthread_mutex_lock(&h->mutex);
	assert(!e->ended);
	e->attempts = order->attempts;
	e->unit_size = order->unit_size;
	memcpy(e->unit, order->unit, order->unit_size);
	e->sent_at = now_s();
	e->news = true;
	pthread_mutex_unlock(&h->mutex);
}

void hand_end(struct hand *h, struct downlink_order *order, enum downlink_end end,
	      const uint8_t *answer, size_t size)
{
	struct entry *e = entry_of(order);
	uint8_t *copy = size > 0 ? malloc(size) : NULL;

	if (copy != NULL)
		memcpy(copy, answer, size);
	else if (size > 0)
		snprintf(order->message, sizeof(order->message),
			 "the answer was not kept: no memory");
	pthread_mutex_lock(&h->mutex);
	assert(!e->ended);
	e->answer = copy;
	e->answer_size = copy != NULL ? size : 0;
	e->end = end;
	e->ended = e->news = true;
	e->ended_at = now_s();
	pthread_mutex_unlock(&h->mutex);
}

size_t hand_count(struct hand *h)
{
	size_t count;

	pthread_mutex_lock(&h->mutex);
	count = h->count;
	pthread_mutex_unlock(&h->mutex);
	return count;
}

int64_t *hand_ids(struct hand *h, size_t *ret_count)
{
	int64_t *ids;

	*ret_count = 0;
	pthread_mutex_lock(&h->mutex);
	ids = malloc((h->count + 1) * sizeof(*ids));
	for (struct entry *e = h->entries; ids != NULL && e != NULL; e = e->next)
		ids[(*ret_count)++] = e->order.id;
	pthread_mutex_unlock(&h->mutex);
	return ids;
}

static struct entry *first_news(struct hand *h)
{
	struct entry *e = h->entries;

	while (e != NULL && !e->news)
		e = e->next;
	return e;
}

bool hand_has_news(struct hand *h)
{
	bool has;

	pthread_mutex_lock(&h->mutex);
	has = first_news(h) != NULL;
	pthread_mutex_unlock(&h->mutex);
	return has;
}

struct downlink_order *hand_news(struct hand *h, struct queue_result *ret)
{
	struct entry *e;

	pthread_mutex_lock(&h->mutex);
	if ((e = first_news(h)) != NULL) {
		e->news = false;
		*ret = (struct queue_result){
			.id = e->order.id,
			.end = e->end,
			.state = e->ended ? states[e->end] : "sent",
			.in_hand = !e->ended,
			.attempts = e->attempts,
			.sent_at = e->sent_at,
			.ended_at = e->ended && e->end != DOWNLINK_BACK ? e->ended_at : 0,
			.unit_size = e->unit_size,
			.order = e->ended ? &e->order : NULL,
			.answer = e->answer,
			.answer_size = e->answer_size,
		};
		memcpy(ret->unit, e->unit, e->unit_size);
	}
	pthread_mutex_unlock(&h->mutex);
	return e != NULL ? &e->order : NULL;
}

unsigned hand_written(struct hand *h, struct downlink_order *order,
		      const struct queue_result *result)
{
	struct entry *e = entry_of(order);
	const unsigned sends = result->attempts - e->told;

	pthread_mutex_lock(&h->mutex);
	e->told = result->attempts;
	if (!result->in_hand) {
		if ((*e->at = e->next) != NULL)
			e->next->at = e->at;
		h->count--;
	}
	pthread_mutex_unlock(&h->mutex);
	if (!result->in_hand)
		entry_free(e);
	return sends;
}

void hand_not_written(struct hand *h, const struct downlink_order *order)
{
	pthread_mutex_lock(&h->mutex);
	entry_of(order)->news = true;
	pthread_mutex_unlock(&h->mutex);
}

void hand_set_aside(struct hand *h, const struct downlink_order *order)
{
	pthread_mutex_lock(&h->mutex);
	entry_of(order)->aside = true;
	pthread_mutex_unlock(&h->mutex);
}

void hand_again(struct hand *h)
{
	pthread_mutex_lock(&h->mutex);
	for (struct entry *e = h->entries; e != NULL; e = e->next) {
		e->news |= e->aside;
		e->aside = false;
	}
	pthread_mutex_unlock(&h->mutex);
}
