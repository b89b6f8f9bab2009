/* trip.c - which seconds of a trip count, and what for. */
#include "gateway/assess/trip.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct masses {
	size_t seconds;
	struct exact_sum nox_g, fuel_kg, co2_kg;
};

struct trip {
	struct trip_parameters p;
	double co2_kg_per_kwh;
	size_t max;
	bool any, warm; /* a sample came; one had a warm coolant */
	int64_t last;
	size_t samples, excluded[EXCLUSION_COUNT];
	int64_t missing_s;
	struct exact_sum work_kwh;
	struct masses valid, without_torque; /* without_torque: may have torque, or not */
	struct window_series windows[TRIP_WINDOW_COUNT];
	struct two_bin two_bin;
	double *scratch; /* max values */
};

static bool known(double fact)
{
	return fact > 0;
}

/* The bounds that trip_new() lays its one allocation out by. */
static size_t bytes_of(size_t max)
{
	return sizeof(struct trip) +
	       max * (TRIP_WINDOW_COUNT * (sizeof(struct window_sample) + sizeof(struct window)) +
		      sizeof(double));
}

static double fuel_reference_kg(const struct trip_parameters *p)
{
	return known(p->rated_power_kw) ? WHTC_KWH_PER_KW * p->rated_power_kw * FUEL_KG_PER_KWH
					: FUEL_WINDOW_KG;
}

/* Kilowatt hours of the test cycle: told, or estimated from the power. */
static double cycle_kwh(const struct trip_parameters *p)
{
	return known(p->whtc_work_kwh) ? p->whtc_work_kwh : WHTC_KWH_PER_KW * p->rated_power_kw;
}

struct trip *trip_new(const struct trip_parameters *p, size_t samples_max)
{
	struct trip *t = calloc(1, bytes_of(samples_max));
	struct window_sample *samples;
	struct window *windows;
	double reference[TRIP_WINDOW_COUNT];

	assert(known(p->engine.fuel_kg_per_l) && known(p->limit_mgpkwh));
	if (t == NULL)
		return NULL;
	t->p = *p;
	t->max = samples_max;
	t->co2_kg_per_kwh = (known(p->co2_g_per_kwh) ? p->co2_g_per_kwh : CO2_G_PER_KWH) / 1000;
	reference[TRIP_WORK] = p->whtc_work_kwh;
	reference[TRIP_CO2] = t->co2_kg_per_kwh * cycle_kwh(p);
	reference[TRIP_FUEL] = fuel_reference_kg(p);
	samples = (struct window_sample *)(t + 1);
	windows = (struct window *)(samples + TRIP_WINDOW_COUNT * samples_max);
	t->scratch = (double *)(windows + TRIP_WINDOW_COUNT * samples_max);
	for (size_t i = 0; i < TRIP_WINDOW_COUNT; i++)
		if (known(reference[i]))
			window_init(&t->windows[i], reference[i], samples + i * samples_max,
				    windows + i * samples_max, samples_max);
	if (known(p->rated_power_kw))
		two_bin_init(&t->two_bin, t->co2_kg_per_kwh, p->rated_power_kw);
	return t;
}

void trip_free(struct trip *t)
{
	free(t);
}

static enum trip_exclusion judge(const struct trip *t, const struct engine_values *v,
				 const struct engine_second *s)
{
	if (!t->warm)
		return EXCLUDED_before_warm;
	if (v->engine_rpm < ENGINE_RUNS_RPM)
		return EXCLUDED_engine_off;
	if (v->baro_kpa < t->p.baro_min_kpa)
		return EXCLUDED_altitude;
	if (isnan(v->nox_downstream_ppm))
		return EXCLUDED_nox_invalid;
	if (isnan(v->air_flow_kgph))
		return EXCLUDED_air_invalid;
	if (isnan(v->fuel_flow_lph))
		return EXCLUDED_fuel_invalid;
	return isnan(s->work_kwh) ? EXCLUDED_torque_invalid : TRIP_VALID;
}

static void masses_add(struct masses *m, const struct engine_second *s)
{
	m->seconds++;
	exact_sum_add(&m->nox_g, s->nox_g);
	exact_sum_add(&m->fuel_kg, s->fuel_kg);
	exact_sum_add(&m->co2_kg, s->co2_kg);
}

static void add_without_torque(struct trip *t, int64_t at, const struct engine_second *s)
{
	masses_add(&t->without_torque, s);
	if (t->windows[TRIP_CO2].max > 0)
		window_add(&t->windows[TRIP_CO2], at, s->co2_kg, s->nox_g);
	window_add(&t->windows[TRIP_FUEL], at, s->fuel_kg, s->nox_g);
	if (known(t->p.rated_power_kw))
		two_bin_add(&t->two_bin, at, s->nox_signed_g, s->co2_kg);
}

static void add_valid(struct trip *t, int64_t at, const struct engine_second *s)
{
	masses_add(&t->valid, s);
	exact_sum_add(&t->work_kwh, s->work_kwh);
	if (t->windows[TRIP_WORK].max > 0)
		window_add(&t->windows[TRIP_WORK], at, s->work_kwh, s->nox_g);
}

void trip_add(struct trip *t, int64_t at, const struct engine_values *v)
{
	struct engine_second s;
	enum trip_exclusion e;

	assert(t->samples < t->max && (!t->any || at >= t->last));
	t->samples++;
	if (t->any && at == t->last) {
		t->excluded[EXCLUDED_repeated]++;
		return;
	}
	if (t->any)
		t->missing_s += at - t->last - 1;
	t->any = true;
	t->last = at;
	t->warm |= v->coolant_c >= ENGINE_WARM_C;
	engine_second(&t->p.engine, v, &s);
	e = judge(t, v, &s);
	if (e != TRIP_VALID)
		t->excluded[e]++;
	if (e == TRIP_VALID || e == EXCLUDED_torque_invalid)
		add_without_torque(t, at, &s);
	if (e == TRIP_VALID)
		add_valid(t, at, &s);
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : NAN;
}

void trip_sums(const struct trip *t, struct trip_sums *ret)
{
	const bool work = t->valid.seconds > 0;
	const struct masses *m = work ? &t->valid : &t->without_torque;

	*ret = (struct trip_sums){ .samples = t->samples,
				   .valid = m->seconds,
				   .missing_s = t->missing_s,
				   .work_kwh = work ? exact_sum_value(&t->work_kwh) : NAN,
				   .nox_g = NAN,
				   .fuel_kg = NAN,
				   .co2_kg = NAN };
	memcpy(ret->excluded, t->excluded, sizeof(ret->excluded));
	if (!work)
		ret->excluded[EXCLUDED_torque_invalid] = 0;
	if (m->seconds > 0) {
		ret->nox_g = exact_sum_value(&m->nox_g);
		ret->fuel_kg = exact_sum_value(&m->fuel_kg);
		ret->co2_kg = exact_sum_value(&m->co2_kg);
	}
	ret->nox_mgpkwh = ratio(1000 * ret->nox_g, ret->work_kwh);
	ret->nox_gpkg = ratio(ret->nox_g, ret->fuel_kg);
}

static void scale(struct window_summary *s, double factor)
{
	s->min *= factor;
	s->max *= factor;
	s->p90 *= factor;
}

void trip_window(struct trip *t, enum trip_window kind, double threshold_pct,
		 struct trip_window_result *ret)
{
	const struct window_series *s = &t->windows[kind];
	struct window_condition c = { 0 };

	*ret = (struct trip_window_result){ .reference = s->reference,
					    .duration_max_s = NAN,
					    .conformity_factor = NAN };
	if (kind == TRIP_WORK)
		c.above_per_s = threshold_pct / 100 * t->p.rated_power_kw / 3600;
	if (kind == TRIP_CO2)
		ret->duration_max_s = c.at_most_s =
			3600 * cycle_kwh(&t->p) / (0.2 * t->p.rated_power_kw);
	window_summarise(s, &c, t->scratch, &ret->summary);
	if (kind == TRIP_WORK) {
		scale(&ret->summary, 1000);
		ret->conformity_factor = ret->summary.p90 / t->p.limit_mgpkwh;
	}
	/* (NOx / CO2 in the window) / (NOx limit / CO2 of the cycle), both a kWh. */
	if (kind == TRIP_CO2)
		ret->conformity_factor =
			ret->summary.p90 * t->co2_kg_per_kwh * 1000 / t->p.limit_mgpkwh;
}

void trip_two_bin(const struct trip *t, struct two_bin_result *ret)
{
	two_bin_result(&t->two_bin, ret);
}

const char *trip_lacks(const struct trip *t, enum trip_figure figure)
{
	const bool work = figure == FIGURE_work || figure == FIGURE_work_window;

	if (!t->warm)
		return "no sample has coolant at 70 C";
	if (t->without_torque.seconds == 0)
		return "no second has NOx, air flow and fuel rate";
	if (work && !known(t->p.engine.reference_torque_nm))
		return "the reference torque is not known";
	if (work && t->valid.seconds == 0)
		return "no such second has torque, friction torque and engine speed";
	if (figure == FIGURE_work_window && !known(t->p.whtc_work_kwh))
		return "the work of the WHTC is not known";
	if (figure != FIGURE_work && figure != FIGURE_mass && figure != FIGURE_fuel_window &&
	    !known(t->p.rated_power_kw))
		return "the rated power is not known";
	return NULL;
}
