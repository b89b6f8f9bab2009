/* The day's totals: NOx mass, fuel, work, kilometres, seconds; what invalid values do to them. */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct vehicle_facts known = { .reference_torque_nm = 2000,
					    .rated_power_kw = 300,
					    .stage = '6' };

/* Emission rules G.3: 200 ppm, 600 kg/h, 20 L/h at 0.84 kg/L, 100 kW. */
static void test_closed_form(void **state)
{
	double gps = nox_mass_flow_gps(200, 600, 20);

	(void)state;
	assert_near(gps, 0.0543812, 5e-8);
	assert_near(gps * 3600 / 100 * 1000, 1957.7232, 5e-4);	/* mg/kWh at 100 kW */
	assert_near(gps * 3600 / (20 * 0.84), 11.653113, 5e-6); /* g/kg fuel */
	assert_true(nox_mass_flow_gps(-20, 600, 20) == 0);
	assert_true(nox_mass_flow_gps(0, 600, 20) == 0);
}

/* The same numbers through bodies, the fold and the result, for an hour at 100 kW. */
static void test_closed_form_of_a_day(void **state)
{
	struct truck t = hot_truck();
	struct drive d;
	const struct day_totals *sum;

	(void)state;
	drive_start(&d, &known);
	t.nox_downstream_ppm = 200;
	t.air_flow_kgph = 600;
	t.fuel_flow_lph = 20;
	t.net_torque_pct = 58;
	t.friction_torque_pct = 8;
	/* 50 % of 2,000 Nm and 100 kW: 954.93 rpm, of which the wire carries 955. */
	t.engine_rpm = 955;
	drive(&d, &t, 3600);
	sum = &drive_result(&d)->totals;
	assert_near(sum->nox_g, 0.0543812 * 3600, 2e-4);
	assert_near(sum->fuel_kg, 16.8, 1e-9);
	assert_near(sum->work_kwh, 1000 * 955 * M_PI / 30000, 1e-6);
	assert_near(sum->nox_g / sum->work_kwh * 1000, 1957.7232 * 954.9296586 / 955, 2e-3);
	assert_near(sum->nox_g / sum->fuel_kg, 11.653113, 5e-6);
	assert_near(sum->km, 60, 0.11);
	assert_int_equal(sum->samples, 3600);
	assert_int_equal(sum->engine_on_s, 3600);
	assert_int_equal(sum->nox_valid_s, 3600);
	assert_int_equal(sum->position_valid_s, 3600);
	assert_int_equal(sum->gap_s, 0);
}

static void test_double_ppm_doubles_mass(void **state)
{
	double nox_g[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct truck t = hot_truck();
		struct drive d;

		drive_start(&d, NULL);
		t.nox_downstream_ppm = 123.45 * (i + 1);
		drive(&d, &t, 1000);
		nox_g[i] = drive_result(&d)->totals.nox_g;
	}
	assert_near(nox_g[1] / nox_g[0], 2, 1e-12);
}

/* An hour without one of the three values changes neither mass nor fuel, so no emission factor. */
static void test_invalid_hour_changes_no_factor(void **state)
{
	double truck_nox[4] = { NAN, -200, 3012.75, 60 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct truck t = hot_truck(), bad = hot_truck();
		struct day_totals before, after;
		struct drive d;

		drive_start(&d, NULL);
		drive(&d, &t, 1000);
		before = drive_result(&d)->totals;
		bad.nox_downstream_ppm = truck_nox[i];
		if (i == 3)
			bad.air_flow_kgph = NAN;
		drive(&d, &bad, 3600);
		drive(&d, &t, 1); /* the sums are still in use */
		after = drive_result(&d)->totals;
		assert_near(after.nox_g, before.nox_g * 1001 / 1000, 1e-9);
		assert_near(after.fuel_kg, before.fuel_kg * 1001 / 1000, 1e-9);
		assert_int_equal(after.samples, 4601);
		assert_int_equal(after.nox_valid_s, i == 3 ? 4601 : 1001);
	}
}

static void test_negative_is_zero(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	t.nox_downstream_ppm = -15;
	drive(&d, &t, 100);
	assert_true(drive_result(&d)->totals.nox_g == 0);
	assert_true(drive_result(&d)->totals.fuel_kg > 0);
	assert_int_equal(drive_result(&d)->totals.nox_valid_s, 100);
}

static void test_work(void **state)
{
	struct truck t = hot_truck(), idle = hot_truck();
	struct drive d;
	double indicated, net;

	(void)state;
	drive_start(&d, NULL);
	drive(&d, &t, 100);
	assert_true(isnan(drive_result(&d)->totals.work_kwh));

	/* Nothing known about the field: friction is taken off. */
	drive_start(&d, &known);
	drive(&d, &t, 3600);
	indicated = 0.42 * 2000 * 1300 * M_PI / 30000;
	net = 0.50 * 2000 * 1300 * M_PI / 30000;
	assert_near(drive_result(&d)->totals.work_kwh, indicated, 1e-6);

	/* At warm idle the field shows next to nothing beside 8 % friction: it is net already. */
	idle.speed_kmh = 0;
	idle.engine_rpm = 600;
	idle.net_torque_pct = 0;
	drive(&d, &idle, 130);
	assert_near(drive_result(&d)->totals.work_kwh, net, 1e-6);

	/* ... and here it shows the friction: indicated. */
	drive_start(&d, &known);
	drive(&d, &t, 3600);
	idle.net_torque_pct = 8;
	drive(&d, &idle, 130);
	assert_near(drive_result(&d)->totals.work_kwh, indicated, 1e-6);

	/* What could be either is indicated. */
	drive_start(&d, &known);
	drive(&d, &t, 3600);
	idle.net_torque_pct = idle.friction_torque_pct = 5;
	drive(&d, &idle, 130);
	assert_near(drive_result(&d)->totals.work_kwh, indicated, 1e-6);

	/* Overrun is no negative work. */
	t.net_torque_pct = -20;
	drive(&d, &t, 3600);
	assert_near(drive_result(&d)->totals.work_kwh, indicated, 1e-6);
}

static void test_gaps(void **state)
{
	struct truck t = hot_truck(), off = hot_truck();
	struct drive d;
	struct day_totals one, two;

	(void)state;
	drive_start(&d, NULL);
	drive(&d, &t, 100);
	one = drive_result(&d)->totals;
	d.at += 59;
	drive(&d, &t, 100);
	two = drive_result(&d)->totals;
	assert_int_equal(two.gap_s, 59);
	assert_near(two.nox_g, 2 * one.nox_g, 1e-9);

	d.at += 601; /* parked */
	drive(&d, &t, 1);
	assert_int_equal(drive_result(&d)->totals.gap_s, 59);
	d.at += 600;
	drive(&d, &t, 1);
	assert_int_equal(drive_result(&d)->totals.gap_s, 659);

	off.engine_rpm = 0;
	drive(&d, &off, 1);
	d.at += 50;
	drive(&d, &t, 1);
	assert_int_equal(drive_result(&d)->totals.gap_s, 659);
}

static void test_odometer(void **state)
{
	struct truck t = hot_truck(), blind = hot_truck();
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	drive(&d, &t, 600); /* 10 km */
	assert_near(drive_result(&d)->totals.km, 10, 0.11);

	/* It bridges a gap that the frames leave. */
	d.at += 600;
	d.odometer_km += 10;
	drive(&d, &t, 60);
	assert_near(drive_result(&d)->totals.km, 21, 0.21);

	/* No truck drives 1,000 km in a second, or backwards. */
	d.odometer_km += 1000;
	drive(&d, &t, 600);
	assert_near(drive_result(&d)->totals.km, 31, 0.31);
	d.odometer_km -= 5;
	drive(&d, &t, 600);
	assert_near(drive_result(&d)->totals.km, 41, 0.41);

	/* Absent at the end: the speed counts.  Back again: the odometer knows better. */
	blind.odometer_km = NAN;
	blind.speed_kmh = 30;
	drive(&d, &blind, 1200);
	assert_near(drive_result(&d)->totals.km, 51, 0.41);
	d.odometer_km += 2;
	drive(&d, &t, 60);
	assert_near(drive_result(&d)->totals.km, 54, 0.5);

	/* Back with a number that says nothing: the speed's kilometres stay. */
	drive(&d, &blind, 1200);
	d.odometer_km += 1000;
	drive(&d, &t, 60);
	assert_near(drive_result(&d)->totals.km, 65, 0.6);
}

static void test_no_odometer(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	t.odometer_km = NAN;
	drive_start(&d, NULL);
	drive(&d, &t, 600);
	assert_near(drive_result(&d)->totals.km, 10, 1e-6);

	/* One that stands still while the truck drives is worth no more. */
	drive_start(&d, NULL);
	for (int i = 0; i < 600; i++) {
		d.odometer_km = 5000;
		t.odometer_km = 0;
		drive(&d, &t, 1);
	}
	assert_near(drive_result(&d)->totals.km, 10, 1e-6);

	t.speed_kmh = NAN;
	t.odometer_km = NAN;
	drive_start(&d, NULL);
	drive(&d, &t, 600);
	assert_true(drive_result(&d)->totals.km == 0);
}

/* A gas engine's type 05 brings NOx, air and fuel; type 03 no NOx. */
static void test_twc(void **state)
{
	uint8_t body[32] = { 0 };
	struct block b = { &info_twc_nox, INFO_TWC_NOX, 0, 0, body, sizeof(body) };
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	field_put(&info_twc_nox.fields[TWC_NOX_engine_rpm], body, 1200);
	field_put(&info_twc_nox.fields[TWC_NOX_fuel_flow_lph], body, 20);
	field_put(&info_twc_nox.fields[TWC_NOX_air_flow_kgph], body, 600);
	field_put(&info_twc_nox.fields[TWC_NOX_nox_downstream_ppm], body, 200);
	for (int i = 0; i < 3600; i++) {
		b.at = d.at++;
		assess_day_block(&d.day, &d.rules, NULL, &b);
	}
	assert_near(drive_result(&d)->totals.nox_g, 0.0543812 * 3600, 2e-4);
	assert_int_equal(drive_result(&d)->totals.nox_valid_s, 3600);

	drive_start(&d, NULL);
	b = (struct block){ &info_twc, INFO_TWC, d.at, 0, body, 30 };
	assess_day_block(&d.day, &d.rules, NULL, &b);
	assert_int_equal(drive_result(&d)->totals.samples, 1);
	assert_int_equal(drive_result(&d)->totals.engine_on_s, 1);
	assert_int_equal(drive_result(&d)->totals.nox_valid_s, 0);
}

static void test_day_of(void **state)
{
	(void)state;
	assert_int_equal(assess_day_of(0), 0);
	assert_int_equal(assess_day_of(57599), 0); /* 1970-01-01 23:59:59 in Beijing */
	assert_int_equal(assess_day_of(57600), 1);
	assert_int_equal(assess_day_of(-28800), 0);
	assert_int_equal(assess_day_of(-28801), -1);
	assert_int_equal(assess_day_of(INT64_MAX), INT32_MAX);
	assert_int_equal(assess_day_of(INT64_MIN), INT32_MIN);
}

static void test_other_days_and_older_blocks(void **state)
{
	struct truck t = hot_truck();
	struct assess_day before;
	struct drive d;

	(void)state;
	assert_true(assess_day_size() <= ASSESS_DAY_SIZE_MAX);
	drive_start(&d, NULL);
	assert_true(assess_day_last(&d.day) == INT64_MIN);
	d.at--; /* the last second of yesterday */
	drive_block(&d, &t);
	assert_true(assess_day_last(&d.day) == INT64_MIN);
	d.at++;
	drive(&d, &t, 10);
	assert_true(assess_day_last(&d.day) == d.at - 1);
	before = d.day;
	d.at -= 3;
	drive_block(&d, &t);
	d.at += DAY_S;
	drive_block(&d, &t);
	assert_memory_equal(&before, &d.day, sizeof(before));
	assert_int_equal(drive_result(&d)->totals.samples, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_form),
		cmocka_unit_test(test_closed_form_of_a_day),
		cmocka_unit_test(test_double_ppm_doubles_mass),
		cmocka_unit_test(test_invalid_hour_changes_no_factor),
		cmocka_unit_test(test_negative_is_zero),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_odometer),
		cmocka_unit_test(test_no_odometer),
		cmocka_unit_test(test_twc),
		cmocka_unit_test(test_day_of),
		cmocka_unit_test(test_other_days_and_older_blocks),
	};

	return cmocka_run_group_tests_name("totals", tests, NULL, NULL);
}
