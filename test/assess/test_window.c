/*
 * What the comparison with the oracle (test_assess_tool.py) cannot reach from outside: worked
 * examples of the regulation's text, and that sums are exact.
 */
#include "gateway/assess/trip.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/assess/drive.h"

/* Method: the example of 40 CFR 1036.530(e), in its own units. */
static void test_normalised_co2(void **state)
{
	(void)state;
	assert_near(two_bin_normalised(3948, 428.2, 406.5, 300.01), 2722, 0);
}

/* Method: what goes in and out again leaves nothing, whatever else is there. */
static void test_exact_sum(void **state)
{
	struct exact_sum s = { 0 };
	uint64_t seed = 1;

	(void)state;
	exact_sum_add(&s, 1e-9);
	for (int turn = 0; turn < 2; turn++) {
		uint64_t x = seed;

		for (int i = 0; i < 10000; i++) {
			double value;

			x = x * 6364136223846793005u + 1442695040888963407u;
			value = ldexp((double)(x >> 11), -(int)(x % 60) - 50);
			if (turn == 0)
				exact_sum_add(&s, value);
			else
				exact_sum_take(&s, value);
		}
	}
	assert_true(exact_sum_value(&s) == 1e-9);
}

/* Method: 100 kW, 200 ppm, 600 kg/h air, 20 L/h, as in docs/rules.md. */
static void test_second(void **state)
{
	const struct engine_facts facts = { 1000, 0.84, TORQUE_INDICATED };
	struct engine_values v = { 58, 8, 1e5 * 30 / M_PI / 500, 20, 600, 200, 85, 98 };
	struct engine_second s;

	(void)state;
	engine_second(&facts, &v, &s);
	assert_near(s.nox_g, 0.0543812, 1e-9);
	assert_near(s.power_kw, 100, 1e-9);
	assert_near(1000 * s.nox_g / s.work_kwh, 1957.7232, 1e-6);
	assert_near(s.nox_g / s.fuel_kg, 11.653114, 1e-6);
	assert_near(s.co2_kg / s.fuel_kg, 3.16, 1e-12);

	/* An absent torque is no torque of 0, an absent reading no clean exhaust. */
	v.friction_torque_pct = NAN;
	v.nox_downstream_ppm = nox_reading_ppm(3012.75);
	engine_second(&facts, &v, &s);
	assert_true(isnan(s.torque_pct) && isnan(s.work_kwh) && isnan(s.nox_g));
	assert_near(s.fuel_kg, 16.8 / 3600, 1e-15);
}

/* Method: result in the middle of a trip, twice, then go on: asking changes nothing. */
static void test_asking_changes_nothing(void **state)
{
	const struct trip_parameters p = { .engine = { 1000, 0.84, TORQUE_NET },
					   .rated_power_kw = 300,
					   .whtc_work_kwh = 1,
					   .limit_mgpkwh = 690 };
	struct trip *asked = trip_new(&p, 2000), *left_alone = trip_new(&p, 2000);
	struct trip_window_result a, b;
	struct two_bin_result c, d;

	(void)state;
	assert_true(asked != NULL && left_alone != NULL);
	for (int i = 0; i < 2000; i++) {
		const struct engine_values v = { 50,	     NAN, 1200 + i % 7,
						 10 + i % 7, 600, 100 + 10 * (i % 50),
						 85,	     98 };

		trip_add(asked, i, &v);
		trip_add(left_alone, i, &v);
		if (i % 100 == 0) {
			trip_window(asked, TRIP_WORK, 10, &a);
			trip_two_bin(asked, &c);
		}
	}
	for (enum trip_window kind = 0; kind < TRIP_WINDOW_COUNT; kind++) {
		trip_window(asked, kind, 10, &a);
		trip_window(left_alone, kind, 10, &b);
		assert_memory_equal(&a.summary, &b.summary, sizeof(a.summary));
	}
	trip_two_bin(asked, &c);
	trip_two_bin(left_alone, &d);
	assert_memory_equal(&c, &d, sizeof(c));
	trip_free(asked);
	trip_free(left_alone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalised_co2),
		cmocka_unit_test(test_exact_sum),
		cmocka_unit_test(test_second),
		cmocka_unit_test(test_asking_changes_nothing),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
