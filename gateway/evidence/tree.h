/*
 * tree.h - the append-only Merkle tree of RFC 9162 (section 2.1), over SHA-256 and SM3 at once.
 *
 * An inclusion path shows that a leaf is in the tree with a root; a consistency path shows that a
 * tree goes on where an earlier one stood: nothing was changed, removed or put in between.  Paths
 * are made here by the recursive definition and checked by the iterative one, so that a mistake in
 * either shows.
 */
#ifndef GATEWAY_EVIDENCE_TREE_H
#define GATEWAY_EVIDENCE_TREE_H

#include "gateway/evidence/hash.h"

enum { PATH_HASHES = 64 }; /* of a tree of 2^63 leaves, and one more */

struct path {
	size_t count;
	struct hash hashes[PATH_HASHES];
};

struct tree;

/* The hasher is borrowed. */
int tree_new(struct hasher *h, struct tree **ret, struct error *err);
void tree_free(struct tree *t); /* NULL-safe */

/* A leaf of these parts, one behind the other.  0, or ERROR_MEMORY. */
int tree_append(struct tree *t, const struct bytes *parts, size_t count, struct error *err);
uint64_t tree_size(const struct tree *t);

/* Of the first size leaves; size is at most tree_size(). */
void tree_root(const struct tree *t, enum hash_kind kind, uint64_t size, struct hash *ret);

/* Of leaf index among the first size leaves: index < size <= tree_size(). */
void tree_inclusion(const struct tree *t, enum hash_kind kind, uint64_t index, uint64_t size,
		    struct path *ret);

/* From the first old leaves to the first size ones: 0 < old <= size <= tree_size(). */
void tree_consistency(const struct tree *t, enum hash_kind kind, uint64_t old, uint64_t size,
		      struct path *ret);

/* ---- checking; any arguments at all ---- */

bool path_includes(struct hasher *h, enum hash_kind kind, const struct path *path,
		   const struct hash *leaf, uint64_t index, uint64_t size, const struct hash *root);

bool path_consistent(struct hasher *h, enum hash_kind kind, const struct path *path, uint64_t old,
		     const struct hash *old_root, uint64_t size, const struct hash *root);

#endif
