/* The table of rules; the rules on NOx, filter and sensor: violators, clean trucks, near misses. */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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
	drive_settle(&d);
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
		drive_settle(&d);
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
		drive_settle(&d);
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
	drive_settle(&d);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nox_high),
		cmocka_unit_test(test_nox_high_edges),
		cmocka_unit_test(test_nox_high_load),
		cmocka_unit_test(test_nox_high_load_by_power),
		cmocka_unit_test(test_nox_high_mean),
		cmocka_unit_test(test_dpf_missing),
		cmocka_unit_test(test_dpf_missing_measured),
		cmocka_unit_test(test_sensor_invalid),
		cmocka_unit_test(test_sensor_invalid_measured),
		cmocka_unit_test(test_parameters_and_versions),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
