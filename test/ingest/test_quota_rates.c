/* Quotas of logins, sessions and kept frames, and who is dropped early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "test/ingest/quota_world.h"

static void test_logins_of_a_vin_are_bounded_for_each_address(void **state)
{
	struct world *w = *state;
	const char *a = "LTEST000000000001", *b = "LTEST000000000002";

	for (int i = 0; i < 20; i++)
		assert_true(quota_login(w->q, &w->c, v4(1).bytes, a, w->now));
	assert_false(quota_login(w->q, &w->c, v4(1).bytes, a, w->now));
	/* The last character counts, and nobody elsewhere can use up the truck's logins. */
	assert_true(quota_login(w->q, &w->c, v4(1).bytes, b, w->now));
	assert_true(quota_login(w->q, &w->c, v4(2).bytes, a, w->now));
	w->now += 3 * SECOND; /* 20 a minute */
	assert_true(quota_login(w->q, &w->c, v4(1).bytes, a, w->now));
	assert_false(quota_login(w->q, &w->c, v4(1).bytes, a, w->now));
	w->c.limit_vin_logins = 0;
	assert_true(quota_login(w->q, &w->c, v4(1).bytes, a, w->now));
}

static void test_logins_of_an_address_are_bounded(void **state)
{
	struct world *w = *state;
	char vin[18];
	int in = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(vin, sizeof(vin), "LTEST%012d", i);
		in += quota_login(w->q, &w->c, v4(1).bytes, vin, w->now);
	}
	assert_int_equal(in, 600);
	assert_true(quota_login(w->q, &w->c, v4(2).bytes, vin, w->now));
	w->c.limit_source_logins = 0;
	assert_true(quota_login(w->q, &w->c, v4(1).bytes, vin, w->now));
}

/* More addresses than there are places come by: the bad ones are the last to be forgotten. */
static void test_refused_frames_of_an_address_are_kept_at_a_bounded_rate(void **state)
{
	struct world *w = *state;
	static struct quota_guest g[40];
	unsigned alone = 0, among_good = 0;

	good_neighbours(w, v4(2), g, 40);
	for (int i = 0; i < 1000; i++) {
		alone += quota_keep(w->q, &w->c, v4(1).bytes, 400, w->now);
		among_good += quota_keep(w->q, &w->c, v4(2).bytes, 400, w->now);
	}
	assert_int_equal(alone, 20);
	assert_int_equal(among_good, 60);
	w->now += 30 * SECOND;
	for (int i = 0; i < 1000; i++)
		alone += quota_keep(w->q, &w->c, v4(1).bytes, 400, w->now);
	assert_int_equal(alone, 30);
	/* Long frames weigh more; and all addresses together do not fill the disk either. */
	assert_false(quota_keep(w->q, &w->c, v4(3).bytes, 21 * 1024, w->now));
	assert_true(quota_keep(w->q, &w->c, v4(3).bytes, 19 * 1024, w->now));
	assert_false(quota_keep(w->q, &w->c, v4(3).bytes, 2 * 1024, w->now));
	for (uint32_t i = 0; i < 1000; i++)
		quota_keep(w->q, &w->c, v4(1000 + i).bytes, 19 * 1024, w->now);
	assert_false(quota_keep(w->q, &w->c, v4(4).bytes, 19 * 1024, w->now));
}

static void test_a_session_has_its_rate_and_ten_seconds_of_it_at_once(void **state)
{
	struct quota_bucket b = { 0 };
	uint64_t now = START;
	unsigned taken = 0, wait;

	(void)state;
	while (quota_take(&b, 100, now) == 0)
		taken++;
	assert_int_equal(taken, 1000);
	assert_int_equal(quota_take(&b, 100, now), 10);
	for (int i = 0; i < 1000; i++) { /* who waits as long as told is let go on, always */
		wait = quota_take(&b, 100, now);
		assert_in_range(wait, 1, 10);
		now += wait;
		assert_int_equal(quota_take(&b, 100, now), 0);
	}
	assert_in_range(now - START, 9990, 10010);
	/* Time that steps back gives nothing and takes nothing. */
	assert_int_not_equal(quota_take(&b, 100, now - 5000), 0);
	assert_int_not_equal(quota_take(&b, 100, now), 0);
	now += 3600 * SECOND;
	for (taken = 0; quota_take(&b, 100, now) == 0; taken++)
		;
	assert_int_equal(taken, 1000);
}

static void test_early_drop_rises_from_never_to_always(void **state)
{
	unsigned dropped[3] = { 0 };
	const unsigned at[3] = { 1250, 1500, 1750 };

	(void)state;
	assert_int_equal(quota_early_drop(0, 1000, 0), 0);
	assert_int_equal(quota_early_drop(1000, 1000, 0), 0);
	assert_int_equal(quota_early_drop(1001, 1000, 0), 1);
	assert_int_equal(quota_early_drop(1999, 1000, UINT32_MAX), 0);
	assert_int_equal(quota_early_drop(2000, 1000, UINT32_MAX), 1);
	assert_int_equal(quota_early_drop(2010, 1000, UINT32_MAX), 10);
	for (uint64_t chance = 0; chance < 1000; chance++)
		for (int i = 0; i < 3; i++)
			dropped[i] +=
				quota_early_drop(at[i], 1000, (uint32_t)((chance << 32) / 1000));
	for (int i = 0; i < 3; i++)
		assert_in_range(dropped[i], at[i] - 1001, at[i] - 999);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)
	static const struct CMUnitTest tests[] = {
		TEST(test_logins_of_a_vin_are_bounded_for_each_address),
		TEST(test_logins_of_an_address_are_bounded),
		TEST(test_refused_frames_of_an_address_are_kept_at_a_bounded_rate),
		TEST(test_a_session_has_its_rate_and_ten_seconds_of_it_at_once),
		TEST(test_early_drop_rises_from_never_to_always),
	};

	return cmocka_run_group_tests_name("quota_rates", tests, NULL, NULL);
}
