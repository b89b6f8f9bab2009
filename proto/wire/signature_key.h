/*
 * signature_key.h - what a signature key is made of.  Inside proto/wire/signature*.c only.
 */
#ifndef PROTO_WIRE_SIGNATURE_KEY_H
#define PROTO_WIRE_SIGNATURE_KEY_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "proto/wire/signature.h"

#include "proto/wire/sm2_comb.h"

/* Immutable, but for what is atomic. */
struct signature_key {
	atomic_uint refs;
	enum algorithm algorithm;
	EVP_PKEY *pair;			 /* RSA, P256; SM2's is made when needed: it takes 2 kB */
	uint8_t point[2 * SM2_NUMBER];	 /* SM2 */
	atomic_uint uses;		 /* verifications so far, SM2 */
	_Atomic(struct sm2_comb *) comb; /* made when the key is used for the second time */
	char chip_id[];			 /* "": only the default user */
};

/* X[32] Y[32] as a key of "SM2" or "P-256"; the caller frees.  NULL: off the curve, or no memory.
 */
EVP_PKEY *curve_key(const char *curve, const uint8_t point[2 * SM2_NUMBER]);
/* True when the signature, in OpenSSL's form, fits one of the two readings of the signed range. */
bool evp_verify(EVP_PKEY *pair, const char *user, const struct unit_signature *s,
		const uint8_t *signature, size_t size);
/* r and s as OpenSSL's SEQUENCE { r, s }; the caller frees.  NULL: not numbers of 32 bytes. */
uint8_t *signature_der(const struct unit_signature *s, size_t *ret_size);
/* A big-endian number of at most 32 bytes behind its leading zeros; the caller frees. */
BIGNUM *signature_number(const uint8_t *p, size_t size);

bool sm2_verify(struct signature_key *k, const struct unit_signature *s,
		enum signature_user *ret_user);
/* Its two ways; NONE: refused.  Apart for the test that they agree. */
enum signature_user sm2_verify_by_tables(const struct signature_key *k, const struct sm2_comb *comb,
					 const struct unit_signature *s);
enum signature_user sm2_verify_by_openssl(const struct signature_key *k,
					  const struct unit_signature *s);
/*
 * The digest, mod n, that r and s are the key's signature of: r - x.  False: of none, since they
 * are not in 1 .. n - 1 or lead to no point.  Between BN_CTX_start() and BN_CTX_end().
 */
bool sm2_digest_of(const struct sm2_comb *comb, const BIGNUM *r, const BIGNUM *s, BIGNUM *ret,
		   BN_CTX *ctx);

#endif
