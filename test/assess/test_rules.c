/*
 * Each rule: a violator, a clean truck, and near misses on both sides of each threshold; and what
 * must never fire: cold, off, idle, no data, regeneration, a spike.
 */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double tolerance)
{
	if (!(fabs(value - expected) <= tolerance))
		fail_msg("%.10g is not %.10g +- %g", value, expected, tolerance);
}

static void assert_clean(const struct drive *d)
{
	const struct assess_result *r = drive_result(d);

	if (r->finding_count > 0)
		fail_msg("%s fired: %s", rule_definitions[r->findings[0].rule].id,
			 r->findings[0].measured);
}

/* Hot, but nothing in it that nox_high or dpf_missing could count: lets the buckets settle. */
static void settle(struct drive *d)
{
	struct truck t = hot_truck();

	t.nox_downstream_ppm = NAN;
	t.dpf_dp_kpa = NAN;
	drive(d, &t, SETTLED_S);
}

/* ---- the table ---- */

static void test_table(void **state)
{
	struct rule_set rules;

	(void)state;
	rule_set_init(&rules);
	for (unsigned r = 0; r < RULE_COUNT; r++) {
		const struct rule_definition *d = &rule_definitions[r];
		unsigned n = 0;

		assert_non_null(d->id);
		assert_non_null(d->label);
		assert_in_range(d->severity, 1, 4);
		assert_true(rules.rule[r].enabled);
		assert_int_equal(rules.rule[r].version, 1);
		for (; n < RULE_PARAMETERS_MAX && d->parameters[n].name != NULL; n++) {
			assert_true(rules.rule[r].value[n] == d->parameters[n].initial);
			assert_true(d->parameters[n].min < d->parameters[n].max);
			assert_non_null(strchr(d->parameters[n].name, '_'));
		}
		assert_in_range(n, 1, RULE_PARAMETERS_MAX - 1);
	}
}

/* ---- nox_high ---- */

/* A drive at so many ppm, so that exactly seconds of it count. */
static void drive_high(struct drive *d, double ppm, int seconds)
{
	struct truck t = hot_truck();

	t.nox_downstream_ppm = ppm;
	drive(d, &t, HOT_AFTER_S + WINDOW_FILLS_S + seconds);
}

static void test_nox_high(void **state)
{
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	drive_high(&d, 700, 1000);
	settle(&d);
	f = drive_finding(&d, RULE_nox_high);
	assert_non_null(f);
	assert_int_equal(drive_result(&d)->finding_count, 1);
	assert_int_equal(f->severity, 4);
	assert_int_equal(f->version, 1);
	assert_int_equal(f->from, d.at - SETTLED_S - 1000);
	assert_int_equal(f->to, d.at - SETTLED_S - 1);
	assert_near(f->value, 700, 0.01);
	assert_near(f->limit, 500, 0);
	assert_near(f->lon, 120.45, 1e-6);
	assert_near(f->lat, 41.57, 1e-6);
	assert_near(measured(f, "seconds"), 1000, 0);
	assert_near(measured(f, "mean_ppm"), 700, 0.05);
	assert_near(measured(f, "max_ppm"), 700, 0.05);
	assert_near(measured(f, "loaded_s"), 1029, 0);
	assert_near(measured(f, "share_pct"), 97.2, 0.01);
	assert_near(measured(f, "nox_g"), 1000 * nox_mass_flow_gps(700, 700, 25), 0.001);
	assert_near(measured(f, "nox_g_per_kg_fuel"),
		    nox_mass_flow_gps(700, 700, 25) * 3600 / (25 * 0.84), 0.001);
}

static void test_nox_high_edges(void **state)
{
	static const struct {
		double ppm;
		int seconds;
		bool fires;
	} cases[] = {
		{ 600, 600, true },   { 600, 599, false }, { 500.05, 600, true },
		{ 500, 3600, false }, { 3000, 600, true }, { 3012.75, 1100, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct drive d;

		drive_start(&d, NULL);
		drive_high(&d, cases[i].ppm, cases[i].seconds);
		settle(&d);
		if (cases[i].fires != (drive_finding(&d, RULE_nox_high) != NULL))
			fail_msg("%g ppm for %d s", cases[i].ppm, cases[i].seconds);
	}
}

/* Load: 12 L/h when nothing is known, 6 L/h for each 100 kW when the engine is. */
static void test_nox_high_load(void **state)
{
	static const struct {
		double fuel, kw;
		bool fires;
	} cases[] = {
		{ 12, 0, true },       { 11.95, 0, false }, { 18, 300, true },
		{ 17.95, 300, false }, { 6, 100, true },    { 5.95, 100, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vehicle_facts facts = { .rated_power_kw = cases[i].kw };
		struct truck t = hot_truck();
		struct drive d;

		t.fuel_flow_lph = cases[i].fuel;
		t.nox_downstream_ppm = 900;
		drive_start(&d, &facts);
		drive(&d, &t, 2000);
		if (cases[i].fires != (drive_finding(&d, RULE_nox_high) != NULL))
			fail_msg("%g L/h at %g kW", cases[i].fuel, cases[i].kw);
	}
}

/* Without fuel rate, power decides: 20 % of 300 kW are 60 kW. */
static void test_nox_high_load_by_power(void **state)
{
	struct vehicle_facts facts = { .reference_torque_nm = 2000, .rated_power_kw = 300 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct truck t = hot_truck();
		struct drive d;

		t.fuel_flow_lph = NAN;
		t.engine_rpm = 1200;
		t.friction_torque_pct = 8;
		t.net_torque_pct = i == 0 ? 31 : 32; /* 57.8 and 60.3 kW */
		t.nox_downstream_ppm = 900;
		drive_start(&d, &facts);
		drive(&d, &t, 2000);
		assert_int_equal(drive_finding(&d, RULE_nox_high) != NULL, i);
	}
}

/* The mean counts, not the second: peaks of 2,000 ppm every other second are 1,000 ppm. */
static void test_nox_high_mean(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	for (int i = 0; i < 2000; i++) {
		t.nox_downstream_ppm = i % 2 == 0 ? 2000 : 0;
		drive(&d, &t, 1);
	}
	assert_near(drive_finding(&d, RULE_nox_high)->value, 1000, 20);

	drive_start(&d, NULL);
	for (int i = 0; i < 20000; i++) {
		t.nox_downstream_ppm = i % 5 == 0 ? 2000 : 100; /* mean 480 */
		drive(&d, &t, 1);
	}
	assert_null(drive_finding(&d, RULE_nox_high));
}

/* ---- what must never fire ---- */

struct never {
	const char *what;
	void (*change)(struct truck *t);
};

static void cold(struct truck *t)
{
	t->coolant_c = 69;
}
static void cold_scr_in(struct truck *t)
{
	t->scr_in_c = 249.9;
}
static void cold_scr_out(struct truck *t)
{
	t->scr_out_c = 219.9;
}
static void too_hot(struct truck *t)
{
	t->scr_in_c = 500.1;
}
static void off(struct truck *t)
{
	t->engine_rpm = 399;
}
static void idle(struct truck *t)
{
	t->fuel_flow_lph = 2;
	t->air_flow_kgph = 120;
	t->speed_kmh = 0;
}
static void no_coolant(struct truck *t)
{
	t->coolant_c = NAN;
}
static void no_scr_in(struct truck *t)
{
	t->scr_in_c = NAN;
}
static void no_scr_out(struct truck *t)
{
	t->scr_out_c = NAN;
}
static void no_rpm(struct truck *t)
{
	t->engine_rpm = NAN;
}
static void altitude(struct truck *t)
{
	t->baro_kpa = 75.5;
}
static void regeneration(struct truck *t)
{
	t->scr_in_c = 480;
	t->scr_out_c = 470;
}
static void nothing(struct truck *t)
{
	*t = (struct truck){ NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN,
			     NAN, NAN, NAN, NAN, NAN, 1,   NAN, NAN, NAN };
}

static const struct never nevers[] = {
	{ "cold engine", cold },
	{ "cold SCR inlet", cold_scr_in },
	{ "cold SCR outlet", cold_scr_out },
	{ "SCR too hot", too_hot },
	{ "engine off", off },
	{ "no coolant", no_coolant },
	{ "no SCR inlet", no_scr_in },
	{ "no SCR outlet", no_scr_out },
	{ "no engine speed", no_rpm },
	{ "high altitude", altitude },
	{ "regeneration", regeneration },
	{ "nothing", nothing },
};

static const struct vehicle_facts stage_6 = { .stage = '6' };

/* High NOx, no filter and a reagent level that does not move, at once. */
static struct truck violator(void)
{
	struct truck t = hot_truck();

	t.nox_downstream_ppm = 1500;
	t.dpf_dp_kpa = 0;
	t.fuel_flow_lph = 100;
	return t;
}

static void test_never(void **state)
{
	struct truck t = violator();
	struct drive d;

	(void)state;
	drive_start(&d, &stage_6);
	drive(&d, &t, 5000);
	assert_int_equal(drive_result(&d)->finding_count, 3);
	for (unsigned i = 0; i < sizeof(nevers) / sizeof(nevers[0]); i++) {
		t = violator();
		nevers[i].change(&t);
		drive_start(&d, &stage_6);
		drive(&d, &t, 5000);
		t.nox_downstream_ppm = NAN;
		drive(&d, &t, 5000);
		if (drive_result(&d)->finding_count > 0)
			fail_msg("%s: %s", nevers[i].what, drive_result(&d)->findings[0].measured);
	}
	/* A day of idling with a hot SCR. */
	t = violator();
	idle(&t);
	drive_start(&d, &stage_6);
	drive(&d, &t, 40000);
	assert_clean(&d);
}

static void test_gates_need_time(void **state)
{
	struct truck t = violator(), cold_start = violator();
	struct drive d;

	(void)state;
	/* Off and on again before it is warm for 300 s; a second off starts the time again. */
	drive_start(&d, NULL);
	for (int i = 0; i < 100; i++) {
		struct truck stop = violator();

		off(&stop);
		drive(&d, &t, HOT_AFTER_S);
		drive(&d, &stop, 1);
	}
	assert_clean(&d);

	/* SCR hot only after 120 s of it. */
	drive_start(&d, NULL);
	cold_scr_in(&cold_start);
	for (int i = 0; i < 200; i++) {
		drive(&d, &t, 120);
		drive(&d, &cold_start, 1);
	}
	assert_clean(&d);
}

/* A value that is missing for a while does not start the gates again; a longer hole does. */
static void test_gates_and_holes(void **state)
{
	struct truck t = violator(), blind = violator();
	struct drive d;

	(void)state;
	nothing(&blind);
	for (int hole = 0; hole < 2; hole++) {
		drive_start(&d, NULL);
		for (int i = 0; i < 20; i++) {
			drive(&d, &t, 200);
			drive(&d, &blind, hole == 0 ? 59 : 60);
		}
		assert_int_equal(drive_result(&d)->finding_count > 0, hole == 0);

		drive_start(&d, NULL);
		for (int i = 0; i < 20; i++) {
			drive(&d, &t, 200);
			d.at += hole == 0 ? 59 : 60;
		}
		assert_int_equal(drive_result(&d)->finding_count > 0, hole == 0);
	}
}

/* High NOx just before, during and just after a regeneration belongs to it. */
static void test_regeneration(void **state)
{
	static const struct {
		double scr_in_c;
		int hot_s, before_s, after_s;
		bool fires;
	} cases[] = {
		{ 480, 200, 270, 300, false },
		{ 479.9, 200, 270, 300, true }, /* merely hot */
		{ 480, 120, 270, 300, true },	/* 120 s from the first second on: not yet */
		{ 480, 121, 270, 300, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct truck t = hot_truck();
		struct drive d;

		drive_start(&d, NULL);
		drive(&d, &t, 600);
		for (int n = 0; n < 5; n++) {
			t.nox_downstream_ppm = 1200;
			t.scr_in_c = 320;
			drive(&d, &t, cases[i].before_s);
			t.scr_in_c = cases[i].scr_in_c;
			drive(&d, &t, cases[i].hot_s);
			t.scr_in_c = 320;
			drive(&d, &t, cases[i].after_s);
			t.nox_downstream_ppm = 60;
			drive(&d, &t, 1000);
		}
		if (cases[i].fires != (drive_finding(&d, RULE_nox_high) != NULL))
			fail_msg("case %u", i);
	}
}

static void test_spike(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	for (int i = 0; i < 80000; i++) {
		bool spike = i % 60 == 0;

		t.nox_downstream_ppm = spike ? 3000 : 60;
		t.dpf_dp_kpa = i % 300 == 0 ? 0 : 5;
		t.reagent_pct = 60 - (i / 900) * 0.4; /* falls as it should */
		drive(&d, &t, 1);
	}
	assert_clean(&d);
}

/* A spike after a hole has no 29 neighbours. */
static void test_spike_after_holes(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	drive(&d, &t, 600);
	for (int i = 0; i < 1000; i++) {
		t.nox_downstream_ppm = 3000;
		drive(&d, &t, WINDOW_FILLS_S);
		t.nox_downstream_ppm = NAN;
		drive(&d, &t, NOX_WINDOW_S);
	}
	assert_null(drive_finding(&d, RULE_nox_high));
}

/* ---- dpf_missing ---- */

static void test_dpf_missing(void **state)
{
	static const struct {
		double dp_kpa, air;
		int seconds;
		bool fires;
	} cases[] = {
		{ 0.3, 700, 300, true },  { 0.3, 700, 299, false },   { 0.4, 700, 3000, false },
		{ 0, 579.05, 300, true }, { 0, 578.95, 3000, false }, { NAN, 700, 3000, false },
		{ 0, NAN, 3000, false },  { 5, 700, 3000, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct truck t = hot_truck();
		struct drive d;

		drive_start(&d, NULL);
		t.dpf_dp_kpa = cases[i].dp_kpa;
		t.air_flow_kgph = cases[i].air; /* + 21 kg/h fuel */
		drive(&d, &t, HOT_AFTER_S + cases[i].seconds);
		settle(&d);
		if (cases[i].fires != (drive_finding(&d, RULE_dpf_missing) != NULL))
			fail_msg("%g kPa at %g kg/h for %d s", cases[i].dp_kpa, cases[i].air,
				 cases[i].seconds);
		if (cases[i].fires)
			assert_int_equal(drive_result(&d)->finding_count, 1);
	}
}

static void test_dpf_missing_measured(void **state)
{
	struct truck t = hot_truck();
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	drive(&d, &t, HOT_AFTER_S + 100);
	t.dpf_dp_kpa = 0.2;
	drive(&d, &t, 400);
	settle(&d);
	f = drive_finding(&d, RULE_dpf_missing);
	assert_non_null(f);
	assert_int_equal(f->severity, 4);
	assert_near(f->value, 0.2, 1e-9);
	assert_near(f->limit, 0.3, 0);
	assert_int_equal(f->from, d.at - SETTLED_S - 400);
	assert_int_equal(f->to, d.at - SETTLED_S - 1);
	assert_near(measured(f, "seconds"), 400, 0);
	assert_near(measured(f, "high_flow_s"), 500, 0);
	assert_near(measured(f, "share_pct"), 80, 0);
	assert_near(measured(f, "mean_exhaust_flow_kgph"), 721, 0.05);
}

/* ---- reagent_unused ---- */

/* An hour at 100 L/h burns 100 L; one second less does not. */
enum { HUNDRED_LITRES_S = 3600 };

static void drive_reagent(struct drive *d, char stage, int seconds, double (*level)(int second))
{
	struct vehicle_facts facts = { .stage = stage };
	struct truck t = hot_truck();

	t.fuel_flow_lph = 100;
	drive_start(d, &facts);
	t.reagent_pct = level(0);
	drive(d, &t, HOT_AFTER_S);
	for (int i = 0; i < seconds; i++) {
		t.reagent_pct = level(i);
		drive(d, &t, 1);
	}
	t.fuel_flow_lph = t.reagent_pct = NAN;
	drive(d, &t, SETTLED_S);
}

static double level_constant(int second)
{
	(void)second;
	return 60;
}
static double level_absent(int second)
{
	(void)second;
	return NAN;
}
static double level_flickers(int second)
{
	return second % 2 == 0 ? 60 : 60.4;
}
static double level_sloshes(int second)
{
	return 60 + 1.6 * sin(second / 20.0);
}
static double level_falls_one_step(int second)
{
	return second < 1800 ? 60 : 59.6;
}
static double level_falls_two_steps(int second)
{
	return second < 1800 ? 60 : 59.2;
}
static double level_refilled(int second)
{
	return second < 1800 ? 60 : 63.2;
}
static double level_rises_a_little(int second)
{
	return second < 1800 ? 60 : 62.8;
}
static double level_falls_as_it_should(int second)
{
	return 60 - 4.0 * second / HUNDRED_LITRES_S;
}
static double level_falls_by_an_eighth(int second)
{
	return 60 - 0.5 * second / HUNDRED_LITRES_S; /* one step of 0.4 in an hour */
}

static void test_reagent_unused(void **state)
{
	static const struct {
		const char *what;
		double (*level)(int second);
		char stage;
		int seconds;
		bool fires;
	} cases[] = {
		{ "constant", level_constant, '6', HUNDRED_LITRES_S, true },
		{ "a second short", level_constant, '6', HUNDRED_LITRES_S - 1, false },
		{ "less expected", level_constant, '5', HUNDRED_LITRES_S, false },
		{ "as much expected", level_constant, '5', HUNDRED_LITRES_S * 4 / 3, true },
		{ "stage unknown", level_constant, 0, HUNDRED_LITRES_S * 4 / 3 - 1, false },
		{ "no reagent in stage III", level_constant, '3', 2 * HUNDRED_LITRES_S, false },
		{ "absent", level_absent, '6', 3 * HUNDRED_LITRES_S, false },
		{ "flickers", level_flickers, '6', HUNDRED_LITRES_S, true },
		{ "sloshes", level_sloshes, '6', HUNDRED_LITRES_S + 10, true },
		{ "one step", level_falls_one_step, '6', HUNDRED_LITRES_S, true },
		{ "two steps", level_falls_two_steps, '6', HUNDRED_LITRES_S, false },
		{ "refilled", level_refilled, '6', HUNDRED_LITRES_S, false },
		{ "refilled, then constant", level_refilled, '6', HUNDRED_LITRES_S + 1800, true },
		{ "rises a little", level_rises_a_little, '6', HUNDRED_LITRES_S, true },
		{ "as it should", level_falls_as_it_should, '6', 3 * HUNDRED_LITRES_S, false },
		{ "by an eighth", level_falls_by_an_eighth, '6', HUNDRED_LITRES_S + 10, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct drive d;

		drive_reagent(&d, cases[i].stage, cases[i].seconds, cases[i].level);
		if (cases[i].fires != (drive_finding(&d, RULE_reagent_unused) != NULL))
			fail_msg("%s", cases[i].what);
		if (cases[i].fires)
			assert_int_equal(drive_result(&d)->finding_count, 1);
	}
}

static void test_reagent_unused_measured(void **state)
{
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_reagent(&d, '6', 2 * HUNDRED_LITRES_S, level_falls_one_step);
	f = drive_finding(&d, RULE_reagent_unused);
	assert_non_null(f);
	assert_int_equal(f->severity, 3);
	assert_near(f->value, 0.4, 0.01);
	assert_near(f->limit, 0.5, 0);
	assert_near(measured(f, "fuel_l"), 200, 0.05);
	assert_near(measured(f, "expected_pct"), 8, 0.05);
	assert_near(measured(f, "fall_pct"), 0.4, 1e-9);
	assert_near(measured(f, "level_pct"), 59.6, 1e-9);
	assert_int_equal(f->from, d.at - SETTLED_S - 2 * HUNDRED_LITRES_S - HOT_AFTER_S);
}

/* What was found stays when the level falls later in the day. */
static void test_reagent_found_stays(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_reagent(&d, '6', HUNDRED_LITRES_S, level_constant);
	assert_non_null(drive_finding(&d, RULE_reagent_unused));
	for (int i = 0; i < 20; i++) {
		t.reagent_pct = 60 - i;
		drive(&d, &t, 600);
	}
	assert_true(drive_finding(&d, RULE_reagent_unused)->value < 0.5);
	assert_near(measured(drive_finding(&d, RULE_reagent_unused), "fuel_l"), 105, 5);
}

/* ---- mil_nox_dtc ---- */

/* SPN 4364 FMI 18 (SCR conversion efficiency), SPN 3251 FMI 1 (DPF), SPN 100 FMI 1 (oil pressure).
 */
static const uint8_t scr[4] = { 0x0C, 0x11, 0x12, 0x01 };
static const uint8_t scr_again[4] = { 0x0C, 0x11, 0x12, 0x07 }; /* another occurrence count */
static const uint8_t dpf[4] = { 0xB3, 0x0C, 0x01, 0x01 };
static const uint8_t oil[4] = { 0x64, 0x00, 0x01, 0x01 };

static void report(struct drive *d, uint8_t mil, const uint8_t *a, const uint8_t *b)
{
	uint8_t codes[2][4];
	uint8_t n = 0;

	if (a != NULL)
		memcpy(codes[n++], a, 4);
	if (b != NULL)
		memcpy(codes[n++], b, 4);
	drive_obd(d, mil, (const uint8_t(*)[4])codes, n);
}

static void test_mil_nox_dtc(void **state)
{
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	report(&d, 0, NULL, NULL);
	d.at += 10;
	report(&d, 1, scr, oil);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at += 59;
	report(&d, 1, scr_again, oil);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at += 1;
	report(&d, 1, dpf, scr_again);
	f = drive_finding(&d, RULE_mil_nox_dtc);
	assert_non_null(f);
	assert_int_equal(f->severity, 3);
	assert_near(f->value, 1, 0);
	assert_int_equal(f->from, d.at - 60);
	assert_int_equal(f->to, d.at);
	assert_non_null(strstr(f->measured, "\"codes\":[\"SPN 4364 FMI 18\"]}"));
	assert_near(measured(f, "reports"), 4, 0);
	assert_near(measured(f, "reports_with_mil"), 3, 0);
}

static void test_mil_only_report_of_the_day(void **state)
{
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	report(&d, 1, scr, dpf);
	assert_near(drive_finding(&d, RULE_mil_nox_dtc)->value, 2, 0);
	/* A report that tells nothing is no second one; one that denies is. */
	d.at++;
	report(&d, 0xFE, NULL, NULL);
	d.at++;
	drive_obd(&d, 1, NULL, 0xFE);
	assert_non_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at++;
	report(&d, 0, scr, dpf);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
}

static void test_mil_needs_lamp_and_code(void **state)
{
	struct drive d;

	(void)state;
	for (int i = 0; i < 3; i++) {
		drive_start(&d, NULL);
		for (int n = 0; n < 100; n++) {
			report(&d, i != 0, i == 0 ? scr : i == 1 ? oil : NULL, NULL);
			d.at += 60;
		}
		assert_clean(&d);
	}
	/* Two different codes an hour apart confirm nothing. */
	drive_start(&d, NULL);
	report(&d, 0, NULL, NULL);
	d.at += 60;
	report(&d, 1, scr, NULL);
	d.at += 3600;
	report(&d, 1, dpf, NULL);
	assert_clean(&d);
}

static void test_mil_many_codes(void **state)
{
	uint8_t codes[200][4];
	const struct finding *f;
	struct drive d;
	size_t length;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		memcpy(codes[i], (uint8_t[4]){ 0x0C, 0x11, (uint8_t)(i % 32), 0x01 }, 4);
	drive_start(&d, NULL);
	drive_obd(&d, 1, (const uint8_t(*)[4])codes, 200);
	f = drive_finding(&d, RULE_mil_nox_dtc);
	assert_non_null(f);
	assert_near(f->value, CODES_MAX, 0);
	length = strlen(f->measured);
	assert_string_equal(f->measured + length - 3, "\"]}");
	assert_non_null(strstr(f->measured, "\"SPN 4364 FMI 0\",\"SPN 4364 FMI 1\""));
}

/* ---- sensor_invalid ---- */

static void test_sensor_invalid(void **state)
{
	static const struct {
		double value;
		int invalid, valid;
		bool fires;
	} cases[] = {
		{ NAN, 1200, 0, true },	    { NAN, 1199, 0, false }, { NAN, 1200, 1200, true },
		{ NAN, 1200, 1201, false }, { -200, 1200, 0, true }, { 3012.75, 1200, 0, true },
		{ -199.9, 5000, 0, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct truck t = hot_truck(), rest = hot_truck();
		struct drive d;

		drive_start(&d, NULL);
		t.nox_downstream_ppm = cases[i].value;
		drive(&d, &t, HOT_AFTER_S + cases[i].invalid);
		drive(&d, &rest, cases[i].valid);
		rest.scr_in_c = 200; /* not hot: counts for neither */
		drive(&d, &rest, SETTLED_S);
		if (cases[i].fires != (drive_finding(&d, RULE_sensor_invalid) != NULL))
			fail_msg("case %u", i);
	}
}

static void test_sensor_invalid_measured(void **state)
{
	struct truck t = hot_truck(), bad = hot_truck();
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	bad.nox_downstream_ppm = NAN;
	drive(&d, &t, HOT_AFTER_S + 500);
	drive(&d, &bad, 2000);
	t.scr_in_c = 200;
	drive(&d, &t, SETTLED_S);
	f = drive_finding(&d, RULE_sensor_invalid);
	assert_non_null(f);
	assert_int_equal(f->severity, 2);
	assert_near(f->value, 80, 1e-9);
	assert_near(f->limit, 50, 0);
	assert_near(measured(f, "seconds"), 2000, 0);
	assert_near(measured(f, "hot_s"), 2500, 0);
	assert_int_equal(f->to - f->from, 1999);
}

/* ---- parameters ---- */

static void test_parameters_and_versions(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	t.nox_downstream_ppm = 300;
	drive_start(&d, NULL);
	d.rules.rule[RULE_nox_high].value[0] = 250;
	d.rules.rule[RULE_nox_high].version = 7;
	drive(&d, &t, 2000);
	assert_int_equal(drive_finding(&d, RULE_nox_high)->version, 7);
	assert_near(drive_finding(&d, RULE_nox_high)->limit, 250, 0);
	d.rules.rule[RULE_nox_high].enabled = false;
	assert_clean(&d);
}

/* A whole clean day: cold start, motorway, idle, a regeneration, stops, and the reagent that it
 * costs. */
static void test_clean_day(void **state)
{
	struct vehicle_facts facts = { .reference_torque_nm = 2000,
				       .rated_power_kw = 300,
				       .stage = '6' };
	struct drive d;
	double reagent = 90;

	(void)state;
	drive_start(&d, &facts);
	for (int i = 0; i < 80000; i++) {
		struct truck t = hot_truck();
		int phase = i % 7200;

		t.nox_downstream_ppm = 20 + phase % 90;
		if (phase < 600) { /* cold start */
			t.coolant_c = 20 + phase / 12;
			t.scr_in_c = t.scr_out_c = 100 + phase / 5;
			t.nox_downstream_ppm = phase < 400 ? -200 : 900;
		} else if (phase > 5000 && phase < 6200) { /* regeneration */
			t.scr_in_c = 490;
			t.scr_out_c = 480;
			t.nox_downstream_ppm = 700;
		} else if (phase >= 6800) { /* idle, then off */
			t.fuel_flow_lph = 2;
			t.air_flow_kgph = 100;
			t.speed_kmh = 0;
			t.engine_rpm = phase >= 7000 ? 0 : 600;
			t.nox_downstream_ppm = phase >= 7000 ? -200 : 450;
			t.dpf_dp_kpa = 0.1;
		}
		reagent -= t.fuel_flow_lph / 3600 * 0.04;
		t.reagent_pct = fmax(reagent, 5);
		drive(&d, &t, 1);
	}
	assert_clean(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nox_high),
		cmocka_unit_test(test_nox_high_edges),
		cmocka_unit_test(test_nox_high_load),
		cmocka_unit_test(test_nox_high_load_by_power),
		cmocka_unit_test(test_nox_high_mean),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_gates_need_time),
		cmocka_unit_test(test_gates_and_holes),
		cmocka_unit_test(test_regeneration),
		cmocka_unit_test(test_spike),
		cmocka_unit_test(test_spike_after_holes),
		cmocka_unit_test(test_dpf_missing),
		cmocka_unit_test(test_dpf_missing_measured),
		cmocka_unit_test(test_reagent_unused),
		cmocka_unit_test(test_reagent_unused_measured),
		cmocka_unit_test(test_reagent_found_stays),
		cmocka_unit_test(test_mil_nox_dtc),
		cmocka_unit_test(test_mil_only_report_of_the_day),
		cmocka_unit_test(test_mil_needs_lamp_and_code),
		cmocka_unit_test(test_mil_many_codes),
		cmocka_unit_test(test_sensor_invalid),
		cmocka_unit_test(test_sensor_invalid_measured),
		cmocka_unit_test(test_parameters_and_versions),
		cmocka_unit_test(test_clean_day),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
