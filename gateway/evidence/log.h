/*
 * log.h - the evidence log's folder: <folder>/log, a line for each sealed segment, and
 * <folder>/checkpoint, the signed word about all of them.
 *
 * Lines are written and synced before the checkpoint that covers them replaces the last one.  So a
 * crash can leave lines that no checkpoint covers, never a checkpoint without its lines.  Such
 * lines are believed only when the spool gives the same ones again.
 *
 * An empty log is begun with a checkpoint of size 0: lines without any checkpoint are always a
 * checkpoint that somebody removed.
 */
#ifndef GATEWAY_EVIDENCE_LOG_H
#define GATEWAY_EVIDENCE_LOG_H

#include "gateway/evidence/checkpoint.h"
#include "gateway/evidence/leaf.h"
#include "gateway/evidence/tree.h"

struct evidence_log;

/*
 * For reading.  ERROR_IO: no such log; ERROR_BUSY: a run is writing it; ERROR_CORRUPT: it is not
 * what its checkpoint says, or no checkpoint can be read.  The hasher is borrowed.
 */
int log_read(const char *folder, struct hasher *h, struct evidence_log **ret, struct error *err);

/*
 * For going on: takes the lock (ERROR_BUSY), makes the folder and an empty log with its first
 * checkpoint where there is none, checks what is there against its checkpoint, and that against the
 * key.  ERROR_CORRUPT: they do not agree, nothing was changed.  The key is borrowed.
 */
int log_open(const char *folder, const char *origin, const struct log_key *key, struct hasher *h,
	     struct evidence_log **ret, struct error *err);
void log_close(struct evidence_log *l); /* NULL-safe; drops what was not committed */

const struct checkpoint *log_checkpoint(const struct evidence_log *l);
uint64_t log_size(const struct evidence_log *l);    /* lines that are believed */
uint64_t log_pending(const struct evidence_log *l); /* lines that the spool must give again */
const struct segment_leaf *log_leaf(const struct evidence_log *l, uint64_t index);
const struct tree *log_tree(const struct evidence_log *l); /* of at least log_size() leaves */
uint64_t log_uncovered(const struct evidence_log *l); /* bytes behind what the checkpoint covers */

/* The leaf that has this base; UINT64_MAX: none. */
uint64_t log_find(const struct evidence_log *l, uint64_t base);

/* ERROR_CORRUPT: a line that a crash left here says something else of the segment. */
int log_append(struct evidence_log *l, const struct segment_leaf *leaf, struct error *err);
/* Durable with a new checkpoint when it returns 0. */
int log_commit(struct evidence_log *l, struct error *err);

/* The file whole or not at all, durable: written beside it, synced, renamed. */
int log_file_replace(const char *folder, const char *name, const void *bytes, size_t size,
		     struct error *err);

#endif
