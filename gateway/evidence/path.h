/* path.h - paths as text: " sha256=HASH,HASH sm3=HASH,HASH". */
#ifndef GATEWAY_EVIDENCE_PATH_H
#define GATEWAY_EVIDENCE_PATH_H

#include <stdio.h>

#include "gateway/evidence/text.h"
#include "gateway/evidence/tree.h"

void paths_write(FILE *out, const struct path paths[HASH_KINDS]);
void paths_read(struct cursor *c, struct path ret[HASH_KINDS]);

/* Both inclusion paths of a leaf. */
void paths_include(const struct tree *t, uint64_t index, uint64_t size,
		   struct path ret[HASH_KINDS]);

void hex_print(FILE *out, const void *bytes, size_t size);

#endif
