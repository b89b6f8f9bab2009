/*
 * walk.h - judges a whole segment: which groups are whole, what is damage, what is a torn tail.
 *
 * Only one group is ever being written.  So anything valid of a later group proves that a group had
 * been synced: if it is not whole, that is damage.  Without such a proof it is the torn tail of a
 * group that was never answered.  The last group of a segment that was not closed in good order is
 * the one case where damage cannot be told from a torn write.
 */
#ifndef GATEWAY_SPOOL_WALK_H
#define GATEWAY_SPOOL_WALK_H

#include "gateway/spool/scan.h"

struct walk_end {
	uint64_t records; /* valid ones, of proven groups */
	uint64_t groups;
	uint64_t lost;	   /* records that are missing or damaged inside proven groups */
	uint64_t regions;  /* damaged places */
	uint64_t end;	   /* sector behind the last proven group: the log goes on here */
	uint64_t torn_end; /* behind the last byte of the torn tail; end when there is none */
	uint64_t sequence; /* of the next record */
	uint8_t chain[CHAIN_SIZE];
	bool chain_known; /* false after damage, until the next mark tells */
	bool closed;	  /* a closing mark stands at end */
};

struct walk_events {
	/* A damaged place; reason is a constant text. */
	void (*damage)(uint64_t from, uint64_t to, const char *reason, void *arg);
	/* Now and then; may be NULL. */
	void (*progress)(uint64_t position, void *arg);
	void *arg;
};

/*
 * Walks the segment up to end.  proven: a later segment follows, so that everything before end
 * had been synced.  The segment's header must be good.  0, or ERROR_IO or ERROR_MEMORY.
 */
int walk_segment(struct segment *segment, uint64_t end, bool proven,
		 const struct walk_events *events, struct walk_end *ret, struct error *err);

#endif
