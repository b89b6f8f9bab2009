/* Who sent a frame: replays, platforms, and keys that terminals bring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/store/records.h"

enum { NOON = 12 * 3600, AT_S = 10 };
#define NOON_AT (BASE_AT + NOON)

/* ---- replays ---- */

/* A sender: what the record says of it. */
struct sender {
	uint64_t credential;
	unsigned signature;
	uint64_t platform;
};
static const struct sender senders[] = {
	{ 0, SIGNATURE_NONE, 0 },
	{ 5 * 4 + CREDENTIAL_KEY, SIGNATURE_VALID, 0 },
	{ 5 * 4 + CREDENTIAL_CERTIFICATE, SIGNATURE_SKIPPED, 0 },
	{ 9 * 4 + CREDENTIAL_PLATFORM, SIGNATURE_NONE, 9 },
	{ 0, SIGNATURE_SKIPPED, 0 }, /* may be anybody */
	{ 9 * 4 + CREDENTIAL_PLATFORM, SIGNATURE_SKIPPED, 9 },
	{ 5 * 4 + CREDENTIAL_KEY, SIGNATURE_VALID, 9 },
	{ 6 * 4 + CREDENTIAL_KEY, SIGNATURE_VALID, 9 },
	{ 5 * 4 + CREDENTIAL_KEY, SIGNATURE_VALID, 10 },
	{ 10 * 4 + CREDENTIAL_PLATFORM, SIGNATURE_SKIPPED, 10 },
};
enum { SENDERS = sizeof(senders) / sizeof(senders[0]) };

/* Which of them, who comes later, is somebody else than who came first. */
static const char somebody_else[SENDERS][SENDERS + 1] = {
	".xxx.xxxxx", /* nothing was proved */
	"x.xx.xxxxx", /* key 5 */
	"xx.x.xxxxx", /* certificate 5 */
	"xxx.x...xx", /* platform 9 */
	"...x.xxxxx", /* a signature that nobody checked */
	"xxx.x...xx", /* platform 9, one that nobody checked */
	"xxx.x..xxx", /* platform 9, key 5 */
	"xxx.x.x.xx", /* platform 9, key 6 */
	"xxxxxxxx..", /* platform 10, key 5 */
	"xxxxxxxx..", /* platform 10, one that nobody checked */
};

static void feed_from(struct fixture *f, const struct bytes *frame, int64_t received_at,
		      const struct sender *sender, uint8_t host)
{
	const struct peer peer = peer_at(host);
	Haulgate__FrameRecord r = record_of(frame, received_at);

	record_from(&r, &peer, sender->credential);
	r.signature = sender->signature;
	r.platform = sender->platform;
	record_feed(f, &r);
}

static unsigned pair_truck(unsigned first, unsigned later)
{
	return 3 * (first * SENDERS + later) + 2; /* no violators */
}

static void feed_pair(struct fixture *f, unsigned first, unsigned later, unsigned who)
{
	const struct bytes frame =
		truck_report(pair_truck(first, later), COMMAND_REALTIME, NOON_AT, AT_S);

	feed_from(f, &frame, NOON_AT + 20, &senders[who], (uint8_t)(who + 1));
}

static void assert_pairs(struct fixture *f)
{
	unsigned all = 0;

	for (unsigned first = 0; first < SENDERS; first++)
		for (unsigned later = 0; later < SENDERS; later++) {
			const bool flagged = somebody_else[first][later] == 'x';
			char sql[400];

			snprintf(sql, sizeof(sql),
				 "SELECT count(*) FROM replay r JOIN vehicle v ON v.id = "
				 "vehicle_id WHERE vin = 'LTEST%012u' AND samples = 10 AND "
				 "coalesce(credential, 0) = %llu AND "
				 "coalesce(first_credential, 0) = %llu AND "
				 "coalesce(platform, 0) = %llu AND "
				 "coalesce(first_platform, 0) = %llu AND "
				 "peer = '192.0.2.%u' AND r.at = to_timestamp(%lld)",
				 pair_truck(first, later),
				 (unsigned long long)senders[later].credential,
				 (unsigned long long)senders[first].credential,
				 (unsigned long long)senders[later].platform,
				 (unsigned long long)senders[first].platform, later + 1,
				 (long long)NOON_AT);
			assert_int_equal(fixture_number(f, sql), flagged);
			all += flagged;
		}
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM replay"), all);
	assert_int_equal(metrics_read(f->metrics, METRIC_replays_total), all * 10);
}

/* Method: each frame twice, from each pair of senders; the second in the same transaction, or after
 * a restart.  Nothing but the flag tells that it came twice. */
static void run_pairs(bool at_once)
{
	struct fixture f;

	fixture_open(&f);
	for (unsigned first = 0; first < SENDERS; first++)
		for (unsigned later = 0; later < SENDERS; later++)
			feed_pair(&f, first, later, first);
	if (!at_once)
		fixture_store_all(&f);
	for (unsigned first = 0; first < SENDERS; first++)
		for (unsigned later = 0; later < SENDERS; later++)
			feed_pair(&f, first, later, later);
	fixture_store_all(&f);
	assert_pairs(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track"), SENDERS * SENDERS);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 0);
	assert_int_equal(fixture_number(&f, "SELECT sum(revision) FROM vehicle_day"),
			 SENDERS * SENDERS);
	assert_rows(&f,
		    "SELECT platform, count(DISTINCT credential), count(*) FROM track GROUP BY 1 "
		    "ORDER BY 1",
		    "9|3|40\n10|2|20\n|2|40\n");
	fixture_close(&f);
}

/* Method: the same in a batch of which the database refuses a record, so that its transaction is
 * tried several times: nothing is counted twice. */
static void test_a_repeated_transaction_counts_once(void **state)
{
	const struct sender *platform = &senders[3];
	struct fixture f;
	struct bytes frame;

	(void)state;
	fixture_open(&f);
	fixture_execute(&f, "INSERT INTO vehicle (vin) VALUES ('LTEST000000000999')");
	fixture_execute(&f, "ALTER TABLE track ADD CONSTRAINT poison CHECK (vehicle_id <> 1)");
	for (unsigned i = 0; i < 2; i++)
		for (unsigned who = 1; who <= 3; who += 2) {
			frame = truck_report(2, COMMAND_REALTIME, NOON_AT + i * 60, AT_S);
			feed_from(&f, &frame, NOON_AT + i * 60 + AT_S, &senders[who], 1);
		}
	frame = truck_report(999, COMMAND_REALTIME, NOON_AT, AT_S);
	feed_from(&f, &frame, NOON_AT + AT_S, platform, 1);
	fixture_store_all(&f);
	assert_rows(&f, "SELECT reason FROM quarantine", "database\n");
	assert_rows(&f, "SELECT samples FROM replay", "10\n10\n");
	assert_rows(&f,
		    "SELECT vin, frames, duplicates, refused, serials, lost FROM "
		    "platform_vehicle_quality JOIN vehicle v ON v.id = vehicle_id ORDER BY 1",
		    "LTEST000000000002|0|2|0|20|50\nLTEST000000000999|0|0|1|0|\n");
	assert_int_equal(metrics_read(f.metrics, METRIC_replays_total), 20);
	fixture_close(&f);
}

static void test_replays_of_each_pair(void **state)
{
	(void)state;
	run_pairs(true);
	run_pairs(false);
}

/* Method: from another sender comes a supplement that overlaps midnight and what is stored by ten
 * seconds, one of them with other content: the new seconds are stored as its own, nine are flagged.
 */
static void test_replay_within_a_supplement(void **state)
{
	const int64_t midnight = BASE_AT + 86400, at = midnight - 5;
	const struct bytes stored = truck_report(2, COMMAND_REALTIME, at, AT_S);
	struct bytes again = truck_report(2, COMMAND_SUPPLEMENT, at - 10, 30);
	const size_t body = 24 + 6 + 12 * (1 + 2 + STREAM_SIZE) + 3; /* of the thirteenth */
	struct fixture f;
	char expected[80];

	(void)state;
	again.bytes[body]++;
	again.bytes[again.size - 1] ^= (uint8_t)(again.bytes[body] ^ (again.bytes[body] - 1));
	snprintf(expected, sizeof(expected), "%lld|9|39|21|192.0.2.77\n", (long long)at);
	fixture_open(&f);
	feed_from(&f, &stored, midnight + 6, &senders[1], 1);
	feed_from(&f, &again, midnight + 60, &senders[3], 77);
	fixture_store_all(&f);
	assert_rows(&f,
		    "SELECT extract(epoch FROM at)::bigint, samples, credential, first_credential, "
		    "peer FROM replay",
		    expected);
	assert_rows(&f, "SELECT credential, sum(sample_count) FROM track GROUP BY 1 ORDER BY 1",
		    "21|10\n39|20\n");
	assert_rows(&f, "SELECT reason FROM quarantine", "conflict\n");
	fixture_close(&f);
}

/* ---- platforms ---- */

#define PLATFORM_DAYS                                                                              \
	"SELECT platform_id, vin, day, frames, supplements, duplicates, refused, serials, "        \
	"first_serial, last_serial, delay_ms_sum, delay_ms_max, delay_frames FROM "                \
	"platform_vehicle_quality JOIN vehicle v ON v.id = vehicle_id ORDER BY 1, 2, 3"

/* The truck signs; every second packet is among those that are checked. */
static void feed_packet(struct fixture *f, uint8_t command, unsigned t, uint16_t serial,
			unsigned delay, enum verdict verdict)
{
	const struct bytes frame = truck_packet(2, command, NOON_AT + t, AT_S, serial, NULL);
	Haulgate__FrameRecord r = record_of(&frame, NOON_AT + t + AT_S + delay);

	record_by_platform(&r, 9);
	r.signature = SIGNATURE_SKIPPED;
	if (serial % 2 == 0) {
		r.signature = SIGNATURE_VALID;
		r.credential = credential(CREDENTIAL_KEY, 5);
	}
	r.verdict = verdict;
	record_feed(f, &r);
}

static void feed_deliveries(struct fixture *f)
{
	struct bytes frame;
	Haulgate__FrameRecord r;

	feed_packet(f, COMMAND_REALTIME, 0, 4, 1, VERDICT_ACCEPTED);
	feed_packet(f, COMMAND_REALTIME, 10, 5, 3, VERDICT_ACCEPTED);
	feed_packet(f, COMMAND_REALTIME, 10, 5, 4, VERDICT_ACCEPTED); /* no answer came */
	feed_packet(f, COMMAND_REALTIME, 40, 8, 0, VERDICT_ACCEPTED);
	feed_packet(f, COMMAND_SUPPLEMENT, 30, 7, 50000, VERDICT_ACCEPTED); /* on the next day */
	feed_packet(f, COMMAND_REALTIME, 50, 9, 1, VERDICT_BAD_UNIT);
	/* Two blocks with a serial each, and the terminal's clock ahead of ours. */
	frame = truck_report(5, COMMAND_REALTIME, NOON_AT + 5, 2);
	r = record_of(&frame, NOON_AT);
	record_by_platform(&r, 9);
	record_feed(f, &r);
	/* A truck of no platform, and one that nobody knows. */
	frame = truck_report(8, COMMAND_REALTIME, NOON_AT, AT_S);
	fixture_feed(f, &frame, NOON_AT + 11, VERDICT_ACCEPTED);
	frame = truck_report(11, COMMAND_REALTIME, NOON_AT, AT_S);
	r = record_of(&frame, NOON_AT);
	record_by_platform(&r, 9);
	r.verdict = VERDICT_NOT_THEIRS;
	record_feed(f, &r);
}

/* Method: what a platform delivers, counted by hand; then the spool again into another database,
 * record by record. */
static void test_platform_days(void **state)
{
	static const char expected[] = "9|LTEST000000000002|2026-11-20|4|1|1|1|4|4|8|4000|3000|3\n"
				       "9|LTEST000000000005|2026-11-20|1|0|0|0|2|7205|7206|0|0|1\n";
	struct fixture f;

	(void)state;
	fixture_open(&f);
	feed_deliveries(&f);
	fixture_store_all(&f);
	assert_rows(&f, PLATFORM_DAYS, expected);
	fixture_store_all(&f); /* nothing new */
	assert_rows(&f, PLATFORM_DAYS, expected);
	fixture_new_database(&f);
	f.config.store_batch_frames = 1;
	fixture_store_all(&f);
	assert_rows(&f, PLATFORM_DAYS, expected);
	fixture_close(&f);
}

/* platform 0: by the truck itself. */
static void feed_serial(struct fixture *f, uint64_t platform, unsigned truck, int64_t at,
			unsigned count, uint16_t serial)
{
	const struct bytes frame = truck_packet(truck, COMMAND_REALTIME, at, count, serial, NULL);
	Haulgate__FrameRecord r = record_of(&frame, NOON_AT + 3600);

	if (platform != 0)
		record_by_platform(&r, platform);
	record_feed(f, &r);
}

static void feed_serials(struct fixture *f)
{
	static const uint16_t ends[] = { 2047, 2048, SERIAL_MAX, 0xFFFE, 0xFFFF };
	const int64_t year_2000 = 946684800;

	/* The truck is quicker with each second packet; two of them platform 9 never brings. */
	for (uint16_t serial = 1; serial <= 10; serial++) {
		const int64_t at = NOON_AT + 60 * serial;
		const bool brought = serial != 4 && serial != 5;

		if (brought && serial % 2 != 0)
			feed_serial(f, 9, 2, at, AT_S, serial);
		feed_serial(f, 0, 2, at, AT_S, serial);
		if (brought && serial % 2 == 0)
			feed_serial(f, 9, 2, at, AT_S, serial);
		feed_serial(f, 10, 2, at, AT_S, serial);
	}
	/* One cut in two, one of a clock that is wrong, again and again, and one behind a gap. */
	feed_serial(f, 9, 2, NOON_AT + 60 * 11, AT_S, 11);
	feed_serial(f, 9, 2, NOON_AT + 60 * 11 + AT_S, AT_S, 11);
	for (unsigned i = 0; i < 3; i++)
		feed_serial(f, 9, 2, year_2000, AT_S, 12);
	feed_serial(f, 9, 2, NOON_AT + 60 * 20, AT_S, 20);
	/* The ends of a page, the last of all, and what is none. */
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		feed_serial(f, 9, 5, NOON_AT + 60 * i, AT_S, ends[i]);
}

/* Method: what two platforms and the truck itself deliver of the same packets; then the spool again
 * into another database, record by record. */
static void test_serials_of_all_that_came(void **state)
{
	static const char sql[] = "SELECT platform_id, vin, serials, first_serial, last_serial, "
				  "expected, lost, frames, duplicates, delay_frames FROM "
				  "platform_vehicle_quality JOIN vehicle v ON "
				  "v.id = vehicle_id ORDER BY 1, 2",
			  expected[] = "9|LTEST000000000002|11|1|20|20|9|8|6|11\n"
				       "9|LTEST000000000005|3|2047|65531|63485|63482|5|0|5\n"
				       "10|LTEST000000000002|10|1|10|10|0|0|10|10\n";
	struct fixture f;

	(void)state;
	fixture_open(&f);
	feed_serials(&f);
	fixture_store_all(&f);
	assert_rows(&f, sql, expected);
	assert_rows(&f,
		    "SELECT page FROM platform_serial JOIN vehicle v ON v.id = vehicle_id "
		    "WHERE vin = 'LTEST000000000005' ORDER BY 1",
		    "0\n1\n31\n");
	fixture_new_database(&f);
	f.config.store_batch_frames = 1;
	fixture_store_all(&f);
	assert_rows(&f, sql, expected);
	fixture_close(&f);
}

/* ---- activation ---- */

#define KEYS                                                                                       \
	"SELECT vin, chip_id, algorithm, origin, k.state, get_byte(public_key, 0), "               \
	"extract(epoch FROM k.valid_from)::bigint FROM terminal_key k JOIN vehicle v ON "          \
	"v.id = vehicle_id ORDER BY k.id"
#define ACTIVATIONS                                                                                \
	"SELECT vin, detail->>'chip_id', detail->>'outcome' FROM terminal_event JOIN vehicle v "   \
	"ON v.id = vehicle_id WHERE kind = 'activation' ORDER BY position"

static void feed_activation(struct fixture *f, unsigned truck, const char *chip, uint8_t key,
			    int64_t received_at, unsigned signature, unsigned quirks)
{
	uint8_t public_key[64];
	struct bytes frame;
	Haulgate__FrameRecord r;

	memset(public_key, key, sizeof(public_key));
	frame = truck_activation(truck, NOON_AT, chip, public_key, truck);
	r = record_of(&frame, received_at);
	r.protocol = PROTOCOL_HJ1239;
	r.signature = signature;
	r.quirks = quirks;
	record_feed(f, &r);
}

static void feed_activations(struct fixture *f)
{
	uint8_t public_key[64] = { 9 };
	struct bytes frame;

	feed_activation(f, 1, "CHIP-1", 1, NOON_AT + 1, SIGNATURE_VALID, 0);
	feed_activation(f, 1, "CHIP-1", 1, NOON_AT + 2, SIGNATURE_VALID, 0);
	feed_activation(f, 2, "CHIP-1", 2, NOON_AT + 3, SIGNATURE_VALID, 0);
	feed_activation(f, 1, "CHIP-3", 3, NOON_AT + 4, SIGNATURE_VALID, 0);
	feed_activation(f, 4, "CHIP\"4", 4, NOON_AT + 5, SIGNATURE_VALID, QUIRK_ACTIVATION_PENDING);
	feed_activation(f, 5, "CHIP-5", 5, NOON_AT + 6, SIGNATURE_NONE, 0);
	frame = truck_activation(6, NOON_AT, "CHIP-6", public_key, 7);
	fixture_feed(f, &frame, NOON_AT + 7, VERDICT_ACCEPTED);
	feed_activation(f, 8, "CHIP-8", 8, NOON_AT + 8, SIGNATURE_INVALID, 0);
}

static void assert_activated(struct fixture *f)
{
	char keys[400];

	snprintf(keys, sizeof(keys),
		 "LTEST000000000001|CHIP-1|sm2|activation|active|1|%lld\n"
		 "LTEST000000000001|CHIP-3|sm2|activation|pending|3|%lld\n"
		 "LTEST000000000004|CHIP\"4|sm2|activation|pending|4|%lld\n",
		 (long long)NOON_AT + 1, (long long)NOON_AT + 4, (long long)NOON_AT + 5);
	assert_rows(f, KEYS, keys);
	assert_rows(f, ACTIVATIONS,
		    "LTEST000000000001|CHIP-1|active\n"
		    "LTEST000000000001|CHIP-1|known\n"
		    "LTEST000000000002|CHIP-1|chip_taken\n"
		    "LTEST000000000001|CHIP-3|pending\n"
		    "LTEST000000000004|CHIP?4|pending\n"
		    "LTEST000000000005|CHIP-5|unverified\n"
		    "LTEST000000000008|CHIP-8|unverified\n");
	assert_rows(f, "SELECT reason FROM quarantine", "vin_mismatch\n");
}

/* Method: first, again, a chip of another truck, another key, one that waits, one that nobody
 * checked, and one that speaks for another VIN; into two databases, and twice into the second. */
static void test_activation_makes_keys(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	feed_activations(&f);
	fixture_store_all(&f);
	assert_activated(&f);
	fixture_new_database(&f);
	f.config.store_batch_frames = 1;
	fixture_store_all(&f);
	assert_activated(&f);
	fixture_execute(&f, "DELETE FROM ingest_position");
	fixture_store_all(&f);
	assert_activated(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replays_of_each_pair),
		cmocka_unit_test(test_a_repeated_transaction_counts_once),
		cmocka_unit_test(test_replay_within_a_supplement),
		cmocka_unit_test(test_platform_days),
		cmocka_unit_test(test_serials_of_all_that_came),
		cmocka_unit_test(test_activation_makes_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
