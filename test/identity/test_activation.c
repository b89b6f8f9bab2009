/* Activation, where memory and database must agree, and the accounts of platforms. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "test/identity/fixture.h"

#define VIN "LTEST000000000001"

/* ---- activation ---- */

static enum identity_activation ask(struct fixture *f, const char *vin, const char *chip,
				    const char *hex)
{
	uint8_t key[64];
	unsigned byte;

	for (size_t i = 0; i < sizeof(key); i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		key[i] = (uint8_t)byte;
	}
	return identity_activation(f->identities, vin, chip, key, sizeof(key));
}

/* Memory and database give the same answer. */
static void assert_activation(struct fixture *f, const char *vin, const char *chip, const char *hex,
			      enum identity_activation expected)
{
	static const char *const words[] = { [IDENTITY_ACTIVATION_KNOWN] = "known",
					     [IDENTITY_ACTIVATION_CHIP_TAKEN] = "chip_taken",
					     [IDENTITY_ACTIVATION_PERSON] = "pending",
					     [IDENTITY_ACTIVATION_FIRST] = "active" };

	assert_int_equal(ask(f, vin, chip, hex), expected);
	fixture_execute(f, "BEGIN");
	assert_int_equal(fixture_number(f,
					"SELECT (activation_take(id, '%s', '\\x%s', 'sm2', now(), "
					"'active') = '%s')::int FROM vehicle WHERE vin = '%s'",
					chip, hex, words[expected], vin),
			 1);
	fixture_execute(f, "ROLLBACK");
}

static void test_activation(void **state)
{
	static const char other[] = "LTEST000000000002";
	char a[129], b[129];
	struct fixture f;
	long v;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	vehicle_new(&f, other);
	public_key_new(a);
	public_key_new(b);
	fixture_start(&f);
	assert_int_equal(ask(&f, "LTEST000000000009", "chip", a), IDENTITY_ACTIVATION_VIN_UNKNOWN);
	assert_activation(&f, VIN, "chip", a, IDENTITY_ACTIVATION_FIRST);
	TELLS(&f, "SELECT activation_take(%ld, 'chip', '\\x%s', 'sm2', now(), 'active')", v, a);
	assert_activation(&f, VIN, "chip", a, IDENTITY_ACTIVATION_KNOWN);
	assert_activation(&f, VIN, "chip", b, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, VIN, "chip2", a, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, other, "chip", b, IDENTITY_ACTIVATION_CHIP_TAKEN);
	assert_activation(&f, other, "chip2", a, IDENTITY_ACTIVATION_CHIP_TAKEN);
	assert_activation(&f, other, "chip2", b, IDENTITY_ACTIVATION_FIRST);
	TELLS(&f, "UPDATE terminal_key SET state = 'revoked'");
	assert_activation(&f, VIN, "chip", a, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, VIN, "chip2", b, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, other, "chip", b, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, other, "chip2", a, IDENTITY_ACTIVATION_PERSON);
	assert_activation(&f, other, "chip2", b, IDENTITY_ACTIVATION_FIRST);
	/* A row that was entered by mistake and taken away leaves no trace. */
	TELLS(&f, "DELETE FROM terminal_key");
	assert_activation(&f, other, "chip", a, IDENTITY_ACTIVATION_FIRST);
	TELLS(&f, "UPDATE vehicle SET state = 'blocked' WHERE id = %ld", v);
	assert_int_equal(ask(&f, VIN, "chip", a), IDENTITY_ACTIVATION_VIN_UNKNOWN);
	fixture_stop(&f);
	fixture_close(&f);
}

/* Method: a revoked key of RSA whose row is an RSAPublicKey, asked for as SubjectPublicKeyInfo. */
static void test_other_form_of_a_key(void **state)
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	uint8_t row[PUBLIC_KEY_MAX], asked[PUBLIC_KEY_MAX], *p = row, *q = asked;
	const size_t row_size = (size_t)i2d_PublicKey(pair, &p),
		     asked_size = (size_t)i2d_PUBKEY(pair, &q);
	char hex[2 * PUBLIC_KEY_MAX + 1];
	struct fixture f;
	long v;

	(void)state;
	for (size_t i = 0; i < row_size; i++)
		snprintf(hex + 2 * i, 3, "%02x", row[i]);
	fixture_open(&f);
	v = vehicle_new(&f, "LTEST000000000002");
	vehicle_new(&f, VIN);
	fixture_start(&f);
	TELLS(&f, "SELECT activation_take(%ld, 'chip', '\\x%s', 'rsa', now(), 'active')", v, hex);
	TELLS(&f, "UPDATE terminal_key SET state = 'revoked'");
	assert_int_equal(identity_activation(f.identities, VIN, "chip2", asked, asked_size),
			 IDENTITY_ACTIVATION_PERSON);
	fixture_stop(&f);
	fixture_close(&f);
	EVP_PKEY_free(pair);
}

/* ---- platforms ---- */

static bool may(const struct identity_platform *p, const char *address)
{
	uint8_t bytes[16] = { [10] = 0xff, [11] = 0xff };
	unsigned b[4];

	if (sscanf(address, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]) == 4)
		for (unsigned i = 0; i < 4; i++)
			bytes[12 + i] = (uint8_t)b[i];
	else
		assert_int_equal(inet_pton(AF_INET6, address, bytes), 1);
	return identity_platform_source(p, bytes);
}

static void test_platforms(void **state)
{
	struct identity_platform *p, *later;
	struct fixture f;
	long v;

	(void)state;
	fixture_open(&f);
	v = vehicle_new(&f, VIN);
	fixture_start(&f);
	assert_null(identity_platform(f.identities, "depot"));
	TELLS(&f,
	      "INSERT INTO platform (name, login, password, sources) VALUES ('Depot', 'depot', "
	      "'$y$hash', '{10.1.0.0/16,192.0.2.77,2001:db8::/33}'), ('Any', 'any', '$y$b', '{}')");
	assert_non_null(p = identity_platform(f.identities, "depot"));
	assert_string_equal(p->password, "$y$hash");
	assert_true(!p->blocked && p->require_tls);
	assert_true(may(p, "10.1.255.3") && may(p, "192.0.2.77") && may(p, "2001:db8:7fff::1"));
	assert_false(may(p, "10.2.0.1") || may(p, "192.0.2.78") || may(p, "0.0.0.0") ||
		     may(p, "2001:db8:8000::1"));
	assert_null(identity_platform(f.identities, "DEPOT"));
	later = identity_platform(f.identities, "any");
	assert_true(may(later, "203.0.113.9"));
	identity_platform_put(later);
	TELLS(&f, "UPDATE platform SET state = 'blocked' WHERE login = 'depot'");
	later = identity_platform(f.identities, "depot");
	assert_true(later->blocked && !p->blocked);
	TELLS(&f, "INSERT INTO platform_vehicle VALUES (%d, %ld)", p->id, v);
	IDENTITY_IS(&f, VIN, identity_of_platform(i, p->id) && !identity_of_platform(i, p->id + 1));
	TELLS(&f, "DELETE FROM platform_vehicle");
	IDENTITY_IS(&f, VIN, !identity_of_platform(i, p->id));
	identity_platform_put(p);
	fixture_stop(&f);
	identity_platform_put(later);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_other_form_of_a_key),
		cmocka_unit_test(test_platforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
