/* Two gateways, one database: a truck that changes between them is assessed as if there were one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/store/fixture.h"

enum { NOON = 12 * 3600, DRIVE_S = 1500, TRUCKS = 6 };

/* A second gateway beside the first: its own spool, the same database. */
static void second_open(struct fixture *g, const struct fixture *f)
{
	*g = *f;
	g->config.gateway_id = 2;
	g->config.store_conninfo = g->gateway;
	g->conn = PQconnectdb(g->owner);
	snprintf(g->dir, sizeof(g->dir), "/tmp/haulgate-store.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	fixture_spool_open(g);
}

static void second_close(struct fixture *g)
{
	char line[128];

	PQfinish(g->conn);
	fixture_spool_close(g);
	snprintf(line, sizeof(line), "rm -rf '%s'", g->dir);
	assert_int_equal(system(line), 0);
}

static void feed(struct fixture *f, unsigned truck, unsigned second)
{
	const struct bytes frame =
		truck_report(truck, COMMAND_REALTIME, BASE_AT + NOON + second, 10);

	fixture_feed(f, &frame, BASE_AT + NOON + second + 11, VERDICT_ACCEPTED);
}

/* Everything in order through one gateway. */
static char *expected_derived(void)
{
	struct fixture f;
	char *derived;

	fixture_open(&f);
	for (unsigned second = 0; second < DRIVE_S; second += 10)
		for (unsigned truck = 1; truck <= TRUCKS; truck++)
			feed(&f, truck, second);
	fixture_store_all(&f);
	derived = fixture_derived(&f);
	fixture_close(&f);
	return derived;
}

static void assert_all_stored_once(struct fixture *f)
{
	struct samples stored, expected = { 0 };

	for (unsigned truck = 1; truck <= TRUCKS; truck++)
		samples_expect(&expected, truck, BASE_AT + NOON, DRIVE_S);
	fixture_samples(f, &stored);
	assert_samples(&stored, &expected);
}

static void compare(struct fixture *f)
{
	char *derived = fixture_derived(f), *expected = expected_derived();

	assert_all_stored_once(f);
	assert_string_equal(derived, expected);
	free(derived);
	free(expected);
}

/* Method: both stores work at once; each truck changes the gateway every minute, and resends what
 * it sent to the other one last. */
static void test_trucks_change_gateways(void **state)
{
	struct fixture f, g;

	(void)state;
	fixture_open(&f);
	second_open(&g, &f);
	f.config.store_checkpoint_s = g.config.store_checkpoint_s = 1;
	f.config.store_batch_frames = g.config.store_batch_frames = 10;
	fixture_store_open(&f);
	fixture_store_open(&g);
	for (unsigned second = 0; second < DRIVE_S; second += 10)
		for (unsigned truck = 1; truck <= TRUCKS; truck++) {
			struct fixture *here = (second / 60 + truck) % 2 == 0 ? &f : &g;

			if (second % 60 == 0 && second > 0 && truck % 2 == 0)
				feed(here, truck, second - 10);
			feed(here, truck, second);
		}
	fixture_store_close(&f);
	fixture_store_close(&g);
	compare(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(DISTINCT gateway_id) FROM track"), 2);
	second_close(&g);
	fixture_close(&f);
}

/* Method: the same frames to both, which start at once: each second is stored by one of them. */
static void test_same_frames_to_both(void **state)
{
	struct fixture f, g;

	(void)state;
	fixture_open(&f);
	second_open(&g, &f);
	f.config.store_batch_frames = g.config.store_batch_frames = 50;
	for (unsigned second = 0; second < DRIVE_S; second += 10)
		for (unsigned truck = 1; truck <= TRUCKS; truck++) {
			feed(&f, truck, second);
			feed(&g, truck, second);
		}
	fixture_store_open(&f);
	fixture_store_open(&g);
	fixture_store_close(&f);
	fixture_store_close(&g);
	compare(&f);
	second_close(&g);
	fixture_close(&f);
}

/* Method: a second store with the same number: it waits, and takes over when the first one ends. */
static void test_one_store_for_a_number(void **state)
{
	struct fixture f, g;

	(void)state;
	fixture_open(&f);
	feed(&f, 1, 0);
	fixture_store_open(&f);
	fixture_wait_stored(&f);
	second_open(&g, &f);
	g.config.gateway_id = 1;
	g.metrics = NULL;
	assert_int_equal(metrics_open(NULL, 1, &g.metrics, NULL), 0);
	feed(&g, 2, 0);
	fixture_store_open(&g);
	store_close(g.store, 1000);
	g.store = NULL;
	assert_int_equal(metrics_read(g.metrics, METRIC_store_batches_total), 0);
	fixture_store_close(&f);
	metrics_close(g.metrics);
	second_close(&g);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trucks_change_gateways),
		cmocka_unit_test(test_same_frames_to_both),
		cmocka_unit_test(test_one_store_for_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
