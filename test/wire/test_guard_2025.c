/* The 2025 edition of GB/T 32960.3: three algorithms, two readings of what is signed, its
 * activation. */

#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "proto/wire/guard.h"
#include "test/wire/cm.h"
#include "test/wire/pair.h"
#include "test/wire/sample.h"

#define NOW (SAMPLE_TIME + 60)

enum { ROOM = 8192, MARK = 0xFF, KIND_COUNT = 3 };

/* In the order of the signature types 1, 2, 3. */
static EVP_PKEY *pairs[KIND_COUNT];
static const enum algorithm algorithms[KIND_COUNT] = { ALGORITHM_SM2, ALGORITHM_RSA,
						       ALGORITHM_P256 };
static uint8_t unit[ROOM], opened[ROOM];
static struct report scratch;

static int make_pairs(void **state)
{
	(void)state;
	pairs[0] = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	pairs[1] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	pairs[2] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	return pairs[0] == NULL || pairs[1] == NULL || pairs[2] == NULL;
}

static int free_pairs(void **state)
{
	(void)state;
	for (int i = 0; i < KIND_COUNT; i++)
		EVP_PKEY_free(pairs[i]);
	return 0;
}

/* The key as an activation carries it; returns its size. */
static size_t put_key(int kind, uint8_t *key)
{
	uint8_t *end = key;

	if (algorithms[kind] == ALGORITHM_RSA)
		return (size_t)i2d_PUBKEY(pairs[kind], &end);
	public_point(pairs[kind], key);
	return 64;
}

/* Signs the first size bytes; puts type, R and S at p and returns their size. */
static size_t put_signature(int kind, size_t size, uint8_t *p)
{
	uint8_t r[512], s[32];
	size_t r_size = 32, s_size = 32;

	if (algorithms[kind] == ALGORITHM_SM2)
		assert_true(signature_sign_sm2(pairs[kind], CHIP, unit, size, r, s));
	else
		sign_sha256(pairs[kind], unit, size, r, &r_size, s, &s_size);
	p[0] = (uint8_t)(kind + 1);
	p[1] = (uint8_t)(r_size >> 8);
	p[2] = (uint8_t)r_size;
	memcpy(p + 3, r, r_size);
	p[3 + r_size] = 0;
	p[4 + r_size] = (uint8_t)s_size;
	memcpy(p + 5 + r_size, s, s_size);
	return 5 + r_size + s_size;
}

/* A report of one body; mark: the FF is signed too.  Returns the unit's size. */
static size_t signed_report(int kind, size_t mark)
{
	struct sample_random random = { 5 };
	uint8_t body[SAMPLE_BODY_MAX];
	const struct info *info = info_find(INFO_EV_2025, 0x01);
	struct unit_writer w;

	unit_start(&w, LAYOUT_EV_2025, SAMPLE_TIME, 0, unit, ROOM);
	unit_block(&w, info->type, SAMPLE_TIME, 0, body, sample_body(info, &random, true, body));
	assert_false(w.failed);
	unit[w.size] = MARK;
	return w.size + 1 + put_signature(kind, w.size + mark, unit + w.size + 1);
}

static struct guard_result check(uint8_t command, size_t size, const struct guard_keys *keys)
{
	struct frame f = sample_frame(0x24, HEADER_P, command);
	struct guard_result result;

	f.unit = unit;
	f.unit_size = size;
	guard_check(&f, keys, LAYOUT_UNKNOWN, NOW, opened, &scratch, &result);
	return result;
}

/* Method: all three keys are there; each signature is checked with that of its algorithm alone. */
static void test_algorithms_and_ranges(void **state)
{
	struct guard_keys keys = { .verify = true, .signer_count = KIND_COUNT };
	uint8_t key[512];

	(void)state;
	for (int kind = 0; kind < KIND_COUNT; kind++)
		keys.signers[kind] =
			(struct guard_signer){ (uint64_t)kind + 10,
					       signature_key_new(algorithms[kind], key,
								 put_key(kind, key), CHIP) };
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		for (size_t mark = 0; mark < 2; mark++) {
			const struct guard_result result =
				check(0x02, signed_report(kind, mark), &keys);

			assert_int_equal(result.verdict, VERDICT_ACCEPTED);
			assert_int_equal(result.signature, SIGNATURE_VALID);
			assert_int_equal(result.signature_key, kind + 10);
			assert_int_equal(result.signature_user,
					 kind == 0 ? SIGNATURE_USER_CHIP : SIGNATURE_USER_NONE);
		}
		/* One byte short of either reading. */
		const size_t size = signed_report(kind, 0);
		struct guard_keys others = keys;

		others.signers[kind].key = keys.signers[(kind + 1) % KIND_COUNT].key;
		assert_int_equal(check(0x02, size, &others).signature, SIGNATURE_NO_KEY);
	}
	for (int kind = 0; kind < KIND_COUNT; kind++)
		signature_key_free(keys.signers[kind].key);
}

/* Method: each bit of a signed unit changed, its marks and lengths too: never valid. */
static void test_every_bit(void **state)
{
	uint8_t key[512];

	(void)state;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		struct signature_key *k =
			signature_key_new(algorithms[kind], key, put_key(kind, key), CHIP);
		const struct guard_keys keys = { .verify = true,
						 .signers = { { 1, k } },
						 .signer_count = 1 };
		const size_t size = signed_report(kind, 0);

		assert_int_equal(check(0x02, size, &keys).signature, SIGNATURE_VALID);
		for (size_t bit = 0; bit < 8 * size; bit++) {
			unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_not_equal(check(0x02, size, &keys).signature, SIGNATURE_VALID);
			unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		signature_key_free(k);
	}
}

/* mark: a point is sent with its 04. */
static size_t activation(int kind, bool mark)
{
	size_t at = 22, key_size;

	wire_time_encode(SAMPLE_TIME, unit);
	memcpy(unit + 6, CHIP, 16);
	unit[24] = 0x04;
	key_size = put_key(kind, unit + at + 2 + mark) + mark;
	unit[at] = (uint8_t)(key_size >> 8);
	unit[at + 1] = (uint8_t)key_size;
	at += 2 + key_size;
	memcpy(unit + at, SAMPLE_VIN, 17);
	at += 17;
	return at + put_signature(kind, at, unit + at);
}

static void test_activation(void **state)
{
	const struct guard_keys none = { .verify = false };

	(void)state;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		for (int mark = 0; mark < (algorithms[kind] == ALGORITHM_RSA ? 1 : 2); mark++) {
			const size_t size = activation(kind, mark != 0);
			struct frame f = sample_frame(0x24, HEADER_P, 0x09);
			struct activation a;
			char json[1024];

			assert_int_equal(check(0x09, size, &none).signature, SIGNATURE_VALID);
			f.unit = unit;
			f.unit_size = size;
			assert_int_equal(activation_decode(&f, NOW, &a), VERDICT_ACCEPTED);
			assert_int_equal(a.signature.algorithm, algorithms[kind]);
			if (algorithms[kind] != ALGORITHM_RSA)
				assert_int_equal(a.public_key_size, 64);
			assert_string_equal(a.chip_id, CHIP);
			assert_string_equal(a.vin, SAMPLE_VIN);
			frame_json(&f, LAYOUT_UNKNOWN, NOW, json, sizeof(json));
			assert_non_null(strstr(json, "\"signed\":true,\"signature\":\""));
			assert_non_null(strstr(json, algorithm_text(algorithms[kind])));
			for (size_t bit = 0; bit < 8 * size; bit += kind == 1 ? 11 : 1) {
				unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
				assert_int_not_equal(check(0x09, size, &none).signature,
						     SIGNATURE_VALID);
				unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
	}
	/* A type that no edition has. */
	const size_t size = activation(0, false);

	unit[22 + 2 + 64 + 17] = 4;
	assert_int_equal(check(0x09, size, &none).signature, SIGNATURE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms_and_ranges),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_activation),
	};

	return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
