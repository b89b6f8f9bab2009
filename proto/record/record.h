/*
 * record.h - the frame that a record of the spool holds, as it is to be read.
 */
#ifndef PROTO_RECORD_RECORD_H
#define PROTO_RECORD_RECORD_H

#include "proto/wire/frame.h"
#include "record.pb-c.h"

/*
 * Scans r->raw, which must be one whole frame for SCAN_FRAME.  An encrypted frame that was opened
 * when it came shows the unit in clear, so that no key is needed ever after; ret->bytes stay those
 * that were received.
 */
static inline enum scan record_frame(const Haulgate__FrameRecord *r, struct frame *ret)
{
	size_t used;
	const enum scan scan = frame_scan(r->raw.data, r->raw.len, FRAME_UNIT_MAX, ret, &used);

	if (scan != SCAN_FRAME)
		return scan;
	if (used != r->raw.len)
		return SCAN_MORE;
	if (r->unit.len > 0) {
		ret->unit = r->unit.data;
		ret->unit_size = r->unit.len;
		ret->encryption = 0x01;
	}
	return SCAN_FRAME;
}

#endif
