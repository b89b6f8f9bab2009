/* Opening and sealing units: all modes, wrong keys, damaged ciphertext, sizes at the edges. */

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "proto/wire/cipher.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

enum { ROOM = 8192, TEXT_MAX = 1000 };

static const uint8_t key_bytes[16] = "0123456789abcdef", other_bytes[16] = "0123456789abcdeg",
		     iv_bytes[16] = "a fixed IV 12345";

static EVP_PKEY *sm2_pair, *sm2_other, *rsa_pair, *rsa_other;

static int make_pairs(void **state)
{
	(void)state;
	sm2_pair = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	sm2_other = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	rsa_pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	rsa_other = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	return sm2_pair == NULL || sm2_other == NULL || rsa_pair == NULL || rsa_other == NULL;
}

static int free_pairs(void **state)
{
	(void)state;
	EVP_PKEY_free(sm2_pair);
	EVP_PKEY_free(sm2_other);
	EVP_PKEY_free(rsa_pair);
	EVP_PKEY_free(rsa_other);
	return 0;
}

static const struct {
	enum algorithm algorithm;
	enum cipher_mode mode;
	bool proves; /* a changed ciphertext never opens to the same size of text unseen */
} modes[] = {
	{ ALGORITHM_SM2, CIPHER_MODE_SM2_ANY, true },
	{ ALGORITHM_SM2, CIPHER_MODE_SM2_DER, true },
	{ ALGORITHM_SM2, CIPHER_MODE_SM2_C1C3C2, true },
	{ ALGORITHM_SM2, CIPHER_MODE_SM2_C1C2C3, true },
	{ ALGORITHM_RSA, CIPHER_MODE_RSA_PKCS1, false },
	{ ALGORITHM_RSA, CIPHER_MODE_RSA_OAEP, true },
	{ ALGORITHM_RSA, CIPHER_MODE_RSA_OAEP_SHA256, true },
	{ ALGORITHM_SM4, CIPHER_MODE_ECB, false },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_PREFIX, false },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_ZERO, false },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_FIXED, false },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_KEY, false },
	{ ALGORITHM_SM4, CIPHER_MODE_CTR_PREFIX, false },
	{ ALGORITHM_AES128, CIPHER_MODE_ECB, false },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_PREFIX, false },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_ZERO, false },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_FIXED, false },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_KEY, false },
	{ ALGORITHM_AES128, CIPHER_MODE_CTR_PREFIX, false },
};
enum { MODE_COUNT = sizeof(modes) / sizeof(modes[0]) };

static struct cipher_key *make_key(size_t row, bool other)
{
	const enum algorithm algorithm = modes[row].algorithm;
	const enum cipher_mode mode = modes[row].mode;
	struct cipher_key *k;

	if (algorithm == ALGORITHM_SM2)
		k = cipher_key_pair(other ? sm2_other : sm2_pair, mode);
	else if (algorithm == ALGORITHM_RSA)
		k = cipher_key_pair(other ? rsa_other : rsa_pair, mode);
	else
		k = cipher_key_symmetric(algorithm, mode, other ? other_bytes : key_bytes,
					 mode == CIPHER_MODE_CBC_FIXED ? iv_bytes : NULL);
	assert_non_null(k);
	assert_int_equal(cipher_key_algorithm(k), algorithm);
	return k;
}

static void fill(uint8_t *text, size_t size)
{
	struct sample_random random = { size + 1 };

	for (size_t i = 0; i < size; i++)
		text[i] = (uint8_t)sample_random(&random);
}

/* Method: what is sealed opens to the same bytes, at sizes around every block's edge. */
static void test_round_trips(void **state)
{
	static const size_t sizes[] = { 1,  15, 16,  17,  31,  32,  61,	 62,  63,  85,	86,
					87, 88, 116, 117, 118, 233, 234, 235, 450, 1000 };
	static uint8_t text[TEXT_MAX], sealed[ROOM], opened[ROOM];

	(void)state;
	for (size_t row = 0; row < MODE_COUNT; row++) {
		struct cipher_key *k = make_key(row, false);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			size_t n, m;

			fill(text, sizes[i]);
			assert_int_equal(cipher_seal(k, text, sizes[i], sealed, ROOM, &n),
					 CIPHER_OPENED);
			memset(opened, 0xEE, sizeof(opened));
			assert_int_equal(cipher_open(k, sealed, n, opened, &m), CIPHER_OPENED);
			assert_int_equal(m, sizes[i]);
			assert_memory_equal(opened, text, m);
			for (size_t j = n; j < ROOM; j++)
				assert_int_equal(opened[j], 0xEE); /* room for size bytes */
			assert_int_equal(cipher_seal(k, text, sizes[i], sealed, sizes[i], &n),
					 CIPHER_NO_ROOM);
		}
		cipher_key_free(k);
	}
}

/* Method: another key never gives the text, and never another result than the three of failure. */
static void test_wrong_key(void **state)
{
	static uint8_t text[TEXT_MAX], sealed[ROOM], opened[ROOM];

	(void)state;
	fill(text, 450);
	for (size_t row = 0; row < MODE_COUNT; row++) {
		struct cipher_key *k = make_key(row, false), *other = make_key(row, true);
		enum cipher_result result;
		size_t n, m;

		assert_int_equal(cipher_seal(k, text, 450, sealed, ROOM, &n), CIPHER_OPENED);
		result = cipher_open(other, sealed, n, opened, &m);
		assert_true(result == CIPHER_BAD_PADDING || result == CIPHER_OPENED);
		if (modes[row].proves)
			assert_int_equal(result, CIPHER_BAD_PADDING);
		if (result != CIPHER_OPENED)
			assert_int_equal(m, 0);
		assert_false(result == CIPHER_OPENED && m == 450 && memcmp(opened, text, m) == 0);
		assert_int_equal(ERR_peek_error(), 0); /* nothing for TLS to stumble over */
		cipher_key_free(k);
		cipher_key_free(other);
	}
}

/* Method: every bit of a short ciphertext flipped, every cut: never the text, never a crash. */
static void test_damage(void **state)
{
	static uint8_t text[40], sealed[512], opened[512];

	(void)state;
	fill(text, sizeof(text));
	for (size_t row = 0; row < MODE_COUNT; row++) {
		struct cipher_key *k = make_key(row, false);
		/* A private operation costs a lot: a prime step still meets every byte's role. */
		const size_t step = modes[row].algorithm <= ALGORITHM_RSA ? 13 : 1;
		size_t n, m;

		assert_int_equal(cipher_seal(k, text, sizeof(text), sealed, sizeof(sealed), &n),
				 CIPHER_OPENED);
		for (size_t bit = 0; bit < 8 * n; bit += step) {
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			const enum cipher_result result = cipher_open(k, sealed, n, opened, &m);

			assert_false(result == CIPHER_OPENED && m == sizeof(text) &&
				     memcmp(opened, text, m) == 0);
			if (modes[row].proves)
				assert_int_not_equal(result, CIPHER_OPENED);
			sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t size = 0; size < n; size += modes[row].proves ? 7 : 1)
			if (cipher_open(k, sealed, size, opened, &m) == CIPHER_OPENED)
				assert_false(m >= sizeof(text));
		cipher_key_free(k);
	}
}

/* Method: one ciphertext in each of the six layouts, made from OpenSSL's own; SM2_ANY opens all. */
static void test_sm2_layouts(void **state)
{
	static const uint8_t text[] = "one text, six layouts";
	struct cipher_key *any = cipher_key_pair(sm2_pair, CIPHER_MODE_SM2_ANY);
	struct cipher_key *new_order = cipher_key_pair(sm2_pair, CIPHER_MODE_SM2_C1C3C2);
	struct cipher_key *old_order = cipher_key_pair(sm2_pair, CIPHER_MODE_SM2_C1C2C3);
	struct cipher_key *der = cipher_key_pair(sm2_pair, CIPHER_MODE_SM2_DER);
	const struct cipher_key *const sealers[] = { new_order, old_order, der };

	(void)state;
	for (int i = 0; i < 3; i++) {
		uint8_t sealed[1 + 256] = { 0x04 }, opened[256];
		size_t n, m;

		assert_int_equal(cipher_seal(sealers[i], text, sizeof(text), sealed + 1, 256, &n),
				 CIPHER_OPENED);
		if (i < 2)
			assert_int_equal(n, sizeof(text) + 96);
		assert_int_equal(cipher_open(any, sealed + 1, n, opened, &m), CIPHER_OPENED);
		assert_int_equal(m, sizeof(text));
		assert_memory_equal(opened, text, m);
		if (i < 2) {
			assert_int_equal(cipher_open(any, sealed, n + 1, opened, &m),
					 CIPHER_OPENED);
			assert_memory_equal(opened, text, m);
			assert_int_equal(cipher_open(sealers[i], sealed, n + 1, opened, &m),
					 CIPHER_OPENED);
		} else {
			sealed[n + 1] = 0; /* a byte behind the SEQUENCE */
			assert_int_not_equal(cipher_open(der, sealed + 1, n + 1, opened, &m),
					     CIPHER_OPENED);
		}
		for (int j = 0; j < 3; j++)
			if (j != i)
				assert_int_not_equal(
					cipher_open(sealers[j], sealed + 1, n, opened, &m),
					CIPHER_OPENED);
	}
	cipher_key_free(any);
	cipher_key_free(new_order);
	cipher_key_free(old_order);
	cipher_key_free(der);
}

/* Method: sizes that no ciphertext of the mode has, next to those that one has. */
static void test_sizes(void **state)
{
	static uint8_t in[512], out[512];
	size_t n;

	(void)state;
	for (size_t row = 0; row < MODE_COUNT; row++) {
		struct cipher_key *k = make_key(row, false);
		const bool ctr = modes[row].mode == CIPHER_MODE_CTR_PREFIX;
		const bool prefix = ctr || modes[row].mode == CIPHER_MODE_CBC_PREFIX;
		const bool pair = modes[row].algorithm <= ALGORITHM_RSA;

		assert_int_equal(cipher_open(k, in, 0, out, &n), CIPHER_BAD_SIZE);
		assert_int_equal(cipher_open(k, in, 1, out, &n), CIPHER_BAD_SIZE);
		if (prefix || pair)
			assert_int_equal(cipher_open(k, in, 16, out, &n), CIPHER_BAD_SIZE);
		if (!pair)
			assert_int_equal(cipher_open(k, in, 33, out, &n) == CIPHER_BAD_SIZE, !ctr);
		if (modes[row].algorithm == ALGORITHM_RSA)
			assert_int_equal(cipher_open(k, in, 129, out, &n), CIPHER_BAD_SIZE);
		if (modes[row].algorithm == ALGORITHM_SM2) {
			assert_int_equal(cipher_open(k, in, 96, out, &n), CIPHER_BAD_SIZE);
			assert_int_equal(cipher_seal(k, in, 0, out, sizeof(out), &n),
					 CIPHER_BAD_SIZE);
		}
		cipher_key_free(k);
	}
}

/* A terminal that sends random bytes must not buy a second of a worker with one frame. */
static void test_rows_of_rsa_are_bounded(void **state)
{
	enum { BLOCK = 128, PART = BLOCK - 11, MOST = CIPHER_RSA_BLOCKS_MAX };
	static uint8_t text[MOST * PART + 1], row[(MOST + 1) * BLOCK], back[sizeof(row)];
	struct cipher_key *k = cipher_key_pair(rsa_pair, CIPHER_MODE_RSA_PKCS1);
	size_t size = 0, n = 0;

	(void)state;
	assert_int_equal(cipher_seal(k, text, sizeof(text) - 1, row, sizeof(row), &size),
			 CIPHER_OPENED);
	assert_int_equal(cipher_open(k, row, size, back, &n), CIPHER_OPENED);
	assert_int_equal(n, sizeof(text) - 1);
	assert_int_equal(cipher_seal(k, text, sizeof(text), row, sizeof(row), &size),
			 CIPHER_NO_ROOM);
	assert_int_equal(cipher_open(k, row, sizeof(row), back, &n), CIPHER_BAD_SIZE);
	cipher_key_free(k);
}

static void test_keys_that_are_none(void **state)
{
	EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)768);
	EVP_PKEY *p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	struct cipher_key *k;

	(void)state;
	assert_null(cipher_key_pair(small, CIPHER_MODE_RSA_PKCS1));
	assert_null(cipher_key_pair(p256, CIPHER_MODE_SM2_ANY));
	assert_null(cipher_key_pair(rsa_pair, CIPHER_MODE_SM2_ANY));
	assert_null(cipher_key_pair(sm2_pair, CIPHER_MODE_RSA_OAEP));
	assert_null(cipher_key_pair(sm2_pair, CIPHER_MODE_ECB));
	assert_null(cipher_key_symmetric(ALGORITHM_SM2, CIPHER_MODE_ECB, key_bytes, NULL));
	assert_null(cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_SM2_ANY, key_bytes, NULL));
	assert_null(cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_CBC_FIXED, key_bytes, NULL));
	assert_null(cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_ECB, key_bytes, iv_bytes));
	k = cipher_key_pair(rsa_pair, CIPHER_MODE_DEFAULT);
	assert_non_null(k);
	cipher_key_free(k);
	cipher_key_free(NULL);
	EVP_PKEY_free(small);
	EVP_PKEY_free(p256);
}

static void test_tables(void **state)
{
	static const struct {
		enum protocol protocol;
		enum algorithm of[7];
	} rows[] = {
#define NONE	       ALGORITHM_NONE
#define OF(a, b, c, d) NONE, NONE, ALGORITHM_##a, ALGORITHM_##b, ALGORITHM_##c, ALGORITHM_##d, NONE
		{ PROTOCOL_UNKNOWN, { OF(NONE, NONE, NONE, NONE) } },
		{ PROTOCOL_GB17691, { OF(RSA, SM2, SM4, AES128) } },
		{ PROTOCOL_HJ1239, { OF(SM2, SM4, RSA, AES128) } },
		{ PROTOCOL_GBT32960_2016, { OF(RSA, AES128, NONE, NONE) } },
		{ PROTOCOL_GBT32960_2025, { OF(RSA, AES128, SM2, SM4) } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			const enum algorithm want = byte < 7 ? rows[i].of[byte] : NONE;
			const enum algorithm got =
				encryption_algorithm(rows[i].protocol, (uint8_t)byte);

			assert_int_equal(got, want);
			if (got != NONE)
				assert_int_equal(encryption_byte(rows[i].protocol, got), byte);
		}
		assert_int_equal(encryption_byte(rows[i].protocol, ALGORITHM_P256), 0);
		assert_int_equal(encryption_byte(rows[i].protocol, NONE), 1);
	}
	assert_int_equal(encryption_byte(PROTOCOL_GBT32960_2016, ALGORITHM_SM4), 0);
	assert_int_equal(encryption_algorithm((enum protocol)99, 2), NONE);
	for (unsigned i = 0; i < ALGORITHM_COUNT; i++)
		assert_int_equal(algorithm_parse(algorithm_text(i)), i);
	for (unsigned i = 0; i < CIPHER_MODE_COUNT; i++)
		assert_int_equal(cipher_mode_parse(cipher_mode_text(i)), i);
	assert_int_equal(algorithm_parse("SM2"), -1);
	assert_int_equal(cipher_mode_parse(""), -1);
	assert_string_equal(algorithm_text(99), "unknown");
	assert_string_equal(cipher_mode_text(99), "unknown");
	assert_true(cipher_mode_fits(ALGORITHM_AES128, CIPHER_MODE_CBC_KEY));
	assert_false(cipher_mode_fits(ALGORITHM_P256, CIPHER_MODE_DEFAULT));
	assert_false(cipher_mode_fits(ALGORITHM_NONE, CIPHER_MODE_DEFAULT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_of_rsa_are_bounded),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sm2_layouts),
		cmocka_unit_test(test_keys_that_are_none),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
