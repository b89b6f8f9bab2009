/*
 * leaf.h - what the evidence log keeps of one closed segment: a line of text, whose bytes (without
 * the line end) are a leaf of the log's tree.  docs/evidence.md draws it.
 */
#ifndef GATEWAY_EVIDENCE_LEAF_H
#define GATEWAY_EVIDENCE_LEAF_H

#include "gateway/evidence/hash.h"

struct segment_leaf {
	uint64_t gateway; /* gateway.id of the configuration */
	uint64_t base;	  /* position of the segment's first byte, as in its name */
	uint64_t end;	  /* position where its data ends */
	uint64_t first;	  /* sequence of its first record */
	uint64_t records;
	uint64_t flaws;	   /* damaged places when it was sealed, and breaks from the one before */
	struct hash chain; /* of the spool, at its end */
	struct hash root[HASH_KINDS]; /* of the tree of its records */
	struct hash file[HASH_KINDS]; /* of the archive file, byte for byte */
};

enum { LEAF_TEXT_SIZE = 640 };

/* Returns the length of the line; no line end. */
size_t leaf_write(const struct segment_leaf *leaf, char out[LEAF_TEXT_SIZE]);
bool leaf_read(const char *text, size_t size, struct segment_leaf *ret);

#endif
