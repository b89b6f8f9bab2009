/*
 * Runs along routes: what begins one, what ends it, what is too short, what overlaps.
 *
 * The city is one dimension: a truck at 36 km/h makes 10 m a second along a parallel on which
 * places are given in metres from 120 degrees E.
 */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "test/geo/wkb.h"

static const double METRE_DEG = 1e-5; /* so far east, roughly; exactly does not matter */

static void add(struct geo *g, int32_t route, double from_m, double to_m)
{
	struct wkb w = { .size = 0 };
	struct error err = { 0 };

	wkb_box(&w, 120 + from_m * METRE_DEG, 41, 120 + to_m * METRE_DEG, 42);
	if (route > 1000)
		assert_int_equal(geo_add_division(g, route, w.bytes, w.size, &err), 0);
	else
		assert_int_equal(geo_add_route(g, route, w.bytes, w.size, &err), 0);
}

/* Divisions meet at 5,000 m.  Route 1: 1,000 to 9,000; 2: 4,000 to 6,000; 3..12: all from 20,000
 * on. */
static struct geo *city(void)
{
	struct error err = { 0 };
	struct geo *g;

	assert_int_equal(geo_new(&g, &err), 0);
	add(g, 211302, -5, 5005);
	add(g, 211303, 5005, 15005);
	add(g, 1, 995, 9005);
	add(g, 2, 3995, 6005);
	for (int32_t i = 3; i <= 12; i++)
		add(g, i, 19995, 30005);
	assert_int_equal(geo_build(g, &err), 0);
	return g;
}

struct journey {
	struct geo *geo;
	struct drive d;
	struct truck t;
	double metre;
};

static int setup(void **state)
{
	static struct journey j;
	struct error err = { 0 };

	j.geo = city();
	drive_start(&j.d, NULL);
	assert_int_equal(geo_cursor_new(j.geo, &j.d.cursor, &err), 0);
	j.t = hot_truck();
	j.t.lat = 41.5;
	j.t.speed_kmh = 36;
	*state = &j;
	return 0;
}

static int teardown(void **state)
{
	struct journey *j = *state;

	geo_cursor_free(j->d.cursor);
	geo_free(j->geo);
	return 0;
}

/* From where it stands to metre, 10 m a second, both ends included. */
static void ride(struct journey *j, double from, double to)
{
	double step = to >= from ? 10 : -10;

	for (double m = from; step > 0 ? m <= to : m >= to; m += step) {
		j->t.lon = 120 + m * METRE_DEG;
		drive(&j->d, &j->t, 1);
	}
}

static void stay(struct journey *j, double metre, int seconds)
{
	j->t.lon = 120 + metre * METRE_DEG;
	j->t.speed_kmh = 0;
	drive(&j->d, &j->t, seconds);
	j->t.speed_kmh = 36;
}

static void test_ride_along(void **state)
{
	struct journey *j = *state;
	const struct assess_result *r;
	int64_t start = j->d.at;
	double gps = nox_mass_flow_gps(60, 700, 25);

	ride(j, 0, 9500); /* 951 samples */
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, 2);
	assert_int_equal(r->passages[0].route, 1);
	assert_true(r->passages[0].open);
	assert_int_equal(r->passages[0].division, 211302);
	assert_int_equal(r->passages[0].from, start + 100);
	assert_int_equal(r->passages[0].to, start + 900);
	assert_int_equal(r->passages[0].samples, 801);
	assert_near(r->passages[0].km, 8, 0.1);
	assert_near(r->passages[0].nox_g, 801 * gps, 1e-9);
	assert_near(r->passages[0].fuel_kg, 801 * 25 * 0.84 / 3600, 1e-9);
	assert_int_equal(r->passages[1].route, 2);
	assert_false(r->passages[1].open);
	assert_int_equal(r->passages[1].from, start + 400);
	assert_int_equal(r->passages[1].to, start + 600);
	assert_int_equal(r->passages[1].samples, 201);

	ride(j, 9510, 9700);
	assert_false(drive_result(&j->d)->passages[0].open);
	assert_int_equal(drive_result(&j->d)->passages[0].samples, 801);
	/* Where most samples were: 500 s in the one, 471 in the other; the border belongs to the
	 * first. */
	assert_int_equal(r->totals.division, 211302);
	stay(j, 9700, 100);
	assert_int_equal(drive_result(&j->d)->totals.division, 211303);
}

/* Outside for 60 s is still on it, and what happened there counts; for 61 s it is not. */
static void test_outside(void **state)
{
	struct journey *j = *state;
	const struct assess_result *r;

	ride(j, 2000, 3000);
	stay(j, 500, 59);
	ride(j, 3010, 3500);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, 1);
	assert_int_equal(r->passages[0].samples, 101 + 59 + 50);

	stay(j, 500, 60);
	ride(j, 2000, 3000);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, 1);
	stay(j, 500, 61);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, 1);
	assert_false(r->passages[0].open);
	ride(j, 2000, 3000);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, 2);
	assert_true(r->passages[1].open);
}

static void test_holes(void **state)
{
	for (int hole = 0; hole < 4; hole++) {
		struct journey *j = *state;
		struct geo_cursor *cursor = j->d.cursor;
		struct truck blind = j->t;

		drive_start(&j->d, NULL);
		j->d.cursor = cursor;
		ride(j, 2000, 3000);
		blind.position_status = 1;
		if (hole < 2)
			j->d.at += 299 + hole;
		else
			drive(&j->d, &blind, 299 + hole - 2);
		ride(j, 2000, 3000);
		assert_int_equal(drive_result(&j->d)->passage_count, 1 + hole % 2);
	}
}

static void test_too_short(void **state)
{
	struct journey *j = *state;

	/* Long enough in time, but 490 m. */
	ride(j, 500, 990);
	ride(j, 1000, 1490);
	stay(j, 1490, 100);
	ride(j, 500, 990);
	stay(j, 500, 100);
	assert_int_equal(drive_result(&j->d)->passage_count, 0);
	/* 510 m. */
	ride(j, 1000, 1510);
	stay(j, 1510, 100);
	stay(j, 500, 100);
	assert_int_equal(drive_result(&j->d)->passage_count, 1);
	/* Far enough, but in 50 s. */
	for (double m = 1000; m < 2000; m += 20) {
		j->t.speed_kmh = 72;
		j->t.lon = 120 + m * METRE_DEG;
		drive(&j->d, &j->t, 1);
	}
	stay(j, 500, 100);
	assert_int_equal(drive_result(&j->d)->passage_count, 1);
}

/* At most GEO_ROUTES_MAX of ten overlapping corridors are followed: those with the smallest ids. */
static void test_overlap(void **state)
{
	struct journey *j = *state;
	const struct assess_result *r;

	ride(j, 19000, 22000);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, GEO_ROUTES_MAX);
	for (int i = 0; i < GEO_ROUTES_MAX; i++) {
		assert_int_equal(r->passages[i].route, 3 + i);
		assert_int_equal(r->passages[i].division, 0);
		assert_int_equal(r->passages[i].samples, 201);
	}
}

static void test_more_than_fit(void **state)
{
	struct journey *j = *state;
	const struct assess_result *r;
	uint32_t samples = 0;

	for (int i = 0; i < 30; i++) {
		ride(j, 2000, 3000);
		stay(j, 500, 100);
	}
	ride(j, 19000, 22000);
	stay(j, 500, 400);
	r = drive_result(&j->d);
	assert_int_equal(r->passage_count, PASSAGES_MAX);
	assert_int_equal(r->passages_merged, 30 - PASSAGES_MAX);
	assert_int_equal(r->passages_dropped, GEO_ROUTES_MAX);
	for (int i = 0; i < PASSAGES_MAX; i++) {
		samples += r->passages[i].samples;
		assert_int_equal(r->passages[i].route, 1);
	}
	assert_int_equal(samples, 30 * 101);
}

/* The finding tells where the condition was complete. */
static void test_place_of_finding(void **state)
{
	struct journey *j = *state;
	const struct finding *f;

	j->t.nox_downstream_ppm = 900;
	stay(j, 500, HOT_AFTER_S + 500 + WINDOW_FILLS_S); /* 500 s of it on no route */
	stay(j, 5500, 200);
	stay(j, 12000, 600);
	f = drive_finding(&j->d, RULE_nox_high);
	assert_non_null(f);
	assert_int_equal(f->division, 211303);
	assert_int_equal(f->route, 1);
	assert_near(f->lon, 120 + 5500 * METRE_DEG, 1e-6);
}

/* Without geometry there are no places, and everything else is the same. */
static void test_no_cursor(void **state)
{
	struct journey *j = *state;
	struct drive with = j->d;
	double nox_g;

	j->t.lon = 120.03;
	drive(&with, &j->t, 500);
	nox_g = drive_result(&with)->totals.nox_g;
	assert_int_equal(drive_result(&with)->passage_count, 1);
	with.cursor = NULL;
	drive_start(&with, NULL);
	drive(&with, &j->t, 500);
	assert_true(drive_result(&with)->totals.nox_g == nox_g);
	assert_int_equal(drive_result(&with)->passage_count, 0);
	assert_int_equal(drive_result(&with)->totals.division, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ride_along),	     TEST(test_outside),   TEST(test_holes),
		TEST(test_too_short),	     TEST(test_overlap),   TEST(test_more_than_fit),
		TEST(test_place_of_finding), TEST(test_no_cursor),
	};

	return cmocka_run_group_tests_name("passages", tests, NULL, NULL);
}
