/*
 * table.h - what came from outside, for a person's eyes: printable UTF-8 as it is, everything else
 * as \xHH, so that no text can steer the terminal it is shown on.
 */
#ifndef TOOLS_CLI_TABLE_H
#define TOOLS_CLI_TABLE_H

#include <stddef.h>

#include <libpq-fe.h>

/* Cut to fit, with "..." at the end then; returns out. */
const char *text_shown(const char *text, char *out, size_t size);

/* Bytes of the character that text begins with; 0: not UTF-8, or cut off.  text ends with NUL. */
size_t utf8_size(const char *text);

/* A result on stdout, columns padded; the names of its columns are the heading. */
void table_print(const PGresult *result);

#endif
