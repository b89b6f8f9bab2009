/*
 * markdown.h - the parts of docs/protocol.md that are made from the tables.
 */
#ifndef PROTO_WIRE_MARKDOWN_H
#define PROTO_WIRE_MARKDOWN_H

#include <stdio.h>

/* Information types with their fields, then verdicts, then quirks: one section each. */
void info_markdown(FILE *out);
void verdict_markdown(FILE *out);
void quirk_markdown(FILE *out);

#endif
