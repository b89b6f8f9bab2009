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
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "proto/wire/cipher.h"
#include "proto/wire/signature_key.h"
#include "test/wire/cm.h"
#include "test/wire/pair.h"

/* GB/T 32918.5-2017 annex A: the recommended curve's example. */
#define STANDARD_D "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
#define STANDARD_P                                                                                 \
	"09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"                         \
	"CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"

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

/* ---- RSA keys ---- */

/* NULL when it is refused. */
static struct signature_key *rsa_signer(BIGNUM *n, BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	struct signature_key *k;
	OSSL_PARAM *params;
	uint8_t *der = NULL;
	int size;

	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
	params = OSSL_PARAM_BLD_to_param(build);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	size = i2d_PUBKEY(key, &der);
	k = signature_key_new(ALGORITHM_RSA, der, (size_t)size, NULL);
	OPENSSL_free(der);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return k;
}

/* Method: a good modulus with all sorts of exponents; then moduli that are even, or a prime. */
static void test_rsa_keys_that_are_none(void **state)
{
	static const struct {
		const char *e;
		bool good;
	} exponents[] = {
		{ "1", false },
		{ "3", false },
		{ "FFFF", false },
		{ "10000", false },
		{ "10001", true },
		{ "10002", false },
		{ "FFFFFFFB", true },
		{ "FFFFFFFE", false },
		{ "100000001", false },
		{ "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", false },
	};
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	BIGNUM *n = NULL, *e = NULL, *prime = BN_new();
	struct signature_key *k;

	(void)state;
	assert_int_equal(EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_N, &n), 1);
	for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
		BN_hex2bn(&e, exponents[i].e);
		k = rsa_signer(n, e);
		assert_int_equal(k != NULL, exponents[i].good);
		assert_true(k == NULL || signature_key_sound(k));
		signature_key_free(k);
	}
	BN_set_word(e, 65537);
	BN_clear_bit(n, 0);
	assert_null(rsa_signer(n, e));
	assert_int_equal(BN_generate_prime_ex(prime, 1024, 0, NULL, NULL, NULL), 1);
	k = rsa_signer(prime, e);
	assert_non_null(k); /* it takes a long look to see it */
	assert_false(signature_key_sound(k));
	signature_key_free(k);
	assert_int_equal(ERR_peek_error(), 0);
	BN_free(prime);
	BN_free(n);
	BN_free(e);
	EVP_PKEY_free(pair);
}

/* Method: one key of 4096 bits as SubjectPublicKeyInfo and as RSAPublicKey; one byte behind it. */
static void test_one_form(void **state)
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096);
	uint8_t one[PUBLIC_KEY_MAX + 1] = { 0 }, other[PUBLIC_KEY_MAX + 1] = { 0 },
				     got[PUBLIC_KEY_MAX], *p = one, *q = other;
	const size_t size = (size_t)i2d_PUBKEY(pair, &p),
		     other_size = (size_t)i2d_PublicKey(pair, &q);

	(void)state;
	assert_true(size <= PUBLIC_KEY_MAX && other_size < size);
	assert_int_equal(public_key_encode(ALGORITHM_RSA, one, size, got), size);
	assert_memory_equal(got, one, size);
	memset(got, 0, sizeof(got));
	assert_int_equal(public_key_encode(ALGORITHM_RSA, other, other_size, got), size);
	assert_memory_equal(got, one, size);
	assert_int_equal(public_key_encode(ALGORITHM_RSA, one, size + 1, got), 0);
	assert_int_equal(public_key_encode(ALGORITHM_SM2, one, 64, got), 64);
	assert_int_equal(public_key_encode(ALGORITHM_P256, one, 65, got), 0);
	EVP_PKEY_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standard_signature),
		cmocka_unit_test(test_standard_encryption),
		cmocka_unit_test(test_standard_digest_and_block),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_keys_that_are_none),
		cmocka_unit_test(test_rsa_keys_that_are_none),
		cmocka_unit_test(test_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
