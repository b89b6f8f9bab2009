/*
 * token.h - the API tokens of a file, kept as SHA-256, with the names and rights of their owners.
 *
 * One a line: TOKEN, or TOKEN NAME RIGHT[,RIGHT].  A token has 16 to 256 printable ASCII characters
 * without blanks, a name 1 to 64 of A-Z a-z 0-9 _ . @ -; rights are read and command.  TOKEN alone
 * is named "token N" and may read.  Empty lines and lines that begin with '#' do not count.
 */
#ifndef GATEWAY_QUERY_TOKEN_H
#define GATEWAY_QUERY_TOKEN_H

#include <stddef.h>

#include "gateway/base/error.h"

enum { TOKEN_SIZE_MIN = 16, TOKEN_SIZE_MAX = 256, TOKENS_MAX = 1000, TOKEN_NAME_SIZE = 65 };

enum token_right {
	TOKEN_READ = 1u << 0,	 /* ask for what is stored */
	TOKEN_COMMAND = 1u << 1, /* order and cancel commands to terminals */
};

struct token {
	char name[TOKEN_NAME_SIZE];
	unsigned rights; /* enum token_right */
};

struct tokens;

/* Refuses a file that others may read or the group may write. */
int tokens_load(const char *path, struct tokens **ret, struct error *err);
void tokens_free(struct tokens *t);

/* NULL: none.  Takes the same time whichever token matches, or none. */
const struct token *tokens_match(const struct tokens *t, const char *token);

/* The value of an Authorization header: "Bearer TOKEN".  NULL: not allowed. */
const struct token *tokens_authorize(const struct tokens *t, const char *header);

#endif
