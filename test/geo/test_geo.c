/* Points against areas: inside, outside, borders, holes, overlaps; bad geometry; many threads. */
#include "gateway/geo/geo.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/geo/wkb.h"

static void add_box(struct geo *g, int kind, int32_t id, double west, double south, double east,
		    double north)
{
	struct wkb w = { .size = 0 };
	struct error err = { 0 };

	wkb_box(&w, west, south, east, north);
	if (kind == 'd')
		assert_int_equal(geo_add_division(g, id, w.bytes, w.size, &err), 0);
	else
		assert_int_equal(geo_add_route(g, id, w.bytes, w.size, &err), 0);
}

/* Divisions 10 and 20 side by side at 120.5; routes that overlap; route 7 in two parts, one with a
 * hole. */
static struct geo *small_city(void)
{
	const double outer[] = { 120.9, 41.1, 121.1, 41.1, 121.1, 41.3, 120.9, 41.3 };
	const double hole[] = { 120.95, 41.15, 121.05, 41.15, 121.05, 41.25, 120.95, 41.25 };
	const double part[] = { 119.9, 41.1, 120.0, 41.1, 120.0, 41.2 };
	struct wkb w = { .size = 0 };
	struct error err = { 0 };
	struct geo *g;

	assert_int_equal(geo_new(&g, &err), 0);
	add_box(g, 'd', 20, 120.5, 41, 121, 42);
	add_box(g, 'd', 10, 120, 41, 120.5, 42);
	add_box(g, 'r', 5, 120.4, 41.4, 120.6, 41.6);
	add_box(g, 'r', 3, 120.4, 41.5, 120.6, 41.7);
	wkb_start(&w, WKB_MULTIPOLYGON, 2);
	wkb_start(&w, WKB_POLYGON, 2);
	wkb_ring(&w, outer, 4);
	wkb_ring(&w, hole, 4);
	wkb_start(&w, WKB_POLYGON, 1);
	wkb_ring(&w, part, 3);
	assert_int_equal(geo_add_route(g, 7, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_build(g, &err), 0);
	return g;
}

static const struct expected {
	double lon, lat;
	struct geo_place place;
} small_city_points[] = {
	{ 120.2, 41.2, { 10, { 0 } } },
	{ 120.7, 41.2, { 20, { 0 } } },
	{ 120.45, 41.45, { 10, { 5 } } },
	{ 120.45, 41.55, { 10, { 3, 5 } } },
	{ 120.55, 41.65, { 20, { 3 } } },
	{ 120.5, 41.2, { 10, { 0 } } },	   /* on the border: the smaller code */
	{ 120.5, 41.5, { 10, { 3, 5 } } }, /* on the border, and on the edge of route 3 */
	{ 120.93, 41.2, { 20, { 7 } } },
	{ 121.07, 41.2, { 0, { 7 } } },
	{ 120.98, 41.2, { 20, { 0 } } }, /* in the hole */
	{ 119.99, 41.12, { 0, { 7 } } }, /* in the other part */
	{ 119.91, 41.18, { 0, { 0 } } }, /* in its box, outside its triangle */
	{ 119.5, 41.5, { 0, { 0 } } },
	{ 0, 0, { 0, { 0 } } },
	{ -179.9, -89.9, { 0, { 0 } } },
	{ 500, 41.5, { 0, { 0 } } },
	{ (double)NAN, 41.5, { 0, { 0 } } },
};
enum { POINT_COUNT = sizeof(small_city_points) / sizeof(small_city_points[0]) };

static void assert_place(struct geo_cursor *c, const struct expected *e)
{
	struct geo_place place;

	memset(&place, 0x5A, sizeof(place));
	geo_locate(c, e->lon, e->lat, &place);
	assert_int_equal(place.division, e->place.division);
	assert_memory_equal(place.routes, e->place.routes, sizeof(place.routes));
}

static void test_points(void **state)
{
	struct geo *g = small_city();
	struct geo_cursor *c;
	struct error err;

	(void)state;
	assert_int_equal(geo_cursor_new(g, &c, &err), 0);
	/* Every point after every other: what was asked before changes no answer. */
	for (int i = 0; i < POINT_COUNT; i++) {
		for (int k = 0; k < POINT_COUNT; k++) {
			assert_place(c, &small_city_points[i]);
			assert_place(c, &small_city_points[k]);
			assert_place(c, &small_city_points[k]);
		}
	}
	geo_cursor_free(c);
	geo_free(g);
}

static void test_more_routes_than_reported(void **state)
{
	struct expected e = { 120.5, 41.5, { 0, { 1, 2, 3, 4 } } };
	struct geo_cursor *c;
	struct error err;
	struct geo *g;

	(void)state;
	assert_int_equal(geo_new(&g, &err), 0);
	for (int32_t id = 60; id > 0; id--)
		add_box(g, 'r', id, 120.4, 41.4, 120.6, 41.6);
	assert_int_equal(geo_build(g, &err), 0);
	assert_int_equal(geo_cursor_new(g, &c, &err), 0);
	assert_place(c, &e);
	assert_place(c, &e);
	geo_cursor_free(c);
	geo_free(g);
}

static void test_empty(void **state)
{
	struct expected e = { 120.5, 41.5, { 0, { 0 } } };
	struct geo_cursor *c;
	struct error err;
	struct geo *g;

	(void)state;
	assert_int_equal(geo_new(&g, &err), 0);
	assert_int_equal(geo_build(g, &err), 0);
	assert_int_equal(geo_cursor_new(g, &c, &err), 0);
	assert_place(c, &e);
	geo_cursor_free(c);
	geo_cursor_free(NULL);
	geo_free(g);
	geo_free(NULL);
}

static void assert_refused(const struct wkb *w, size_t size, const char *text)
{
	struct error err = { 0 };
	struct geo *g;

	assert_int_equal(geo_new(&g, &err), 0);
	assert_int_equal(geo_add_division(g, 211302, w->bytes, size, &err), ERROR_USAGE);
	if (strstr(err.text, text) == NULL || strstr(err.text, "211302") == NULL)
		fail_msg("\"%s\" does not name \"%s\" and the id", err.text, text);
	/* What was refused is not there, and the rest still works. */
	assert_int_equal(geo_build(g, &err), 0);
	geo_free(g);
}

static void test_refused(void **state)
{
	const double bow_tie[] = { 120, 41, 121, 42, 121, 41, 120, 42 };
	const double metres[] = { 5e5, 4e6, 6e5, 4e6, 6e5, 5e6 };
	struct wkb w = { .size = 0 };

	(void)state;
	wkb_box(&w, 120, 41, 121, 42);
	for (size_t cut = 0; cut < w.size; cut++)
		assert_refused(&w, cut, "not WKB");
	w.bytes[1] = 99;
	assert_refused(&w, w.size, "not WKB");

	w.size = 0;
	wkb_start(&w, WKB_POLYGON, 1);
	wkb_ring(&w, bow_tie, 4);
	assert_refused(&w, w.size, "Self-intersection");

	w.size = 0;
	wkb_start(&w, WKB_POLYGON, 1);
	wkb_ring(&w, metres, 3);
	assert_refused(&w, w.size, "degrees");

	w.size = 0;
	wkb_start(&w, WKB_POLYGON, 0);
	assert_refused(&w, w.size, "empty");

	w.size = 0;
	wkb_start(&w, WKB_LINESTRING, 2);
	memcpy(w.bytes + w.size, bow_tie, 4 * sizeof(double));
	w.size += 4 * sizeof(double);
	assert_refused(&w, w.size, "polygon or multipolygon");
}

static void test_refused_together(void **state)
{
	struct wkb w = { .size = 0 };
	struct error err = { 0 };
	struct geo *g;

	(void)state;
	wkb_box(&w, 120, 41, 121, 42);
	assert_int_equal(geo_new(&g, &err), 0);
	assert_int_equal(geo_add_route(g, 0, w.bytes, w.size, &err), ERROR_USAGE);
	assert_int_equal(geo_add_route(g, 1, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_add_division(g, 1, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_add_route(g, 1, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_build(g, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, "twice"));
	geo_free(g);
}

/* A circle-like corridor with many corners, against the circle's own formula. */
static void test_many_corners(void **state)
{
	enum { CORNERS = 120, POINTS = 20000 };
	double corners[2 * CORNERS];
	struct wkb w = { .size = 0 };
	struct geo_cursor *c;
	struct error err;
	struct geo *g;
	unsigned seed = 1, judged = 0;

	(void)state;
	for (int i = 0; i < CORNERS; i++) {
		corners[2 * i] = 120 + 0.5 * cos(2 * M_PI * i / CORNERS);
		corners[2 * i + 1] = 41 + 0.5 * sin(2 * M_PI * i / CORNERS);
	}
	wkb_start(&w, WKB_POLYGON, 1);
	wkb_ring(&w, corners, CORNERS);
	assert_int_equal(geo_new(&g, &err), 0);
	assert_int_equal(geo_add_route(g, 9, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_build(g, &err), 0);
	assert_int_equal(geo_cursor_new(g, &c, &err), 0);
	for (int i = 0; i < POINTS; i++) {
		double x = rand_r(&seed) % 1200001 / 1e6 - 0.6,
		       y = rand_r(&seed) % 1200001 / 1e6 - 0.6;
		double radius = hypot(x, y);
		struct geo_place place;

		geo_locate(c, 120 + x, 41 + y, &place);
		if (radius > 0.4998 && radius < 0.5001)
			continue; /* between the polygon and the circle */
		judged++;
		assert_int_equal(place.routes[0], radius < 0.5 ? 9 : 0);
	}
	assert_in_range(judged, POINTS - 100, POINTS);
	geo_cursor_free(c);
	geo_free(g);
}

static void *ask_all(void *arg)
{
	struct geo_cursor *c;
	struct error err;
	intptr_t wrong = 0;

	if (geo_cursor_new(arg, &c, &err) != 0)
		return (void *)1;
	for (int n = 0; n < 2000; n++) {
		for (int i = 0; i < POINT_COUNT; i++) {
			const struct expected *e = &small_city_points[i];
			struct geo_place place;

			geo_locate(c, e->lon, e->lat, &place);
			wrong += memcmp(&place, &e->place, sizeof(place)) != 0;
		}
	}
	geo_cursor_free(c);
	return (void *)wrong;
}

static void test_threads(void **state)
{
	enum { THREADS = 4 };
	struct geo *g = small_city();
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_all, g), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	geo_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_more_routes_than_reported),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_together),
		cmocka_unit_test(test_many_corners),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("geo", tests, NULL, NULL);
}
