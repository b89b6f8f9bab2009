/*
 * wrap.h - secrets of terminals as they stand in the database: sealed with the gateways' wrapping
 * key, so that neither the database nor its backups can open a unit.
 *
 *   01 | first 4 bytes of SHA-256(wrapping key) | nonce 12 | AES-256-GCM ciphertext | tag 16
 *
 * additional data: "haulgate terminal_key " and the VIN, so that a secret works in no other row.
 */
#ifndef GATEWAY_IDENTITY_WRAP_H
#define GATEWAY_IDENTITY_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

enum {
	WRAP_KEY_SIZE = 32,
	WRAP_NAME_SIZE = 4,
	WRAP_OVERHEAD = 1 + WRAP_NAME_SIZE + 12 + 16,
	WRAP_SECRET_MAX = 4096, /* bytes in clear: a key of 16, or a pair as PKCS#8 in DER */
};

struct wrap_key {
	uint8_t bytes[WRAP_KEY_SIZE];
	uint8_t name[WRAP_NAME_SIZE]; /* may be shown */
};

/*
 * Reads 64 hex digits from a file of mode 0600 that is ours or root's.  ERROR_NOT_FOUND: there is
 * no such file; ERROR_USAGE: something is wrong with it.
 */
int wrap_key_read(const char *path, struct wrap_key *ret, struct error *err);
/* From 32 bytes, for who makes one. */
void wrap_key_set(struct wrap_key *k, const uint8_t bytes[WRAP_KEY_SIZE]);
void wrap_key_wipe(struct wrap_key *k);

/* out: room for size + WRAP_OVERHEAD; that is what is written.  ERROR_USAGE: size. */
int wrap_seal(const struct wrap_key *k, const char *vin, const uint8_t *secret, size_t size,
	      uint8_t *out, struct error *err);

/*
 * out: room for WRAP_SECRET_MAX.  ERROR_NOT_FOUND: sealed with another wrapping key;
 * ERROR_CORRUPT: not what was sealed, or for another VIN.  The message has no secret.
 */
int wrap_open(const struct wrap_key *k, const char *vin, const uint8_t *in, size_t size,
	      uint8_t *out, size_t *ret_size, struct error *err);

#endif
