/* window.c - slides windows over a trip, and sums up what they show. */
#include "gateway/assess/window.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

void window_init(struct window_series *s, double reference, struct window_sample *samples,
		 struct window *windows, size_t max)
{
	assert(reference > 0);
	*s = (struct window_series){
		.reference = reference, .max = max, .samples = samples, .windows = windows
	};
}

static bool reaches(double value, double limit)
{
	return value >= limit * (1 - WINDOW_EQUAL);
}

static bool above(double value, double limit)
{
	return value > limit * (1 + WINDOW_EQUAL);
}

/* The window that starts at s->start ends with the last sample. */
static void window_end(struct window_series *s)
{
	const struct window_sample *first = &s->samples[s->start];
	const double quantity = exact_sum_value(&s->quantity);

	s->windows[s->window_count++] = (struct window){
		.mass_per_quantity = exact_sum_value(&s->mass_g) / quantity,
		.quantity = quantity,
		.seconds = (uint32_t)(s->sample_count - s->start),
	};
	exact_sum_take(&s->quantity, first->quantity);
	exact_sum_take(&s->mass_g, first->mass_g);
	s->start++;
}

void window_add(struct window_series *s, int64_t at, double quantity, double mass_g)
{
	assert(s->sample_count < s->max && quantity >= 0 && mass_g >= 0);
	assert(s->sample_count == 0 || at > s->last);
	if (s->sample_count > 0 && at - s->last - 1 >= WINDOW_HOLE_S) {
		s->start = s->sample_count;
		s->quantity = s->mass_g = (struct exact_sum){ 0 };
	}
	s->last = at;
	s->samples[s->sample_count++] = (struct window_sample){ quantity, mass_g };
	exact_sum_add(&s->quantity, quantity);
	exact_sum_add(&s->mass_g, mass_g);
	while (s->start < s->sample_count && reaches(exact_sum_value(&s->quantity), s->reference))
		window_end(s);
	assert(s->window_count <= s->start);
}

static bool is_valid(const struct window *w, const struct window_condition *c)
{
	if (c->above_per_s > 0 && !above(w->quantity / w->seconds, c->above_per_s))
		return false;
	return !(c->at_most_s > 0) || !above(w->seconds, c->at_most_s);
}

/* The heap below root is in order but for root itself. */
static void heap_sink(double *values, size_t count, size_t root)
{
	const double value = values[root];

	for (size_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && values[child + 1] > values[child])
			child++;
		if (values[child] <= value)
			break;
		values[root] = values[child];
	}
	values[root] = value;
}

/*
 * The largest becomes values[0].  A heap: in place, O(n log n) whatever comes, and what is above
 * the 90th percentile is all that has to be taken off; qsort() may allocate.
 */
static void heap_make(double *values, size_t count)
{
	for (size_t root = count / 2; root-- > 0;)
		heap_sink(values, count, root);
}

static void heap_pop(double *values, size_t count)
{
	values[0] = values[count - 1];
	heap_sink(values, count - 1, 0);
}

/* ceil(0.9 N), from 1, without rounding. */
static size_t rank_90(size_t count)
{
	return (9 * count + 9) / 10;
}

void window_summarise(const struct window_series *s, const struct window_condition *c,
		      double *scratch, struct window_summary *ret)
{
	*ret = (struct window_summary){ s->window_count, 0, NAN, NAN, NAN };
	for (size_t i = 0; i < s->window_count; i++) {
		const double value = s->windows[i].mass_per_quantity;

		if (!is_valid(&s->windows[i], c))
			continue;
		scratch[ret->valid++] = value;
		ret->min = fmin(ret->min, value);
	}
	if (ret->valid == 0)
		return;
	heap_make(scratch, ret->valid);
	ret->max = scratch[0];
	for (size_t left = ret->valid; left > rank_90(ret->valid); left--)
		heap_pop(scratch, left);
	ret->p90 = scratch[0];
}
