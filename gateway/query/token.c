#include "gateway/query/token.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

struct tokens {
	size_t count;
	uint8_t digests[TOKENS_MAX][SHA256_DIGEST_LENGTH];
	struct token tokens[TOKENS_MAX];
};

static bool is_name(const char *s)
{
	const size_t n = strlen(s);

	return n > 0 && n < TOKEN_NAME_SIZE &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-") == n;
}

/* "read,command"; 0: not understood. */
static unsigned rights_of(char *list)
{
	unsigned rights = 0;
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word != NULL;
	     word = strtok_r(NULL, ",", &rest)) {
		if (strcmp(word, "read") == 0)
			rights |= TOKEN_READ;
		else if (strcmp(word, "command") == 0)
			rights |= TOKEN_COMMAND;
		else
			return 0;
	}
	return rights;
}

static int read_owner(struct token *token, size_t number, char *name, char *rights)
{
	if (name == NULL) {
		snprintf(token->name, sizeof(token->name), "token %zu", number);
		token->rights = TOKEN_READ;
		return 0;
	}
	if (rights == NULL || !is_name(name) || (token->rights = rights_of(rights)) == 0)
		return -1;
	snprintf(token->name, sizeof(token->name), "%s", name);
	return 0;
}

static int read_line(struct tokens *t, const char *path, unsigned number, char *line,
		     struct error *err)
{
	char *rest = NULL, *word, *name, *rights;
	size_t n;

	line[strcspn(line, "\r\n")] = '\0';
	if ((word = strtok_r(line, " \t", &rest)) == NULL || word[0] == '#')
		return 0;
	name = strtok_r(NULL, " \t", &rest);
	rights = strtok_r(NULL, " \t", &rest);
	n = strlen(word);
	for (size_t i = 0; i < n; i++)
		if (word[i] < 0x21 || word[i] > 0x7E)
			return error_set(err, ERROR_USAGE,
					 "%s:%u: a token is printable ASCII without blanks", path,
					 number);
	if (n < TOKEN_SIZE_MIN || n > TOKEN_SIZE_MAX)
		return error_set(err, ERROR_USAGE, "%s:%u: a token has %d to %d characters", path,
				 number, TOKEN_SIZE_MIN, TOKEN_SIZE_MAX);
	if (t->count == TOKENS_MAX)
		return error_set(err, ERROR_USAGE, "%s:%u: more than %d tokens", path, number,
				 TOKENS_MAX);
	if (tokens_match(t, word) != NULL)
		return error_set(err, ERROR_USAGE, "%s:%u: the token is there already", path,
				 number);
	if (read_owner(&t->tokens[t->count], t->count + 1, name, rights) != 0 ||
	    strtok_r(NULL, " \t", &rest) != NULL)
		return error_set(err, ERROR_USAGE,
				 "%s:%u: a line is TOKEN or TOKEN NAME RIGHT[,RIGHT], with rights "
				 "read and command",
				 path, number);
	SHA256((const uint8_t *)word, n, t->digests[t->count++]);
	return 0;
}

static int read_tokens(struct tokens *t, const char *path, FILE *f, struct error *err)
{
	char line[TOKEN_SIZE_MAX + TOKEN_NAME_SIZE + 32];
	struct stat st;
	int rc = 0;

	if (fstat(fileno(f), &st) != 0)
		return error_errno(err, ERROR_IO, "%s", path);
	if ((st.st_mode & 0027) != 0)
		return error_set(err, ERROR_USAGE, "%s has mode %04o; make it 0600: chmod 600 %s",
				 path, st.st_mode & 07777u, path);
	for (unsigned number = 1; rc == 0 && fgets(line, sizeof(line), f) != NULL; number++)
		rc = read_line(t, path, number, line, err);
	OPENSSL_cleanse(line, sizeof(line));
	if (rc == 0 && ferror(f))
		return error_errno(err, ERROR_IO, "%s", path);
	if (rc == 0 && t->count == 0)
		return error_set(err, ERROR_USAGE, "%s holds no token", path);
	return rc;
}

int tokens_load(const char *path, struct tokens **ret, struct error *err)
{
	struct tokens *t = NULL;
	FILE *f = NULL;
	int rc;

	if (path[0] == '\0')
		return error_set(err, ERROR_USAGE,
				 "query.token_file is empty: name a file with one token a line");
	if ((f = fopen(path, "re")) == NULL)
		return error_errno(err, ERROR_USAGE, "query.token_file %s", path);
	/* stdio would keep a copy of the tokens. */
	setvbuf(f, NULL, _IONBF, 0);
	if ((t = calloc(1, sizeof(*t))) == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory for tokens");
	else
		rc = read_tokens(t, path, f, err);
	fclose(f);
	if (rc == 0)
		*ret = t;
	else
		tokens_free(t);
	return rc;
}

void tokens_free(struct tokens *t)
{
	free(t);
}

const struct token *tokens_match(const struct tokens *t, const char *token)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const struct token *found = NULL;
	size_t n = strnlen(token, TOKEN_SIZE_MAX + 1);

	SHA256((const uint8_t *)token, n, digest);
	for (size_t i = 0; i < t->count; i++)
		if (CRYPTO_memcmp(digest, t->digests[i], sizeof(digest)) == 0)
			found = &t->tokens[i];
	return n <= TOKEN_SIZE_MAX ? found : NULL;
}

const struct token *tokens_authorize(const struct tokens *t, const char *header)
{
	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	header += 7;
	return tokens_match(t, header + strspn(header, " "));
}
