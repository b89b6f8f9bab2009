/*
 * passage.c - runs along haul routes.
 *
 * A run begins with the first second inside the corridor.  It ends when the vehicle is known to be
 * outside more than OUTSIDE_S after it was last inside, or when its place has been unknown for
 * more than HOLE_S (a gap between frames, or no fix).  What happened outside in between counts when
 * it comes back, and is forgotten when it does not.
 */
#include "gateway/assess/fold.h"

#include <assert.h>
#include <string.h>

enum { OUTSIDE_S = 60, HOLE_S = 300, SHORTEST_S = 60 };
static const double SHORTEST_KM = 0.5, ODO_STEPS_PER_KM = 10, ODO_LEAST_KM = 1;

static double stay_km(const struct stay *s)
{
	double km = s->odo_km10 / ODO_STEPS_PER_KM;

	return km >= ODO_LEAST_KM ? km : s->speed_km;
}

static void stay_add(struct stay *s, const struct stay *more)
{
	s->samples += more->samples;
	s->odo_km10 += more->odo_km10;
	s->speed_km += more->speed_km;
	s->nox_g += more->nox_g;
	s->fuel_kg += more->fuel_kg;
}

static bool is_passage(const struct run *r)
{
	return r->to - r->from >= SHORTEST_S && stay_km(&r->stay) >= SHORTEST_KM;
}

static void keep(struct assess_day *d, const struct run *r)
{
	if (d->passage_count < PASSAGES_MAX) {
		d->passages[d->passage_count++] = *r;
		return;
	}
	for (int32_t i = PASSAGES_MAX - 1; i >= 0; i--) {
		if (d->passages[i].route != r->route)
			continue;
		d->passages[i].to = r->to;
		stay_add(&d->passages[i].stay, &r->stay);
		d->passages_merged++;
		return;
	}
	d->passages_dropped++;
}

static void leave(struct assess_day *d, struct open_run *o)
{
	if (is_passage(&o->run))
		keep(d, &o->run);
	memset(o, 0, sizeof(*o));
}

static void enter(struct assess_day *d, int32_t route, const struct stay *here)
{
	const struct second *s = &d->now;

	for (unsigned i = 0; i < ROUTES_OPEN_MAX; i++) {
		struct open_run *o = &d->open[i];

		if (o->run.route != 0)
			continue;
		o->run.route = route;
		o->run.division = s->place.division;
		o->run.from = o->run.to = s->at;
		o->run.stay = *here;
		/* The way up to here was outside. */
		o->run.stay.odo_km10 = 0;
		o->run.stay.speed_km = 0;
		return;
	}
	/* On eight routes within a minute: the ninth waits until one has ended. */
}

static bool inside(const struct geo_place *p, int32_t route)
{
	for (unsigned i = 0; i < GEO_ROUTES_MAX; i++) {
		if (p->routes[i] == route)
			return true;
	}
	return false;
}

/* Returns whether the run goes on. */
static bool run_step(struct open_run *o, const struct second *s, const struct stay *here)
{
	int32_t away = s->at - o->run.to;
	bool in = s->place_known && inside(&s->place, o->run.route);

	assert(away > 0);
	if (away > HOLE_S || (s->place_known && !in && away > OUTSIDE_S))
		return false;
	stay_add(&o->tail, here);
	if (in) {
		stay_add(&o->run.stay, &o->tail);
		memset(&o->tail, 0, sizeof(o->tail));
		o->run.to = s->at;
	}
	return true;
}

void passage_step(struct assess_day *d, const struct step_distance *km, double nox_g,
		  double fuel_kg)
{
	const struct second *s = &d->now;
	struct stay here = { 1, km->odo_km10, km->speed_km, nox_g, fuel_kg };
	int32_t on[ROUTES_OPEN_MAX] = { 0 };

	for (unsigned i = 0; i < ROUTES_OPEN_MAX; i++) {
		struct open_run *o = &d->open[i];

		if (o->run.route == 0)
			continue;
		if (run_step(o, s, &here))
			on[i] = o->run.route;
		else
			leave(d, o);
	}
	for (unsigned i = 0; i < GEO_ROUTES_MAX && s->place.routes[i] != 0; i++) {
		bool known = false;

		for (unsigned k = 0; k < ROUTES_OPEN_MAX; k++)
			known = known || on[k] == s->place.routes[i];
		if (!known)
			enter(d, s->place.routes[i], &here);
	}
}

static void passage_put(const struct assess_day *d, const struct run *r, bool open,
			struct assess_result *ret)
{
	int64_t midnight = (int64_t)d->day * DAY_S - BEIJING_OFFSET_S;
	struct passage p = {
		.route = r->route,
		.division = r->division,
		.from = midnight + r->from,
		.to = midnight + r->to,
		.km = stay_km(&r->stay),
		.nox_g = r->stay.nox_g,
		.fuel_kg = r->stay.fuel_kg,
		.samples = r->stay.samples,
		.open = open,
	};
	size_t i = ret->passage_count++;

	assert(ret->passage_count <= PASSAGES_MAX);
	for (; i > 0; i--) {
		const struct passage *before = &ret->passages[i - 1];

		if (before->from < p.from || (before->from == p.from && before->route < p.route))
			break;
		ret->passages[i] = *before;
	}
	ret->passages[i] = p;
}

void passage_result(const struct assess_day *d, struct assess_result *ret)
{
	struct assess_day all = *d;

	/* The day is over for the list's sake: what is open takes the place that it will take. */
	ret->passage_count = 0;
	for (unsigned i = 0; i < ROUTES_OPEN_MAX; i++) {
		if (all.open[i].run.route != 0)
			leave(&all, &all.open[i]);
	}
	for (int32_t i = 0; i < all.passage_count; i++)
		passage_put(d, &all.passages[i], i >= d->passage_count, ret);
	ret->passages_merged = all.passages_merged;
	ret->passages_dropped = all.passages_dropped;
}
