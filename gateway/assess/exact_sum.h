/*
 * exact_sum.h - a sum from which can be taken again what was put in, without a trace.
 *
 * Fixed point of 128 bits: a step is 2^-104, so each value of 2^-52 (2e-16) and more goes in with
 * all 53 bits of its double, and smaller ones to within 5e-32.  A window that slides over a trip by
 * adding in front and taking away behind stays exact for ever, in any order; sums of doubles, and
 * differences of their prefix sums, would keep what a large value rounded away.
 */
#ifndef GATEWAY_ASSESS_EXACT_SUM_H
#define GATEWAY_ASSESS_EXACT_SUM_H

#include <assert.h>
#include <math.h>
#include <stdint.h>

struct exact_sum {
	__int128 steps; /* all zero: an empty sum */
};

/*
 * Room for 2^20 of the largest, 12 days of seconds.  The largest that comes in a second is 6 kWh of
 * an engine whose reference torque was mistyped; 5 g NOx behind a sensor at its end stop.
 */
static const double EXACT_SUM_VALUE_MAX = 8;

/* In two parts that each fit the processor's own conversion; what is below a step is cut off. */
static inline __int128 exact_sum_steps(double value)
{
	int64_t high, low;

	assert(fabs(value) <= EXACT_SUM_VALUE_MAX);
	high = (int64_t)(value * 0x1p52);
	low = (int64_t)((value * 0x1p52 - (double)high) * 0x1p52);
	return (__int128)high * (INT64_C(1) << 52) + low;
}

static inline void exact_sum_add(struct exact_sum *s, double value)
{
	s->steps += exact_sum_steps(value);
}

static inline void exact_sum_take(struct exact_sum *s, double value)
{
	s->steps -= exact_sum_steps(value);
}

/* The nearest double. */
static inline double exact_sum_value(const struct exact_sum *s)
{
	return (double)s->steps * 0x1p-104;
}

#endif
