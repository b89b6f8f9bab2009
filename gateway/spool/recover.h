/*
 * recover.h - what a spool folder holds when it is opened, and where the log goes on.
 *
 * Only the last segment is read as a whole, so that a start takes the same time with a full spool
 * as with an empty one; the others are checked to follow each other without a gap.  Damage in them
 * is found, and named, by the reader and by `haulgate-spool check`.
 */
#ifndef GATEWAY_SPOOL_RECOVER_H
#define GATEWAY_SPOOL_RECOVER_H

#include "gateway/spool/segment.h"
#include "gateway/spool/spool.h"

/* Where the next segment begins and what its header says of the one before. */
struct resume {
	uint64_t base;
	uint64_t sequence;
	uint64_t previous_base;
	uint64_t previous_end;
	uint8_t chain[CHAIN_SIZE];
	uint64_t durable; /* position behind the last record that is kept */
};

/*
 * Syncs everything before it reads, removes half-made files, cuts a torn tail, copies damage to
 * <dir>/quarantine.  The caller holds the lock.  Fails only when the disk does, never for damage.
 */
int recover(const struct folder *f, struct resume *ret, struct spool_recovery *ret_found,
	    uint64_t *ret_lost, struct error *err);

#endif
