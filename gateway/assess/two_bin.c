/* two_bin.c - intervals of 300 s, and the bins that they fall into. */
#include "gateway/assess/two_bin.h"

#include <assert.h>
#include <math.h>

static const double BIN_1_MAX = 600; /* 6.00 % */

void two_bin_init(struct two_bin *t, double co2_kg_per_kwh, double rated_power_kw)
{
	assert(co2_kg_per_kwh > 0 && rated_power_kw > 0);
	*t = (struct two_bin){ .co2_kg_per_kwh = co2_kg_per_kwh, .rated_power_kw = rated_power_kw };
}

double two_bin_normalised(double co2, double co2_per_kwh, double rated_power_kw, double seconds)
{
	return rint(10000 * co2 * 3600 / (co2_per_kwh * rated_power_kw * seconds));
}

static struct two_bin_sample *ring_at(struct two_bin *t, size_t i)
{
	return &t->ring[(t->first + i) % TWO_BIN_RING];
}

/* Whether the samples i and i + 1 of the ring are consecutive seconds. */
static bool is_pair(struct two_bin *t, size_t i)
{
	return ring_at(t, i)->at + 1 == ring_at(t, i + 1)->at;
}

/* All that the ring holds is an interval. */
static void interval_add(struct two_bin *t)
{
	const double seconds = (double)t->count;
	const double nox_g = exact_sum_value(&t->nox_g), co2_kg = exact_sum_value(&t->co2_kg);

	if (two_bin_normalised(co2_kg, t->co2_kg_per_kwh, t->rated_power_kw, seconds) <=
	    BIN_1_MAX) {
		t->intervals[0]++;
		exact_sum_add(&t->idle_gps, nox_g / seconds);
	} else {
		t->intervals[1]++;
		exact_sum_add(&t->load_nox_kg, nox_g / 1000);
		exact_sum_add(&t->load_co2_t, co2_kg / 1000);
	}
}

static void ring_pop(struct two_bin *t)
{
	exact_sum_take(&t->nox_g, ring_at(t, 0)->nox_g);
	exact_sum_take(&t->co2_kg, ring_at(t, 0)->co2_kg);
	t->first = (t->first + 1) % TWO_BIN_RING;
	t->count--;
}

static void ring_push(struct two_bin *t, const struct two_bin_sample *s)
{
	assert(t->count < TWO_BIN_RING);
	*ring_at(t, t->count) = *s;
	t->count++;
	exact_sum_add(&t->nox_g, s->nox_g);
	exact_sum_add(&t->co2_kg, s->co2_kg);
}

/* s has a valid neighbour. */
static void take(struct two_bin *t, const struct two_bin_sample *s)
{
	if (t->count > 0 && s->at - ring_at(t, t->count - 1)->at - 1 >= TWO_BIN_HOLE_S) {
		t->count = 0;
		t->nox_g = t->co2_kg = (struct exact_sum){ 0 };
	}
	ring_push(t, s);
	/* A sample that is no pair with the one before is one with the next: see held. */
	while (t->count >= TWO_BIN_S && is_pair(t, t->count - 2)) {
		if (is_pair(t, 0))
			interval_add(t);
		ring_pop(t);
	}
}

void two_bin_add(struct two_bin *t, int64_t at, double nox_g, double co2_kg)
{
	const bool neighbour = t->any && t->held.at + 1 == at;

	assert(!t->any || at > t->held.at);
	if (t->any && (neighbour || t->neighbour))
		take(t, &t->held);
	t->held = (struct two_bin_sample){ at, nox_g, co2_kg };
	t->neighbour = neighbour;
	t->any = true;
}

void two_bin_result(const struct two_bin *t, struct two_bin_result *ret)
{
	struct two_bin end = *t;

	if (end.any && end.neighbour)
		take(&end, &end.held);
	*ret = (struct two_bin_result){ end.intervals[0], end.intervals[1], NAN, NAN };
	if (end.intervals[0] > 0)
		ret->bin1_nox_gph =
			exact_sum_value(&end.idle_gps) / (double)end.intervals[0] * 3600;
	if (end.intervals[1] > 0)
		ret->bin2_nox_mgpkwh = 1000 * exact_sum_value(&end.load_nox_kg) /
				       exact_sum_value(&end.load_co2_t) * end.co2_kg_per_kwh;
}
