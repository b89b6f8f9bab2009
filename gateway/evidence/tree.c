#include "gateway/evidence/tree.h"

#include <assert.h>
#include <stdlib.h>

/* Only the leaves' hashes are kept; what stands above them is computed when it is asked for. */
struct tree {
	struct hasher *hasher;
	struct leaf {
		struct hash of[HASH_KINDS];
	} * leaves;
	uint64_t count, room;
};

int tree_new(struct hasher *h, struct tree **ret, struct error *err)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for a tree");
	t->hasher = h;
	*ret = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	free(t->leaves);
	free(t);
}

uint64_t tree_size(const struct tree *t)
{
	return t->count;
}

int tree_append(struct tree *t, const struct bytes *parts, size_t count, struct error *err)
{
	if (t->count == t->room) {
		const uint64_t room = t->room == 0 ? 64 : 2 * t->room;
		struct leaf *more = reallocarray(t->leaves, room, sizeof(*more));

		if (more == NULL)
			return error_set(err, ERROR_MEMORY, "no memory for a tree's leaves");
		t->leaves = more;
		t->room = room;
	}
	for (int kind = 0; kind < HASH_KINDS; kind++)
		hasher_leaf(t->hasher, (enum hash_kind)kind, parts, count,
			    &t->leaves[t->count].of[kind]);
	t->count++;
	return 0;
}

/* ---- the definition: a tree of n leaves is one of k and one of n - k ---- */

/* The largest power of two below n. */
static uint64_t split(uint64_t n)
{
	assert(n > 1);
	return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* Of the leaves from .. from + n - 1. */
static void subtree(const struct tree *t, enum hash_kind kind, uint64_t from, uint64_t n,
		    struct hash *ret)
{
	struct hash left, right;
	uint64_t k;

	if (n == 1) {
		*ret = t->leaves[from].of[kind];
		return;
	}
	k = split(n);
	subtree(t, kind, from, k, &left);
	subtree(t, kind, from + k, n - k, &right);
	hasher_node(t->hasher, kind, &left, &right, ret);
}

void tree_root(const struct tree *t, enum hash_kind kind, uint64_t size, struct hash *ret)
{
	assert(size <= t->count);
	if (size == 0)
		hasher_empty(t->hasher, kind, ret);
	else
		subtree(t, kind, 0, size, ret);
}

static void push(const struct tree *t, enum hash_kind kind, uint64_t from, uint64_t n,
		 struct path *path)
{
	assert(path->count < PATH_HASHES);
	subtree(t, kind, from, n, &path->hashes[path->count++]);
}

static void include(const struct tree *t, enum hash_kind kind, uint64_t index, uint64_t from,
		    uint64_t n, struct path *path)
{
	uint64_t k;

	if (n == 1)
		return;
	k = split(n);
	if (index < k) {
		include(t, kind, index, from, k, path);
		push(t, kind, from + k, n - k, path);
	} else {
		include(t, kind, index - k, from + k, n - k, path);
		push(t, kind, from, k, path);
	}
}

void tree_inclusion(const struct tree *t, enum hash_kind kind, uint64_t index, uint64_t size,
		    struct path *ret)
{
	assert(index < size && size <= t->count);
	ret->count = 0;
	include(t, kind, index, 0, size, ret);
}

/* whole: the first old leaves are the earlier tree itself, whose root the reader has. */
static void continue_from(const struct tree *t, enum hash_kind kind, uint64_t old, uint64_t from,
			  uint64_t n, bool whole, struct path *path)
{
	uint64_t k;

	if (old == n) {
		if (!whole)
			push(t, kind, from, n, path);
		return;
	}
	k = split(n);
	if (old <= k) {
		continue_from(t, kind, old, from, k, whole, path);
		push(t, kind, from + k, n - k, path);
	} else {
		continue_from(t, kind, old - k, from + k, n - k, false, path);
		push(t, kind, from, k, path);
	}
}

void tree_consistency(const struct tree *t, enum hash_kind kind, uint64_t old, uint64_t size,
		      struct path *ret)
{
	assert(old > 0 && old <= size && size <= t->count);
	ret->count = 0;
	continue_from(t, kind, old, 0, size, true, ret);
}

/* ---- checking, from the leaf up; RFC 9162, 2.1.3.2 and 2.1.4.2 ---- */

bool path_includes(struct hasher *h, enum hash_kind kind, const struct path *path,
		   const struct hash *leaf, uint64_t index, uint64_t size, const struct hash *root)
{
	uint64_t node = index, last = size - 1;
	struct hash at = *leaf;

	if (index >= size || path->count > PATH_HASHES)
		return false;
	for (size_t i = 0; i < path->count; i++) {
		const struct hash below = at;

		if (last == 0)
			return false; /* longer than the tree is high */
		if (node % 2 == 1 || node == last) {
			hasher_node(h, kind, &path->hashes[i], &below, &at);
			/* At the right edge, levels where it has no neighbour are passed over. */
			while (node % 2 == 0 && node != 0) {
				node /= 2;
				last /= 2;
			}
		} else {
			hasher_node(h, kind, &below, &path->hashes[i], &at);
		}
		node /= 2;
		last /= 2;
	}
	return last == 0 && hash_same(&at, root);
}

bool path_consistent(struct hasher *h, enum hash_kind kind, const struct path *path, uint64_t old,
		     const struct hash *old_root, uint64_t size, const struct hash *root)
{
	uint64_t node = old - 1, last = size - 1;
	struct hash was, is;
	size_t i = 0;

	if (old == 0 || old > size || path->count > PATH_HASHES)
		return false;
	if (old == size)
		return path->count == 0 && hash_same(old_root, root);
	while (node % 2 == 1) {
		node /= 2;
		last /= 2;
	}
	/* An earlier tree that is a whole subtree is not repeated in the path. */
	if (node == 0)
		was = *old_root;
	else if (path->count > 0)
		was = path->hashes[i++];
	else
		return false;
	is = was;
	for (; i < path->count; i++) {
		const struct hash *side = &path->hashes[i];
		const struct hash was_below = was, is_below = is;

		if (last == 0)
			return false;
		if (node % 2 == 1 || node == last) {
			hasher_node(h, kind, side, &was_below, &was);
			hasher_node(h, kind, side, &is_below, &is);
			while (node % 2 == 0 && node != 0) {
				node /= 2;
				last /= 2;
			}
		} else {
			hasher_node(h, kind, &is_below, side, &is);
		}
		node /= 2;
		last /= 2;
	}
	return last == 0 && hash_same(&was, old_root) && hash_same(&is, root);
}
