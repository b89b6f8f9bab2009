/*
 * markdown.h - the parts of docs/protocol.md that are made from the tables.
 */
#ifndef PROTO_WIRE_MARKDOWN_H
#define PROTO_WIRE_MARKDOWN_H

#include <stdio.h>

/* One section each. */
void info_markdown(FILE *out);
void cipher_markdown(FILE *out);
void signature_markdown(FILE *out);
void verdict_markdown(FILE *out);
void quirk_markdown(FILE *out);

#endif
