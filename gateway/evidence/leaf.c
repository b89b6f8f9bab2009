#include "gateway/evidence/leaf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "gateway/evidence/text.h"

enum { HEX_SIZE = 2 * HASH_SIZE + 1 };

size_t leaf_write(const struct segment_leaf *leaf, char out[LEAF_TEXT_SIZE])
{
	char chain[HEX_SIZE], root[HASH_KINDS][HEX_SIZE], file[HASH_KINDS][HEX_SIZE];
	int n;

	hex_write(leaf->chain.bytes, HASH_SIZE, chain);
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		hex_write(leaf->root[kind].bytes, HASH_SIZE, root[kind]);
		hex_write(leaf->file[kind].bytes, HASH_SIZE, file[kind]);
	}
	n = snprintf(out, LEAF_TEXT_SIZE,
		     "segment gateway=%" PRIu64 " base=%" PRIu64 " end=%" PRIu64 " first=%" PRIu64
		     " records=%" PRIu64 " flaws=%" PRIu64
		     " chain=%s sha256=%s sm3=%s file-sha256=%s file-sm3=%s",
		     leaf->gateway, leaf->base, leaf->end, leaf->first, leaf->records, leaf->flaws,
		     chain, root[HASH_SHA256], root[HASH_SM3], file[HASH_SHA256], file[HASH_SM3]);
	assert(n > 0 && n < LEAF_TEXT_SIZE);
	return (size_t)n;
}

static uint64_t number(struct cursor *c, const char *name)
{
	cursor_word(c, name);
	return cursor_number(c);
}

static void hash(struct cursor *c, const char *name, struct hash *ret)
{
	cursor_word(c, name);
	cursor_hex(c, ret->bytes, HASH_SIZE);
}

bool leaf_read(const char *text, size_t size, struct segment_leaf *ret)
{
	struct cursor c = cursor_of(text, size);

	ret->gateway = number(&c, "segment gateway=");
	ret->base = number(&c, " base=");
	ret->end = number(&c, " end=");
	ret->first = number(&c, " first=");
	ret->records = number(&c, " records=");
	ret->flaws = number(&c, " flaws=");
	hash(&c, " chain=", &ret->chain);
	hash(&c, " sha256=", &ret->root[HASH_SHA256]);
	hash(&c, " sm3=", &ret->root[HASH_SM3]);
	hash(&c, " file-sha256=", &ret->file[HASH_SHA256]);
	hash(&c, " file-sm3=", &ret->file[HASH_SM3]);
	return cursor_done(&c);
}
