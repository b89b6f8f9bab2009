/* What the registry says is what the gateway knows, and each change arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/identity/fixture.h"

#define VIN "LTEST000000000001"

/* ---- loading ---- */

static void test_what_stands_there_is_known(void **state)
{
	char key[129], secret[129];
	struct fixture f;
	struct identity *id, *none;
	long v;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	public_key_new(key);
	secret_wrap(&f.wrapping, VIN, "0123456789abcdef", secret);
	fixture_execute(
		&f,
		"INSERT INTO fleet (name, signature, signature_share, transport, encryption) "
		"VALUES ('f', 'required', 0.25, 'tls', 'required');"
		"UPDATE vehicle SET fleet_id = (SELECT id FROM fleet);"
		"INSERT INTO terminal (vehicle_id, layout) VALUES (%ld, 5);"
		"INSERT INTO terminal_identity (vehicle_id, iccid) VALUES (%ld, "
		"'89860000000000000001');"
		"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, mode, secret) VALUES "
		"(%ld, 'encrypt', 'sm4', 'cbc-zero', '\\x%s'), (%ld, 'encrypt', 'rsa', "
		"'rsa-oaep', NULL);"
		"INSERT INTO certificate (vehicle_id, fingerprint, valid_from, valid_to) VALUES "
		"(%ld, sha256('a'), now() - interval '1 day', now() + interval '1 day')",
		v, v, v, secret, v, v);
	signer_new(&f, v, "chip0001", key);
	vehicle_new(&f, "LTEST000000000002");
	fixture_start(&f);

	id = fixture_identity(&f, VIN);
	assert_int_equal(id->vehicle_id, v);
	assert_true(id->signature_required && id->encryption_required && !id->blocked &&
		    id->activated);
	assert_true(id->signature_share > 0.249 && id->signature_share < 0.251);
	assert_int_equal(id->transport, TRANSPORT_TLS);
	assert_int_equal(id->layout, LAYOUT_C);
	assert_string_equal(id->iccid, "89860000000000000001");
	assert_int_equal(id->key_count, 3);
	for (size_t k = 0; k < id->key_count; k++) {
		const struct identity_key *one = &id->keys[k];

		assert_int_equal(one->signer != NULL, one->algorithm == ALGORITHM_SM2);
		assert_int_equal(one->cipher != NULL, one->algorithm == ALGORITHM_SM4);
		if (one->algorithm == ALGORITHM_RSA)
			assert_int_equal(one->mode, CIPHER_MODE_RSA_OAEP);
		if (one->algorithm == ALGORITHM_SM2)
			assert_string_equal(one->chip_id, "chip0001");
	}
	assert_int_equal(id->certificate_count, 1);
	assert_false(id->certificates[0].revoked);
	identity_put(id);
	IDENTITY_IS(&f, "LTEST000000000002",
		    !i->signature_required && i->signature_share == 1 && i->key_count == 0 &&
			    i->transport == TRANSPORT_ANY && !i->activated);
	assert_int_equal(identity_get(f.identities, "LTEST000000000003", &none), IDENTITY_UNKNOWN);
	assert_int_equal(metrics_read(f.metrics, METRIC_identity_vehicles), 2);
	assert_int_equal(metrics_read(f.metrics, METRIC_identity_connected), 1);
	fixture_stop(&f);
	fixture_close(&f);
}

static void test_without_a_database_only_the_pairs(void **state)
{
	struct fixture f;
	struct identities_options options = { 0 };
	struct identity *i;
	struct key_ring *r;
	struct error err;

	(void)state;
	fixture_keys_open(&f);
	fixture_pair(&f, "a", "SM2", 0);
	options.config = &f.config;
	assert_int_equal(identities_open(&options, &f.identities, &err), 0);
	assert_int_equal(identity_get(f.identities, VIN, &i), IDENTITY_NOT_LOADED);
	assert_non_null(r = identity_ring(f.identities));
	identity_ring_put(r);
	fixture_stop(&f);
	fixture_keys_close(&f);
}

/* ---- changes ---- */

static void test_each_change_arrives(void **state)
{
	struct fixture f;
	long v;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	fixture_start(&f);
	TELLS(&f, "UPDATE vehicle SET state = 'blocked'");
	IDENTITY_IS(&f, VIN, i->blocked);
	assert_string_equal(f.last, VIN);
	TELLS(&f, "UPDATE vehicle SET state = 'registered', signature_doubted_at = now()");
	IDENTITY_IS(&f, VIN, !i->blocked);
	TELLS(&f, "INSERT INTO fleet (name, signature_share) VALUES ('f', 0.5); "
		  "UPDATE vehicle SET fleet_id = (SELECT id FROM fleet)");
	IDENTITY_IS(&f, VIN, i->signature_share == 1); /* doubted: all of them */
	TELLS(&f, "UPDATE vehicle SET signature_doubted_at = NULL");
	IDENTITY_IS(&f, VIN, i->signature_share == 0.5);
	TELLS(&f, "UPDATE fleet SET transport = 'certificate'");
	IDENTITY_IS(&f, VIN, i->transport == TRANSPORT_CERTIFICATE);
	TELLS(&f,
	      "INSERT INTO terminal_identity (vehicle_id, iccid) VALUES (%ld, "
	      "'8986000000000000000X')",
	      v);
	IDENTITY_IS(&f, VIN, strcmp(i->iccid, "8986000000000000000X") == 0);
	TELLS(&f, "UPDATE terminal_identity SET state = 'removed'");
	IDENTITY_IS(&f, VIN, i->iccid[0] == '\0');
	TELLS(&f,
	      "INSERT INTO certificate (vehicle_id, fingerprint, valid_from, valid_to) VALUES "
	      "(%ld, sha256('b'), '2020-01-01', 'infinity')",
	      v);
	IDENTITY_IS(&f, VIN, i->certificate_count == 1 && !i->certificates[0].revoked);
	TELLS(&f, "UPDATE certificate SET state = 'revoked'");
	IDENTITY_IS(&f, VIN, i->certificates[0].revoked);
	TELLS(&f, "INSERT INTO terminal (vehicle_id, layout) VALUES (%ld, 5)", v);
	IDENTITY_IS(&f, VIN, i->layout == LAYOUT_C);
	TELLS(&f,
	      "INSERT INTO command (vehicle_id, kind, parameters, unit, ordered_by, reason, "
	      "expires_at) VALUES (%ld, 'query', '{}', '', 'li', 'test', now())",
	      v);
	IDENTITY_IS(&f, VIN, i->has_orders);
	TELLS(&f, "UPDATE command SET state = 'expired'");
	IDENTITY_IS(&f, VIN, !i->has_orders);
	fixture_stop(&f);
	fixture_close(&f);
}

static bool is_unknown(struct fixture *f, const void *vin)
{
	struct identity *i = NULL;
	const bool unknown = identity_get(f->identities, vin, &i) == IDENTITY_UNKNOWN;

	identity_put(i);
	return unknown;
}

static void test_vehicles_come_go_and_change_vins(void **state)
{
	struct fixture f;
	long a, b;

	(void)state;
	fixture_open(&f);
	fixture_start(&f);
	TELLS(&f, "INSERT INTO vehicle (vin) VALUES ('A'), ('B')");
	a = fixture_number(&f, "SELECT id FROM vehicle WHERE vin = 'A'");
	b = fixture_number(&f, "SELECT id FROM vehicle WHERE vin = 'B'");
	fixture_execute(&f, "BEGIN; UPDATE vehicle SET vin = 'C' WHERE vin = 'A'; "
			    "UPDATE vehicle SET vin = 'A' WHERE vin = 'B'; "
			    "UPDATE vehicle SET vin = 'B' WHERE vin = 'C'; "
			    "INSERT INTO vehicle (vin) VALUES ('C'); COMMIT");
	TELLS(&f, "INSERT INTO vehicle (vin) VALUES ('D')"); /* heard behind the others */
	fixture_execute(&f, "DELETE FROM vehicle WHERE vin = 'D'");
	fixture_wait(&f, is_unknown, "D");
	IDENTITY_IS(&f, "A", i->vehicle_id == b);
	IDENTITY_IS(&f, "B", i->vehicle_id == a);
	IDENTITY_IS(&f, "C", true);
	fixture_stop(&f);
	fixture_close(&f);
}

static void test_a_revocation_is_seen_and_old_holders_keep_theirs(void **state)
{
	char key[129], vin[VIN_SIZE + 1];
	struct fixture f;
	struct identity *held;

	(void)state;
	fixture_open(&f);
	public_key_new(key);
	signer_new(&f, vehicle_new(&f, VIN), "chip", key);
	fixture_start(&f);
	assert_true(identity_chip(f.identities, "chip", vin));
	assert_string_equal(vin, VIN);
	held = fixture_identity(&f, VIN);
	assert_int_equal(held->key_count, 1);
	TELLS(&f, "UPDATE terminal_key SET state = 'revoked', reason = 'lost'");
	IDENTITY_IS(&f, VIN, i->key_count == 0 && i->activated);
	assert_false(identity_chip(f.identities, "chip", vin));
	fixture_stop(&f);
	assert_int_equal(held->key_count, 1); /* what a job holds stays whole, also at the end */
	assert_int_equal(signature_key_algorithm(held->keys[0].signer), ALGORITHM_SM2);
	identity_put(held);
	fixture_close(&f);
}

static bool so_many_were_told(struct fixture *f, const void *arg)
{
	return fixture_tellings(f) >= *(const unsigned *)arg;
}

static void test_many_at_once(void **state)
{
	struct fixture f;
	struct identity *before, *after;
	unsigned tellings;

	(void)state;
	fixture_open(&f);
	vehicle_new(&f, VIN);
	fixture_execute(
		&f, "INSERT INTO vehicle (vin) SELECT 'M' || i FROM generate_series(1, 3000) i");
	fixture_start(&f);
	before = fixture_identity(&f, VIN);
	tellings = fixture_tellings(&f);
	TELLS(&f, "UPDATE vehicle SET state = 'blocked' WHERE vin LIKE 'M%%'");
	assert_int_equal(fixture_tellings(&f), tellings + 1); /* "look at all", once */
	assert_string_equal(f.last, "");
	IDENTITY_IS(&f, "M3000", i->blocked);
	/* Who has not changed is not even another object. */
	after = fixture_identity(&f, VIN);
	assert_ptr_equal(before, after);
	identity_put(before);
	identity_put(after);
	/* Up to a thousand are told by name, also after a full load. */
	fixture_execute(&f, "UPDATE vehicle SET state = 'registered' WHERE vin LIKE 'M1___'");
	tellings += 1 + 1000;
	fixture_wait(&f, so_many_were_told, &tellings);
	assert_int_equal(f.all, 2); /* the first load, and the 3,000 */
	fixture_stop(&f);
	fixture_close(&f);
}

/* ---- readers ---- */

enum { READERS = 4, READ_VINS = 150 };

struct reader {
	pthread_t thread;
	struct fixture *f;
	atomic_bool *stop;
	unsigned seed, wrong;
};

/* As a loop and a worker do it: take, ask for keys, use what was taken, give back. */
static void *read_always(void *arg)
{
	struct reader *r = arg;
	const struct frame frame = { .encryption = 0x02 };

	while (!atomic_load(r->stop)) {
		struct key_ring *ring = identity_ring(r->f->identities);
		struct identity *i = NULL;
		struct guard_keys keys;
		char vin[VIN_SIZE + 1];

		r->seed = r->seed * 1103515245 + 12345;
		snprintf(vin, sizeof(vin), "R%u", 1 + (r->seed >> 16) % READ_VINS);
		if (identity_get(r->f->identities, vin, &i) == IDENTITY_KNOWN) {
			identity_guard_keys(i, ring, &frame, PROTOCOL_GB17691, 1800000000, &keys);
			r->wrong += strcmp(i->vin, vin) != 0 || keys.signer_count > 1;
			for (size_t k = 0; k < keys.signer_count; k++)
				r->wrong += signature_key_algorithm(keys.signers[k].key) !=
					    ALGORITHM_SM2;
		}
		identity_put(i);
		identity_ring_put(ring);
		identity_chip(r->f->identities, vin, vin);
	}
	return NULL;
}

static void test_readers_while_it_changes(void **state)
{
	struct reader readers[READERS];
	atomic_bool stop = false;
	struct fixture f;
	struct error err;
	char key[129];

	(void)state;
	fixture_open(&f);
	public_key_new(key);
	fixture_pair(&f, "pair", "SM2", 0);
	fixture_execute(
		&f,
		"INSERT INTO vehicle (vin) SELECT 'R' || i FROM generate_series(1, %d) i; "
		"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, public_key) "
		"SELECT id, 'sign', 'sm2', vin, '\\x%s' FROM vehicle",
		READ_VINS, key);
	fixture_start(&f);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .f = &f, .stop = &stop, .seed = i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_always, &readers[i]),
				 0);
	}
	for (int i = 0; i < 10; i++) {
		TELLS(&f, "UPDATE terminal_key SET state = '%s' WHERE vehicle_id %% 7 = %d",
		      i % 2 == 0 ? "revoked" : "active", i / 2 % 7);
		TELLS(&f,
		      "UPDATE vehicle SET valid_to = timestamptz '2090-01-01' + %d * interval '1 "
		      "day'",
		      i);
		assert_int_equal(identities_reload(f.identities, &f.config, &err), 0);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	fixture_stop(&f);
	fixture_close(&f);
}

/* ---- keys that cannot be used ---- */

static void test_wrong_wrapping_key(void **state)
{
	static const char other[] = "LTEST000000000002";
	char secret[129], moved[129], public[129];
	struct fixture f;
	struct error err;
	unsigned before;
	long v, w;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	w = vehicle_new(&f, other);
	public_key_new(public);
	signer_new(&f, v, "chip", public);
	secret_wrap(&f.wrapping, VIN, "0123456789abcdef", secret);
	secret_wrap(&f.wrapping, other, "0123456789abcdef", moved);
	fixture_execute(&f,
			"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, secret) VALUES "
			"(%ld, 'encrypt', 'sm4', '\\x%s'), (%ld, 'encrypt', 'aes128', '\\x%s'), "
			"(%ld, 'encrypt', 'sm4', '\\x%s')",
			v, secret, v, moved, w, moved);
	fixture_wrapping(&f, 2);
	fixture_start(&f);
	IDENTITY_IS(&f, VIN, i->key_count == 1 && i->keys[0].signer != NULL);
	IDENTITY_IS(&f, other, i->key_count == 0);
	/* The right key comes back: all but the secret of another vehicle work. */
	fixture_wrapping(&f, 1);
	before = fixture_tellings(&f);
	assert_int_equal(identities_reload(f.identities, &f.config, &err), 0);
	fixture_wait_told(&f, before + 1); /* both vehicles */
	IDENTITY_IS(&f, VIN, i->key_count == 2);
	IDENTITY_IS(&f, other, i->key_count == 1 && i->keys[0].cipher != NULL);
	/* A folder that is wrong changes nothing. */
	fixture_file(&f, "wrapping.key", "short", 0600);
	assert_int_equal(identities_reload(f.identities, &f.config, &err), ERROR_USAGE);
	IDENTITY_IS(&f, VIN, i->key_count == 2);
	fixture_stop(&f);
	fixture_close(&f);
}

/* As tools/keys does it: the files change places, then the secrets are wrapped with the new key. */
static void test_wrapping_key_rotates(void **state)
{
	char secret[129], again[129], hex[2 * WRAP_KEY_SIZE + 1];
	struct fixture f;
	unsigned before;
	long v;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	secret_wrap(&f.wrapping, VIN, "0123456789abcdef", secret);
	fixture_execute(&f,
			"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, secret) VALUES "
			"(%ld, 'encrypt', 'sm4', '\\x%s')",
			v, secret);
	fixture_start(&f);
	IDENTITY_IS(&f, VIN, i->key_count == 1);
	for (size_t i = 0; i < WRAP_KEY_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", f.wrapping.bytes[i]);
	fixture_file(&f, "wrapping-old.key", hex, 0600);
	fixture_wrapping(&f, 2);
	/* Between the two steps nothing is lost, whatever else changes. */
	before = fixture_tellings(&f);
	fixture_execute(&f, "UPDATE vehicle SET state = 'blocked' WHERE id = %ld", v);
	fixture_wait_told(&f, before);
	IDENTITY_IS(&f, VIN, i->blocked && i->key_count == 1);
	secret_wrap(&f.wrapping, VIN, "0123456789abcdef", again);
	before = fixture_tellings(&f);
	fixture_execute(&f, "UPDATE terminal_key SET secret = '\\x%s'", again);
	fixture_wait_told(&f, before);
	IDENTITY_IS(&f, VIN, i->key_count == 1 && i->keys[0].cipher != NULL);
	fixture_stop(&f);
	fixture_close(&f);
}

static void test_policy_is_taken_over(void **state)
{
	struct fixture f;
	struct error err;
	unsigned before;

	(void)state;
	fixture_open(&f);
	vehicle_new(&f, VIN);
	fixture_start(&f);
	IDENTITY_IS(&f, VIN, !i->signature_required);
	f.config.session_signature = SIGNATURE_REQUIRED;
	before = fixture_tellings(&f);
	assert_int_equal(identities_reload(f.identities, &f.config, &err), 0);
	fixture_wait_told(&f, before);
	IDENTITY_IS(&f, VIN, i->signature_required);
	TELLS(&f, "INSERT INTO fleet (name, signature) VALUES ('f', 'optional'); "
		  "UPDATE vehicle SET fleet_id = (SELECT id FROM fleet)");
	IDENTITY_IS(&f, VIN, !i->signature_required);
	fixture_stop(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_stands_there_is_known),
		cmocka_unit_test(test_without_a_database_only_the_pairs),
		cmocka_unit_test(test_each_change_arrives),
		cmocka_unit_test(test_vehicles_come_go_and_change_vins),
		cmocka_unit_test(test_a_revocation_is_seen_and_old_holders_keep_theirs),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_readers_while_it_changes),
		cmocka_unit_test(test_wrong_wrapping_key),
		cmocka_unit_test(test_wrapping_key_rotates),
		cmocka_unit_test(test_policy_is_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
