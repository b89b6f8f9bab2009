/*
 * place.c - the vehicle-days of a batch: which reports continue theirs, and which do not.
 *
 * A report that continues its day is folded at once.  If one of a day's reports does not (it is
 * late, a resend, or the first that this process sees of the day), all of that day are compared
 * with what is stored.
 */
#include <string.h>

#include "gateway/store/loader.h"

static void segment_add(struct loader *l, struct item *item, uint32_t first, uint32_t count)
{
	struct segment *s = arena_alloc(&l->batch.arena, sizeof(*s));
	struct day *day = days_get(&l->days, item->vehicle, assess_day_of(item->blocks[first].at));

	*s = (struct segment){ .item = item, .first = first, .count = count };
	days_touch(&l->days, day, l->serial);
	*day->segments_end = s;
	day->segments_end = &s->next;
	if (item->received_ns > day->record.received_ns)
		day->record.received_ns = item->received_ns;
}

static void split_by_day(struct loader *l, struct item *item)
{
	uint32_t first = 0;

	for (uint32_t i = 1; i <= item->count; i++) {
		if (i < item->count &&
		    assess_day_of(item->blocks[i].at) == assess_day_of(item->blocks[first].at))
			continue;
		segment_add(l, item, first, i - first);
		first = i;
	}
}

/* All of the day's reports, one after the other; false as soon as one does not continue it. */
static bool day_follows(struct day *day)
{
	const struct day_record before = day->record;

	for (const struct segment *s = day->segments; s != NULL; s = s->next) {
		const struct block *blocks = s->item->blocks + s->first;

		if (!day_continues(day, blocks, s->count)) {
			day->record = before;
			return false;
		}
		for (uint32_t i = 0; i < s->count; i++)
			day_note(day, &blocks[i]);
	}
	day->record = before; /* the fold takes them, once all are known to follow */
	return true;
}

static void fold_day(struct loader *l, struct day *day)
{
	for (struct segment *s = day->segments; s != NULL; s = s->next) {
		const struct block *blocks = s->item->blocks + s->first;
		const bool shared = blocks[0].at == day->record.last_at;
		const uint8_t part = shared ? (uint8_t)(day->record.last_part + 1) : 0;

		s->item->parts[s->first] = part;
		day_continue(day, &l->context, blocks, s->count);
		if (blocks[s->count - 1].at == blocks[0].at)
			day->record.last_part = part;
	}
}

struct day **loader_list(struct loader *l, size_t n)
{
	if (n > l->list_max) {
		l->list_max = 2 * n;
		l->list = memory_grow(l->list, l->list_max * sizeof(*l->list));
	}
	return l->list;
}

static void split_all(struct loader *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct item *item = &l->batch.items[i];

		if (item->kind != ITEM_REPORT)
			continue;
		memset(item->fates, FATE_KEEP, item->count);
		memset(item->parts, 0, item->count);
		item->quirks &= ~(unsigned)QUIRK_LATE;
		item->replayed = 0;
		if (item_assessed(item))
			split_by_day(l, item);
	}
}

/* Returns how many days are in l->list because their reports do not continue them. */
static size_t place(struct loader *l, size_t from, size_t to)
{
	size_t others = 0;
	struct day **list;

	split_all(l, from, to);
	list = loader_list(l, l->days.touched_count);
	for (size_t i = 0; i < l->days.touched_count; i++) {
		struct day *day = l->days.touched[i];

		if (day_current(day, &l->context) && day_follows(day))
			fold_day(l, day);
		else
			list[others++] = day;
		days_mark_dirty(&l->days, day);
	}
	return others;
}

/*
 * Folding a long day again for every batch that brings a late frame of it would stall the store
 * when, after an outage of the mobile network, all trucks send what they missed.  So a batch folds
 * days until the budget is spent, at least one; the rest waits for the checkpoint, which folds each
 * once. Moves the days that are to be folded to the front of the list; returns their number.
 */
static size_t choose(struct loader *l, size_t n)
{
	size_t chosen = 0, spent = 0;

	for (size_t i = 0; i < n; i++) {
		struct day *day = l->list[i];

		/* The first that we see of a day is always folded: it happens once. */
		if (day->deferred ||
		    (chosen > 0 && day->record.folded > 0 && spent >= l->fold_budget))
			continue;
		spent += day->record.folded;
		l->list[i] = l->list[chosen];
		l->list[chosen++] = day;
	}
	return chosen;
}

int loader_place(struct loader *l, size_t from, size_t to)
{
	const size_t others = place(l, from, to);
	const size_t chosen = choose(l, others);

	if (loader_load(l, chosen) < 0)
		return -1;
	if (chosen > 0)
		memmove(l->list, l->list + chosen, (others - chosen) * sizeof(*l->list));
	return loader_compare(l, others - chosen);
}

void loader_replay(struct loader *l, size_t from, size_t to)
{
	const size_t others = place(l, from, to);

	for (size_t i = 0; i < others; i++)
		l->list[i]->resident = false;
	l->days.touched_count = 0;
}
