/* Judging one frame: which keys are tried, what is told about it, and that no changed bit passes.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "proto/wire/guard.h"
#include "test/wire/cm.h"
#include "test/wire/pair.h"
#include "test/wire/sample.h"

#define NOW (SAMPLE_TIME + 60)

enum { ROOM = 8192 };

static EVP_PKEY *truck, *other, *gateway;
static uint8_t unit[ROOM], sealed[ROOM], opened[ROOM];
static struct report scratch;

static int make_pairs(void **state)
{
	(void)state;
	truck = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	other = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	gateway = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	return truck == NULL || other == NULL || gateway == NULL;
}

static int free_pairs(void **state)
{
	(void)state;
	EVP_PKEY_free(truck);
	EVP_PKEY_free(other);
	EVP_PKEY_free(gateway);
	return 0;
}

static struct signature_key *signer_of(EVP_PKEY *pair, const char *chip)
{
	struct signature_key *k;
	uint8_t point[64];

	public_point(pair, point);
	k = signature_key_new(ALGORITHM_SM2, point, sizeof(point), chip);
	assert_non_null(k);
	return k;
}

/* A signed report of n seconds in layout C; returns the size of its unit. */
static size_t signed_report(EVP_PKEY *pair, const char *user, unsigned n)
{
	struct sample_drive drive;
	struct unit_writer w;
	uint8_t body[STREAM_SIZE], r[32], s[32];

	sample_drive_start(&drive, 7);
	unit_start(&w, LAYOUT_C, SAMPLE_TIME, 1, unit, ROOM);
	for (unsigned i = 0; i < n; i++) {
		sample_drive_second(&drive, body);
		unit_block(&w, INFO_STREAM, SAMPLE_TIME + i, 1, body, sizeof(body));
	}
	assert_true(signature_sign_sm2(pair, user, unit, w.size, r, s));
	unit_sign(&w, r, s);
	assert_false(w.failed);
	return w.size;
}

static struct frame frame_of(uint8_t command, const uint8_t *bytes, size_t size, uint8_t encryption)
{
	struct frame f = sample_frame(0x7E, HEADER_V, command);

	f.unit = bytes;
	f.unit_size = size;
	f.encryption = encryption;
	return f;
}

static struct guard_result check(const struct frame *f, const struct guard_keys *keys)
{
	struct guard_result result;

	memset(opened, 0xEE, sizeof(opened));
	guard_check(f, keys, LAYOUT_UNKNOWN, NOW, opened, &scratch, &result);
	for (size_t i = f->unit_size; i < ROOM; i++)
		assert_int_equal(opened[i], 0xEE);
	return result;
}

/* Method: a plain signed report, with no key, with a wrong one first, with the right one second. */
static void test_signers(void **state)
{
	struct signature_key *right = signer_of(truck, CHIP), *wrong = signer_of(other, CHIP);
	struct guard_keys keys = { .verify = true };
	struct frame f = frame_of(0x02, unit, signed_report(truck, CHIP, 10), 1);
	struct guard_result result = check(&f, &keys);

	(void)state;
	assert_int_equal(result.verdict, VERDICT_ACCEPTED);
	assert_int_equal(result.signature, SIGNATURE_NO_KEY);
	keys.signers[0] = (struct guard_signer){ 41, wrong };
	keys.signer_count = 1;
	result = check(&f, &keys);
	assert_int_equal(result.signature, SIGNATURE_INVALID);
	assert_int_equal(result.signature_key, 0);
	keys.signers[1] = (struct guard_signer){ 42, right };
	keys.signer_count = 2;
	result = check(&f, &keys);
	assert_int_equal(result.verdict, VERDICT_ACCEPTED);
	assert_int_equal(result.signature, SIGNATURE_VALID);
	assert_int_equal(result.signature_key, 42);
	assert_int_equal(result.signature_user, SIGNATURE_USER_CHIP);
	assert_false(result.opened);
	keys.verify = false;
	assert_int_equal(check(&f, &keys).signature, SIGNATURE_SKIPPED);
	keys.verify = true;
	f.unit_size = signed_report(truck, SIGNATURE_DEFAULT_USER, 10);
	result = check(&f, &keys);
	assert_int_equal(result.signature, SIGNATURE_VALID);
	assert_int_equal(result.signature_user, SIGNATURE_USER_DEFAULT);
	f.unit_size -= 66;
	assert_int_equal(check(&f, &keys).signature, SIGNATURE_NONE);
	signature_key_free(right);
	signature_key_free(wrong);
}

/* Method: each bit of a signed unit changed: never valid. */
static void test_every_bit(void **state)
{
	struct signature_key *right = signer_of(truck, CHIP);
	const struct guard_keys keys = { .verify = true,
					 .signers = { { 1, right } },
					 .signer_count = 1 };
	const size_t size = signed_report(truck, CHIP, 2);
	const struct frame f = frame_of(0x02, unit, size, 1);

	(void)state;
	assert_int_equal(check(&f, &keys).signature, SIGNATURE_VALID);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(check(&f, &keys).signature, SIGNATURE_VALID);
		unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	signature_key_free(right);
}

static size_t seal(const struct cipher_key *k, size_t size)
{
	size_t n;

	assert_int_equal(cipher_seal(k, unit, size, sealed, sizeof(sealed), &n), CIPHER_OPENED);
	return n;
}

/* Method: signed, then encrypted; keys in the wrong order; then nothing but wrong keys. */
static void test_opens_with_the_key_that_fits(void **state)
{
	static const uint8_t right[16] = "the right key...", wrong[16] = "the wrong key...";
	struct cipher_key *sm4 =
		cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_CTR_PREFIX, right, NULL);
	struct cipher_key *bad =
		cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_CTR_PREFIX, wrong, NULL);
	struct cipher_key *sm2 = cipher_key_pair(gateway, CIPHER_MODE_SM2_ANY);
	struct signature_key *signer = signer_of(truck, CHIP);
	struct guard_keys keys = {
		.verify = true,
		.signers = { { 7, signer } },
		.signer_count = 1,
		.ciphers = { { 1, bad }, { 2, sm2 }, { 3, sm4 } },
		.cipher_count = 3,
	};
	const size_t size = signed_report(truck, CHIP, 10);
	struct frame f = frame_of(0x02, sealed, seal(sm4, size), 3);
	struct guard_result result = check(&f, &keys);

	(void)state;
	assert_int_equal(result.verdict, VERDICT_ACCEPTED);
	assert_true(result.opened);
	assert_false(result.content_bad);
	assert_int_equal(result.cipher, CIPHER_OPENED);
	assert_int_equal(result.cipher_key, 3);
	assert_int_equal(result.unit_size, size);
	assert_memory_equal(opened, unit, size);
	assert_int_equal(result.signature, SIGNATURE_VALID);
	assert_int_equal(scratch.block_count, 10);

	keys.cipher_count = 1; /* opens in its way, to nonsense */
	result = check(&f, &keys);
	assert_int_equal(result.verdict, VERDICT_DECRYPT_FAILED);
	assert_int_equal(result.cipher, CIPHER_OPENED);
	assert_true(result.content_bad);
	assert_false(result.opened);
	assert_int_equal(result.cipher_key, 1);
	assert_int_equal(result.signature, SIGNATURE_NONE);

	keys.ciphers[0] = (struct guard_cipher){ 2, sm2 };
	result = check(&f, &keys);
	assert_int_equal(result.verdict, VERDICT_DECRYPT_FAILED);
	assert_int_equal(result.cipher, CIPHER_BAD_PADDING);
	assert_false(result.content_bad);
	f.unit_size = 20;
	assert_int_equal(check(&f, &keys).cipher, CIPHER_BAD_SIZE);
	keys.cipher_count = 0;
	assert_int_equal(check(&f, &keys).verdict, VERDICT_ENCRYPTED);

	/* Marked encrypted, and plain: nothing is opened, the signature counts. */
	f = frame_of(0x02, unit, size, 3);
	result = check(&f, &keys);
	assert_int_equal(result.verdict, VERDICT_ACCEPTED);
	assert_false(result.opened);
	assert_int_equal(result.signature, SIGNATURE_VALID);
	cipher_key_free(sm4);
	cipher_key_free(bad);
	cipher_key_free(sm2);
	signature_key_free(signer);
}

/* Method: every unit that is no report, sealed; the length tells header P what it is only when
 * open. */
static void test_other_units(void **state)
{
	static const uint8_t key[16] = "a key of 16 byte";
	struct cipher_key *k =
		cipher_key_symmetric(ALGORITHM_AES128, CIPHER_MODE_CBC_PREFIX, key, NULL);
	const struct guard_keys keys = { .ciphers = { { 5, k } }, .cipher_count = 1 };
	struct guard_result result;
	struct frame f;

	(void)state;
	for (int header = 0; header < 2; header++) {
		const size_t size = unit_login(SAMPLE_TIME, 3, "89860000000000000001",
					       (enum header)header, unit, ROOM);

		f = frame_of(0x01, sealed, seal(k, size), 5);
		f.header = (enum header)header;
		result = check(&f, &keys);
		assert_true(result.opened);
		assert_int_equal(result.unit_size, size);
		assert_int_equal(result.signature, SIGNATURE_NONE);
	}
	f = frame_of(0x04, sealed, seal(k, unit_logout(SAMPLE_TIME, 3, unit, ROOM)), 5);
	assert_true(check(&f, &keys).opened);
	memset(unit + 8, 0, 9);
	f = frame_of(0x06, sealed, seal(k, 17), 5); /* tamper alarm */
	assert_true(check(&f, &keys).opened);
	f = frame_of(0x05, sealed, seal(k, 41), 5); /* platform login, "##" */
	f.start = 0x23;
	f.header = HEADER_P;
	assert_true(check(&f, &keys).opened);
	f = frame_of(0x80, sealed, seal(k, 9), 5); /* the answer to a query */
	f.header = HEADER_P;
	f.answer = ANSWER_SUCCESS;
	assert_true(check(&f, &keys).opened);
	/* A heartbeat has nothing to open; what somebody hangs on it is not looked at. */
	f = frame_of(0x07, sealed, 0, 5);
	f.start = 0x23;
	f.header = HEADER_P;
	assert_int_equal(check(&f, &keys).verdict, VERDICT_ACCEPTED);
	f.unit_size = 5;
	assert_int_equal(check(&f, &keys).verdict, VERDICT_ACCEPTED);
	assert_false(check(&f, &keys).opened);
	cipher_key_free(k);
}

/* Method: once opened, a unit is read as tolerantly as one that was never sealed. */
static void test_opened_is_plain(void **state)
{
	static const uint8_t key[16] = "a key of 16 byte",
			     rest[] = { 0x85, 26, 7, 24, 12, 0, 0, 'o', 'w', 'n' };
	struct cipher_key *k = cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_ECB, key, NULL);
	const struct guard_keys keys = { .ciphers = { { 5, k } }, .cipher_count = 1 };
	const size_t size = signed_report(truck, CHIP, 3) - 66;
	struct frame f;

	(void)state;
	memcpy(unit + size, rest, sizeof(rest));
	f = frame_of(0x02, sealed, seal(k, size + sizeof(rest)), 3);
	assert_true(check(&f, &keys).opened);
	assert_true((scratch.quirks & QUIRK_UNKNOWN_INFO) != 0);
	assert_true((scratch.quirks & QUIRK_PLAIN_MARKED_ENCRYPTED) == 0);
	cipher_key_free(k);
}

static size_t activation(EVP_PKEY *pair, const char *user)
{
	wire_time_encode(SAMPLE_TIME, unit);
	memcpy(unit + 6, CHIP, 16);
	public_point(pair, unit + 22);
	memcpy(unit + 86, SAMPLE_VIN, 17);
	unit[103] = unit[136] = 32;
	assert_true(signature_sign_sm2(pair, user, unit, 103, unit + 104, unit + 137));
	return 169;
}

/* Method: a good activation, plain and sealed in both headers; then each bit changed. */
static void test_activation(void **state)
{
	struct cipher_key *k = cipher_key_pair(gateway, CIPHER_MODE_SM2_C1C3C2);
	const struct guard_keys keys = { .ciphers = { { 0, k } }, .cipher_count = 1 };
	const size_t size = activation(truck, CHIP);
	struct frame f = frame_of(0x07, unit, size, 1);
	struct guard_result result = check(&f, &keys);

	(void)state;
	assert_int_equal(result.verdict, VERDICT_ACCEPTED);
	assert_int_equal(result.signature, SIGNATURE_VALID);
	assert_int_equal(result.signature_user, SIGNATURE_USER_CHIP);
	assert_int_equal(result.signature_key, 0);
	f = frame_of(0x07, sealed, seal(k, size), 2);
	for (int header = 0; header < 2; header++) {
		f.header = (enum header)header;
		for (f.start = 0x23; f.start != 0; f.start = f.start == 0x23 ? 0x7E : 0) {
			result = check(&f, &keys);
			assert_true(result.opened);
			assert_int_equal(result.signature, SIGNATURE_VALID);
		}
	}
	f = frame_of(0x07, unit, size, 1);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(check(&f, &keys).signature, SIGNATURE_VALID);
		unit[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	activation(truck, SIGNATURE_DEFAULT_USER);
	assert_int_equal(check(&f, &keys).signature_user, SIGNATURE_USER_DEFAULT);
	cipher_key_free(k);
}

struct shared {
	const struct guard_keys *keys;
	const struct frame *f;
	int failures;
};

static void *check_often(void *arg)
{
	struct shared *shared = arg;
	struct report *report = malloc(sizeof(*report));
	uint8_t *room = malloc(ROOM);
	struct guard_result result;

	for (int i = 0; report != NULL && room != NULL && i < 30; i++) {
		guard_check(shared->f, shared->keys, LAYOUT_UNKNOWN, NOW, room, report, &result);
		shared->failures += !result.opened || result.signature != SIGNATURE_VALID;
	}
	shared->failures += report == NULL || room == NULL;
	free(report);
	free(room);
	return NULL;
}

/* Method: four threads with the same keys from the first use on, when the tables are made. */
static void test_threads_share_keys(void **state)
{
	struct cipher_key *k = cipher_key_pair(gateway, CIPHER_MODE_SM2_ANY);
	struct signature_key *signer = signer_of(truck, CHIP);
	const struct guard_keys keys = {
		.verify = true,
		.signers = { { 7, signer } },
		.signer_count = 1,
		.ciphers = { { 1, k } },
		.cipher_count = 1,
	};
	const struct frame f = frame_of(0x02, sealed, seal(k, signed_report(truck, CHIP, 10)), 2);
	struct shared shared[4];
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		shared[i] = (struct shared){ &keys, &f, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, check_often, &shared[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(shared[i].failures, 0);
	}
	cipher_key_free(k);
	signature_key_free(signer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signers),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_opens_with_the_key_that_fits),
		cmocka_unit_test(test_other_units),
		cmocka_unit_test(test_opened_is_plain),
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_threads_share_keys),
	};

	return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
