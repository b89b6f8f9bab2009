/*
 * window.h - moving averaging windows over a reference quantity: work, CO2 or fuel.
 *
 * After UN R49 annex 8 / Regulation (EU) 582/2011 annex II appendix 1, whose child is GB 17691-2018
 * annex K.  The text leaves some edges open; here they are decided, once:
 *
 *   - A window starts at each valid sample and ends at the first one where the quantity of all
 *     valid samples from its start to there, both included, reaches the reference.
 *   - A sample that is not valid is not added: it gives neither quantity, nor mass, nor time.  So
 *     seconds of a window are its valid samples, and its mean power is over these.
 *   - WINDOW_HOLE_S seconds or more without a valid sample end nothing: windows that would
 *     reach over such a hole do not exist.
 *   - A window's result is mass / quantity within it, a ratio of sums.
 *   - Percentiles are by nearest rank: of N values in ascending order the one at ceil(0.9 N).
 *   - "Reaches", "above" and "at most" judge numbers that are equal but for rounding as equal:
 *     36 s at 100 kW reach 1 kWh.  Equal is within WINDOW_EQUAL of the limit.
 *
 * Streaming: O(1) amortised a sample, no allocation; the sums are exact (exact_sum.h).
 */
#ifndef GATEWAY_ASSESS_WINDOW_H
#define GATEWAY_ASSESS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/assess/exact_sum.h"

enum { WINDOW_HOLE_S = 600 };
static const double WINDOW_EQUAL = 1e-12;

struct window_sample {
	double quantity, mass_g;
};

struct window {
	double mass_per_quantity, quantity;
	uint32_t seconds;
};

/* The series of one trip.  The caller owns samples and windows, max of each. */
struct window_series {
	double reference;
	size_t max, sample_count, window_count;
	size_t start; /* the oldest window that has not ended starts at this sample */
	int64_t last; /* second of the last sample */
	struct exact_sum quantity, mass_g; /* from start on */
	struct window_sample *samples;
	struct window *windows;
};

/* reference > 0 */
void window_init(struct window_series *s, double reference, struct window_sample *samples,
		 struct window *windows, size_t max);

/* A valid sample: at ascending, quantity and mass not below 0. */
void window_add(struct window_series *s, int64_t at, double quantity, double mass_g);

/* Which windows are valid; 0 = no such condition. */
struct window_condition {
	double above_per_s; /* mean quantity a second: power */
	double at_most_s;
};

struct window_summary {
	size_t windows, valid;
	double min, max, p90; /* of mass / quantity of the valid ones; NAN without any */
};

/* scratch: room for window_count values. */
void window_summarise(const struct window_series *s, const struct window_condition *c,
		      double *scratch, struct window_summary *ret);

#endif
