/*
 * verify.h - the what the files of haulgate-verify share.
 */
#ifndef TOOLS_CLI_VERIFY_H
#define TOOLS_CLI_VERIFY_H

#include "gateway/evidence/step.h"

struct verify_log {
	const char *folder;
	const char *spool, *archive; /* NULL: only the log */
	uint64_t from;		     /* segments before it were moved away on purpose */
	char **checkpoints;	     /* older exports */
	size_t checkpoint_count;
};

/* key NULL: the one in the folder, with a warning. */
int verify_log(const struct verify_log *v, const struct log_key *key, struct hasher *h,
	       struct steps *steps, struct error *err);

/* A whole file; the caller frees it.  ERROR_CORRUPT: it has more than max bytes. */
int verify_read(const char *path, size_t max, char **ret, size_t *ret_size, struct error *err);
int verify_key(const char *path, struct log_key **ret, struct error *err);

#endif
