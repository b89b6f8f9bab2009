/* fold.c - the vehicle-day as a fold: blocks into seconds, seconds into the day. */
#include "gateway/assess/fold.h"

#include <math.h>
#include <string.h>

/* Shorter ones are lost data, longer ones a parked truck whose terminal slept. */
enum { LOST_GAP_MAX_S = 600 };

/* Idle at which torque tells what it is: emission rules, D-7. */
static const double IDLE_SPEED_KMH = 0.5, IDLE_MIN_RPM = 550, IDLE_MAX_RPM = 900;

size_t assess_day_size(void)
{
	return sizeof(struct assess_day);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int32_t assess_day_of(int64_t at)
{
	if (at < INT32_MIN * (int64_t)DAY_S || at > INT32_MAX * (int64_t)DAY_S - DAY_S)
		return at < 0 ? INT32_MIN : INT32_MAX;
	return (int32_t)floor_div(at + BEIJING_OFFSET_S, DAY_S);
}

void assess_day_init(struct assess_day *d, int32_t day, const struct vehicle_facts *facts)
{
	assert(d != NULL && facts != NULL);
	memset(d, 0, sizeof(*d));
	d->day = day;
	d->facts.reference_torque_nm = facts->reference_torque_nm;
	d->facts.rated_power_kw = facts->rated_power_kw;
	d->facts.stage = facts->stage;
	d->last = INT64_MIN;
	second_clear(&d->now, NO_SECOND);
	d->previous = d->place_at = NO_SECOND;
	d->spot.lon = d->spot.lat = d->obd.spot.lon = d->obd.spot.lat = NAN;
	d->distance.odometer_at = NO_SECOND;
	d->warm = d->temperature = d->regeneration = (struct hold){ NO_SECOND, NO_SECOND };
	d->regeneration_until = NO_SECOND;
	judge_discard(d);
	d->judged.sum.index = NO_SECOND;
	d->reagent.level_pct = NAN;
}

int64_t assess_day_last(const struct assess_day *d)
{
	return d->last;
}

static double power_kw(const struct assess_day *d, double torque_pct)
{
	return engine_power_kw(fmax(torque_pct, 0), d->facts.reference_torque_nm,
			       d->now.engine_rpm);
}

static void work_step(struct assess_day *d, const struct gates *g)
{
	const struct second *s = &d->now;
	struct work *w = &d->work;
	double friction = present(s->friction_torque_pct) ? s->friction_torque_pct : 0;

	if (d->facts.reference_torque_nm <= 0 || !g->running || !present(s->net_torque_pct))
		return;
	w->seconds++;
	w->net_kwh += power_kw(d, s->net_torque_pct) / 3600;
	w->indicated_kwh += power_kw(d, s->net_torque_pct - friction) / 3600;
	if (g->warm && s->speed_kmh <= IDLE_SPEED_KMH && s->engine_rpm >= IDLE_MIN_RPM &&
	    s->engine_rpm <= IDLE_MAX_RPM && present(s->friction_torque_pct)) {
		w->idle_s++;
		w->idle_torque_pct += s->net_torque_pct;
		w->idle_friction_pct += s->friction_torque_pct;
	}
}

static void division_step(struct assess_day *d)
{
	for (unsigned i = 0; i < DIVISIONS_SEEN_MAX; i++) {
		if (d->divisions[i].samples != 0 && d->divisions[i].id != d->now.place.division)
			continue;
		d->divisions[i].id = d->now.place.division;
		d->divisions[i].samples++;
		return;
	}
}

static void place_step(struct assess_day *d)
{
	const struct second *s = &d->now;

	if (!s->place_known)
		return;
	d->totals.position_valid_s++;
	d->place_at = s->at;
	d->spot = (struct spot){ s->place.division, s->place.routes[0], s->lon, s->lat };
	division_step(d);
}

static void totals_step(struct assess_day *d, const struct gates *g)
{
	const struct second *s = &d->now;
	struct day_totals *t = &d->totals;
	int32_t missing = s->at - d->previous - 1;

	t->samples++;
	if (g->running)
		t->engine_on_s++;
	if (g->running && present(s->nox_downstream_ppm))
		t->nox_valid_s++;
	if (d->previous != NO_SECOND && d->previous_running && g->running &&
	    missing <= LOST_GAP_MAX_S)
		t->gap_s += (uint32_t)missing;
}

static void engine_step(struct assess_day *d, const struct rule_set *rules)
{
	const struct second *s = &d->now;
	struct step_distance km;
	struct gates g;
	double nox_g = 0, fuel_kg = 0;

	judge_settle(d, rules, s->at);
	gate_step(d, &g);
	totals_step(d, &g);
	place_step(d);
	distance_step(&d->distance, s, &km);
	work_step(d, &g);
	if (present(s->nox_downstream_ppm) && present(s->air_flow_kgph) &&
	    present(s->fuel_flow_lph)) {
		nox_g = nox_mass_flow_gps(s->nox_downstream_ppm, s->air_flow_kgph,
					  s->fuel_flow_lph);
		fuel_kg = fuel_mass_kgph(s->fuel_flow_lph, FUEL_KG_PER_L) / 3600;
	}
	d->totals.nox_g += nox_g;
	d->totals.fuel_kg += fuel_kg;
	judge_step(d, rules, &g);
	reagent_step(d, rules, &g);
	passage_step(d, &km, nox_g, fuel_kg);
	d->previous = s->at;
	d->previous_running = g.running;
}

void fold_finish(struct assess_day *d, const struct rule_set *rules)
{
	if (d->now.rank > 0)
		engine_step(d, rules);
	obd_step(d);
	second_clear(&d->now, NO_SECOND);
}

void assess_day_block(struct assess_day *d, const struct rule_set *rules, struct geo_cursor *cursor,
		      const struct block *b)
{
	int32_t at;

	assert(d != NULL && rules != NULL && b != NULL);
	if (assess_day_of(b->at) != d->day || b->at < d->last)
		return;
	at = (int32_t)(b->at + BEIJING_OFFSET_S - (int64_t)d->day * DAY_S);
	assert(at >= 0 && at < DAY_S);
	if (d->now.at != at) {
		if (d->now.at != NO_SECOND)
			fold_finish(d, rules);
		second_clear(&d->now, at);
	}
	d->last = b->at;
	if (b->info == &info_obd)
		obd_take(d, b);
	else
		second_take(&d->now, b, cursor);
}
