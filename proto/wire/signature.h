/*
 * signature.h - who signed a unit: SM2 with SM3 (GB/T 32918.2, GM/T 0009), and the RSA and ECDSA
 * signatures of GB/T 32960.3-2025.
 *
 * SM2 hashes a user id into the message.  Terminals use the id of their security chip, or the
 * default of GM/T 0009; both are tried, and the one that fits is kept with the frame.
 */
#ifndef PROTO_WIRE_SIGNATURE_H
#define PROTO_WIRE_SIGNATURE_H

#include <openssl/types.h>

#include "proto/wire/algorithm.h"
#include "proto/wire/unit.h"

/* What was found out about a signature.  Numbers are stored: never reuse one. */
#define SIGNATURE_CHECKS(X)                                                                        \
	X(0, NONE, "none", "the unit carries no signature, or its protocol has none")              \
	X(1, VALID, "valid", "verified with a key of the registry")                                \
	X(2, INVALID, "invalid", "does not belong to the bytes and any key of the vehicle")        \
	X(3, NO_KEY, "no_key", "no key of its algorithm was known for the vehicle at that time")   \
	X(4, SKIPPED, "skipped", "outside the share of frames that the fleet's policy checks")     \
	X(5, UNDEFINED, "undefined", "a layout whose signed range no standard tells (B+sig)")

#define SIGNATURE_ENUM_(number, name, text, doc) SIGNATURE_##name = (number),
enum signature_check { SIGNATURE_CHECKS(SIGNATURE_ENUM_) SIGNATURE_COUNT };
#undef SIGNATURE_ENUM_
const char *signature_text(unsigned check);

enum signature_user { SIGNATURE_USER_NONE, SIGNATURE_USER_CHIP, SIGNATURE_USER_DEFAULT };
#define SIGNATURE_DEFAULT_USER "1234567812345678"

/*
 * A public key made ready to verify.  Any number of threads may use one at a time.
 * Counted: signature_key_ref() and signature_key_free().
 */
struct signature_key;

/*
 * key: SM2 and P256: X[32] Y[32]; RSA: DER of a SubjectPublicKeyInfo or PKCS#1 RSAPublicKey.
 * chip_id: user id to try first for SM2; NULL or "": only the default.
 * NULL: not a key (a point off the curve; RSA below 1024 or above 4096 bits, with an even number,
 * or an exponent below 65537 or above 32 bits), or no memory.
 */
struct signature_key *signature_key_new(enum algorithm algorithm, const uint8_t *key, size_t size,
					const char *chip_id);
struct signature_key *signature_key_ref(struct signature_key *k);
void signature_key_free(struct signature_key *k); /* NULL-safe */
enum algorithm signature_key_algorithm(const struct signature_key *k);

/*
 * The long look, for a key that nobody vouches for: false too when an RSA modulus is a prime, the
 * power of one, or has a small factor.  Some milliseconds.
 */
bool signature_key_sound(const struct signature_key *k);

/*
 * The one form in which a public key is stored and compared, RSA having several: X[32] Y[32], or
 * DER of a SubjectPublicKeyInfo.  Returns its size; 0: a wrong size, no key of RSA, or no memory.
 */
enum { PUBLIC_KEY_MAX = 600 }; /* 4096 bits: 552 */
size_t public_key_encode(enum algorithm algorithm, const uint8_t *key, size_t size,
			 uint8_t out[PUBLIC_KEY_MAX]);

/* True and *ret_user when s was made by the key over its bytes. */
bool signature_verify(struct signature_key *k, const struct unit_signature *s,
		      enum signature_user *ret_user);

/* Signs with a private key of the algorithm, for the simulator; user: SM2's id.  r, s: 32 bytes. */
bool signature_sign_sm2(EVP_PKEY *key, const char *user, const uint8_t *bytes, size_t size,
			uint8_t r[32], uint8_t s[32]);

#endif
