/*
 * The Merkle tree, against the definition.
 *
 * Method: roots by an independent way (a stack of whole subtrees, as RFC 9162 2.1.2 does it) for
 * all sizes 0..70; every inclusion and consistency path of all these sizes must hold, and must hold
 * for no other index, size, leaf, root or changed path.
 */
#include "test/wire/cm.h"

#include <string.h>

#include <openssl/evp.h>

#include "gateway/evidence/text.h"
#include "gateway/evidence/tree.h"

enum { SIZES = 70 };

struct world {
	struct hasher *hasher;
	struct tree *tree;
	struct hash leaves[HASH_KINDS][SIZES];
	struct hash roots[HASH_KINDS][SIZES + 1];
};

/* ---- the second opinion ---- */

static struct hash digest(int kind, const void *bytes, size_t size)
{
	struct hash h;

	assert_int_equal(EVP_Digest(bytes, size, h.bytes, NULL,
				    kind == HASH_SHA256 ? EVP_sha256() : EVP_sm3(), NULL),
			 1);
	return h;
}

static struct hash node(int kind, const struct hash *left, const struct hash *right)
{
	uint8_t bytes[1 + 2 * HASH_SIZE] = { 1 };

	memcpy(bytes + 1, left->bytes, HASH_SIZE);
	memcpy(bytes + 1 + HASH_SIZE, right->bytes, HASH_SIZE);
	return digest(kind, bytes, sizeof(bytes));
}

static struct hash stack_root(int kind, const struct hash *leaves, unsigned size)
{
	struct hash stack[SIZES];
	unsigned depth = 0;

	if (size == 0)
		return digest(kind, "", 0);
	for (unsigned i = 0; i < size; i++) {
		stack[depth++] = leaves[i];
		/* As many as there are ones at the end of i: so many subtrees become whole. */
		for (unsigned ones = i; ones % 2 == 1; ones /= 2, depth--)
			stack[depth - 2] = node(kind, &stack[depth - 2], &stack[depth - 1]);
	}
	for (; depth > 1; depth--)
		stack[depth - 2] = node(kind, &stack[depth - 2], &stack[depth - 1]);
	return stack[0];
}

static int setup(void **state)
{
	static struct world w;
	struct error err;

	assert_int_equal(hasher_new(&w.hasher, &err), 0);
	assert_int_equal(tree_new(w.hasher, &w.tree, &err), 0);
	for (unsigned i = 0; i < SIZES; i++) {
		const uint8_t bytes[] = { 0, (uint8_t)i, 'x' };
		const struct bytes parts[] = { { bytes + 1, 1 }, { bytes + 2, 1 } };

		for (int kind = 0; kind < HASH_KINDS; kind++)
			w.leaves[kind][i] = digest(kind, bytes, sizeof(bytes));
		assert_int_equal(tree_append(w.tree, parts, 2, &err), 0);
	}
	for (int kind = 0; kind < HASH_KINDS; kind++)
		for (unsigned n = 0; n <= SIZES; n++)
			w.roots[kind][n] = stack_root(kind, w.leaves[kind], n);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	tree_free(w->tree);
	hasher_free(w->hasher);
	return 0;
}

static void test_roots(void **state)
{
	const struct world *w = *state;
	struct hash root;

	assert_int_equal(tree_size(w->tree), SIZES);
	for (int kind = 0; kind < HASH_KINDS; kind++)
		for (unsigned n = 0; n <= SIZES; n++) {
			tree_root(w->tree, kind, n, &root);
			assert_true(hash_same(&root, &w->roots[kind][n]));
		}
}

/* Method: the eight leaves that implementations of RFC 6962 share, and the roots that they print.
 */
static void test_known_vectors(void **state)
{
	static const struct {
		const char *leaf, *root;
		size_t size;
	} rows[] = {
		{ "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", 0 },
		{ "\x00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", 1 },
		{ "\x10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", 1 },
	};
	const struct world *w = *state;
	struct tree *t = NULL;
	struct error err;
	struct hash root;
	char text[2 * HASH_SIZE + 1];

	assert_int_equal(tree_new(w->hasher, &t, &err), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct bytes part = { rows[i].leaf, rows[i].size };

		assert_int_equal(tree_append(t, &part, 1, &err), 0);
		tree_root(t, HASH_SHA256, i + 1, &root);
		hex_write(root.bytes, HASH_SIZE, text);
		assert_string_equal(text, rows[i].root);
	}
	tree_free(t);
}

/* Whether the path shows the leaf in any other place, tree or form than its own. */
static void refuse_inclusion(const struct world *w, int kind, const struct path *path,
			     unsigned index, unsigned size)
{
	const struct hash *leaf = &w->leaves[kind][index], *root = &w->roots[kind][size];
	struct path other = *path;

	for (unsigned i = 0; i <= size; i++)
		if (i != index)
			assert_false(path_includes(w->hasher, kind, path, leaf, i, size, root));
	for (unsigned n = 0; n <= SIZES; n++)
		if (n != size)
			assert_false(path_includes(w->hasher, kind, path, leaf, index, n,
						   &w->roots[kind][n]));
	assert_false(path_includes(w->hasher, kind, path, &w->leaves[kind][(index + 1) % SIZES],
				   index, size, root));
	for (size_t i = 0; i < path->count; i++) {
		other.hashes[i].bytes[i % HASH_SIZE] ^= 1;
		assert_false(path_includes(w->hasher, kind, &other, leaf, index, size, root));
		other = *path;
	}
	other.hashes[other.count++] = *leaf;
	assert_false(path_includes(w->hasher, kind, &other, leaf, index, size, root));
	other.count = path->count - 1;
	if (path->count > 0)
		assert_false(path_includes(w->hasher, kind, &other, leaf, index, size, root));
}

static void test_inclusion(void **state)
{
	const struct world *w = *state;
	struct path path;

	for (int kind = 0; kind < HASH_KINDS; kind++)
		for (unsigned size = 1; size <= SIZES; size++)
			for (unsigned index = 0; index < size; index++) {
				tree_inclusion(w->tree, kind, index, size, &path);
				assert_true(path_includes(w->hasher, kind, &path,
							  &w->leaves[kind][index], index, size,
							  &w->roots[kind][size]));
				refuse_inclusion(w, kind, &path, index, size);
			}
}

/* Another size may pass with the same roots (a path does not tell sizes); other roots never do. */
static void refuse_consistency(const struct world *w, int kind, const struct path *path,
			       unsigned old, unsigned size)
{
	const struct hash *was = &w->roots[kind][old], *is = &w->roots[kind][size];
	struct path other = *path;

	for (unsigned n = 0; n <= SIZES; n++) {
		if (n != old)
			assert_false(path_consistent(w->hasher, kind, path, old, &w->roots[kind][n],
						     size, is));
		if (n != size)
			assert_false(path_consistent(w->hasher, kind, path, old, was, size,
						     &w->roots[kind][n]));
	}
	assert_false(path_consistent(w->hasher, kind, path, size + 1, was, size, is));
	for (size_t i = 0; i < path->count; i++) {
		other.hashes[i].bytes[i % HASH_SIZE] ^= 0x80;
		assert_false(path_consistent(w->hasher, kind, &other, old, was, size, is));
		other = *path;
	}
	other.hashes[other.count++] = *was;
	assert_false(path_consistent(w->hasher, kind, &other, old, was, size, is));
	other.count = path->count - 1;
	if (path->count > 0)
		assert_false(path_consistent(w->hasher, kind, &other, old, was, size, is));
}

static void test_consistency(void **state)
{
	const struct world *w = *state;
	struct path path;

	for (int kind = 0; kind < HASH_KINDS; kind++)
		for (unsigned size = 1; size <= SIZES; size++)
			for (unsigned old = 1; old <= size; old++) {
				tree_consistency(w->tree, kind, old, size, &path);
				assert_true(path_consistent(w->hasher, kind, &path, old,
							    &w->roots[kind][old], size,
							    &w->roots[kind][size]));
				refuse_consistency(w, kind, &path, old, size);
			}
}

/* A log that put a line in between, changed or removed one has no path from the old root. */
static void test_rewritten_history(void **state)
{
	const struct world *w = *state;
	struct error err;
	struct hash root;
	struct path path;

	for (unsigned changed = 0; changed < 20; changed++) {
		struct tree *t = NULL;

		assert_int_equal(tree_new(w->hasher, &t, &err), 0);
		for (uint8_t i = 0; i < 33; i++) {
			const uint8_t bytes[] = { i == changed ? 0xff : i, 'x' };
			const struct bytes part = { bytes, sizeof(bytes) };

			assert_int_equal(tree_append(t, &part, 1, &err), 0);
		}
		tree_root(t, HASH_SM3, 33, &root);
		tree_consistency(t, HASH_SM3, 20, 33, &path);
		assert_false(path_consistent(w->hasher, HASH_SM3, &path, 20,
					     &w->roots[HASH_SM3][20], 33, &root));
		tree_free(t);
	}
}

/* A path of any length from outside, for any tree. */
static void test_absurd(void **state)
{
	const struct world *w = *state;
	const struct hash *any = &w->leaves[0][0];
	struct path path = { .count = PATH_HASHES };

	assert_false(path_includes(w->hasher, 0, &path, any, 0, 0, any));
	assert_false(path_includes(w->hasher, 0, &path, any, UINT64_MAX, UINT64_MAX, any));
	assert_false(path_includes(w->hasher, 0, &path, any, UINT64_MAX - 1, UINT64_MAX, any));
	assert_false(path_consistent(w->hasher, 0, &path, 0, any, 0, any));
	assert_false(path_consistent(w->hasher, 0, &path, 0, any, 5, any));
	assert_false(path_consistent(w->hasher, 0, &path, UINT64_MAX - 1, any, UINT64_MAX, any));
	path.count = SIZE_MAX;
	assert_false(path_includes(w->hasher, 0, &path, any, 0, 5, any));
	assert_false(path_consistent(w->hasher, 0, &path, 2, any, 5, any));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_known_vectors),
		cmocka_unit_test(test_inclusion),
		cmocka_unit_test(test_consistency),
		cmocka_unit_test(test_rewritten_history),
		cmocka_unit_test(test_absurd),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
