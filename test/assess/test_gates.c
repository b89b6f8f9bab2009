/*
 * What must never fire: cold, off, idle, no data, regeneration, a spike, a whole clean day; and the
 * conditions under which a second is judged at all, on both sides of each.
 */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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
		for (int n = 0; n < 25; n++) {
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
		cmocka_unit_test(test_never),		cmocka_unit_test(test_gates_need_time),
		cmocka_unit_test(test_gates_and_holes), cmocka_unit_test(test_regeneration),
		cmocka_unit_test(test_spike),		cmocka_unit_test(test_spike_after_holes),
		cmocka_unit_test(test_clean_day),
	};

	return cmocka_run_group_tests_name("gates", tests, NULL, NULL);
}
