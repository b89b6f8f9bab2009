#include "gateway/evidence/path.h"

static const char *const names[HASH_KINDS] = { " sha256=", " sm3=" };

void hex_print(FILE *out, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	char digits[3];

	for (size_t i = 0; i < size; i++) {
		hex_write(at + i, 1, digits);
		fputs(digits, out);
	}
}

void paths_write(FILE *out, const struct path paths[HASH_KINDS])
{
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		fputs(names[kind], out);
		for (size_t i = 0; i < paths[kind].count; i++) {
			if (i > 0)
				fputc(',', out);
			hex_print(out, paths[kind].hashes[i].bytes, HASH_SIZE);
		}
	}
}

static void path_read(struct cursor *c, struct path *ret)
{
	ret->count = 0;
	if (c->at == c->end || *c->at == ' ' || *c->at == '\n')
		return; /* a tree of one leaf */
	do {
		if (ret->count == PATH_HASHES) {
			c->bad = true;
			return;
		}
		cursor_hex(c, ret->hashes[ret->count++].bytes, HASH_SIZE);
	} while (cursor_takes(c, ","));
}

void paths_read(struct cursor *c, struct path ret[HASH_KINDS])
{
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		cursor_word(c, names[kind]);
		path_read(c, &ret[kind]);
	}
}

void paths_include(const struct tree *t, uint64_t index, uint64_t size, struct path ret[HASH_KINDS])
{
	for (int kind = 0; kind < HASH_KINDS; kind++)
		tree_inclusion(t, (enum hash_kind)kind, index, size, &ret[kind]);
}
