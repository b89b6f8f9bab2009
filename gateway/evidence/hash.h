/*
 * hash.h - the two hash functions of the evidence log, side by side: SHA-256 for everybody, SM3 for
 * courts that want GM/T.  Leaves and nodes as in RFC 9162: 0x00 before a leaf, 0x01 before a node,
 * so that neither passes for the other.
 */
#ifndef GATEWAY_EVIDENCE_HASH_H
#define GATEWAY_EVIDENCE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

enum hash_kind { HASH_SHA256, HASH_SM3, HASH_KINDS };
enum { HASH_SIZE = 32 };

struct hash {
	uint8_t bytes[HASH_SIZE];
};

struct bytes {
	const void *at;
	size_t size;
};

const char *hash_name(enum hash_kind kind); /* "SHA-256", "SM3" */
bool hash_same(const struct hash *a, const struct hash *b);

/* The functions, ready to use; one thread at a time.  ERROR_MEMORY also where OpenSSL lacks SM3. */
struct hasher;
int hasher_new(struct hasher **ret, struct error *err);
void hasher_free(struct hasher *h); /* NULL-safe */

/* Over the parts, one behind the other. */
void hasher_leaf(struct hasher *h, enum hash_kind kind, const struct bytes *parts, size_t count,
		 struct hash *ret);
void hasher_node(struct hasher *h, enum hash_kind kind, const struct hash *left,
		 const struct hash *right, struct hash *ret);
void hasher_empty(struct hasher *h, enum hash_kind kind, struct hash *ret); /* of no bytes */

/* Of a whole file, without a prefix: what sha256sum and `openssl dgst -sm3` print. */
int hasher_file(struct hasher *h, const char *path, struct hash ret[HASH_KINDS], struct error *err);

#endif
