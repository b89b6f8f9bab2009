/*
 * algorithm.h - the ciphers of the data unit, and what an encryption byte means in each protocol.
 *
 * The byte is a hint: terminals in the field are not of one mind, so the keys of a vehicle's
 * registry row decide, and the byte chooses among them (docs/protocol.md, "Encrypted units").
 */
#ifndef PROTO_WIRE_ALGORITHM_H
#define PROTO_WIRE_ALGORITHM_H

#include "proto/wire/frame.h"

/*        number  name      text     doc.  Numbers and texts are stored: never reuse one. */
#define ALGORITHMS(X)                                                                              \
	X(0, NONE, "none", "plain")                                                                \
	X(1, SM2, "sm2", "GB/T 32918 on the recommended curve")                                    \
	X(2, RSA, "rsa", "RSA, 1024 to 4096 bits")                                                 \
	X(3, SM4, "sm4", "GB/T 32907, 128 bits")                                                   \
	X(4, AES128, "aes128", "AES with a key of 128 bits")                                       \
	X(5, P256, "p256", "ECDSA on P-256 with SHA-256; signatures only")

#define ALGORITHM_ENUM_(number, name, text, doc) ALGORITHM_##name = (number),
enum algorithm { ALGORITHMS(ALGORITHM_ENUM_) ALGORITHM_COUNT };
#undef ALGORITHM_ENUM_

/*
 * Modes: a row of the registry names one.  Numbers and texts are stored: never reuse one.
 *        number  name  text  algorithm  doc
 */
#define CIPHER_MODES(X)                                                                            \
	X(0, DEFAULT, "default", NONE, "the first of the algorithm below")                         \
	X(1, SM2_ANY, "sm2-any", SM2,                                                              \
	  "the layout is found: DER, C1C3C2, C1C2C3, with or without 04")                          \
	X(2, SM2_DER, "sm2-der", SM2, "GM/T 0009: SEQUENCE of x, y, C3, C2")                       \
	X(3, SM2_C1C3C2, "sm2-c1c3c2", SM2, "raw; 04 in front may be absent")                      \
	X(4, SM2_C1C2C3, "sm2-c1c2c3", SM2, "raw, the old order; 04 in front may be absent")       \
	X(5, RSA_PKCS1, "rsa-pkcs1", RSA, "PKCS#1 v1.5, blocks of k - 11 bytes")                   \
	X(6, RSA_OAEP, "rsa-oaep", RSA, "OAEP with SHA-1 and MGF1-SHA-1, blocks of k - 42 bytes")  \
	X(7, RSA_OAEP_SHA256, "rsa-oaep-sha256", RSA, "OAEP with SHA-256, blocks of k - 66 bytes") \
	X(8, ECB, "ecb", SM4, "SM4 or AES, ECB with PKCS#7 padding")                               \
	X(9, CBC_PREFIX, "cbc-prefix", SM4, "CBC with PKCS#7; the first 16 bytes are the IV")      \
	X(10, CBC_ZERO, "cbc-zero", SM4, "CBC with PKCS#7; the IV is zero")                        \
	X(11, CBC_FIXED, "cbc-fixed", SM4, "CBC with PKCS#7; the IV stands in the registry")       \
	X(12, CBC_KEY, "cbc-key", SM4, "CBC with PKCS#7; the IV is the key")                       \
	X(13, CTR_PREFIX, "ctr-prefix", SM4,                                                       \
	  "CTR without padding; the first 16 bytes are the counter")

#define CIPHER_MODE_ENUM_(number, name, text, algorithm, doc) CIPHER_MODE_##name = (number),
enum cipher_mode { CIPHER_MODES(CIPHER_MODE_ENUM_) CIPHER_MODE_COUNT };
#undef CIPHER_MODE_ENUM_

/* Texts of the tables; "unknown" and -1 for what is not in them. */
const char *algorithm_text(unsigned algorithm);
int algorithm_parse(const char *text);
const char *cipher_mode_text(unsigned mode);
int cipher_mode_parse(const char *text);

/* Modes of AES128 are those of SM4. */
bool cipher_mode_fits(enum algorithm algorithm, enum cipher_mode mode);

/*
 * What f's encryption byte says in f's protocol; NONE for 01, and for bytes without a meaning.
 *   GB 17691: 02 RSA 03 SM2 04 SM4 05 AES128;  HJ 1239: 02 SM2 03 SM4 04 RSA 05 AES128;
 *   32960-2016: 02 RSA 03 AES128;  32960-2025: 02 RSA 03 AES128 04 SM2 05 SM4.
 * protocol: refined by the caller where "##" may be either (a known HJ terminal).
 */
enum algorithm encryption_algorithm(enum protocol protocol, uint8_t encryption);
/* The byte for an algorithm, for the simulator; 01 for NONE; 0: the protocol has none. */
uint8_t encryption_byte(enum protocol protocol, enum algorithm algorithm);

/* What the signature type of the 2025 edition says: 01 SM2, 02 RSA, 03 P256; else NONE. */
enum algorithm signature_type_2025(uint8_t type);

#endif
