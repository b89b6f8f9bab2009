/* gate.c - when a second may be judged.  Numbers: docs/rules.md, "gates", and their sources there.
 */
#include "gateway/assess/fold.h"

#include <assert.h>
#include <math.h>

static const double HOT_IN_C = 250, HOT_OUT_C = 220, HOT_IN_MAX_C = 500, ALTITUDE_KPA = 76,
		    REGENERATION_IN_C = 480;
/* Load: fuel rate of an engine of unknown and of known power, or net power when there is no fuel
 * rate. */
static const double LOAD_FUEL_LPH = 12, LOAD_FUEL_LPH_PER_KW = 0.06, LOAD_POWER_SHARE = 0.2;

enum {
	WARM_S = 300,
	HOT_S = 120,
	REGENERATION_S = 120,
	REGENERATION_AROUND_S = 300,
	HOLD_HOLE_S = 60, /* longer without a value: the condition starts again */
};

/* A bucket must wait for a regeneration that starts up to 300 s behind it and takes 120 s to be
 * seen. */
static_assert((BUCKET_COUNT - 1) * BUCKET_S >= REGENERATION_S + REGENERATION_AROUND_S + BUCKET_S,
	      "buckets settle too early");

enum answer_of_gate { NO, YES, UNKNOWN };

static enum answer_of_gate at_least(double value, double limit)
{
	if (!present(value))
		return UNKNOWN;
	return value >= limit ? YES : NO;
}

static enum answer_of_gate both(enum answer_of_gate a, enum answer_of_gate b)
{
	if (a == NO || b == NO)
		return NO;
	return a == YES && b == YES ? YES : UNKNOWN;
}

/* Returns for how many seconds the condition has held, or -1 when it does not hold now. */
static int32_t hold_step(struct hold *h, int32_t at, enum answer_of_gate answer)
{
	if (answer == NO || (h->since != NO_SECOND && at - h->last > HOLD_HOLE_S))
		h->since = h->last = NO_SECOND;
	if (answer != YES)
		return -1;
	if (h->since == NO_SECOND)
		h->since = at;
	h->last = at;
	assert(h->since <= at);
	return at - h->since;
}

static bool loaded(const struct second *s, const struct vehicle_facts *facts)
{
	bool power_known = facts->rated_power_kw > 0;
	double torque;

	if (present(s->fuel_flow_lph))
		return s->fuel_flow_lph >=
		       (power_known ? LOAD_FUEL_LPH_PER_KW * facts->rated_power_kw : LOAD_FUEL_LPH);
	if (!power_known || facts->reference_torque_nm <= 0 || !present(s->net_torque_pct) ||
	    !present(s->friction_torque_pct) || !present(s->engine_rpm))
		return false;
	/* Whatever the field means, net torque is at least this. */
	torque = s->net_torque_pct - s->friction_torque_pct;
	return engine_power_kw(torque, facts->reference_torque_nm, s->engine_rpm) >=
	       LOAD_POWER_SHARE * facts->rated_power_kw;
}

void gate_step(struct assess_day *d, struct gates *ret)
{
	const struct second *s = &d->now;
	enum answer_of_gate run = at_least(s->engine_rpm, ENGINE_RUNS_RPM);
	bool hot, altitude;

	ret->running = run == YES;
	ret->warm = hold_step(&d->warm, s->at, both(run, at_least(s->coolant_c, ENGINE_WARM_C))) >=
		    WARM_S;
	hot = hold_step(&d->temperature, s->at,
			both(at_least(s->scr_in_c, HOT_IN_C), at_least(s->scr_out_c, HOT_OUT_C))) >=
		      HOT_S &&
	      s->scr_in_c <= HOT_IN_MAX_C;
	/* The city lies below the limit: a truck without a barometer is not exempt. */
	altitude = !present(s->baro_kpa) || s->baro_kpa >= ALTITUDE_KPA;

	if (hold_step(&d->regeneration, s->at, at_least(s->scr_in_c, REGENERATION_IN_C)) >=
	    REGENERATION_S) {
		d->regeneration_until = s->at + REGENERATION_AROUND_S;
		judge_discard(d);
	}
	ret->judged = ret->warm && hot && altitude && s->at > d->regeneration_until;
	ret->loaded = ret->judged && loaded(s, &d->facts);
}
