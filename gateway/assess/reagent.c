/* reagent.c - fuel burnt since the reagent level last fell. */
#include "gateway/assess/fold.h"

#include <math.h>

/* The level sloshes and flickers: its exponential mean over this time is judged. */
static const double LEVEL_MEAN_S = 900;

/* Litres are sums of many seconds: a limit of exactly so many must not depend on rounding. */
static const double ROUNDING = 1e-6;

/* Fuel that waits in the buckets was burnt before the window, too. */
static void restart(struct assess_day *d)
{
	struct reagent *r = &d->reagent;

	r->from = d->now.at;
	r->highest_pct = r->level_pct;
	r->fall_pct = 0;
	r->fuel_l = 0;
	for (unsigned i = 0; i < BUCKET_COUNT; i++)
		d->buckets[i].reagent_fuel_l = 0;
}

static void level_step(struct assess_day *d, const struct rule_set *rules, double level)
{
	struct reagent *r = &d->reagent;

	if (!present(r->level_pct) ||
	    level - r->level_pct > parameter(rules, reagent_unused, refill_pct)) {
		r->level_pct = level;
		restart(d);
	}
	r->level_pct += (level - r->level_pct) / LEVEL_MEAN_S;
	r->highest_pct = fmax(r->highest_pct, r->level_pct);
	r->fall_pct = fmax(r->fall_pct, r->highest_pct - r->level_pct);
	if (r->fall_pct >= parameter(rules, reagent_unused, fall_pct))
		restart(d);
	r->to = d->now.at;
}

/* An absent level neither burns nor restarts: it proves nothing. */
void reagent_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g)
{
	double level = d->now.reagent_pct, fuel = d->now.fuel_flow_lph;

	if (!present(level) || d->facts.stage == '3')
		return;
	level_step(d, rules, level);
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
	int32_t last = b->index * BUCKET_S + BUCKET_S - 1;
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
	r->found_to = last < r->to ? last : r->to;
	r->found_fuel_l = r->fuel_l;
	r->found_fall_pct = r->fall_pct;
	r->found_level_pct = r->level_pct;
	r->found_expected_pct = expected;
}
