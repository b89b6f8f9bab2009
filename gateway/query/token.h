/*
 * token.h - the API tokens of a file, kept as SHA-256.
 *
 * One token a line, 16 to 256 printable ASCII characters without blanks; empty lines and lines that
 * begin with '#' do not count.
 */
#ifndef GATEWAY_QUERY_TOKEN_H
#define GATEWAY_QUERY_TOKEN_H

#include <stdbool.h>

#include "gateway/base/error.h"

enum { TOKEN_SIZE_MIN = 16, TOKEN_SIZE_MAX = 256, TOKENS_MAX = 1000 };

struct tokens;

/* Refuses a file that others may read or the group may write. */
int tokens_load(const char *path, struct tokens **ret, struct error *err);
void tokens_free(struct tokens *t);

/* Takes the same time whichever token matches, or none. */
bool tokens_match(const struct tokens *t, const char *token);

/* The value of an Authorization header: "Bearer TOKEN".  NULL: not allowed. */
bool tokens_authorize(const struct tokens *t, const char *header);

#endif
