/* result.c - what the state amounts to: totals, findings with their measured values, passages. */
#include "gateway/assess/fold.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Torque semantics, emission rules D-7: seconds of warm idle, and the means that tell. */
enum { IDLE_JUDGED_S = 120 };
static const double IDLE_INDICATED_MIN_PCT = -3, IDLE_NET_MIN_PCT = -1, IDLE_MAX_PCT = 6,
		    IDLE_FRICTION_MIN_PCT = 5;

/* ---- the measured object: a flat JSON object in a bounded buffer ---- */

struct measured {
	char *buf;
	size_t size, used;
	bool full; /* a member did not fit and was left out, and all behind it */
};

__attribute__((format(printf, 2, 3))) static bool put(struct measured *m, const char *format, ...)
{
	size_t left = m->size - m->used - 2; /* always room for what closes the object */
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(m->buf + m->used, left, format, ap);
	va_end(ap);
	if (m->full || n < 0 || (size_t)n >= left) {
		m->buf[m->used] = '\0';
		m->full = true;
		return false;
	}
	m->used += (size_t)n;
	return true;
}

static struct measured measured_open(struct finding *f)
{
	struct measured m = { f->measured, sizeof(f->measured), 0, false };

	(void)put(&m, "{");
	return m;
}

static void measured_number(struct measured *m, const char *name, int digits, double value)
{
	const char *comma = m->used > 1 ? "," : "";

	if (isfinite(value))
		(void)put(m, "%s\"%s\":%.*f", comma, name, digits, value);
	else
		(void)put(m, "%s\"%s\":null", comma, name);
}

static void measured_close(struct measured *m)
{
	memcpy(m->buf + m->used, "}", 2);
}

/* ---- findings ---- */

static double ratio(double a, double b)
{
	return b > 0 ? a / b : NAN;
}

static bool high_finding(const struct assess_day *d, const struct rule_set *rules,
			 struct finding *f, struct span *when, struct spot *spot)
{
	const struct bucket *b = &d->judged.sum;
	struct measured m;

	if (b->high.seconds < parameter(rules, nox_high, duration_s))
		return false;
	*when = b->high;
	*spot = d->judged.high_spot;
	f->value = ratio(b->mean_ppm_sum, b->high.seconds);
	f->limit = parameter(rules, nox_high, nox_ppm);
	m = measured_open(f);
	measured_number(&m, "seconds", 0, b->high.seconds);
	measured_number(&m, "mean_ppm", 1, f->value);
	measured_number(&m, "max_ppm", 1, b->mean_ppm_max);
	measured_number(&m, "nox_g", 3, b->high_nox_g);
	measured_number(&m, "nox_g_per_kg_fuel", 3, ratio(b->high_nox_g, b->high_fuel_kg));
	measured_number(&m, "hot_s", 0, b->hot_s);
	measured_number(&m, "loaded_s", 0, b->loaded_s);
	measured_number(&m, "share_pct", 1, 100 * ratio(b->high.seconds, b->loaded_s));
	measured_close(&m);
	return true;
}

static bool no_dp_finding(const struct assess_day *d, const struct rule_set *rules,
			  struct finding *f, struct span *when, struct spot *spot)
{
	const struct bucket *b = &d->judged.sum;
	struct measured m;

	if (b->no_dp.seconds < parameter(rules, dpf_missing, duration_s))
		return false;
	*when = b->no_dp;
	*spot = d->judged.no_dp_spot;
	f->value = ratio(b->dp_kpa_sum, b->no_dp.seconds);
	f->limit = parameter(rules, dpf_missing, dp_kpa);
	m = measured_open(f);
	measured_number(&m, "seconds", 0, b->no_dp.seconds);
	measured_number(&m, "mean_dp_kpa", 2, f->value);
	measured_number(&m, "mean_exhaust_flow_kgph", 1,
			ratio(b->dp_flow_kgph_sum, b->no_dp.seconds));
	measured_number(&m, "high_flow_s", 0, b->flow_s);
	measured_number(&m, "share_pct", 1, 100 * ratio(b->no_dp.seconds, b->flow_s));
	measured_close(&m);
	return true;
}

static bool reagent_finding(const struct assess_day *d, const struct rule_set *rules,
			    struct finding *f, struct span *when, struct spot *spot)
{
	const struct reagent *r = &d->reagent;
	struct measured m;

	if (!r->found)
		return false;
	*when = (struct span){ r->found_to - r->found_from + 1, r->found_from, r->found_to };
	*spot = r->found_spot;
	f->value = r->found_fall_pct;
	f->limit = parameter(rules, reagent_unused, fall_pct);
	m = measured_open(f);
	measured_number(&m, "fuel_l", 1, r->found_fuel_l);
	measured_number(&m, "fall_pct", 1, r->found_fall_pct);
	measured_number(&m, "expected_pct", 1, r->found_expected_pct);
	measured_number(&m, "level_pct", 1, r->found_level_pct);
	measured_close(&m);
	return true;
}

static bool mil_finding(const struct assess_day *d, const struct rule_set *rules, struct finding *f,
			struct span *when, struct spot *spot)
{
	const struct obd *o = &d->obd;
	int32_t codes[CODES_MAX];
	struct measured m;
	int n = obd_confirmed(o, (int32_t)parameter(rules, mil_nox_dtc, confirm_s), codes);

	if (n == 0)
		return false;
	*when = (struct span){ (int32_t)o->hits, o->from, o->to };
	*spot = o->spot;
	f->value = n;
	f->limit = 1;
	m = measured_open(f);
	measured_number(&m, "code_count", 0, n);
	measured_number(&m, "reports", 0, o->reports);
	measured_number(&m, "reports_with_mil", 0, o->hits);
	(void)put(&m, ",\"codes\":[");
	m.size--; /* for the bracket */
	for (int i = 0; i < n && put(&m, "%s\"%s\"", i > 0 ? "," : "", o->codes[codes[i]].text);
	     i++)
		;
	m.buf[m.used++] = ']';
	measured_close(&m);
	return true;
}

static bool no_nox_finding(const struct assess_day *d, const struct rule_set *rules,
			   struct finding *f, struct span *when, struct spot *spot)
{
	const struct bucket *b = &d->judged.sum;
	struct measured m;

	if (!d->judged.no_nox_complete)
		return false;
	*when = b->no_nox;
	*spot = d->judged.no_nox_spot;
	f->value = 100 * ratio(b->no_nox.seconds, b->hot_s);
	f->limit = parameter(rules, sensor_invalid, share_pct);
	m = measured_open(f);
	measured_number(&m, "seconds", 0, b->no_nox.seconds);
	measured_number(&m, "hot_s", 0, b->hot_s);
	measured_number(&m, "share_pct", 1, f->value);
	measured_close(&m);
	return true;
}

/* True when the rule holds; fills everything of *f that depends on the rule. */
typedef bool rule_judge(const struct assess_day *d, const struct rule_set *rules, struct finding *f,
			struct span *when, struct spot *spot);

static rule_judge *const rule_judges[RULE_COUNT] = {
	[RULE_nox_high] = high_finding,		 [RULE_dpf_missing] = no_dp_finding,
	[RULE_reagent_unused] = reagent_finding, [RULE_mil_nox_dtc] = mil_finding,
	[RULE_sensor_invalid] = no_nox_finding,
};

static void findings(const struct assess_day *d, const struct rule_set *rules,
		     struct assess_result *ret)
{
	int64_t midnight = (int64_t)d->day * DAY_S - BEIJING_OFFSET_S;

	for (unsigned r = 0; r < RULE_COUNT; r++) {
		struct finding *f = &ret->findings[ret->finding_count];
		struct span when;
		struct spot spot;

		if (!rules->rule[r].enabled || !rule_judges[r](d, rules, f, &when, &spot))
			continue;
		f->rule = (enum rule)r;
		f->version = rules->rule[r].version;
		f->severity = rule_definitions[r].severity;
		f->from = midnight + when.from;
		f->to = midnight + when.to;
		f->division = spot.division;
		f->route = spot.route;
		f->lon = spot.lon;
		f->lat = spot.lat;
		ret->finding_count++;
	}
}

/* ---- totals ---- */

static double work_kwh(const struct work *w)
{
	double torque, friction;
	bool indicated, net;

	if (w->seconds == 0)
		return NAN;
	if (w->idle_s < IDLE_JUDGED_S)
		return w->indicated_kwh;
	torque = w->idle_torque_pct / w->idle_s;
	friction = w->idle_friction_pct / w->idle_s;
	indicated =
		torque - friction >= IDLE_INDICATED_MIN_PCT && torque - friction <= IDLE_MAX_PCT;
	net = torque >= IDLE_NET_MIN_PCT && torque <= IDLE_MAX_PCT &&
	      friction >= IDLE_FRICTION_MIN_PCT;
	return !indicated && net ? w->net_kwh : w->indicated_kwh;
}

/* Where most samples were; of two equals the smaller code, so that the order of visits does not
 * matter. */
static int32_t division_of_day(const struct assess_day *d)
{
	int32_t id = 0;
	uint32_t most = 0;

	for (unsigned i = 0; i < DIVISIONS_SEEN_MAX; i++) {
		uint32_t n = d->divisions[i].samples;

		if (n > most || (n == most && n > 0 && d->divisions[i].id < id)) {
			most = n;
			id = d->divisions[i].id;
		}
	}
	return id;
}

void assess_day_result(const struct assess_day *d, const struct rule_set *rules,
		       struct assess_result *ret)
{
	struct assess_day done = *d;

	assert(rules != NULL && ret != NULL);
	if (done.now.at != NO_SECOND)
		fold_finish(&done, rules);
	memset(ret, 0, sizeof(*ret));
	ret->totals = done.totals;
	ret->totals.km = distance_km(&done.distance);
	ret->totals.work_kwh = work_kwh(&done.work);
	ret->totals.division = division_of_day(&done);
	findings(&done, rules, ret);
	passage_result(&done, ret);
}
