/* judge.c - high NOx, no DPF resistance, no sensor value: seconds into buckets, buckets into the
 * day. */
#include "gateway/assess/fold.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Half a step of the narrowest field: 0.3 kPa read as 3 * 0.1 is not above 0.3. */
static const double ROUNDING = 1e-6;

static const double NOX_STEPS_PER_PPM = 20; /* the wire's own resolution keeps the sums exact */

static void bucket_clear(struct bucket *b, int32_t index)
{
	memset(b, 0, sizeof(*b));
	b->index = index;
	b->high.from = b->high.to = b->no_dp.from = b->no_dp.to = NO_SECOND;
	b->no_nox.from = b->no_nox.to = NO_SECOND;
	b->spot.lon = b->spot.lat = NAN;
}

struct bucket *judge_bucket(struct assess_day *d, int32_t at)
{
	struct bucket *b = &d->buckets[at / BUCKET_S % BUCKET_COUNT];

	if (b->index != at / BUCKET_S) {
		/* judge_settle() has added what stood here. */
		assert(b->index == NO_SECOND);
		bucket_clear(b, at / BUCKET_S);
	}
	return b;
}

static void window_clear(struct assess_day *d)
{
	d->nox_sum = d->nox_count = 0;
	for (unsigned i = 0; i < NOX_WINDOW_S; i++)
		d->nox_window[i] = -1;
}

void judge_discard(struct assess_day *d)
{
	for (unsigned i = 0; i < BUCKET_COUNT; i++)
		bucket_clear(&d->buckets[i], NO_SECOND);
	window_clear(d);
}

static void span_add(struct span *x, const struct span *more)
{
	if (more->seconds == 0)
		return;
	if (x->seconds == 0)
		x->from = more->from;
	x->to = more->to;
	x->seconds += more->seconds;
}

static void span_second(struct span *x, int32_t at)
{
	span_add(x, &(struct span){ 1, at, at });
}

static bool share_reached(const struct bucket *sum, const struct rule_set *rules)
{
	return sum->no_nox.seconds >= parameter(rules, sensor_invalid, duration_s) &&
	       100.0 * sum->no_nox.seconds >=
		       parameter(rules, sensor_invalid, share_pct) * sum->hot_s;
}

static void complete(bool now, bool *done, struct spot *spot, const struct bucket *b)
{
	if (now && !*done) {
		*done = true;
		*spot = b->spot;
	}
}

static void judged_add(struct judged *j, const struct rule_set *rules, const struct bucket *b)
{
	struct bucket *sum = &j->sum;

	assert(b->index > sum->index);
	sum->index = b->index;
	sum->hot_s += b->hot_s;
	sum->loaded_s += b->loaded_s;
	sum->flow_s += b->flow_s;
	span_add(&sum->high, &b->high);
	span_add(&sum->no_dp, &b->no_dp);
	span_add(&sum->no_nox, &b->no_nox);
	sum->mean_ppm_sum += b->mean_ppm_sum;
	sum->mean_ppm_max = fmax(sum->mean_ppm_max, b->mean_ppm_max);
	sum->high_nox_g += b->high_nox_g;
	sum->high_fuel_kg += b->high_fuel_kg;
	sum->dp_kpa_sum += b->dp_kpa_sum;
	sum->dp_flow_kgph_sum += b->dp_flow_kgph_sum;

	complete(sum->high.seconds >= parameter(rules, nox_high, duration_s), &j->high_complete,
		 &j->high_spot, b);
	complete(sum->no_dp.seconds >= parameter(rules, dpf_missing, duration_s),
		 &j->no_dp_complete, &j->no_dp_spot, b);
	complete(share_reached(sum, rules), &j->no_nox_complete, &j->no_nox_spot, b);
	/* This one may end: the day's share counts, not that of its first hour. */
	j->no_nox_complete = share_reached(sum, rules);
}

void judge_settle(struct assess_day *d, const struct rule_set *rules, int32_t at)
{
	int32_t youngest = d->previous / BUCKET_S, now = at / BUCKET_S;

	if (d->previous == NO_SECOND || youngest == now)
		return;
	for (int32_t i = youngest - BUCKET_COUNT + 1; i <= youngest; i++) {
		struct bucket *b = i < 0 ? NULL : &d->buckets[i % BUCKET_COUNT];

		if (b == NULL || b->index != i || now - i < BUCKET_COUNT - 1)
			continue;
		judged_add(&d->judged, rules, b);
		reagent_settle(d, rules, b);
		bucket_clear(b, NO_SECOND);
	}
}

/* Moves the window on to this second, whatever lay between, and adds its value; negative = none. */
static void window_step(struct assess_day *d, int32_t value)
{
	int32_t at = d->now.at, from = d->previous + 1;

	if (at - from >= NOX_WINDOW_S)
		from = at - NOX_WINDOW_S + 1;
	for (int32_t i = from; i <= at; i++) {
		int32_t *slot = &d->nox_window[i % NOX_WINDOW_S];

		if (*slot >= 0) {
			d->nox_sum -= *slot;
			d->nox_count--;
		}
		*slot = -1;
	}
	if (value >= 0) {
		d->nox_window[at % NOX_WINDOW_S] = value;
		d->nox_sum += value;
		d->nox_count++;
	}
	assert(d->nox_count >= 0 && d->nox_count <= NOX_WINDOW_S && d->nox_sum >= 0);
}

static void nox_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g,
		     struct bucket *b)
{
	const struct second *s = &d->now;
	bool judged = g->loaded && present(s->nox_downstream_ppm);
	double mean;

	window_step(d, judged ? (int32_t)lround(fmax(s->nox_downstream_ppm, 0) * NOX_STEPS_PER_PPM)
			      : -1);
	if (!judged)
		return;
	assert(b != NULL);
	b->loaded_s++;
	mean = d->nox_sum / NOX_STEPS_PER_PPM / d->nox_count;
	if (d->nox_count < NOX_WINDOW_MIN_S || mean <= parameter(rules, nox_high, nox_ppm))
		return;
	span_second(&b->high, s->at);
	b->mean_ppm_sum += mean;
	b->mean_ppm_max = fmax(b->mean_ppm_max, mean);
	if (present(s->air_flow_kgph) && present(s->fuel_flow_lph)) {
		b->high_nox_g += nox_mass_flow_gps(s->nox_downstream_ppm, s->air_flow_kgph,
						   s->fuel_flow_lph);
		b->high_fuel_kg += fuel_mass_kgph(s->fuel_flow_lph, FUEL_KG_PER_L) / 3600;
	}
}

static void dpf_step(const struct second *s, const struct rule_set *rules, struct bucket *b)
{
	double flow = s->air_flow_kgph + fuel_mass_kgph(s->fuel_flow_lph, FUEL_KG_PER_L);

	if (!present(s->dpf_dp_kpa) || !present(flow) ||
	    flow < parameter(rules, dpf_missing, exhaust_flow_kgph))
		return;
	b->flow_s++;
	if (s->dpf_dp_kpa > parameter(rules, dpf_missing, dp_kpa) + ROUNDING)
		return;
	span_second(&b->no_dp, s->at);
	b->dp_kpa_sum += s->dpf_dp_kpa;
	b->dp_flow_kgph_sum += flow;
}

void judge_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g)
{
	const struct second *s = &d->now;
	struct bucket *b = NULL;

	if (g->judged) {
		b = judge_bucket(d, s->at);
		b->hot_s++;
		b->spot = (struct spot){ s->place.division, s->place.routes[0], s->lon, s->lat };
		if (!present(s->nox_downstream_ppm))
			span_second(&b->no_nox, s->at);
		dpf_step(s, rules, b);
	}
	nox_step(d, rules, g, b);
}
