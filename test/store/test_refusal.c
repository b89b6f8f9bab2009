/* What is refused: frames, records that the database does not take, and databases that are not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/store/fixture.h"

enum { NOON = 12 * 3600 };

static void assert_stored(struct fixture *f, struct samples *expected)
{
	struct samples stored;

	fixture_samples(f, &stored);
	assert_samples(&stored, expected);
}

/* Method: refused frames of every verdict, and bytes that are no record. */
static void test_refused_frames_go_to_quarantine(void **state)
{
	struct fixture f;
	struct bytes frame = truck_report(1, COMMAND_REALTIME, BASE_AT + NOON, 10);

	(void)state;
	fixture_open(&f);
	for (unsigned v = 1; v < VERDICT_COUNT; v++)
		fixture_feed(&f, &frame, BASE_AT + NOON, (enum verdict)v);
	frame.bytes[0] = 'X';
	fixture_feed(&f, &frame, BASE_AT + NOON, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(DISTINCT reason) FROM quarantine"),
			 VERDICT_COUNT);
	assert_int_equal(
		fixture_number(&f,
			       "SELECT count(*) FROM quarantine WHERE vin = 'LTEST000000000001'"),
		VERDICT_COUNT - 1);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM vehicle"), 0);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 0);
	fixture_close(&f);
}

/* Method: the database refuses three of two hundred frames, and a VIN; all others get in. */
static void test_poison_is_bisected(void **state)
{
	struct fixture f;
	struct samples expected = { 0 };
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	fixture_execute(&f, "ALTER TABLE track ADD CONSTRAINT poison CHECK (vehicle_id <> 2 OR "
			    "extract(minute FROM "
			    "at) <> 5 OR extract(second FROM at) < 30)");
	fixture_execute(
		&f, "ALTER TABLE vehicle ADD CONSTRAINT poison CHECK (vin <> 'LTEST000000000009')");
	fixture_execute(
		&f,
		"INSERT INTO vehicle (vin) VALUES ('LTEST000000000001'), ('LTEST000000000002')");
	frame = truck_report(9, COMMAND_REALTIME, BASE_AT + NOON, 10);
	fixture_feed(&f, &frame, BASE_AT + NOON + 11, VERDICT_ACCEPTED);
	for (unsigned truck = 1; truck <= 2; truck++) {
		fixture_drive(&f, truck, BASE_AT + NOON, 1000);
		samples_expect(&expected, truck, BASE_AT + NOON, truck == 1 ? 1000 : 330);
	}
	samples_expect(&expected, 2, BASE_AT + NOON + 360, 640);
	fixture_store_all(&f);
	assert_stored(&f, &expected);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM quarantine WHERE reason = 'database' AND "
				   "sqlstate = '23514'"),
		4);
	assert_int_equal(fixture_number(&f, "SELECT sum(samples) FROM vehicle_day"), 1970);
	/* And a restart from the snapshot knows that they are not there. */
	fixture_drive(&f, 2, BASE_AT + NOON + 3900, 60);
	fixture_store_open(&f);
	fixture_wait_stored(&f);
	store_close(f.store, 0);
	f.store = NULL;
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 7);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT sum(samples) FROM vehicle_day"), 2000);
	fixture_close(&f);
}

/* Method: another spool beside a database that has stored more: refused, nothing is skipped. */
static void test_replaced_spool_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, BASE_AT + NOON, 100);
	fixture_execute(&f, "INSERT INTO ingest_position VALUES (1, 1000000000, 1000000000)");
	fixture_store_open(&f);
	store_close(f.store, 500);
	f.store = NULL;
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 0);
	assert_int_equal(fixture_number(&f, "SELECT position FROM ingest_position"), 1000000000);
	fixture_close(&f);
}

/* Method: the position moves while the store runs: somebody else works on it, so it stops. */
static void test_moved_position_is_a_fence(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, BASE_AT + NOON, 100);
	fixture_store_open(&f);
	fixture_wait_stored(&f);
	fixture_execute(&f, "UPDATE ingest_position SET position = position + 1");
	fixture_drive(&f, 1, BASE_AT + NOON + 100, 100);
	store_close(f.store, 1000);
	f.store = NULL;
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 10);
	fixture_close(&f);
}

/* Method: a server that may lose what it committed. */
static void test_unsafe_server_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, BASE_AT + NOON, 20);
	fixture_execute(&f, "ALTER SYSTEM SET full_page_writes = off");
	fixture_execute(&f, "SELECT pg_reload_conf()");
	while (fixture_number(&f, "SELECT (current_setting('full_page_writes') = 'on')::integer") ==
	       1)
		;
	fixture_store_open(&f);
	store_close(f.store, 500);
	f.store = NULL;
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 0);
	fixture_execute(&f, "ALTER SYSTEM RESET full_page_writes");
	fixture_execute(&f, "SELECT pg_reload_conf()");
	while (fixture_number(&f, "SELECT (current_setting('full_page_writes') = 'on')::integer") ==
	       0)
		;
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 2);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_frames_go_to_quarantine),
		cmocka_unit_test(test_poison_is_bisected),
		cmocka_unit_test(test_replaced_spool_is_refused),
		cmocka_unit_test(test_moved_position_is_a_fence),
		cmocka_unit_test(test_unsafe_server_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
