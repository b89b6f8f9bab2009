/* pair.h - key pairs and signatures for tests. */
#ifndef TEST_WIRE_PAIR_H
#define TEST_WIRE_PAIR_H

#include <openssl/types.h>

#include "proto/wire/unit.h"

#define CHIP "CHIP0123456789AB"

/* Exactly size bytes, or the test fails. */
void from_hex(const char *hex, uint8_t *out, size_t size);

/* A pair of the SM2 curve with this private number (big-endian), and its X[32] Y[32]. */
EVP_PKEY *pair_of(const uint8_t d[32], uint8_t point[64]);
/* X[32] Y[32] of any pair on a curve of 256 bits. */
void public_point(EVP_PKEY *pair, uint8_t point[64]);

/* Signs with P-256 (r, s of 32 bytes), or with RSA (r of the key's size, s empty). */
void sign_sha256(EVP_PKEY *pair, const uint8_t *bytes, size_t size, uint8_t *r, size_t *ret_r_size,
		 uint8_t *s, size_t *ret_s_size);

struct unit_signature signature_of(const uint8_t r[32], const uint8_t s[32], const void *bytes,
				   size_t size);

#endif
