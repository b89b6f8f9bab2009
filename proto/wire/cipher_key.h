/*
 * cipher_key.h - what a cipher key is made of.  Inside proto/wire/cipher*.c only.
 */
#ifndef PROTO_WIRE_CIPHER_KEY_H
#define PROTO_WIRE_CIPHER_KEY_H

#include <openssl/evp.h>

#include "proto/wire/cipher.h"

enum { CIPHER_SECRET = 32 };

/* Written once, when it is made: so any number of threads may read it. */
struct cipher_key {
	enum algorithm algorithm;
	enum cipher_mode mode; /* never DEFAULT */
	EVP_PKEY *pair;	       /* SM2, RSA */
	EVP_CIPHER *cipher;    /* SM4, AES128 */
	uint8_t key[CIPHER_BLOCK], iv[CIPHER_BLOCK];
	/* PKCS#1 v1.5: what blocks with a wrong padding open to is drawn from it. */
	bool has_secret; /* not without the private half */
	uint8_t secret[CIPHER_SECRET];
};

enum cipher_result cipher_sm2_open(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t *ret_size);
enum cipher_result cipher_sm2_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t max, size_t *ret_size);
/* Derives k->secret from the private half.  False: no memory. */
bool cipher_rsa_secret(struct cipher_key *k);
enum cipher_result cipher_rsa_open(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t *ret_size);
enum cipher_result cipher_rsa_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t max, size_t *ret_size);

#endif
