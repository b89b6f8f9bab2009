/*
 * measure.h - reads one archived segment and says what the evidence log should hold of it.
 *
 * Reads only.  The same file gives the same leaf at any time and on any host.
 */
#ifndef GATEWAY_EVIDENCE_MEASURE_H
#define GATEWAY_EVIDENCE_MEASURE_H

#include "gateway/evidence/leaf.h"
#include "gateway/evidence/tree.h"
#include "gateway/spool/segment.h"

struct measure_events {
	/* Each record, in order; its bytes live until the call returns.  May be NULL. */
	void (*record)(const struct item *it, uint64_t index, void *arg);
	/* A flaw, in words; may be NULL. */
	void (*flaw)(const char *what, void *arg);
	void *arg;
};

/*
 * A spool that is not there must not look like an empty one.  Opened, not asked for by access(),
 * which does not count capabilities.
 */
int spool_readable(const struct folder *f, struct error *err);

struct measured {
	struct segment_leaf leaf;
	struct tree *records; /* a leaf of each record: its position (8 bytes), its bytes */
	/* What the segment's header says of the segment before. */
	uint64_t previous_base, previous_end;
	struct hash previous_chain;
};

/*
 * *ret is to be released whatever comes back.  Damage is no error, but counted as flaws of the
 * leaf; ERROR_CORRUPT: nothing of the segment can be read; ERROR_NOT_FOUND: it is not there.
 */
int measure_segment(const struct folder *f, uint64_t base, uint64_t gateway, struct hasher *h,
		    const struct measure_events *events, struct measured *ret, struct error *err);
void measured_release(struct measured *m);

/* NULL, or why the segment is not the one that followed before. */
const char *measured_break(const struct measured *m, const struct segment_leaf *before);

/* The parts of a record's leaf. */
enum { RECORD_LEAF_PARTS = 2, POSITION_SIZE = 8 };
void record_leaf(uint64_t position, const void *bytes, size_t size,
		 uint8_t position_bytes[POSITION_SIZE], struct bytes ret[RECORD_LEAF_PARTS]);

#endif
