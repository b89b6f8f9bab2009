/* Whatever the order, the cuts, the repetitions, the batches and the restarts: the same result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test/store/traffic.h"

/* The same spool into a fresh database without any cut. */
static void assert_senders_replayed(struct fixture *f)
{
	char *cut = traffic_senders(f), *whole;

	fixture_new_database(f);
	fixture_store_all(f);
	whole = traffic_senders(f);
	assert_string_equal(cut, whole);
	free(cut);
	free(whole);
}

/* Method: the disorderly way, with batches of any size, little memory, and stores that are cut off
 * in the middle without a last checkpoint; compared with the orderly way. */
static void run_seed(uint64_t seed, unsigned disorder)
{
	struct random r = { seed };
	struct fixture f;
	char *derived;

	print_message("seed %llu disorder %u\n", (unsigned long long)seed, disorder);
	fixture_open(&f);
	traffic_disorderly(&f, &r, disorder);
	for (unsigned cut = 0; cut < 4; cut++) {
		const struct timespec pause = { .tv_nsec =
							1000000L * (20 + random_below(&r, 150)) };

		f.config.store_batch_frames = 1 + random_below(&r, 200);
		f.config.store_checkpoint_s = random_below(&r, 2) == 0 ? 1 : 3600;
		f.config.assess_vehicles = random_below(&r, 2) == 0 ? 3 : 1000;
		f.fold_budget = random_below(&r, 2) == 0 ? 1 : 0;
		fixture_store_open(&f);
		nanosleep(&pause, NULL); /* the point of the cut is chance */
		store_close(f.store, 0);
		f.store = NULL;
	}
	fixture_store_all(&f);
	assert_traffic_stored(&f);
	derived = fixture_derived(&f);
	assert_string_equal(derived, traffic_derived());
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 0);
	free(derived);
	assert_senders_replayed(&f);
	fixture_close(&f);
}

static void test_slight_disorder(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_seed(seed, 20);
}

static void test_great_disorder(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 14; seed++)
		run_seed(seed, 2000);
}

/* Method: the spool of a disorderly day into a second, empty database, cut into other transactions;
 * no key is anywhere near. */
static void test_replay_is_equal(void **state)
{
	struct random r = { 21 };
	struct fixture f;
	char *first, *second, *senders, *again;

	(void)state;
	fixture_open(&f);
	traffic_disorderly(&f, &r, 300);
	fixture_store_all(&f);
	first = fixture_derived(&f);
	senders = traffic_senders(&f);
	assert_true(fixture_number(&f, "SELECT count(*) FROM replay") > 50);
	fixture_new_database(&f);
	f.config.store_batch_frames = 33;
	f.config.store_checkpoint_s = 1;
	fixture_store_all(&f);
	second = fixture_derived(&f);
	assert_string_equal(first, second);
	again = traffic_senders(&f);
	assert_string_equal(senders, again);
	free(first);
	free(second);
	free(senders);
	free(again);
	fixture_close(&f);
}

/* Method: a restart from snapshots after every few frames, and one that has to fold all from the
 * table. */
static void test_snapshots_equal_a_full_fold(void **state)
{
	struct random r = { 31 };
	struct fixture f;
	char *derived;

	(void)state;
	fixture_open(&f);
	traffic_orderly(&f);
	f.config.store_batch_frames = 16;
	for (unsigned i = 0; i < 6; i++) {
		const struct timespec pause = { .tv_nsec = 1000000L * (10 + random_below(&r, 80)) };

		f.config.store_checkpoint_s = 1;
		fixture_store_open(&f);
		nanosleep(&pause, NULL);
		store_close(f.store, 0);
		f.store = NULL;
		if (i == 3) /* the states of another program version */
			fixture_execute(&f, "UPDATE assess_snapshot SET version = version + 1");
	}
	fixture_store_all(&f);
	derived = fixture_derived(&f);
	assert_string_equal(derived, traffic_derived());
	free(derived);
	/* Folded from the table alone. */
	fixture_execute(&f,
			"DELETE FROM assess_snapshot; DELETE FROM vehicle_day; DELETE FROM passage;"
			"UPDATE ingest_position SET snapshot_position = 0");
	fixture_store_all(&f);
	derived = fixture_derived(&f);
	assert_string_equal(derived, traffic_derived());
	free(derived);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slight_disorder),
		cmocka_unit_test(test_great_disorder),
		cmocka_unit_test(test_replay_is_equal),
		cmocka_unit_test(test_snapshots_equal_a_full_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
