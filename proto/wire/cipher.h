/*
 * cipher.h - open and seal data units, on OpenSSL's EVP.
 *
 * A key is made once and may be used by many threads at a time; OpenSSL allocates inside a call.
 * One message for the peer whatever went wrong: the results below are for counters only.
 *
 * No result tells whether a padding was right, where that would prove nothing.  Whoever learns it
 * of ciphertexts that he made from recorded ones reads those (Bleichenbacher, Vaudenay).  So:
 *   PKCS#1 v1.5: a block whose padding is wrong opens to a text that nobody can foresee, always the
 *     same one for the same block (implicit rejection, as in OpenSSL 3.2).
 *   PKCS#7: a wrong padding is taken for text.  See cipher_padded_size().
 */
#ifndef PROTO_WIRE_CIPHER_H
#define PROTO_WIRE_CIPHER_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/algorithm.h"

struct cipher_key;

/* SM4 and AES128.  iv: for CBC_FIXED, else NULL.  NULL: the mode does not fit, or no memory. */
struct cipher_key *cipher_key_symmetric(enum algorithm algorithm, enum cipher_mode mode,
					const uint8_t key[16], const uint8_t *iv);
/*
 * SM2 and RSA.  Takes a reference of its own.  The key's private half is needed to open, the public
 * one to seal.  NULL: the mode does not fit, RSA is not of 1024 to 4096 bits, or no memory.
 */
struct cipher_key *cipher_key_pair(EVP_PKEY *key, enum cipher_mode mode);
void cipher_key_free(struct cipher_key *k); /* NULL-safe; wipes */

enum algorithm cipher_key_algorithm(const struct cipher_key *k);

enum cipher_result {
	CIPHER_OPENED,
	CIPHER_BAD_SIZE,    /* no ciphertext of this key and mode has this size */
	CIPHER_BAD_PADDING, /* SM2, OAEP: digest or curve point are wrong; RSA: above the modulus */
	CIPHER_NO_ROOM,	    /* seal only */
	CIPHER_FAULT,	    /* out of memory */
};

/*
 * Longest row of RSA blocks that is worked through: 14 kB of text with 2048 bits, where a report of
 * ten seconds has 0.6.  A block costs half a millisecond and more, and anybody can write random
 * ones.
 */
enum { CIPHER_RSA_BLOCKS_MAX = 64 };

/*
 * out: room for size bytes (what opens is never longer).  in and out may not overlap.
 * A unit longer than one RSA block is a row of blocks, each of the key's size.
 */
enum cipher_result cipher_open(const struct cipher_key *k, const uint8_t *in, size_t size,
			       uint8_t *out, size_t *ret_size);
/*
 * What size bytes that opened have left in out: the text and its PKCS#7 padding, right or not.  Who
 * judges the text must come to the same judgement wherever in the last CIPHER_BLOCK bytes it ends.
 * 0: the mode has no such padding.
 */
enum { CIPHER_BLOCK = 16 };
size_t cipher_padded_size(const struct cipher_key *k, size_t size);
enum cipher_result cipher_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
			       uint8_t *out, size_t max, size_t *ret_size);

#endif
