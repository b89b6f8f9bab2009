/*
 * key.h - the key that checkpoints are signed with: Ed25519, or SM2 with SM3 and the default user
 * id of GM/T 0009.  A signature is 64 bytes: that of RFC 8032, or r[32] s[32].
 */
#ifndef GATEWAY_EVIDENCE_KEY_H
#define GATEWAY_EVIDENCE_KEY_H

#include "gateway/evidence/hash.h"

enum { KEY_DER_MAX = 256, KEY_PEM_MAX = 512, KEY_SIGNATURE_SIZE = 64 };

struct log_key;

/* algorithm: "ed25519" or "sm2"; ERROR_USAGE for another. */
int log_key_make(const char *algorithm, struct log_key **ret, struct error *err);
/* PEM without a pass phrase; name: for messages.  ERROR_USAGE: not such a key. */
int log_key_read_private(const char *pem, size_t size, const char *name, struct log_key **ret,
			 struct error *err);
int log_key_read_public(const char *pem, size_t size, const char *name, struct log_key **ret,
			struct error *err);
void log_key_free(struct log_key *k); /* NULL-safe */

const char *log_key_algorithm(const struct log_key *k);
/* SHA-256 of the DER. */
const struct hash *log_key_id(const struct log_key *k);
/* Of the SubjectPublicKeyInfo; lives as long as the key. */
struct bytes log_key_der(const struct log_key *k);
int log_key_public_pem(const struct log_key *k, char out[KEY_PEM_MAX], struct error *err);
/* PKCS#8 PEM; out has room for size bytes and is to be wiped. */
int log_key_private_pem(const struct log_key *k, char *out, size_t size, struct error *err);

/* ERROR_USAGE: the key has no private half. */
int log_key_sign(const struct log_key *k, const void *text, size_t size,
		 uint8_t ret[KEY_SIGNATURE_SIZE], struct error *err);
bool log_key_signed(const struct log_key *k, const void *text, size_t size,
		    const uint8_t signature[KEY_SIGNATURE_SIZE]);

#endif
