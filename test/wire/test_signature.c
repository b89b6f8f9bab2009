/* Signatures: public vectors, both users, both ranges, and that the fast way says what OpenSSL
 * says. */

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>

#include "proto/wire/cipher.h"
#include "proto/wire/signature_key.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

#define CHIP "CHIP0123456789AB"

static void from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	assert_int_equal(OPENSSL_hexstr2buf_ex(out, size, &n, hex, ' '), 1);
	assert_int_equal(n, size);
}

static struct unit_signature signature_of(const uint8_t r[32], const uint8_t s[32],
					  const void *bytes, size_t size)
{
	return (struct unit_signature){ .algorithm = ALGORITHM_SM2,
					.r = r,
					.s = s,
					.r_size = 32,
					.s_size = 32,
					.bytes = bytes,
					.size = size };
}

/* GB/T 32918.5-2017 annex A: the recommended curve's example. */
#define STANDARD_D "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
#define STANDARD_P                                                                                 \
	"09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"                         \
	"CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"

/* A pair of the SM2 curve with this private number (big-endian). */
static EVP_PKEY *pair_of(const uint8_t d[32], uint8_t point[64])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
	EC_POINT *p = EC_POINT_new(group);
	BIGNUM *number = BN_bin2bn(d, 32, NULL);
	uint8_t marked[65], native[32];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
	char name[] = "SM2";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 3),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, marked, sizeof(marked)),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native)),
		OSSL_PARAM_END,
	};
	EVP_PKEY *pair = NULL;

	assert_int_equal(EC_POINT_mul(group, p, number, NULL, NULL, NULL), 1);
	assert_int_equal(
		EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, marked, 65, NULL), 65);
	assert_int_equal(BN_bn2nativepad(number, native, 32), 32);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(
		EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, (OSSL_PARAM *)(uintptr_t)params),
		1);
	memcpy(point, marked + 1, 64);
	EVP_PKEY_CTX_free(ctx);
	BN_free(number);
	EC_POINT_free(p);
	EC_GROUP_free(group);
	return pair;
}

static void test_standard_signature(void **state)
{
	static const char message[] = "message digest";
	uint8_t point[64], r[32], s[32];
	struct unit_signature signature;
	struct signature_key *k;
	enum signature_user user;

	(void)state;
	from_hex(STANDARD_P, point, 64);
	from_hex("F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3", r, 32);
	from_hex("B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA", s, 32);
	signature = signature_of(r, s, message, strlen(message));
	k = signature_key_new(ALGORITHM_SM2, point, 64, NULL);
	for (int i = 0; i < 4; i++) { /* by OpenSSL first, then by tables */
		assert_true(signature_verify(k, &signature, &user));
		assert_int_equal(user, SIGNATURE_USER_DEFAULT);
	}
	assert_non_null(atomic_load(&k->comb));
	signature.size--;
	assert_false(signature_verify(k, &signature, &user));
	assert_int_equal(user, SIGNATURE_USER_NONE);
	signature_key_free(k);
}

static void test_standard_encryption(void **state)
{
	static const char text[] = "encryption standard";
	uint8_t d[32], point[64], sealed[1 + 96 + 19], opened[sizeof(sealed)];
	struct cipher_key *k;
	EVP_PKEY *pair;
	size_t n;

	(void)state;
	from_hex(STANDARD_D, d, 32);
	pair = pair_of(d, point);
	from_hex("04 04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73"
		 "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
		 "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766"
		 "21886CA989CA9C7D58087307CA93092D651EFA",
		 sealed, sizeof(sealed));
	k = cipher_key_pair(pair, CIPHER_MODE_SM2_ANY);
	assert_int_equal(cipher_open(k, sealed, sizeof(sealed), opened, &n), CIPHER_OPENED);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(opened, text, n);
	/* Without its mark: this C1 begins with 04 of its own. */
	assert_int_equal(cipher_open(k, sealed + 1, sizeof(sealed) - 1, opened, &n), CIPHER_OPENED);
	assert_memory_equal(opened, text, n);
	cipher_key_free(k);
	EVP_PKEY_free(pair);
}

/* GB/T 32905 A.1 and GB/T 32907 A.1, since all else rests on them. */
static void test_standard_digest_and_block(void **state)
{
	uint8_t want[32], got[32], key[16], sealed[32];
	struct cipher_key *k;
	size_t n;

	(void)state;
	from_hex("66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0", want, 32);
	assert_int_equal(EVP_Digest("abc", 3, got, NULL, EVP_sm3(), NULL), 1);
	assert_memory_equal(got, want, 32);
	from_hex("0123456789ABCDEFFEDCBA9876543210", key, 16);
	from_hex("681EDF34D206965E86B3E94F536E4246", want, 16);
	k = cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_ECB, key, NULL);
	assert_int_equal(cipher_seal(k, key, 16, sealed, sizeof(sealed), &n), CIPHER_OPENED);
	assert_int_equal(n, 32);
	assert_memory_equal(sealed, want, 16);
	cipher_key_free(k);
}

static void test_users(void **state)
{
	static const uint8_t bytes[103] = "signed by a chip, with its id or without";
	uint8_t d[32] = { 1, 2, 3 }, point[64], r[32], s[32], long_r[33] = { 0 };
	EVP_PKEY *pair = pair_of(d, point);
	struct signature_key *chip = signature_key_new(ALGORITHM_SM2, point, 64, CHIP);
	struct signature_key *none = signature_key_new(ALGORITHM_SM2, point, 64, "");
	struct unit_signature signature = signature_of(r, s, bytes, sizeof(bytes));
	enum signature_user user;

	(void)state;
	assert_ptr_equal(signature_key_ref(chip), chip);
	signature_key_free(chip);
	assert_int_equal(signature_key_algorithm(chip), ALGORITHM_SM2);
	for (int i = 0; i < 3; i++) {
		assert_true(signature_sign_sm2(pair, CHIP, bytes, sizeof(bytes), r, s));
		assert_true(signature_verify(chip, &signature, &user));
		assert_int_equal(user, SIGNATURE_USER_CHIP);
		assert_false(signature_verify(none, &signature, &user));
		assert_true(signature_sign_sm2(pair, SIGNATURE_DEFAULT_USER, bytes, sizeof(bytes),
					       r, s));
		assert_true(signature_verify(chip, &signature, &user));
		assert_int_equal(user, SIGNATURE_USER_DEFAULT);
		assert_true(signature_verify(none, &signature, &user));
		assert_int_equal(user, SIGNATURE_USER_DEFAULT);
		/* The 2025 edition's second reading. */
		signature.size--;
		assert_false(signature_verify(chip, &signature, &user));
		signature.other_size = sizeof(bytes);
		assert_true(signature_verify(chip, &signature, &user));
		signature.other_size = 0;
		signature.size++;
		/* A leading zero is nothing; another leading byte is. */
		memcpy(long_r + 1, r, 32);
		signature.r = long_r;
		signature.r_size = 33;
		assert_true(signature_verify(chip, &signature, &user));
		long_r[0] = 1;
		assert_false(signature_verify(chip, &signature, &user));
		long_r[0] = 0;
		signature.r = r;
		signature.r_size = 32;
	}
	signature.algorithm = ALGORITHM_P256;
	assert_false(signature_verify(chip, &signature, &user));
	assert_int_equal(ERR_peek_error(), 0);
	signature_key_free(chip);
	signature_key_free(none);
	EVP_PKEY_free(pair);
}

/* ---- the two ways agree ---- */

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

static void test_keys_that_are_none(void **state)
{
	uint8_t point[64], rsa[512], *at = rsa;
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)768);
	struct signature_key *k;
	int n;

	(void)state;
	from_hex(STANDARD_P, point, 64);
	assert_null(signature_key_new(ALGORITHM_SM2, point, 63, NULL));
	assert_null(signature_key_new(ALGORITHM_P256, point, 64, NULL)); /* another curve */
	assert_null(signature_key_new(ALGORITHM_NONE, point, 64, NULL));
	assert_null(signature_key_new(ALGORITHM_SM4, point, 64, NULL));
	assert_null(signature_key_new(ALGORITHM_RSA, point, 64, NULL));
	for (unsigned bit = 0; bit < 512; bit += 7) {
		point[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_null(signature_key_new(ALGORITHM_SM2, point, 64, NULL));
		assert_int_equal(ERR_peek_error(), 0);
		assert_null(sm2_comb_new(point));
		ERR_clear_error(); /* its caller's affair */
		point[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	memset(point, 0, sizeof(point));
	assert_null(signature_key_new(ALGORITHM_SM2, point, 64, NULL));
	memset(point, 0xFF, sizeof(point));
	assert_null(signature_key_new(ALGORITHM_SM2, point, 64, NULL));
	n = i2d_PUBKEY(pair, &at);
	assert_true(n > 0);
	assert_null(signature_key_new(ALGORITHM_RSA, rsa, (size_t)n, NULL)); /* too short */
	EVP_PKEY_free(pair);
	pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	at = rsa;
	n = i2d_PUBKEY(pair, &at);
	k = signature_key_new(ALGORITHM_RSA, rsa, (size_t)n, NULL);
	assert_non_null(k);
	signature_key_free(k);
	assert_null(signature_key_new(ALGORITHM_RSA, rsa, (size_t)n + 1, NULL)); /* more behind */
	at = rsa;
	n = i2d_PublicKey(pair, &at);
	k = signature_key_new(ALGORITHM_RSA, rsa, (size_t)n, NULL);
	assert_non_null(k);
	signature_key_free(k);
	signature_key_free(NULL);
	EVP_PKEY_free(pair);
	assert_int_equal(ERR_peek_error(), 0);
	assert_string_equal(signature_text(SIGNATURE_NO_KEY), "no_key");
	assert_string_equal(signature_text(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard_signature),
		cmocka_unit_test(test_standard_encryption),
		cmocka_unit_test(test_standard_digest_and_block),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_comb_multiplies),
		cmocka_unit_test(test_both_ways_agree),
		cmocka_unit_test(test_keys_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
