#include "proto/wire/signature_key.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>

enum { RSA_BITS_MIN = 1024, RSA_BITS_MAX = 4096, RSA_EXPONENT_MIN = 65537 };

const char *signature_text(unsigned check)
{
	static const char *const texts[SIGNATURE_COUNT] = {
#define ROW(number, name, text, doc) [number] = text,
		SIGNATURE_CHECKS(ROW)
#undef ROW
	};

	return check < SIGNATURE_COUNT ? texts[check] : "unknown";
}

/* OpenSSL refuses a point off the curve, and infinity has no such form. */
EVP_PKEY *curve_key(const char *curve, const uint8_t point[2 * SM2_NUMBER])
{
	const bool sm2 = strcmp(curve, "SM2") == 0;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, sm2 ? "SM2" : "EC", NULL);
	uint8_t marked[1 + 2 * SM2_NUMBER] = { 0x04 };
	char group[8];
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, marked, sizeof(marked)),
		OSSL_PARAM_END,
	};
	EVP_PKEY *pair = NULL;

	params[0].data_size = (size_t)snprintf(group, sizeof(group), "%s", curve);
	memcpy(marked + 1, point, sizeof(marked) - 1);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pair = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pair;
}

/*
 * A key that costs what a key costs, and whose signatures need a private half: not with e = 1, and
 * small or even exponents have led to forgeries too often.  A long one makes each verification
 * dear.
 */
static bool rsa_fits(const EVP_PKEY *pair)
{
	BIGNUM *n = NULL, *e = NULL;
	const bool ok = EVP_PKEY_get_bits(pair) >= RSA_BITS_MIN &&
			EVP_PKEY_get_bits(pair) <= RSA_BITS_MAX &&
			EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
			EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
			BN_is_odd(n) && BN_is_odd(e) && BN_num_bits(e) <= 32 &&
			BN_get_word(e) >= RSA_EXPONENT_MIN;

	BN_free(n);
	BN_free(e);
	return ok;
}

/* SubjectPublicKeyInfo or RSAPublicKey, and nothing behind. */
static EVP_PKEY *rsa_key(const uint8_t *key, size_t size)
{
	const uint8_t *p = key;
	EVP_PKEY *pair = d2i_PUBKEY(NULL, &p, (long)size);

	if (pair == NULL) {
		p = key;
		pair = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)size);
	}
	if (pair == NULL)
		return NULL;
	if (p != key + size || EVP_PKEY_is_a(pair, "RSA") != 1 || !rsa_fits(pair)) {
		EVP_PKEY_free(pair);
		return NULL;
	}
	return pair;
}

static EVP_PKEY *public_key(enum algorithm algorithm, const uint8_t *key, size_t size)
{
	if (algorithm == ALGORITHM_RSA)
		return size <= LONG_MAX ? rsa_key(key, size) : NULL;
	if (size != 2 * SM2_NUMBER)
		return NULL;
	return algorithm == ALGORITHM_SM2    ? curve_key("SM2", key)
	       : algorithm == ALGORITHM_P256 ? curve_key("P-256", key)
					     : NULL;
}

struct signature_key *signature_key_new(enum algorithm algorithm, const uint8_t *key, size_t size,
					const char *chip_id)
{
	const size_t id_size = chip_id != NULL ? strlen(chip_id) : 0;
	struct signature_key *k = NULL;
	EVP_PKEY *pair;

	ERR_set_mark();
	pair = public_key(algorithm, key, size);
	if (pair != NULL)
		k = OPENSSL_zalloc(sizeof(*k) + id_size + 1);
	ERR_pop_to_mark();
	if (k == NULL) {
		EVP_PKEY_free(pair);
		return NULL;
	}
	atomic_init(&k->refs, 1);
	atomic_init(&k->uses, 0);
	atomic_init(&k->comb, NULL);
	k->algorithm = algorithm;
	if (algorithm == ALGORITHM_SM2) {
		memcpy(k->point, key, sizeof(k->point));
		EVP_PKEY_free(pair); /* it has shown that the point is on the curve */
	} else {
		k->pair = pair;
	}
	if (id_size > 0)
		memcpy(k->chip_id, chip_id, id_size);
	return k;
}

bool signature_key_sound(const struct signature_key *k)
{
	EVP_PKEY_CTX *ctx;
	bool ok;

	if (k->algorithm != ALGORITHM_RSA)
		return true; /* its point is on the curve, and these curves have no small ones */
	ERR_set_mark();
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_pop_to_mark();
	return ok;
}

size_t public_key_encode(enum algorithm algorithm, const uint8_t *key, size_t size,
			 uint8_t out[PUBLIC_KEY_MAX])
{
	EVP_PKEY *pair;
	uint8_t *end = out;
	int n;

	if (algorithm != ALGORITHM_RSA) {
		if (size != 2 * SM2_NUMBER)
			return 0;
		memcpy(out, key, size);
		return size;
	}
	ERR_set_mark();
	pair = public_key(algorithm, key, size);
	n = pair != NULL ? i2d_PUBKEY(pair, NULL) : 0;
	if (n > PUBLIC_KEY_MAX || (n > 0 && i2d_PUBKEY(pair, &end) != n))
		n = 0;
	EVP_PKEY_free(pair);
	ERR_pop_to_mark();
	return n > 0 ? (size_t)n : 0;
}

struct signature_key *signature_key_ref(struct signature_key *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void signature_key_free(struct signature_key *k)
{
	if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
		return;
	EVP_PKEY_free(k->pair);
	sm2_comb_free(atomic_load_explicit(&k->comb, memory_order_acquire));
	OPENSSL_free(k);
}

enum algorithm signature_key_algorithm(const struct signature_key *k)
{
	return k->algorithm;
}

/* user: SM2's, else NULL. */
static bool verify_range(EVP_PKEY *pair, const char *user, const uint8_t *bytes, size_t size,
			 const uint8_t *signature, size_t signature_size)
{
	const EVP_MD *digest = user != NULL ? EVP_sm3() : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
	bool ok = false;

	if (ctx == NULL || key_ctx == NULL)
		goto out;
	if (user != NULL && EVP_PKEY_CTX_set1_id(key_ctx, user, (int)strlen(user)) != 1)
		goto out;
	EVP_MD_CTX_set_pkey_ctx(ctx, key_ctx);
	ok = EVP_DigestVerifyInit(ctx, NULL, digest, NULL, pair) == 1 &&
	     EVP_DigestVerify(ctx, signature, signature_size, bytes, size) == 1;
out:
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_CTX_free(key_ctx);
	return ok;
}

/* A big-endian number of at most 32 bytes behind its leading zeros. */
BIGNUM *signature_number(const uint8_t *p, size_t size)
{
	while (size > SM2_NUMBER && *p == 0) {
		p++;
		size--;
	}
	return p != NULL && size <= SM2_NUMBER ? BN_bin2bn(p, (int)size, NULL) : NULL;
}

/* OpenSSL speaks SEQUENCE { r, s }.  The caller frees; NULL: not a pair of numbers. */
uint8_t *signature_der(const struct unit_signature *s, size_t *ret_size)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = signature_number(s->r, s->r_size), *ss = signature_number(s->s, s->s_size);
	uint8_t *der = NULL;
	int size;

	if (pair == NULL || r == NULL || ss == NULL || ECDSA_SIG_set0(pair, r, ss) != 1) {
		BN_free(r);
		BN_free(ss);
	} else if ((size = i2d_ECDSA_SIG(pair, &der)) > 0) {
		*ret_size = (size_t)size;
	}
	ECDSA_SIG_free(pair);
	return der;
}

/* Both readings of the signed range. */
bool evp_verify(EVP_PKEY *pair, const char *user, const struct unit_signature *s,
		const uint8_t *signature, size_t size)
{
	return verify_range(pair, user, s->bytes, s->size, signature, size) ||
	       (s->other_size > 0 && s->other_size != s->size &&
		verify_range(pair, user, s->bytes, s->other_size, signature, size));
}

static bool verify_p256(struct signature_key *k, const struct unit_signature *s)
{
	size_t size = 0;
	uint8_t *der = signature_der(s, &size);
	const bool ok = der != NULL && evp_verify(k->pair, NULL, s, der, size);

	OPENSSL_free(der);
	return ok;
}

bool signature_verify(struct signature_key *k, const struct unit_signature *s,
		      enum signature_user *ret_user)
{
	bool ok = false;

	*ret_user = SIGNATURE_USER_NONE;
	if (s->algorithm != k->algorithm || s->bytes == NULL || s->r == NULL)
		return false;
	ERR_set_mark();
	if (k->algorithm == ALGORITHM_SM2)
		ok = sm2_verify(k, s, ret_user);
	else if (k->algorithm == ALGORITHM_P256)
		ok = verify_p256(k, s);
	else if (s->s_size == 0) /* nothing covers an S of RSA: it may not be there */
		ok = evp_verify(k->pair, NULL, s, s->r, s->r_size);
	ERR_pop_to_mark();
	return ok;
}

static bool split_der(const uint8_t *der, size_t size, uint8_t r[SM2_NUMBER], uint8_t s[SM2_NUMBER])
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
	const bool ok = pair != NULL &&
			BN_bn2binpad(ECDSA_SIG_get0_r(pair), r, SM2_NUMBER) == SM2_NUMBER &&
			BN_bn2binpad(ECDSA_SIG_get0_s(pair), s, SM2_NUMBER) == SM2_NUMBER;

	ECDSA_SIG_free(pair);
	return ok;
}

bool signature_sign_sm2(EVP_PKEY *key, const char *user, const uint8_t *bytes, size_t size,
			uint8_t r[32], uint8_t s[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	uint8_t der[80]; /* two numbers of at most 33 bytes with their heads: 72 */
	size_t n = sizeof(der);
	bool ok = false;

	ERR_set_mark();
	if (ctx == NULL || key_ctx == NULL || EVP_PKEY_is_a(key, "SM2") != 1 ||
	    EVP_PKEY_CTX_set1_id(key_ctx, user, (int)strlen(user)) != 1)
		goto out;
	EVP_MD_CTX_set_pkey_ctx(ctx, key_ctx);
	ok = EVP_DigestSignInit(ctx, NULL, EVP_sm3(), NULL, key) == 1 &&
	     EVP_DigestSign(ctx, der, &n, bytes, size) == 1 && split_der(der, n, r, s);
out:
	ERR_pop_to_mark();
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_CTX_free(key_ctx);
	return ok;
}
