/*
 * package.h - a file that proves records to somebody who has no server and no spool: the records'
 * bytes, the paths from each to its segment and from that to the log's roots, the checkpoint, and
 * the public key.  Text, one form only; docs/evidence.md has the bytes.
 */
#ifndef GATEWAY_EVIDENCE_PACKAGE_H
#define GATEWAY_EVIDENCE_PACKAGE_H

#include <stdio.h>

#include "gateway/evidence/checkpoint.h"
#include "gateway/evidence/leaf.h"
#include "gateway/evidence/step.h"
#include "gateway/evidence/tree.h"

/* ---- writing, in this order; segments and their records by rising index; look at ferror() ---- */

void package_begin(FILE *out, const struct checkpoint *c, const struct log_key *key);
/* Leaf index of the log, as of a checkpoint over its first size leaves. */
void package_segment(FILE *out, const struct segment_leaf *leaf, const struct tree *log,
		     uint64_t index, uint64_t size);
/* bytes: the record as in the segment, header and padding included. */
void package_record(FILE *out, const struct tree *records, uint64_t index, uint64_t position,
		    const void *bytes, size_t size);
void package_end(FILE *out, uint64_t records);

/* ---- checking ---- */

/*
 * Checks any bytes at all against a key that the reader trusts.  0: every step holds;
 * ERROR_CORRUPT: one does not, and was told; ERROR_MEMORY.
 */
int package_check(const char *text, size_t size, const struct log_key *key, struct hasher *h,
		  struct steps *steps, struct error *err);

#endif
