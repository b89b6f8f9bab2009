/*
 * keys_pair.h - key pairs and public keys: made, read, and written as the registry and the files
 * hold them.  Private halves leave only through pair_private_pem(), into a struct secret.
 */
#ifndef TOOLS_CLI_KEYS_PAIR_H
#define TOOLS_CLI_KEYS_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "gateway/base/error.h"
#include "proto/wire/signature.h"
#include "tools/cli/keys_file.h"

enum { RSA_BITS = 2048 };

/* A public key as terminal_key.public_key: SM2, P256 X || Y; RSA DER of SubjectPublicKeyInfo. */
struct public_key {
	enum algorithm algorithm;
	size_t size;
	uint8_t bytes[PUBLIC_KEY_MAX];
};

/* A new pair of SM2, P256 or RSA.  The caller frees it with EVP_PKEY_free(), which wipes. */
int pair_make(enum algorithm algorithm, EVP_PKEY **ret, struct error *err);
/* PKCS#8 PEM. */
int pair_private_pem(EVP_PKEY *key, struct secret *ret, struct error *err);
int pair_private_read(const struct secret *pem, const char *name, EVP_PKEY **ret,
		      struct error *err);

/* NONE: neither SM2, P-256 nor RSA of 1024 to 4096 bits. */
enum algorithm pair_algorithm(const EVP_PKEY *key);
int public_key_of(EVP_PKEY *key, struct public_key *ret, struct error *err);
/* PEM of a public key; ret has room for size bytes.  ERROR_CORRUPT: the bytes are none. */
int public_key_pem(const struct public_key *k, char *ret, size_t size, struct error *err);

/*
 * What a maker brings: PEM of a public key or a certificate, or hex X || Y with or without 04 in
 * front, of the algorithm hex_algorithm.  ERROR_USAGE: none of these, a point off the curve, or a
 * private key, which nobody should hand around.
 */
int public_key_read(const struct secret *text, const char *name, enum algorithm hex_algorithm,
		    struct public_key *ret, struct error *err);

#endif
