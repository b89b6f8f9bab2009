/* Checkpoints, leaves and keys: one form each, and no changed byte passes. */
#include "test/wire/cm.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/evidence/checkpoint.h"
#include "gateway/evidence/leaf.h"

static const char *const algorithms[] = { "ed25519", "sm2" };
enum { ALGORITHMS = 2 };

static struct log_key *key_of(const char *algorithm)
{
	struct log_key *k = NULL;
	struct error err;

	assert_int_equal(log_key_make(algorithm, &k, &err), 0);
	return k;
}

static struct checkpoint sample(const struct log_key *k)
{
	struct checkpoint c = {
		.origin = "city/gateway-7", .size = 42, .time = 1795000000, .clock = 2
	};
	struct error err;

	memset(c.root[HASH_SHA256].bytes, 0xab, HASH_SIZE);
	memset(c.root[HASH_SM3].bytes, 0x3c, HASH_SIZE);
	assert_int_equal(checkpoint_sign(&c, k, &err), 0);
	return c;
}

static bool believed(const char *text, size_t size, const struct log_key *k)
{
	struct checkpoint c;

	return checkpoint_read(text, size, &c) == size && size > 0 && checkpoint_signed(&c, k);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int i = 0; i < ALGORITHMS; i++) {
		struct log_key *k = key_of(algorithms[i]), *stranger = key_of(algorithms[i]);
		struct checkpoint c = sample(k), again;
		char text[CHECKPOINT_TEXT_SIZE], same[CHECKPOINT_TEXT_SIZE];
		const size_t size = checkpoint_write(&c, text);

		assert_int_equal(checkpoint_read(text, size, &again), size);
		assert_int_equal(checkpoint_write(&again, same), size);
		assert_string_equal(text, same);
		assert_true(checkpoint_signed(&again, k));
		assert_false(checkpoint_signed(&again, stranger));
		/* Another key that says it were this one. */
		again.key_id = *log_key_id(stranger);
		assert_false(checkpoint_signed(&again, stranger));
		assert_true(strstr(text, "\ntime 2026-11-18T11:06:40Z\nclock unsynchronised\n") !=
			    NULL);
		log_key_free(stranger);
		log_key_free(k);
	}
}

/* Method: every byte becomes every other one that a text has, and some that none has. */
static void test_no_byte_can_change(void **state)
{
	static const char letters[] = "0123456789abcdefABCDEFxyzZT:-+._/ \t\r\n";
	unsigned long tried = 0;

	(void)state;
	for (int i = 0; i < ALGORITHMS; i++) {
		struct log_key *k = key_of(algorithms[i]);
		const struct checkpoint c = sample(k);
		char text[CHECKPOINT_TEXT_SIZE];
		const size_t size = checkpoint_write(&c, text);

		assert_true(believed(text, size, k));
		for (size_t at = 0; at < size; at++) {
			const char was = text[at];

			for (size_t l = 0; l < sizeof(letters); l++) { /* with the NUL */
				/* Each costs a verification where the text can be read. */
				if (letters[l] == was || (l + at) % 5 != 0)
					continue;
				text[at] = letters[l];
				assert_false(believed(text, size, k));
				tried++;
			}
			text[at] = (char)(was ^ 0x80);
			assert_false(believed(text, size, k));
			text[at] = was;
		}
		log_key_free(k);
	}
	print_message("%lu changed checkpoints refused\n", tried);
}

static void test_cut_and_stretched(void **state)
{
	struct log_key *k = key_of("sm2");
	const struct checkpoint c = sample(k);
	char text[CHECKPOINT_TEXT_SIZE], other[CHECKPOINT_TEXT_SIZE + 1];
	const size_t size = checkpoint_write(&c, text);

	(void)state;
	for (size_t n = 0; n < size; n++)
		assert_false(believed(text, n, k));
	for (size_t at = 0; at <= size; at++) {
		memcpy(other, text, at);
		other[at] = at > 0 ? text[at - 1] : 'h';
		memcpy(other + at + 1, text + at, size - at);
		/* What stands behind a whole one is the reader's to refuse, by the size. */
		assert_false(believed(other, size + 1, k));
	}
	log_key_free(k);
}

static void replace(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from), behind[CHECKPOINT_TEXT_SIZE];

	assert_non_null(at);
	snprintf(behind, sizeof(behind), "%s", at + strlen(from));
	snprintf(at, CHECKPOINT_TEXT_SIZE - (size_t)(at - text), "%s%s", to, behind);
}

/* Forms that mean the same and are not the one form. */
static void test_other_forms(void **state)
{
	static const char *const rows[][2] = {
		{ "size 42", "size 042" },
		{ "size 42", "size +42" },
		{ "size 42", "size 42 " },
		{ "size 42", "size 18446744073709551658" },
		{ "11-18T11", "11-18t11" },
		{ "2026-11-18T11:06:40", "2026-11-17T35:06:40" },
		{ "2026-11-18", "2026-10-49" },
		{ "abab", "ABAB" },
		{ "origin city", "origin  city" },
		{ "origin city/gateway-7", "origin " },
		{ "\nsm3", "\n\nsm3" },
		{ "clock unsynchronised", "clock " },
		{ "checkpoint 1", "checkpoint 2" },
		{ "\nkey ed25519", "\r\nkey ed25519" },
	};
	struct log_key *k = key_of("ed25519");
	const struct checkpoint c = sample(k);
	struct checkpoint read;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[CHECKPOINT_TEXT_SIZE];

		checkpoint_write(&c, text);
		replace(text, rows[i][0], rows[i][1]);
		assert_int_equal(checkpoint_read(text, strlen(text), &read), 0);
	}
	log_key_free(k);
}

static void test_origin(void **state)
{
	char longest[ORIGIN_SIZE + 1];

	(void)state;
	memset(longest, 'a', ORIGIN_SIZE);
	longest[ORIGIN_SIZE] = '\0';
	assert_false(origin_valid(longest));
	longest[ORIGIN_SIZE - 1] = '\0';
	assert_true(origin_valid(longest));
	assert_false(origin_valid(""));
	assert_false(origin_valid("two words"));
	assert_false(origin_valid("line\nsize 9"));
}

/* Any text that is read is written the same way again. */
static void test_leaf(void **state)
{
	struct segment_leaf leaf = { .gateway = 1,
				     .base = 4096,
				     .end = 99999,
				     .first = 7,
				     .records = 10,
				     .flaws = 0 },
			    read;
	char text[LEAF_TEXT_SIZE], again[LEAF_TEXT_SIZE];
	unsigned good = 0, bad = 0;
	size_t size;

	(void)state;
	memset(&leaf.chain, 0x5a, sizeof(leaf.chain) + sizeof(leaf.root) + sizeof(leaf.file));
	size = leaf_write(&leaf, text);
	assert_true(leaf_read(text, size, &read));
	assert_memory_equal(&read, &leaf, sizeof(leaf));
	srandom(3);
	for (int i = 0; i < 200000; i++) {
		const size_t at = (size_t)random() % size;
		const char was = text[at];

		text[at] =
			(char)(random() % 3 == 0 ? random() : "0123456789abcdef "[random() % 17]);
		if (leaf_read(text, size, &read)) {
			assert_int_equal(leaf_write(&read, again), size);
			assert_memory_equal(again, text, size);
			good++;
		} else {
			bad++;
		}
		text[at] = was;
	}
	assert_true(good > 1000 && bad > 1000);
	for (size_t n = 0; n < size; n++)
		assert_false(leaf_read(text, n, &read));
	text[size] = '0'; /* one digit more in the last hash */
	assert_false(leaf_read(text, size + 1, &read));
}

static void test_keys(void **state)
{
	struct log_key *k = NULL, *public = NULL;
	char pem[KEY_PEM_MAX], secret[4096];
	uint8_t signature[KEY_SIGNATURE_SIZE];
	struct error err;

	(void)state;
	assert_int_equal(log_key_make("rsa", &k, &err), ERROR_USAGE);
	for (int i = 0; i < ALGORITHMS; i++) {
		k = key_of(algorithms[i]);
		assert_int_equal(log_key_public_pem(k, pem, &err), 0);
		assert_int_equal(log_key_private_pem(k, secret, sizeof(secret), &err), 0);
		assert_int_equal(log_key_read_public(pem, strlen(pem), "it", &public, &err), 0);
		assert_true(hash_same(log_key_id(k), log_key_id(public)));
		assert_int_equal(log_key_sign(k, "text", 4, signature, &err), 0);
		assert_true(log_key_signed(public, "text", 4, signature));
		assert_false(log_key_signed(public, "texu", 4, signature));
		assert_int_equal(log_key_sign(public, "text", 4, signature, &err), ERROR_USAGE);
		memset(signature, 0, sizeof(signature));
		assert_false(log_key_signed(public, "text", 4, signature));
		memset(signature, 0xff, sizeof(signature));
		assert_false(log_key_signed(public, "text", 4, signature));
		log_key_free(public);
		/* A private key is no public one, and the other way round. */
		assert_int_equal(log_key_read_public(secret, strlen(secret), "it", &public, &err),
				 ERROR_USAGE);
		assert_int_equal(log_key_read_private(pem, strlen(pem), "it", &public, &err),
				 ERROR_USAGE);
		log_key_free(k);
	}
	assert_int_equal(log_key_read_public("", 0, "it", &public, &err), ERROR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_byte_can_change),
		cmocka_unit_test(test_cut_and_stretched),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_leaf),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
