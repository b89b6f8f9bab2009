#include "gateway/query/token.h"

#include <fcntl.h>
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
};

static int read_line(struct tokens *t, const char *path, unsigned number, char *line,
		     struct error *err)
{
	size_t n = strcspn(line, "\r\n");

	line[n] = '\0';
	if (n == 0 || line[0] == '#')
		return 0;
	for (size_t i = 0; i < n; i++)
		if (line[i] < 0x21 || line[i] > 0x7E)
			return error_set(err, ERROR_USAGE,
					 "%s:%u: a token is printable ASCII without blanks", path,
					 number);
	if (n < TOKEN_SIZE_MIN || n > TOKEN_SIZE_MAX)
		return error_set(err, ERROR_USAGE, "%s:%u: a token has %d to %d characters", path,
				 number, TOKEN_SIZE_MIN, TOKEN_SIZE_MAX);
	if (t->count == TOKENS_MAX)
		return error_set(err, ERROR_USAGE, "%s:%u: more than %d tokens", path, number,
				 TOKENS_MAX);
	SHA256((const uint8_t *)line, n, t->digests[t->count++]);
	return 0;
}

static int read_tokens(struct tokens *t, const char *path, FILE *f, struct error *err)
{
	char line[TOKEN_SIZE_MAX + 8];
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

bool tokens_match(const struct tokens *t, const char *token)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	size_t n = strnlen(token, TOKEN_SIZE_MAX + 1);
	int same = 0;

	SHA256((const uint8_t *)token, n, digest);
	for (size_t i = 0; i < t->count; i++)
		same |= CRYPTO_memcmp(digest, t->digests[i], sizeof(digest)) == 0;
	return same && n <= TOKEN_SIZE_MAX;
}

bool tokens_authorize(const struct tokens *t, const char *header)
{
	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
		return false;
	header += 7;
	return tokens_match(t, header + strspn(header, " "));
}
