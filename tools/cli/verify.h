/*
 * verify.h - the two halves of haulgate-verify.  Each prints a line a step and returns 0 when
 * everything holds, ERROR_CORRUPT when something does not, or another error.
 */
#ifndef TOOLS_CLI_VERIFY_H
#define TOOLS_CLI_VERIFY_H

#include "gateway/evidence/key.h"

/* "ok" or "BAD", and the sentence. */
void verify_step(bool sound, const char *text, void *arg);

struct verify_log {
	const char *folder;
	const char *spool, *archive; /* NULL: only the log */
	uint64_t from;		     /* segments before it were moved away on purpose */
	char **checkpoints;	     /* older exports */
	size_t checkpoint_count;
};

/* key NULL: the one in the folder, with a warning. */
int verify_log(const struct verify_log *v, const struct log_key *key, struct hasher *h,
	       struct error *err);

/* A whole file; the caller frees it.  ERROR_CORRUPT: it has more than max bytes. */
int verify_read(const char *path, size_t max, char **ret, size_t *ret_size, struct error *err);
int verify_key(const char *path, struct log_key **ret, struct error *err);

#endif
