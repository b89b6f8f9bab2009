/* The store end to end: a real spool, a real database, and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/store/fixture.h"

enum { NOON = 12 * 3600, DRIVE_S = 1500 };

static void assert_stored(struct fixture *f, struct samples *expected)
{
	struct samples stored;

	fixture_samples(f, &stored);
	assert_samples(&stored, expected);
}

/* Method: two trucks drive, one of them dirty; everything that follows from it is looked up. */
static void test_frames_become_rows_and_findings(void **state)
{
	struct fixture f;
	struct samples expected = { 0 };
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	frame = truck_login(1, BASE_AT + NOON - 5, 1);
	fixture_feed(&f, &frame, BASE_AT + NOON - 4, VERDICT_ACCEPTED);
	for (unsigned truck = 1; truck <= 2; truck++) {
		fixture_drive(&f, truck, BASE_AT + NOON, DRIVE_S);
		samples_expect(&expected, truck, BASE_AT + NOON, DRIVE_S);
	}
	fixture_store_all(&f);
	assert_stored(&f, &expected);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 2 * DRIVE_S / 10);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track_odd"), 0);
	assert_int_equal(
		fixture_number(&f,
			       "SELECT count(*) FROM track_20261120 WHERE lon_e6 IS NOT NULL AND "
			       "nox_mg > 0 AND sample_count = 10 AND span_s = 9"),
		2 * DRIVE_S / 10);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM vehicle WHERE state = 'provisional'"), 2);
	assert_int_equal(
		fixture_number(&f,
			       "SELECT count(*) FROM terminal WHERE layout = 1 AND protocol = 1"),
		2);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM terminal WHERE iccid LIKE '8986%'"), 1);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM terminal_event WHERE kind = 'login'"), 1);
	assert_int_equal(fixture_number(&f, "SELECT sum(samples) FROM vehicle_day"), 2 * DRIVE_S);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM passage WHERE route_id = 7"), 2);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 1);
	assert_int_equal(
		fixture_number(&f,
			       "SELECT count(*) FROM finding JOIN vehicle v ON v.id = vehicle_id "
			       "WHERE vin = 'LTEST000000000001' AND rule_id = 'nox_high' AND "
			       "revision = 1 AND finding.state = 'open' AND division_id = 211302"),
		1);
	/* Evidence: each frame of the finding and of the minute before it, byte for byte. */
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM track t JOIN finding g USING (vehicle_id) "
				   "WHERE t.at BETWEEN from_at - interval '60 s' AND to_at"),
		fixture_number(&f, "SELECT count(*) FROM evidence WHERE substr(raw, 1, 2) = '##'"));
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM assess_snapshot"), 2);
	assert_int_equal(metrics_read(f.metrics, METRIC_store_samples_total), 2 * DRIVE_S);
	assert_int_equal(metrics_read(f.metrics, METRIC_assess_findings_total), 1);
	fixture_close(&f);
}

/* Method: the same frame as 02 and as 03, within a batch and after a restart. */
static void test_resend_is_one_row(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;
	struct samples expected = { 0 };

	(void)state;
	fixture_open(&f);
	for (int round = 0; round < 2; round++) {
		for (uint8_t command = COMMAND_REALTIME; command <= COMMAND_SUPPLEMENT; command++) {
			const struct bytes frame = truck_report(1, command, at, 10);

			fixture_feed(&f, &frame, at + 11, VERDICT_ACCEPTED);
		}
		fixture_store_all(&f);
	}
	samples_expect(&expected, 1, at, 10);
	assert_stored(&f, &expected);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 1);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 0);
	assert_int_equal(fixture_number(&f, "SELECT revision FROM vehicle_day"), 1);
	assert_int_equal(metrics_read(f.metrics, METRIC_store_duplicate_samples_total), 30);
	fixture_close(&f);
}

/* Method: a supplement cut at other seconds than the frames that were lost: only what is new is
 * stored. */
static void test_regrouped_supplement_adds_only_new_seconds(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;
	struct samples expected = { 0 };
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, at, 30);
	fixture_drive(&f, 1, at + 60, 30);
	frame = truck_report(1, COMMAND_SUPPLEMENT, at + 25, 40); /* 25 .. 64; new are 30 .. 59 */
	fixture_feed(&f, &frame, at + 200, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	samples_expect(&expected, 1, at, 90);
	assert_stored(&f, &expected);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 7);
	assert_int_equal(fixture_number(&f, "SELECT sum(sample_count) FROM track"), 90);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track WHERE quirks & 256 <> 0"),
			 1);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 90);
	fixture_close(&f);
}

/* Method: other bytes for a second that is stored: the first stay, the frame is set aside. */
static void test_conflict_keeps_the_first(void **state)
{
	const int64_t at = BASE_AT + NOON;
	uint8_t unit[64], body[STREAM_SIZE];
	struct fixture f;
	struct samples expected = { 0 };
	struct unit_writer w;
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, at, 20);
	truck_body(2, at + 5, body);
	unit_start(&w, LAYOUT_A, at + 5, 1, unit, sizeof(unit));
	unit_block(&w, INFO_STREAM, at + 5, 1, body, sizeof(body));
	frame = truck_unit(1, COMMAND_REALTIME, unit, w.size);
	fixture_feed(&f, &frame, at + 30, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	samples_expect(&expected, 1, at, 20);
	assert_stored(&f, &expected);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM quarantine WHERE reason = 'conflict' AND "
				   "sqlstate IS NULL AND vin = 'LTEST000000000001'"),
		1);
	fixture_close(&f);
}

/* Method: OBD reports in seconds that stream frames have told of, before and after; none is lost.
 */
static void test_types_share_a_second(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	for (int round = 0; round < 2; round++) {
		frame = truck_obd(1, at + 100 * round, true); /* first of its second */
		fixture_feed(&f, &frame, at + 300, VERDICT_ACCEPTED);
		fixture_drive(&f, 1, at + 100 * round, 20);
		frame = truck_obd(1, at + 100 * round + 19, true); /* behind, in the last second */
		fixture_feed(&f, &frame, at + 300, VERDICT_ACCEPTED);
		frame = truck_obd(1, at + 100 * round + 10,
				  true); /* late, in a second where a row begins */
		fixture_feed(&f, &frame, at + 300, VERDICT_ACCEPTED);
		fixture_feed(&f, &frame, at + 301, VERDICT_ACCEPTED);
		fixture_store_all(&f);
	}
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 10);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track WHERE part = 1"), 4);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 0);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 40);
	assert_int_equal(
		fixture_number(
			&f, "SELECT count(*) FROM obd_state WHERE mil AND dtc[1] LIKE 'SPN%' AND "
			    "last_at - first_at = interval '119 s'"),
		1);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM finding WHERE rule_id = 'mil_nox_dtc'"),
		1);
	fixture_close(&f);
}

/* Method: an OBD report from the middle of what is stored, twice, when its type is new to the last
 * second. */
static void test_late_type_is_late(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;
	const struct bytes frame = truck_obd(1, at + 15, true);
	struct bytes second;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, at, 30);
	fixture_store_all(&f);
	for (int i = 0; i < 2; i++) {
		fixture_feed(&f, &frame, at + 40, VERDICT_ACCEPTED);
		fixture_store_all(&f);
	}
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 4);
	assert_int_equal(
		fixture_number(&f,
			       "SELECT count(*) FROM track WHERE part = 1 AND quirks & 256 <> 0"),
		1);
	/* And one that does continue the day, in a second that is a row of its own. */
	second = truck_report(1, COMMAND_REALTIME, at + 40, 1);
	fixture_feed(&f, &second, at + 42, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	second = truck_obd(1, at + 40, true);
	fixture_feed(&f, &second, at + 42, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track WHERE part = 1"), 2);
	assert_int_equal(metrics_read(f.metrics, METRIC_store_retries_total), 0);
	fixture_close(&f);
}

/* Method: one frame from 23:59:55 to 00:00:05. */
static void test_midnight_splits_the_day_but_not_the_row(void **state)
{
	const int64_t midnight = BASE_AT + 86400;
	struct fixture f;
	struct samples expected = { 0 };
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, midnight - 25, 40);
	frame = truck_report(1, COMMAND_SUPPLEMENT, midnight - 5, 10); /* stored already */
	fixture_feed(&f, &frame, midnight + 30, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	samples_expect(&expected, 1, midnight - 25, 40);
	assert_stored(&f, &expected);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 4);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day ORDER BY day LIMIT 1"),
			 25);
	assert_int_equal(
		fixture_number(&f, "SELECT samples FROM vehicle_day ORDER BY day DESC LIMIT 1"),
		15);
	/* What a fold from the table makes of it is the same. */
	fixture_execute(&f, "DELETE FROM assess_snapshot; DELETE FROM vehicle_day");
	frame = truck_report(1, COMMAND_REALTIME, midnight + 15, 10);
	fixture_feed(&f, &frame, midnight + 40, VERDICT_ACCEPTED);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 25);
	fixture_close(&f);
}

/* Method: a clock in the year 2000: kept, twice the same once, assessed never. */
static void test_faulty_clock_is_kept_and_not_assessed(void **state)
{
	struct fixture f;
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	for (int i = 0; i < 2; i++) {
		frame = truck_report(1, COMMAND_REALTIME, 946684800, 10);
		fixture_feed(&f, &frame, BASE_AT + NOON, VERDICT_ACCEPTED);
		frame = truck_report(1, COMMAND_REALTIME, 946684800,
				     9); /* the next start of the truck */
		fixture_feed(&f, &frame, BASE_AT + NOON, VERDICT_ACCEPTED);
		fixture_drive(&f, 1, BASE_AT + NOON + 20 * i, 20);
	}
	fixture_store_all(&f);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM track_odd WHERE quirks & 32 <> 0"), 2);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), 6);
	assert_int_equal(fixture_number(&f, "SELECT sum(samples) FROM vehicle_day"), 40);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM vehicle_day"), 1);
	fixture_close(&f);
}

/* Method: what grows in order stays revision 1; what late data change is superseded. */
static void test_late_data_supersede(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, at, DRIVE_S);
	fixture_store_all(&f);
	fixture_drive(&f, 1, at + DRIVE_S, 300);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 1);
	assert_int_equal(fixture_number(&f, "SELECT revision FROM finding"), 1);
	assert_int_equal(fixture_number(&f, "SELECT revision FROM vehicle_day"), 1);
	fixture_drive(&f, 1, at - 600, 600); /* earlier than all */
	fixture_store_all(&f);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM finding WHERE state = 'superseded' AND "
				   "revision = 1"),
		1);
	assert_int_equal(fixture_number(&f, "SELECT revision FROM finding WHERE state = 'open'"),
			 2);
	assert_int_equal(fixture_number(&f, "SELECT revision FROM vehicle_day"), 2);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), DRIVE_S + 900);
	assert_true(metrics_read(f.metrics, METRIC_assess_days_reassessed_total) > 0);
	fixture_close(&f);
}

/* Method: late data of several days in one batch that may fold one of them: the others follow. */
static void test_deferred_days_supersede(void **state)
{
	const int64_t at = BASE_AT + NOON;
	struct fixture f;

	(void)state;
	fixture_open(&f);
	f.fold_budget = 1;
	f.config.store_batch_ms = 1000;
	for (unsigned truck = 1; truck <= 7; truck += 3)
		fixture_drive(&f, truck, at, DRIVE_S);
	fixture_store_all(&f);
	for (unsigned truck = 1; truck <= 7; truck += 3)
		fixture_drive(&f, truck, at - 600, 600);
	fixture_store_all(&f);
	assert_int_equal(
		fixture_number(
			&f, "SELECT count(*) FROM finding WHERE state = 'open' AND revision = 2"),
		3);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM finding WHERE state = 'superseded'"), 3);
	assert_int_equal(
		fixture_number(
			&f,
			"SELECT count(*) FROM vehicle_day WHERE revision = 2 AND samples = 2100"),
		3);
	fixture_close(&f);
}

/* Method: more vehicle-days than fit in memory, touched round after round. */
static void test_bounded_days_in_memory(void **state)
{
	struct fixture f;
	char *bounded, *roomy;

	(void)state;
	fixture_open(&f);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned truck = 1; truck <= 12; truck++)
			fixture_drive(&f, truck, BASE_AT + NOON + round * 30, 30);
	f.config.assess_vehicles = 5;
	f.config.store_batch_frames = 7;
	fixture_store_all(&f);
	bounded = fixture_derived(&f);
	fixture_new_database(&f);
	f.config.assess_vehicles = 1000;
	fixture_store_all(&f);
	roomy = fixture_derived(&f);
	assert_string_equal(bounded, roomy);
	free(bounded);
	free(roomy);
	fixture_close(&f);
}

/* Method: a finding opens behind the last checkpoint, the process goes, another one goes on with
 * it. */
static void test_finding_younger_than_the_snapshot(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, BASE_AT + NOON, 300);
	fixture_store_all(&f);
	fixture_drive(&f, 1, BASE_AT + NOON + 300, DRIVE_S);
	fixture_store_open(&f);
	fixture_wait_stored(&f);
	store_close(f.store, 0);
	f.store = NULL;
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 1);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 300);
	fixture_drive(&f, 1, BASE_AT + NOON + 300 + DRIVE_S, 100);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding WHERE revision = 1"), 1);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 1);
	assert_int_equal(fixture_number(&f, "SELECT samples FROM vehicle_day"), 400 + DRIVE_S);
	assert_int_equal(metrics_read(f.metrics, METRIC_store_retries_total), 0);
	fixture_close(&f);
}

/* Method: a stricter version of a rule: the day is judged by it when it is touched next. */
static void test_new_rule_version_supersedes(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_drive(&f, 1, BASE_AT + NOON, DRIVE_S);
	fixture_drive(&f, 2, BASE_AT + NOON, DRIVE_S);
	fixture_store_all(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 1);
	fixture_execute(&f,
			"INSERT INTO rule (rule_id, version, label, doc, severity, parameters) "
			"SELECT rule_id, 2, "
			"label, doc, severity, '{\"nox_ppm\": 50, \"duration_s\": 60}' FROM rule "
			"WHERE rule_id = 'nox_high'");
	fixture_drive(&f, 1, BASE_AT + NOON + DRIVE_S, 10);
	fixture_drive(&f, 2, BASE_AT + NOON + DRIVE_S, 10);
	fixture_store_all(&f);
	assert_int_equal(
		fixture_number(
			&f,
			"SELECT count(*) FROM finding WHERE state = 'open' AND rule_version = 2"),
		2);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM finding WHERE state = 'superseded' AND "
				   "rule_version = 1"),
		1);
	assert_int_equal(fixture_number(&f, "SELECT sum(samples) FROM vehicle_day"),
			 2 * DRIVE_S + 20);
	fixture_close(&f);
}

/* Method: vehicles of every state that report are found, and none is made twice. */
static void test_registered_vehicles_are_found(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_execute(
		&f, "INSERT INTO vehicle (vin, state) VALUES ('LTEST000000000001', 'registered'), "
		    "('LTEST000000000002', 'retired'), ('LTEST000000000005', 'blocked')");
	for (unsigned truck = 1; truck <= 3; truck++)
		fixture_drive(&f, truck, BASE_AT + NOON, 20);
	fixture_store_all(&f);
	assert_rows(&f,
		    "SELECT vin, state, count(t.at) FROM vehicle v LEFT JOIN track t ON "
		    "t.vehicle_id = v.id GROUP BY 1, 2 ORDER BY 1",
		    "LTEST000000000001|registered|2\nLTEST000000000002|retired|2\n"
		    "LTEST000000000003|provisional|2\nLTEST000000000005|blocked|0\n");
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_become_rows_and_findings),
		cmocka_unit_test(test_resend_is_one_row),
		cmocka_unit_test(test_regrouped_supplement_adds_only_new_seconds),
		cmocka_unit_test(test_conflict_keeps_the_first),
		cmocka_unit_test(test_types_share_a_second),
		cmocka_unit_test(test_late_type_is_late),
		cmocka_unit_test(test_midnight_splits_the_day_but_not_the_row),
		cmocka_unit_test(test_faulty_clock_is_kept_and_not_assessed),
		cmocka_unit_test(test_late_data_supersede),
		cmocka_unit_test(test_deferred_days_supersede),
		cmocka_unit_test(test_bounded_days_in_memory),
		cmocka_unit_test(test_finding_younger_than_the_snapshot),
		cmocka_unit_test(test_new_rule_version_supersedes),
		cmocka_unit_test(test_registered_vehicles_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
