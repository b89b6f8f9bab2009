/*
 * pack.h - the 1 Hz samples of one frame as one column: packed and back, without loss.
 *
 * Blocks of one type are stored field by field as bit-packed differences (about 20 bytes a sample
 * of driving, where plain rows cost 150).  Types without a table are stored as they came. The
 * format is described byte by byte in pack.c and docs/protocol.md; the first byte is its version.
 */
#ifndef PROTO_RECORD_PACK_H
#define PROTO_RECORD_PACK_H

#include "proto/wire/unit.h"

enum { PACK_SIZE_MAX = 72 * 1024 };

/* Returns the packed size, or 0 when it does not fit.  base: unix seconds kept beside the column.
 */
size_t blocks_pack(const struct block *blocks, size_t n, int64_t base, uint8_t *out, size_t size);

struct unpacked {
	size_t block_count;
	struct block blocks[REPORT_BLOCKS_MAX];
	uint8_t bodies[FRAME_UNIT_MAX]; /* the blocks point in here */
};

/* Any bytes at all are safe to pass.  Returns 0, or -1 when they are not ours. */
int blocks_unpack(const uint8_t *in, size_t size, int64_t base, struct unpacked *ret);

#endif
