/* What the gateway could open and check, and what it proves: from the record to the evidence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test/store/records.h"

enum { NOON = 12 * 3600, DRIVE_S = 1500, AT_S = 10 };
#define NOON_AT (BASE_AT + NOON)

/* ---- opened units ---- */

/* A drive of the violator, plain or as a terminal with a key sends it. */
static void drive(struct fixture *f, bool encrypted)
{
	for (unsigned t = 0; t < DRIVE_S; t += AT_S) {
		const struct bytes clear =
			truck_report(VIOLATOR, COMMAND_REALTIME, NOON_AT + t, AT_S);
		const struct bytes closed = truck_encrypted(&clear);
		Haulgate__FrameRecord r = record_of(&clear, NOON_AT + t + AT_S + 1);

		if (encrypted) {
			r.raw.data = (uint8_t *)(uintptr_t)closed.bytes;
			r.raw.len = closed.size;
			record_opened(&r, &clear);
		}
		record_feed(f, &r);
	}
}

/* Method: the same drive plain and encrypted; no key is anywhere near.  All that follows from it is
 * the same, and the evidence has both the bytes that came and what was in them. */
static void test_opened_units_are_read(void **state)
{
	struct fixture f;
	char *plain, *opened;

	(void)state;
	fixture_open(&f);
	drive(&f, false);
	fixture_store_all(&f);
	plain = fixture_derived(&f);
	assert_int_equal(fixture_number(&f, "SELECT count(unit) FROM evidence"), 0);
	fixture_close(&f);

	fixture_open(&f);
	drive(&f, true);
	fixture_store_all(&f);
	opened = fixture_derived(&f);
	assert_string_equal(opened, plain);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM quarantine"), 0);
	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM track WHERE quirks <> 0"), 0);
	assert_true(fixture_number(&f, "SELECT count(*) FROM evidence") > 10);
	assert_int_equal(
		fixture_number(&f, "SELECT count(*) FROM evidence WHERE get_byte(raw, 21) = 3 AND "
				   "octet_length(raw) = octet_length(unit) + 16 + 25 AND "
				   "get_byte(unit, 0) = 26 AND signature = 0"),
		fixture_number(&f, "SELECT count(*) FROM evidence"));
	free(plain);
	free(opened);
	fixture_close(&f);
}

/* Method: an encrypted frame that nobody could open, whole in quarantine. */
static void test_closed_units_stay_whole(void **state)
{
	const struct bytes clear = truck_report(1, COMMAND_REALTIME, NOON_AT, AT_S),
			   closed = truck_encrypted(&clear);
	struct fixture f;

	(void)state;
	fixture_open(&f);
	fixture_feed(&f, &closed, NOON_AT, VERDICT_DECRYPT_FAILED);
	fixture_feed(&f, &closed, NOON_AT, VERDICT_SIGNATURE_BAD);
	fixture_feed(&f, &closed, NOON_AT, VERDICT_ACCEPTED); /* which it cannot be */
	fixture_store_all(&f);
	assert_rows(&f, "SELECT reason FROM quarantine ORDER BY position",
		    "decrypt_failed\nsignature_bad\nencrypted\n");
	assert_int_equal(fixture_number(&f, "SELECT count(DISTINCT raw) FROM quarantine WHERE "
					    "octet_length(raw) > 16 AND get_byte(raw, 21) = 3"),
			 1);
	fixture_close(&f);
}

/* Method: tools/spool shows a record that was opened and checked, the report in it decoded. */
static void test_spool_prints_what_was_found_out(void **state)
{
	static const char *const parts[] = {
		"\"unit\":\"1a0b14",
		"\"cipher_key\":12",
		"\"signature\":\"valid\"",
		"\"signature_key\":70",
		"\"signature_user\":\"chip\"",
		"\"credential\":{\"kind\":\"key\",\"id\":70}",
		"\"peer\":\"[::ffff:192.0.2.5]:1024\"",
		"\"speed_kmh\":",
	};
	const struct bytes clear = truck_report(1, COMMAND_REALTIME, NOON_AT, AT_S),
			   closed = truck_encrypted(&clear);
	const struct peer peer = peer_at(5);
	Haulgate__FrameRecord r = record_of(&closed, NOON_AT + 11);
	static char line[65536];
	char command[300];
	struct fixture f;
	FILE *out;

	(void)state;
	record_opened(&r, &clear);
	record_from(&r, &peer, credential(CREDENTIAL_KEY, 70));
	r.cipher_key = 12;
	r.signature = SIGNATURE_VALID;
	r.signature_key = 70;
	r.signature_user = SIGNATURE_USER_CHIP;
	fixture_open(&f);
	record_feed(&f, &r);
	snprintf(command, sizeof(command), "'%s' print '%s' --json", getenv("HAULGATE_SPOOL"),
		 f.dir);
	out = popen(command, "r"); /* NOLINT(cert-env33-c): our own program */
	assert_non_null(out);
	assert_non_null(fgets(line, sizeof(line), out));
	assert_int_equal(pclose(out), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(line, parts[i]) == NULL)
			fail_msg("%s is not in %s", parts[i], line);
	fixture_close(&f);
}

/* ---- what is known of a signature ---- */

/* Method: a signed packet with each outcome of its check, and one that an older gateway took. */
static void test_quirks_say_what_was_checked(void **state)
{
	static const struct {
		unsigned signature, quirks, expected;
	} cases[] = {
		{ SIGNATURE_NONE, 0, QUIRK_SIGNATURE_UNCHECKED },
		{ SIGNATURE_VALID, QUIRK_UNSIGNED | QUIRK_SIGNATURE_UNCHECKED, 0 },
		{ SIGNATURE_NO_KEY, 0, QUIRK_SIGNATURE_UNCHECKED },
		{ SIGNATURE_SKIPPED, QUIRK_SIGNATURE_UNCHECKED, QUIRK_SIGNATURE_SKIPPED },
		{ SIGNATURE_UNDEFINED, 0, QUIRK_SIGNATURE_UNCHECKED },
	};
	const struct signer signer = { NULL };
	struct fixture f;

	(void)state;
	fixture_open(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int64_t at = NOON_AT + (int64_t)i * 60;
		const struct bytes frame =
			truck_packet(1, COMMAND_REALTIME, at, AT_S, (uint16_t)(i + 1), &signer);
		Haulgate__FrameRecord r = record_of(&frame, at + AT_S);

		r.signature = cases[i].signature;
		r.quirks = cases[i].quirks;
		record_feed(&f, &r);
	}
	fixture_store_all(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sql[120];

		snprintf(sql, sizeof(sql), "SELECT quirks FROM track ORDER BY at OFFSET %zu", i);
		assert_int_equal(fixture_number(&f, sql), cases[i].expected);
	}
	fixture_close(&f);
}

/* ---- evidence ---- */

/* Method: a violator's packets, checked or not as they came; the rows say it, the finding counts.
 */
static void test_evidence_knows_its_signatures(void **state)
{
	static const unsigned checks[] = { SIGNATURE_VALID, SIGNATURE_VALID, SIGNATURE_NONE,
					   SIGNATURE_NO_KEY, SIGNATURE_SKIPPED };
	struct fixture f;
	uint16_t serial = 0;

	(void)state;
	fixture_open(&f);
	for (unsigned t = 0; t < DRIVE_S; t += AT_S) {
		const struct bytes frame =
			truck_packet(VIOLATOR, COMMAND_REALTIME, NOON_AT + t, AT_S, ++serial, NULL);
		Haulgate__FrameRecord r = record_of(&frame, NOON_AT + t + AT_S);

		r.signature = checks[serial % 5];
		r.signature_key = r.signature == SIGNATURE_VALID ? 70 : 0;
		r.credential = r.signature == SIGNATURE_VALID ? credential(CREDENTIAL_KEY, 70) : 0;
		record_feed(&f, &r);
	}
	f.config.store_batch_frames = 7;
	fixture_store_all(&f);
	assert_true(fixture_number(&f, "SELECT count(*) FROM evidence") >= 50);
	assert_rows(&f,
		    "SELECT signature, key_id, credential, count(*) > 8 FROM evidence GROUP BY 1, "
		    "2, 3 ORDER BY 1",
		    "0|||t\n1|70|281|t\n3|||t\n4|||t\n");
	assert_rows(&f,
		    "SELECT (measured->'signatures'->>'valid')::integer = (SELECT count(*) FROM "
		    "evidence WHERE signature = 1), (measured->'signatures'->>'unsigned')::integer "
		    "= (SELECT count(*) FROM evidence WHERE signature = 0), "
		    "(measured->'signatures'->>'unchecked')::integer = (SELECT count(*) FROM "
		    "evidence WHERE signature IN (3, 4)), measured->'signatures'->>'invalid', "
		    "(SELECT count(*) FROM jsonb_object_keys(measured)) > 1 FROM finding WHERE "
		    "state = 'open'",
		    "t|t|t|0|t\n");
	fixture_close(&f);
}

/* ---- evidence that nobody had checked yet ---- */

/* A truck of a fleet of which one frame in ten is checked, and its key, good from then on. */
static void register_signer(struct fixture *f, unsigned truck, const uint8_t public_key[64],
			    int64_t valid_from)
{
	char hex[129], sql[600];

	for (size_t i = 0; i < 64; i++)
		snprintf(hex + 2 * i, 3, "%02x", public_key[i]);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO fleet (name, signature_share) VALUES ('tenth', 0.1) ON CONFLICT DO "
		 "NOTHING; INSERT INTO vehicle (vin, fleet_id) SELECT 'LTEST%012u', id FROM fleet; "
		 "INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, "
		 "valid_from) SELECT id, 'sign', 'sm2', '\\x%s', to_timestamp(%lld) FROM vehicle "
		 "WHERE vin = 'LTEST%012u'",
		 truck, hex, (long long)valid_from, truck);
	fixture_execute(f, sql);
}

/* Waits until this share of the truck's frames is checked, as the event loops see it. */
static void wait_share(struct fixture *f, unsigned truck, double share)
{
	const struct timespec slice = { .tv_nsec = 10 * 1000000 };
	char vin[VIN_SIZE + 1];
	bool reached = false;

	truck_vin(truck, vin);
	while (!reached) {
		struct identity *id = NULL;

		if (identity_get(f->identities, vin, &id) == IDENTITY_KNOWN)
			reached = fabs(id->signature_share - share) < 1e-6;
		identity_put(id);
		nanosleep(&slice, NULL);
	}
}

/*
 * Every fifth packet is signed by somebody else, one is not signed at all, and one had been found
 * good when it came, with a key that is no more.
 */
static void feed_unchecked(struct fixture *f, unsigned truck, EVP_PKEY *pair, EVP_PKEY *other)
{
	uint16_t serial = 0;

	for (unsigned t = 0; t < DRIVE_S; t += AT_S) {
		const struct signer signer = { ++serial % 5 == 0 ? other : pair };
		const bool is_signed = t != DRIVE_S / 2;
		const struct bytes frame = truck_packet(truck, COMMAND_REALTIME, NOON_AT + t, AT_S,
							serial, is_signed ? &signer : NULL);
		Haulgate__FrameRecord r = record_of(&frame, NOON_AT + t + AT_S);

		r.signature = is_signed ? SIGNATURE_SKIPPED : SIGNATURE_NONE;
		if (t == DRIVE_S / 2 + AT_S) {
			r.signature = SIGNATURE_VALID;
			r.signature_key = 70;
		}
		record_feed(f, &r);
	}
}

/*
 * Method: two violators whose frames were outside the share that is checked; the key of the second
 * is good only later.  What proves the findings is checked, the truck with forged frames is from
 * then on always checked, and the other one, of whom nothing bad is known, is not.
 */
static void test_proof_is_checked(void **state)
{
	uint8_t public_key[64], other_key[64];
	EVP_PKEY *pair = pair_new(public_key), *other = pair_new(other_key);
	struct fixture f;
	char no_folder[] = "";
	struct identities_options options = { .config = &f.config };
	struct error err;

	(void)state;
	fixture_open(&f);
	f.config.keys_dir = no_folder;
	register_signer(&f, VIOLATOR, public_key, NOON_AT - 86400);
	register_signer(&f, VIOLATOR + 3, other_key, NOON_AT + 86400);
	feed_unchecked(&f, VIOLATOR, pair, other);
	feed_unchecked(&f, VIOLATOR + 3, other, other);
	if (identities_open(&options, &f.identities, &err) < 0)
		fail_msg("%s", err.text);
	wait_share(&f, VIOLATOR, 0.1);
	wait_share(&f, VIOLATOR + 3, 0.1);
	fixture_store_all(&f);

	assert_int_equal(fixture_number(&f, "SELECT count(*) FROM finding"), 2);
	/* Forged ones are those of each fifth packet, and one is unsigned. */
	assert_rows(&f,
		    "SELECT vin, signature, coalesce(k.state, key_id::text), count(*) > 8, "
		    "bool_and((extract(epoch FROM at) - 1795147200)::integer / 10 % 5 = 4) FROM "
		    "evidence e JOIN vehicle v ON v.id = e.vehicle_id LEFT JOIN terminal_key k ON "
		    "k.id = key_id WHERE signature <> 0 GROUP BY 1, 2, 3 ORDER BY 1, 2",
		    "LTEST000000000001|1|70|f|f\n"
		    "LTEST000000000001|1|active|t|f\n"
		    "LTEST000000000001|2||t|t\n"
		    "LTEST000000000004|1|70|f|f\n"
		    "LTEST000000000004|3||t|f\n");
	assert_rows(&f,
		    "SELECT vin, measured->'signatures'->>'unsigned', "
		    "(measured->'signatures'->>'invalid')::integer = (SELECT count(*) FROM "
		    "evidence e WHERE e.vehicle_id = g.vehicle_id AND signature = 2), "
		    "(measured->'signatures'->>'valid')::integer > 1 FROM finding g JOIN vehicle v "
		    "ON v.id = vehicle_id ORDER BY 1",
		    "LTEST000000000001|1|t|t\nLTEST000000000004|1|t|f\n");
	assert_rows(&f,
		    "SELECT vin FROM vehicle v WHERE signature_doubted_at = (SELECT "
		    "min(received_at) FROM evidence e WHERE e.vehicle_id = v.id AND signature = 2)",
		    "LTEST000000000001\n");
	wait_share(&f, VIOLATOR, 1);
	wait_share(&f, VIOLATOR + 3, 0.1);
	EVP_PKEY_free(pair);
	EVP_PKEY_free(other);
	identities_close(f.identities);
	fixture_close(&f);
}

/* Method: the key was good when the frames came, and another one has taken its place since. */
static void test_a_key_that_was_revoked_since_proves_what_it_signed_before(void **state)
{
	uint8_t public_key[64], other_key[64];
	EVP_PKEY *pair = pair_new(public_key), *other = pair_new(other_key);
	struct fixture f;
	char no_folder[] = "", sql[200];
	struct identities_options options = { .config = &f.config };
	struct error err;

	(void)state;
	fixture_open(&f);
	f.config.keys_dir = no_folder;
	register_signer(&f, VIOLATOR, public_key, NOON_AT - 86400);
	snprintf(sql, sizeof(sql),
		 "UPDATE terminal_key SET state = 'revoked', valid_to = to_timestamp(%lld)",
		 (long long)NOON_AT + DRIVE_S + 60);
	fixture_execute(&f, sql);
	register_signer(&f, VIOLATOR + 3, other_key, NOON_AT - 86400);
	fixture_execute(&f, "UPDATE terminal_key SET vehicle_id = (SELECT min(id) FROM vehicle)");
	feed_unchecked(&f, VIOLATOR, pair, pair);
	if (identities_open(&options, &f.identities, &err) < 0)
		fail_msg("%s", err.text);
	wait_share(&f, VIOLATOR, 0.1);
	fixture_store_all(&f);
	assert_rows(
		&f,
		"SELECT signature, k.state, count(*) > 8 FROM evidence LEFT JOIN terminal_key k "
		"ON k.id = key_id WHERE signature <> 0 AND key_id IS DISTINCT FROM 70 "
		"GROUP BY 1, 2",
		"1|revoked|t\n");
	assert_int_equal(fixture_number(&f, "SELECT count(signature_doubted_at) FROM vehicle"), 0);
	EVP_PKEY_free(pair);
	EVP_PKEY_free(other);
	identities_close(f.identities);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opened_units_are_read),
		cmocka_unit_test(test_closed_units_stay_whole),
		cmocka_unit_test(test_spool_prints_what_was_found_out),
		cmocka_unit_test(test_quirks_say_what_was_checked),
		cmocka_unit_test(test_evidence_knows_its_signatures),
		cmocka_unit_test(test_proof_is_checked),
		cmocka_unit_test(test_a_key_that_was_revoked_since_proves_what_it_signed_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
