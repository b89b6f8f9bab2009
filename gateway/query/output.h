/*
 * output.h - a growing buffer for the body of an answer.
 *
 * Sticky failure: after a failed growth every call does nothing and output_failed() says so; test
 * once, at the end.
 */
#ifndef GATEWAY_QUERY_OUTPUT_H
#define GATEWAY_QUERY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct output {
	char *data; /* NULL while empty */
	size_t used, size;
	size_t max; /* growth above it fails */
	bool failed;
};

void output_init(struct output *o, size_t max);
void output_release(struct output *o);

/* Room for n more bytes at data + used, or NULL. */
char *output_room(struct output *o, size_t n);
void output_bytes(struct output *o, const void *bytes, size_t n);
void output_text(struct output *o, const char *text);
void output_format(struct output *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; text is UTF-8, stray bytes become U+FFFD. */
void output_json(struct output *o, const char *text);

/* A cell of a CSV: quoted when it must be, empty for NULL. */
void output_csv(struct output *o, const char *text);

/* Drops the first n bytes. */
void output_drop(struct output *o, size_t n);

/* True when every byte of text is part of well-formed UTF-8 without control characters. */
bool text_is_plain(const char *text, size_t size);

#endif
