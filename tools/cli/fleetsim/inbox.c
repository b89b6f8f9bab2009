#include "tools/cli/fleetsim/inbox.h"

#include <string.h>

void inbox_clear(struct inbox *in)
{
	in->size = in->used = 0;
}

/* What was looked at makes room; a "frame" that fills all of it is none. */
static void fill(struct inbox *in, const uint8_t **bytes, size_t *size)
{
	memmove(in->bytes, in->bytes + in->used, in->size - in->used);
	in->size -= in->used;
	in->used = 0;
	if (in->size == sizeof(in->bytes))
		in->size = 0;
	const size_t room = sizeof(in->bytes) - in->size;
	const size_t n = *size < room ? *size : room;
	memcpy(in->bytes + in->size, *bytes, n);
	in->size += n;
	*bytes += n;
	*size -= n;
}

bool inbox_next(struct inbox *in, const uint8_t **bytes, size_t *size, struct frame *ret)
{
	enum { UNIT_MAX = sizeof(in->bytes) - FRAME_HEAD_SIZE - 1 };

	for (;;) {
		size_t step;
		const enum scan scan =
			frame_scan(in->bytes + in->used, in->size - in->used, UNIT_MAX, ret, &step);
		if (scan != SCAN_MORE)
			in->used += step;
		if (scan == SCAN_FRAME)
			return true;
		if (scan == SCAN_MORE && *size == 0)
			return false;
		if (scan == SCAN_MORE)
			fill(in, bytes, size);
	}
}
