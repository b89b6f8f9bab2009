/*
 * growth.h - a file that proves to somebody who kept an old checkpoint, and has nothing else, that
 * the log only grew until a newer one.  Text; docs/evidence.md has the bytes.
 */
#ifndef GATEWAY_EVIDENCE_GROWTH_H
#define GATEWAY_EVIDENCE_GROWTH_H

#include <stdio.h>

#include "gateway/evidence/checkpoint.h"
#include "gateway/evidence/step.h"
#include "gateway/evidence/tree.h"

/* old->size <= newest->size <= tree_size(). */
void growth_write(FILE *out, const struct checkpoint *old, const struct checkpoint *newest,
		  const struct tree *log);

bool growth_begins(const char *text, size_t size); /* whether the file says that it is one */

/* Checks any bytes at all.  0, or ERROR_CORRUPT and a step says why. */
int growth_check(const char *text, size_t size, const struct log_key *key, struct hasher *h,
		 struct steps *steps, struct error *err);

#endif
