/*
 * partition.c - day partitions of track, in transactions of their own.
 *
 * Made ahead of time, and on demand for days that a terminal may sanely send late.  Without a
 * partition a row goes to track_odd, and is moved when the partition is made: nothing waits.
 */
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/store/thread.h"

enum { LATE_DAYS = 10, EARLY_DAYS = 1, PAUSE_S = 60, HOUR_S = 3600, DAY_BITS = 366 * 200 };

static bool day_known(const struct store *s, int32_t day)
{
	const int32_t bit = day - PG_EPOCH_DAY;

	return bit < 0 || bit >= DAY_BITS || (s->day_bits[bit / 8] >> bit % 8 & 1) != 0;
}

static void day_learn(struct store *s, int32_t day)
{
	const int32_t bit = day - PG_EPOCH_DAY;

	if (bit >= 0 && bit < DAY_BITS)
		s->day_bits[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static int days_make(struct store *s, int32_t from, int32_t to)
{
	struct params p = { 0 };

	if (s->day_bits == NULL)
		s->day_bits = calloc(DAY_BITS / 8 + 1, 1);
	if (s->day_bits == NULL)
		return 0;
	param_i32(&p, from - PG_EPOCH_DAY);
	param_i32(&p, to - PG_EPOCH_DAY);
	if (pg_rows(&s->loader.pg, SQL_MAKE_PARTITIONS, &p) < 0) {
		if (s->loader.pg.failure == PG_LOST)
			return -1;
		store_complain(s, "partitions were not made, rows go to track_odd meanwhile");
		s->no_days_until_ns = clock_mono_ns() + PAUSE_S * INT64_C(1000000000);
		return 0;
	}
	for (int32_t day = from; day <= to; day++)
		day_learn(s, day);
	return 0;
}

int store_days_ahead(struct store *s)
{
	const int32_t today = assess_day_of(clock_wall_ns() / 1000000000);

	s->next_days_ns = clock_mono_ns() + HOUR_S * INT64_C(1000000000);
	return days_make(s, today, today + (int32_t)atomic_load(&s->days_ahead));
}

static int day_want(struct store *s, int32_t received, int32_t day)
{
	if (day < received - LATE_DAYS || day > received + EARLY_DAYS || day_known(s, day))
		return 0;
	return days_make(s, day, day);
}

int store_days_for_batch(struct store *s)
{
	const struct batch *b = &s->loader.batch;

	for (size_t i = 0; i < b->count && clock_mono_ns() >= s->no_days_until_ns; i++) {
		const struct item *item = &b->items[i];
		const int32_t received = assess_day_of(item->received_ns / 1000000000);

		if (!item_assessed(item))
			continue;
		if (day_want(s, received, assess_day_of(item->blocks[0].at)) < 0 ||
		    day_want(s, received, assess_day_of(item->blocks[item->count - 1].at)) < 0)
			return -1;
	}
	return 0;
}
