/* reagent.c - fuel burnt since the reagent level last fell. */
#include "gateway/assess/fold.h"

#include <math.h>

/* The level moves in steps of 0.4; a limit of exactly one step must not depend on rounding. */
static const double ROUNDING = 1e-6;

/* Fuel that waits in the buckets was burnt before the window, too. */
static void restart(struct assess_day *d, double level_pct)
{
	struct reagent *r = &d->reagent;

	r->from = d->now.at;
	r->high_pct = r->low_pct = level_pct;
	r->fall_pct = 0;
	r->fuel_l = 0;
	for (unsigned i = 0; i < BUCKET_COUNT; i++)
		d->buckets[i].reagent_fuel_l = 0;
}

/* An absent level neither burns nor restarts: it proves nothing. */
void reagent_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g)
{
	struct reagent *r = &d->reagent;
	double level = d->now.reagent_pct, fuel = d->now.fuel_flow_lph;

	if (!present(level) || d->facts.stage == '3')
		return;
	if (!present(r->high_pct) ||
	    level - r->low_pct > parameter(rules, reagent_unused, refill_pct) + ROUNDING)
		restart(d, level);
	r->high_pct = fmax(r->high_pct, level);
	r->low_pct = fmin(r->low_pct, level);
	r->fall_pct = fmax(r->fall_pct, r->high_pct - level);
	if (r->fall_pct >= parameter(rules, reagent_unused, fall_pct) - ROUNDING)
		restart(d, level);
	r->to = d->now.at;
	if (g->judged && present(fuel))
		judge_bucket(d, d->now.at)->reagent_fuel_l += fuel / 3600;
}

/* Percentage points of the tank that this much fuel should have cost. */
static double expected_pct(const struct assess_day *d, const struct rule_set *rules, double fuel_l)
{
	double share_pct = d->facts.stage == '6' ? parameter(rules, reagent_unused, stage_6_pct)
						 : parameter(rules, reagent_unused, stage_5_pct);

	return fuel_l * share_pct / parameter(rules, reagent_unused, tank_l);
}

void reagent_settle(struct assess_day *d, const struct rule_set *rules, const struct bucket *b)
{
	struct reagent *r = &d->reagent;
	double expected;

	r->fuel_l += b->reagent_fuel_l;
	if (b->reagent_fuel_l == 0 || (r->found && r->found_from != r->from))
		return;
	expected = expected_pct(d, rules, r->fuel_l);
	if (r->fuel_l < parameter(rules, reagent_unused, fuel_l) - ROUNDING ||
	    expected < parameter(rules, reagent_unused, expected_pct) - ROUNDING)
		return;
	if (!r->found)
		r->found_spot = b->spot;
	r->found = true;
	r->found_from = r->from;
	r->found_to = b->index * BUCKET_S + BUCKET_S - 1 < r->to
			      ? b->index * BUCKET_S + BUCKET_S - 1
			      : r->to;
	r->found_fuel_l = r->fuel_l;
	r->found_fall_pct = r->fall_pct;
	r->found_level_pct = r->low_pct;
	r->found_expected_pct = expected;
}
