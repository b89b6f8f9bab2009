/*
 * SM2 by tables and by OpenSSL: whatever the input, both say the same.  A table that is wrong would
 * not be noticed otherwise: what it refuses OpenSSL decides.
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "proto/wire/signature_key.h"
#include "test/wire/cm.h"
#include "test/wire/pair.h"
#include "test/wire/sample.h"

struct both {
	const struct signature_key *key;
	const struct sm2_comb *comb;
	unsigned accepted, refused;
};

static void agree(struct both *b, const uint8_t r[32], const uint8_t s[32], const uint8_t *bytes,
		  size_t size)
{
	const struct unit_signature signature = signature_of(r, s, bytes, size);
	const enum signature_user fast = sm2_verify_by_tables(b->key, b->comb, &signature);

	assert_int_equal(fast, sm2_verify_by_openssl(b->key, &signature));
	if (fast == SIGNATURE_USER_NONE)
		b->refused++;
	else
		b->accepted++;
}

/* The bytes end one before what was signed, or behind it; the other reading is right. */
static void agree_on_other_range(const struct both *b, const uint8_t r[32], const uint8_t s[32],
				 const uint8_t *bytes, size_t size)
{
	struct unit_signature signature = signature_of(r, s, bytes, size - 1);

	assert_int_equal(sm2_verify_by_tables(b->key, b->comb, &signature), SIGNATURE_USER_NONE);
	signature.other_size = size;
	assert_int_equal(sm2_verify_by_tables(b->key, b->comb, &signature),
			 sm2_verify_by_openssl(b->key, &signature));
	assert_int_equal(sm2_verify_by_tables(b->key, b->comb, &signature) != SIGNATURE_USER_NONE,
			 b->accepted == 1);
}

static void put_number(const BIGNUM *number, uint8_t out[32])
{
	assert_int_equal(BN_bn2binpad(number, out, 32), 32);
}

/* Numbers at the edges of the range and of the comb: 0, 1, n - 1, n, n + 1, 2^256 - 1, ... */
static void edge_number(struct sample_random *random, uint8_t out[32])
{
	BIGNUM *number = BN_dup(sm2_order());

	memset(out, 0, 32);
	switch (sample_below(random, 7)) {
	case 0:
		break;
	case 1:
		out[31] = (uint8_t)sample_below(random, 4);
		break;
	case 2:
		memset(out, 0xFF, 32);
		break;
	case 3:
		BN_sub_word(number, sample_below(random, 3));
		put_number(number, out);
		break;
	case 4:
		BN_add_word(number, sample_below(random, 3));
		put_number(number, out);
		break;
	case 5:
		out[sample_below(random, 32)] = (uint8_t)(1 << sample_below(random, 8));
		break;
	default:
		for (int i = 0; i < 32; i++)
			out[i] = (uint8_t)sample_random(random);
	}
	BN_free(number);
}

static void agree_on_edges(struct both *b, struct sample_random *random, const uint8_t good_r[32],
			   const uint8_t good_s[32], const uint8_t *bytes, size_t size)
{
	uint8_t r[32], s[32];
	BIGNUM *number = BN_new();

	for (int i = 0; i < 8; i++) {
		memcpy(r, good_r, 32);
		memcpy(s, good_s, 32);
		if (i % 3 != 1)
			edge_number(random, r);
		if (i % 3 != 0)
			edge_number(random, s);
		agree(b, r, s, bytes, size);
	}
	agree(b, good_s, good_r, bytes, size);
	/* r + n: the same number mod n, and not in the range; s = n - r: t is zero. */
	BN_bin2bn(good_r, 32, number);
	BN_add(number, number, sm2_order());
	if (BN_num_bits(number) <= 256) {
		put_number(number, r);
		agree(b, r, good_s, bytes, size);
	}
	BN_bin2bn(good_r, 32, number);
	BN_sub(number, sm2_order(), number);
	put_number(number, s);
	agree(b, good_r, s, bytes, size);
	BN_free(number);
}

/*
 * Private numbers whose public points are the comb's own entries or near them, so that additions
 * meet equal and opposite points; and ordinary ones.
 */
static void private_number(struct sample_random *random, unsigned i, uint8_t d[32])
{
	BIGNUM *number = BN_new();

	if (i < 6) {
		BN_copy(number, sm2_order());
		if (i < 3)
			BN_set_word(number, i + 1);
		else
			BN_sub_word(number, i - 2);
	} else if (i < 16) {
		BN_set_bit(number, (int)(26 * (i - 6)));
	} else {
		uint8_t bytes[32];

		for (int j = 0; j < 32; j++)
			bytes[j] = (uint8_t)sample_random(random);
		BN_bin2bn(bytes, 32, number);
		BN_rshift1(number, number);
	}
	put_number(number, d);
	BN_free(number);
}

static void agree_on_pair(struct sample_random *random, unsigned i, unsigned *accepted,
			  unsigned *refused)
{
	uint8_t d[32], point[64], r[32], s[32], bytes[200];
	const size_t size = 1 + sample_below(random, sizeof(bytes));
	const char *user = i % 2 ? CHIP : SIGNATURE_DEFAULT_USER;
	struct signature_key *key;
	struct both b = { 0 };
	EVP_PKEY *pair;

	private_number(random, i, d);
	pair = pair_of(d, point);
	b.key = key = signature_key_new(ALGORITHM_SM2, point, 64, i % 3 ? CHIP : NULL);
	b.comb = sm2_comb_new(point);
	assert_non_null(key);
	assert_non_null(b.comb);
	for (size_t j = 0; j < size; j++)
		bytes[j] = (uint8_t)sample_random(random);
	/* With n - 1 there is nothing to sign: 1 + d has no inverse, and OpenSSL tries for ever. */
	if (i != 3) {
		assert_true(signature_sign_sm2(pair, user, bytes, size, r, s));
		agree(&b, r, s, bytes, size);
		if (size > 1)
			agree_on_other_range(&b, r, s, bytes, size);
		assert_int_equal(b.accepted, i % 2 && !(i % 3) ? 0 : 1);
	} else {
		edge_number(random, r);
		edge_number(random, s);
	}
	agree_on_edges(&b, random, r, s, bytes, size);
	for (int j = 0; j < 6; j++) { /* one bit, anywhere */
		const uint32_t bit = sample_below(random, (uint32_t)(512 + 8 * size));
		uint8_t *at = bit < 256	  ? &r[bit / 8]
			      : bit < 512 ? &s[bit / 8 - 32]
					  : &bytes[bit / 8 - 64];

		*at ^= (uint8_t)(1 << bit % 8);
		agree(&b, r, s, bytes, size);
		*at ^= (uint8_t)(1 << bit % 8);
	}
	*accepted += b.accepted;
	*refused += b.refused;
	sm2_comb_free((struct sm2_comb *)(uintptr_t)b.comb);
	signature_key_free(key);
	EVP_PKEY_free(pair);
}

/* Method: HAULGATE_TEST_PAIRS pairs of keys, 17 signatures each, good, bad and at every edge. */
static void test_both_ways_agree(void **state)
{
	const char *text = getenv("HAULGATE_TEST_PAIRS");
	const unsigned pairs = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 200;
	struct sample_random random = { 20260724 };
	unsigned accepted = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < pairs; i++)
		agree_on_pair(&random, i, &accepted, &refused);
	ERR_clear_error(); /* signature_verify() does */
	print_message("%u accepted, %u refused by both\n", accepted, refused);
	assert_true(accepted > pairs / 2 && refused > 14 * pairs);
}

/* Method: x of s G + t P by tables and by OpenSSL, with sums that are the point at infinity. */
static void test_comb_multiplies(void **state)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
	EC_POINT *p = EC_POINT_new(group), *want = EC_POINT_new(group);
	BIGNUM *s = BN_new(), *t = BN_new(), *x = BN_new(), *y = BN_new(), *d = BN_new();
	struct sample_random random = { 99 };
	BN_CTX *ctx = BN_CTX_new();
	uint8_t number[32], point[64];

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		struct sm2_comb *comb;
		EVP_PKEY *pair;

		private_number(&random, i, number);
		pair = pair_of(number, point);
		BN_bin2bn(number, 32, d);
		comb = sm2_comb_new(point);
		assert_int_equal(EC_POINT_mul(group, p, d, NULL, NULL, ctx), 1);
		for (unsigned j = 0; j < 12; j++) {
			bool infinite;

			edge_number(&random, number);
			BN_bin2bn(number, 32, t);
			BN_nnmod(t, t, sm2_order(), ctx);
			edge_number(&random, number);
			BN_bin2bn(number, 32, s);
			BN_nnmod(s, s, sm2_order(), ctx);
			if (j < 3) { /* s = - t d + 0, 1, 2 */
				BN_mod_mul(s, t, d, sm2_order(), ctx);
				BN_mod_sub(s, sm2_order(), s, sm2_order(), ctx);
				BN_add_word(s, j);
				BN_nnmod(s, s, sm2_order(), ctx);
			}
			assert_int_equal(EC_POINT_mul(group, want, s, p, t, ctx), 1);
			infinite = EC_POINT_is_at_infinity(group, want) == 1;
			assert_int_equal(sm2_comb_x(comb, s, t, x, ctx), !infinite);
			if (infinite)
				continue;
			EC_POINT_get_affine_coordinates(group, want, y, NULL, ctx);
			assert_int_equal(BN_cmp(x, y), 0);
		}
		sm2_comb_free(comb);
		EVP_PKEY_free(pair);
	}
	ERR_clear_error(); /* the points at infinity */
	EC_POINT_free(p);
	EC_POINT_free(want);
	EC_GROUP_free(group);
	BN_free(s);
	BN_free(t);
	BN_free(x);
	BN_free(y);
	BN_free(d);
	BN_CTX_free(ctx);
}

/*
 * Method: r and s at and beyond their range.  Nobody finds a message for these, so the digest is
 * asked for: there must be none.
 */
static void test_range(void **state)
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *r = BN_new(), *s = BN_new(), *zero = BN_new(), *n = BN_dup(sm2_order()),
	       *digest = BN_new(), *beyond = BN_new(), *rest = BN_new();
	uint8_t d[32] = { 7 }, point[64];
	EVP_PKEY *pair = pair_of(d, point);
	struct sm2_comb *comb = sm2_comb_new(point);

	(void)state;
	BN_set_word(r, 5);
	BN_set_word(s, 9);
	BN_CTX_start(ctx);
	assert_true(sm2_digest_of(comb, r, s, digest, ctx));
	assert_false(sm2_digest_of(comb, zero, s, digest, ctx));
	assert_false(sm2_digest_of(comb, r, zero, digest, ctx));
	assert_false(sm2_digest_of(comb, n, s, digest, ctx));
	assert_false(sm2_digest_of(comb, r, n, digest, ctx));
	BN_add(beyond, n, r); /* the same mod n */
	assert_false(sm2_digest_of(comb, beyond, s, digest, ctx));
	BN_add(beyond, n, s);
	assert_false(sm2_digest_of(comb, r, beyond, digest, ctx));
	BN_sub(rest, n, r); /* r + s = n */
	assert_false(sm2_digest_of(comb, r, rest, digest, ctx));
	BN_sub_word(n, 1);
	assert_true(sm2_digest_of(comb, n, s, digest, ctx));
	assert_true(sm2_digest_of(comb, r, n, digest, ctx));
	BN_CTX_end(ctx);
	BN_CTX_free(ctx);
	BN_free(r);
	BN_free(s);
	BN_free(zero);
	BN_free(n);
	BN_free(digest);
	BN_free(beyond);
	BN_free(rest);
	sm2_comb_free(comb);
	EVP_PKEY_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comb_multiplies),
		cmocka_unit_test(test_both_ways_agree),
		cmocka_unit_test(test_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
