/*
 * two_bin.h - the intervals of 300 s and two bins of 40 CFR 1036.530, as a second opinion.
 *
 * Its structure, not its limits: those are for other engines.
 *
 *   - An interval starts at each valid sample whose next second is valid too, and ends where
 *     TWO_BIN_S valid samples are in it and the last two of them are consecutive seconds; where
 * that needs one sample more, it has one more.  Samples that are not valid are skipped ((d)(1)).
 *   - A valid sample without a valid neighbour is excluded ((c)(3)(vii)); so are those at the ends.
 *   - No interval reaches over TWO_BIN_HOLE_S seconds or more without a sample ((c)(2)(i)).
 *   - Normalised CO2 = CO2 / (CO2 a kWh * rated power * time), to the nearest 0.01 % (halves to
 *     even); bin 1 up to 6.00 %, bin 2 above ((e), (f)).
 *   - Bin 1: mean of the intervals' NOx a second.  Bin 2: sum of NOx / sum of CO2 * CO2 a kWh.
 *   - Negative NOx is kept ((d)(2)(ii)).
 *
 * Not done: ambient temperature and humidity (not in the stream), regenerations.  Streaming, O(1) a
 * sample, no allocation.
 */
#ifndef GATEWAY_ASSESS_TWO_BIN_H
#define GATEWAY_ASSESS_TWO_BIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/assess/exact_sum.h"

enum { TWO_BIN_S = 300, TWO_BIN_HOLE_S = 600, TWO_BIN_RING = TWO_BIN_S + 1 };

struct two_bin_sample {
	int64_t at;
	double nox_g, co2_kg;
};

struct two_bin {
	double co2_kg_per_kwh, rated_power_kw;
	bool any;		    /* held is one */
	bool neighbour;		    /* held follows directly behind a valid sample */
	struct two_bin_sample held; /* waits for its next second: it may be a single one */
	size_t first, count;	    /* of ring: the open intervals' samples */
	struct two_bin_sample ring[TWO_BIN_RING];
	struct exact_sum nox_g, co2_kg; /* of ring */
	size_t intervals[2];
	struct exact_sum idle_gps;		  /* of bin 1: NOx a second */
	struct exact_sum load_nox_kg, load_co2_t; /* of bin 2; small enough to be summed */
};

/* Both > 0. */
void two_bin_init(struct two_bin *t, double co2_kg_per_kwh, double rated_power_kw);

/* A valid sample; at ascending. */
void two_bin_add(struct two_bin *t, int64_t at, double nox_g, double co2_kg);

struct two_bin_result {
	size_t bin1_intervals, bin2_intervals;
	double bin1_nox_gph;	/* NAN without an interval */
	double bin2_nox_mgpkwh; /* NAN without an interval */
};

/* As if the trip ended here. */
void two_bin_result(const struct two_bin *t, struct two_bin_result *ret);

/* Normalised CO2 in units of 0.01 %. */
double two_bin_normalised(double co2, double co2_per_kwh, double rated_power_kw, double seconds);

#endif
