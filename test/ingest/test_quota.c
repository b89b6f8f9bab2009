/* Quotas of addresses: what is let in, what is remembered, what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "test/ingest/quota_world.h"

static void test_connections_of_an_address_are_bounded(void **state)
{
	struct world *w = *state;
	struct quota_guest g[4], other;

	w->c.limit_source_connections = 3;
	for (size_t i = 0; i < 3; i++)
		assert_true(come(w, v4(1), &g[i]));
	assert_false(come(w, v4(1), &g[3]));
	assert_true(come(w, v4(2), &other));
	/* Who was refused is not counted when he goes. */
	quota_closed(w->q, &w->c, v4(1).bytes, &g[3], w->now);
	assert_false(come(w, v4(1), &g[3]));
	quota_closed(w->q, &w->c, v4(1).bytes, &g[0], w->now);
	assert_true(come(w, v4(1), &g[0]));
	w->c.limit_source_connections = 0;
	assert_true(come(w, v4(1), &g[3]));
}

static void test_an_ipv6_network_is_one_address(void **state)
{
	struct world *w = *state;
	struct peer a = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, b = a, c = a;
	struct quota_guest g;

	b.bytes[15] = 2;
	c.bytes[7] = 1;
	w->c.limit_source_connections = 1;
	assert_true(come(w, a, &g));
	assert_false(come(w, b, &g));
	assert_true(come(w, c, &g));
}

static void test_a_penalty_keeps_out_and_is_forgiven(void **state)
{
	struct world *w = *state;
	unsigned n;

	assert_int_equal(offend_until_refused(w, v4(1), OFFENCE_BAD_FRAMES), 6);
	assert_true(visit(w, v4(2)));
	/* 120 points: 100 are allowed after log2(1.2) half-lives, 15.8 s. */
	w->now += 15 * SECOND;
	assert_false(visit(w, v4(1)));
	w->now += SECOND;
	assert_true(visit(w, v4(1)));
	/* Half of what is there goes each minute: an hour later nothing is left. */
	w->now += 60 * MINUTE;
	n = offend_until_refused(w, v4(1), OFFENCE_BAD_FRAMES);
	assert_int_equal(n, 6);
}

static void test_a_penalty_is_bounded(void **state)
{
	struct world *w = *state;
	struct quota_guest g;

	assert_true(come(w, v4(1), &g));
	for (int i = 0; i < 100000; i++)
		quota_offence(w->q, &w->c, v4(1).bytes, &g, OFFENCE_FORGERY, w->now);
	w->now += 3 * MINUTE - SECOND;
	assert_false(visit(w, v4(1)));
	w->now += 2 * SECOND;
	assert_true(visit(w, v4(1)));
}

static void test_every_offence_weighs_and_none_alone_locks_out(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < OFFENCE_COUNT; i++) {
		const unsigned n = offend_until_refused(w, v4(i), (enum quota_offence)i);

		assert_in_range(n, 5, 60);
	}
}

static void test_no_half_life_means_no_penalties(void **state)
{
	struct world *w = *state;

	w->c.limit_penalty_half_life_s = 0;
	for (int i = 0; i < 1000; i++)
		assert_true(offend(w, v4(1), OFFENCE_SLOW));
}

/* The address of a carrier: 500 good trucks, and one that breaks every frame. */
static void test_one_bad_truck_does_not_lock_out_its_neighbours(void **state)
{
	struct world *w = *state;
	static struct quota_guest g[500];

	good_neighbours(w, v4(1), g, 500);
	for (int second = 0; second < 3600; second += 2) { /* 20 bad frames each, for an hour */
		assert_true(offend(w, v4(1), OFFENCE_BAD_FRAMES));
		assert_true(visit(w, v4(1)));
		w->now += 2 * SECOND;
	}
	/* The same from an address of its own. */
	for (int second = 0; second < 60; second += 2) {
		offend(w, v4(2), OFFENCE_BAD_FRAMES);
		w->now += 2 * SECOND;
	}
	assert_false(visit(w, v4(2)));
}

/* Whoever it is that floods: who is known to be good lets some newcomers in, and only he. */
static void test_good_neighbours_vouch_for_a_few_newcomers(void **state)
{
	struct world *w = *state;
	static struct quota_guest g[50];
	unsigned in = 0;

	good_neighbours(w, v4(1), g, 50);
	for (int i = 0; i < 10000; i++)
		quota_offence(w->q, &w->c, v4(1).bytes, &(struct quota_guest){ 0 },
			      OFFENCE_BAD_FRAMES, w->now);
	for (int i = 0; i < 100; i++) { /* ten seconds of an attempt each tenth */
		in += visit(w, v4(1));
		w->now += SECOND / 10;
	}
	assert_in_range(in, 50, 55);
	offend_until_refused(w, v4(2), OFFENCE_BAD_FRAMES);
	for (int i = 0; i < 100; i++)
		assert_false(visit(w, v4(2)));
}

static void test_who_offends_speaks_for_nobody(void **state)
{
	struct world *w = *state;
	struct quota_guest g[10];

	good_neighbours(w, v4(1), g, 10);
	for (int round = 0; round < 2; round++) /* what is lost is lost once */
		for (size_t i = 0; i < 10; i++)
			quota_offence(w->q, &w->c, v4(1).bytes, &g[i], OFFENCE_FORGERY, w->now);
	/* All ten are still there, but the memory of their better days is gone. */
	w->now += 20 * MINUTE;
	assert_int_equal(offend_until_refused(w, v4(1), OFFENCE_BAD_FRAMES), 6);
	for (size_t i = 0; i < 10; i++)
		quota_closed(w->q, &w->c, v4(1).bytes, &g[i], w->now);
}

static void test_a_fleet_that_was_cut_off_comes_back(void **state)
{
	struct world *w = *state;
	static struct quota_guest g[500];

	good_neighbours(w, v4(1), g, 500);
	for (int i = 0; i < 200; i++) /* 4,000 points: far too much for a stranger */
		assert_true(offend(w, v4(1), OFFENCE_BAD_FRAMES));
	for (size_t i = 0; i < 500; i++)
		quota_closed(w->q, &w->c, v4(1).bytes, &g[i], w->now);
	for (int minute = 0; minute < 30; minute++) {
		assert_true(visit(w, v4(1)));
		w->now += MINUTE;
	}
}

/* Logging in and out again and again is no way to a good name. */
static void test_credit_counts_who_is_there_at_one_time(void **state)
{
	struct world *w = *state;
	struct quota_guest g;

	for (int i = 0; i < 100; i++) {
		good_neighbours(w, v4(1), &g, 1);
		quota_closed(w->q, &w->c, v4(1).bytes, &g, w->now);
	}
	assert_int_equal(offend_until_refused(w, v4(1), OFFENCE_BAD_FRAMES), 11);
}

/* Others come by in thousands, each once; what is in use is not what is forgotten. */
static void test_who_is_seen_again_and_again_is_not_forgotten(void **state)
{
	struct world *w = *state;
	char vin[18];
	unsigned in = 0;

	w->c.limit_source_logins = 0;
	for (unsigned i = 0; i < 100 * REMEMBERED; i++) {
		snprintf(vin, sizeof(vin), "LOTHER%011u", i);
		assert_true(quota_login(w->q, &w->c, v4(1).bytes, vin, w->now));
		if (i % 20 != 0)
			continue;
		in += quota_login(w->q, &w->c, v4(1).bytes, "LTEST000000000001", w->now);
		w->now++;
	}
	assert_in_range(in, 20, 20 + 3); /* 20 at once, and one each 3 seconds of 8 */
}

static void test_bad_addresses_outlive_a_stream_of_others(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 20; i++)
		offend_until_refused(w, v4(i), OFFENCE_BAD_FRAMES);
	for (uint32_t i = 0; i < 100 * REMEMBERED; i++)
		assert_true(visit(w, v4(1000 + i)));
	for (uint32_t i = 0; i < 20; i++)
		assert_false(visit(w, v4(i)));
}

static void test_connections_are_never_forgotten(void **state)
{
	struct world *w = *state;
	struct quota_guest g, second;

	w->c.limit_source_connections = 1;
	assert_true(come(w, v4(1), &g));
	for (uint32_t i = 0; i < 100 * REMEMBERED; i++)
		offend(w, v4(1000 + i), OFFENCE_SLOW);
	assert_false(come(w, v4(1), &second));
	quota_closed(w->q, &w->c, v4(1).bytes, &g, w->now);
	assert_true(come(w, v4(1), &g));
}

/* The table holds nobody who is not there, but turns nobody away for being full itself. */
static void test_more_addresses_with_connections_than_places(void **state)
{
	struct world *w = *state;
	static struct quota_guest g[4 * REMEMBERED];
	size_t counted = 0;

	for (uint32_t i = 0; i < 4 * REMEMBERED; i++) {
		assert_true(come(w, v4(i), &g[i]));
		quota_welcome(w->q, &w->c, v4(i).bytes, &g[i], w->now);
		counted += g[i].counted;
	}
	assert_in_range(counted, REMEMBERED / 2, REMEMBERED);
	for (uint32_t i = 0; i < 4 * REMEMBERED; i++)
		quota_closed(w->q, &w->c, v4(i).bytes, &g[i], w->now);
	for (uint32_t i = 0; i < REMEMBERED / 4; i++) { /* all places are free again */
		assert_true(come(w, v4(i), &g[i]));
		assert_true(g[i].counted);
	}
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000, SHARED = 8 };

static void *come_and_go(void *arg)
{
	struct world *w = arg;
	struct quota_guest g[SHARED];

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct peer p = v4(i % SHARED);
		struct quota_guest *one = &g[i % SHARED];

		if (i >= SHARED)
			quota_closed(w->q, &w->c, p.bytes, one, START + i);
		*one = (struct quota_guest){ 0 };
		quota_accept(w->q, &w->c, p.bytes, one, START + i);
		quota_welcome(w->q, &w->c, p.bytes, one, START + i);
		quota_login(w->q, &w->c, p.bytes, "LTEST000000000001", START + i);
		quota_offence(w->q, &w->c, v4(SHARED + i).bytes, &(struct quota_guest){ 0 },
			      OFFENCE_DEADLINE, START + i);
	}
	for (uint32_t i = 0; i < SHARED; i++)
		quota_closed(w->q, &w->c, v4((ROUNDS + i) % SHARED).bytes,
			     &g[(ROUNDS + i) % SHARED], START + ROUNDS);
	return NULL;
}

static void test_threads_count_together(void **state)
{
	struct world *w = *state;
	pthread_t threads[THREADS];
	struct quota_guest g[3];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, w), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* All have gone, so there is room for exactly as many as the limit says. */
	w->c.limit_source_connections = 2;
	for (uint32_t i = 0; i < SHARED; i++)
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(come(w, v4(i), &g[k]), k < 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)
	static const struct CMUnitTest tests[] = {
		TEST(test_connections_of_an_address_are_bounded),
		TEST(test_an_ipv6_network_is_one_address),
		TEST(test_a_penalty_keeps_out_and_is_forgiven),
		TEST(test_a_penalty_is_bounded),
		TEST(test_every_offence_weighs_and_none_alone_locks_out),
		TEST(test_no_half_life_means_no_penalties),
		TEST(test_one_bad_truck_does_not_lock_out_its_neighbours),
		TEST(test_good_neighbours_vouch_for_a_few_newcomers),
		TEST(test_who_offends_speaks_for_nobody),
		TEST(test_a_fleet_that_was_cut_off_comes_back),
		TEST(test_credit_counts_who_is_there_at_one_time),
		TEST(test_who_is_seen_again_and_again_is_not_forgotten),
		TEST(test_bad_addresses_outlive_a_stream_of_others),
		TEST(test_connections_are_never_forgotten),
		TEST(test_more_addresses_with_connections_than_places),
		TEST(test_threads_count_together),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
