/*
 * text.h - strict reading of the evidence log's texts.  Each thing has one form only, so that no
 * byte can be changed without a reader seeing it.
 *
 * A cursor that met something else is bad and stays so: read everything, then look once.
 */
#ifndef GATEWAY_EVIDENCE_TEXT_H
#define GATEWAY_EVIDENCE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/evidence/hash.h"

struct cursor {
	const char *at, *end;
	bool bad;
};

struct cursor cursor_of(const char *text, size_t size);
bool cursor_done(const struct cursor *c); /* good, and nothing is left */

void cursor_word(struct cursor *c, const char *word);  /* exactly these letters */
bool cursor_takes(struct cursor *c, const char *word); /* if they stand here; else stays, good */
uint64_t cursor_number(struct cursor *c);	       /* decimal, no leading zeros */
/* size bytes as lower-case hex. */
void cursor_hex(struct cursor *c, void *out, size_t size);
/* Up to the first byte that is not of name_letters; at least one and fewer than size letters. */
void cursor_name(struct cursor *c, char *out, size_t size);
/* The digits of lower-case hex that stand here; not decoded, an even number. */
struct bytes cursor_digits(struct cursor *c);

/* Hex of size bytes and a NUL: 2 * size + 1 letters. */
void hex_write(const void *bytes, size_t size, char *out);

#endif
