/*
 * SM2 signatures (GB/T 32918.2, 7): valid when r = e + x mod n, with x of s G + (r + s) P and the
 * digest e = SM3(Z || message), Z = SM3(user, curve, key).
 *
 * x does not depend on the message.  So one multiplication, by tables once the key has been seen
 * before, serves both users and both readings of the signed range.  What this way accepts is
 * accepted.  What it refuses is put to OpenSSL's own verification, which decides: a fault of ours
 * costs time, and never an honest truck its frame.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "proto/wire/signature_key.h"

enum { DIGEST = 32 };

/* Z of GB/T 32918.2, 5.5: length in bits, user, a, b, G, P. */
static bool user_digest(const struct signature_key *k, const char *user, uint8_t z[DIGEST])
{
	const size_t size = strlen(user);
	const uint8_t bits[2] = { (uint8_t)(size >> 5), (uint8_t)(size << 3) };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const bool ok = ctx != NULL && size <= UINT16_MAX / 8 &&
			EVP_DigestInit_ex2(ctx, EVP_sm3(), NULL) == 1 &&
			EVP_DigestUpdate(ctx, bits, sizeof(bits)) == 1 &&
			EVP_DigestUpdate(ctx, user, size) == 1 &&
			EVP_DigestUpdate(ctx, sm2_parameters(), SM2_PARAMETERS) == 1 &&
			EVP_DigestUpdate(ctx, k->point, sizeof(k->point)) == 1 &&
			EVP_DigestFinal_ex(ctx, z, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* Is e, as a number mod n, the wanted one? */
static bool digest_is(const uint8_t z[DIGEST], const uint8_t *bytes, size_t size,
		      const BIGNUM *wanted, BN_CTX *ctx)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t digest[DIGEST];
	BIGNUM *e;
	bool ok = md != NULL && EVP_DigestInit_ex2(md, EVP_sm3(), NULL) == 1 &&
		  EVP_DigestUpdate(md, z, DIGEST) == 1 && EVP_DigestUpdate(md, bytes, size) == 1 &&
		  EVP_DigestFinal_ex(md, digest, NULL) == 1;

	EVP_MD_CTX_free(md);
	BN_CTX_start(ctx);
	e = BN_CTX_get(ctx);
	ok = ok && e != NULL && BN_bin2bn(digest, DIGEST, e) != NULL &&
	     BN_nnmod(e, e, sm2_order(), ctx) == 1 && BN_cmp(e, wanted) == 0;
	BN_CTX_end(ctx);
	return ok;
}

static bool user_fits(const struct signature_key *k, const char *user,
		      const struct unit_signature *s, const BIGNUM *wanted, BN_CTX *ctx)
{
	uint8_t z[DIGEST];

	return user_digest(k, user, z) &&
	       (digest_is(z, s->bytes, s->size, wanted, ctx) ||
		(s->other_size > 0 && digest_is(z, s->bytes, s->other_size, wanted, ctx)));
}

bool sm2_digest_of(const struct sm2_comb *comb, const BIGNUM *r, const BIGNUM *s, BIGNUM *ret,
		   BN_CTX *ctx)
{
	const BIGNUM *n = sm2_order();
	BIGNUM *t = BN_CTX_get(ctx), *x = BN_CTX_get(ctx);

	return x != NULL && !BN_is_zero(r) && BN_cmp(r, n) < 0 && !BN_is_zero(s) &&
	       BN_cmp(s, n) < 0 && BN_mod_add(t, r, s, n, ctx) == 1 && !BN_is_zero(t) &&
	       sm2_comb_x(comb, s, t, x, ctx) && BN_mod_sub(ret, r, x, n, ctx) == 1;
}

enum signature_user sm2_verify_by_tables(const struct signature_key *k, const struct sm2_comb *comb,
					 const struct unit_signature *s)
{
	BIGNUM *r = signature_number(s->r, s->r_size), *ss = signature_number(s->s, s->s_size);
	enum signature_user user = SIGNATURE_USER_NONE;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *wanted;

	if (ctx != NULL && r != NULL && ss != NULL) {
		BN_CTX_start(ctx);
		wanted = BN_CTX_get(ctx);
		if (wanted == NULL || !sm2_digest_of(comb, r, ss, wanted, ctx))
			user = SIGNATURE_USER_NONE;
		else if (k->chip_id[0] != '\0' && user_fits(k, k->chip_id, s, wanted, ctx))
			user = SIGNATURE_USER_CHIP;
		else if (user_fits(k, SIGNATURE_DEFAULT_USER, s, wanted, ctx))
			user = SIGNATURE_USER_DEFAULT;
		BN_CTX_end(ctx);
	}
	BN_free(r);
	BN_free(ss);
	BN_CTX_free(ctx);
	return user;
}

enum signature_user sm2_verify_by_openssl(const struct signature_key *k,
					  const struct unit_signature *s)
{
	enum signature_user user = SIGNATURE_USER_NONE;
	EVP_PKEY *pair = curve_key("SM2", k->point);
	size_t size = 0;
	uint8_t *der = signature_der(s, &size);

	if (pair != NULL && der != NULL) {
		if (k->chip_id[0] != '\0' && evp_verify(pair, k->chip_id, s, der, size))
			user = SIGNATURE_USER_CHIP;
		else if (evp_verify(pair, SIGNATURE_DEFAULT_USER, s, der, size))
			user = SIGNATURE_USER_DEFAULT;
	}
	OPENSSL_free(der);
	EVP_PKEY_free(pair);
	return user;
}

/* Whoever uses the key for the second time makes the tables; until then others go without. */
static const struct sm2_comb *comb_of(struct signature_key *k)
{
	struct sm2_comb *comb = atomic_load_explicit(&k->comb, memory_order_acquire);

	if (comb == NULL && atomic_load_explicit(&k->uses, memory_order_relaxed) < 2 &&
	    atomic_fetch_add_explicit(&k->uses, 1, memory_order_relaxed) == 1) {
		comb = sm2_comb_new(k->point);
		atomic_store_explicit(&k->comb, comb, memory_order_release);
	}
	return comb;
}

bool sm2_verify(struct signature_key *k, const struct unit_signature *s,
		enum signature_user *ret_user)
{
	const struct sm2_comb *comb = comb_of(k);

	*ret_user = comb != NULL ? sm2_verify_by_tables(k, comb, s) : SIGNATURE_USER_NONE;
	if (*ret_user == SIGNATURE_USER_NONE)
		*ret_user = sm2_verify_by_openssl(k, s);
	return *ret_user != SIGNATURE_USER_NONE;
}
