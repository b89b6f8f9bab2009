/*
 * text.h - append text to a buffer of fixed size; cut like snprintf.  Inside proto/ only.
 *
 * used counts what was asked for, also beyond size; the buffer always ends with NUL if size > 0.
 */
#ifndef PROTO_WIRE_TEXT_H
#define PROTO_WIRE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	char *out;
	size_t size, used;
};

void text_start(struct text *t, char *out, size_t size);
void text_bytes(struct text *t, const char *bytes, size_t n);
void text_put(struct text *t, const char *string);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_hex(struct text *t, const uint8_t *bytes, size_t n);
/* A JSON string with its quotes; bytes outside printable ASCII become \u00xx. */
void text_json_string(struct text *t, const char *string);
/* "2026-07-24T08:00:00+08:00": RFC 3339 at the wire's own zone; null outside 2000 to 2099. */
void text_json_time(struct text *t, int64_t at);

/* Where the next writer may put its bytes, and how much room it has. */
char *text_room(const struct text *t, size_t *ret_size);

#endif
