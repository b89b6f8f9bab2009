/*
 * scan.h - the items of a segment, found through a bounded window over its bytes.
 *
 * Pointers in an item live until the next call on the same scan.
 */
#ifndef GATEWAY_SPOOL_SCAN_H
#define GATEWAY_SPOOL_SCAN_H

#include "gateway/spool/segment.h"

struct scan {
	struct segment *segment;
	uint8_t *window;
	uint64_t from; /* offset in the segment of window[0] */
	size_t filled;
	uint64_t until;	     /* position that is not read past; UINT64_MAX: the file's end */
	uint64_t read_until; /* until, when the window was read */
	bool ended;	     /* the window ends where the file or until did */
};

int scan_init(struct scan *s, struct error *err);
void scan_release(struct scan *s);
void scan_use(struct scan *s, struct segment *segment); /* borrowed */

/* Reads nothing at or behind position: what is there may still be in the making. */
void scan_limit(struct scan *s, uint64_t position);

/* Forgets what was read, so that bytes that were written since are seen. */
void scan_forget(struct scan *s);

/*
 * The item that begins at position; ITEM_NONE when none does that ends before end.
 * 0, or ERROR_IO.
 */
int scan_item(struct scan *s, uint64_t position, uint64_t end, struct item *ret, struct error *err);

/*
 * As scan_item() for the place behind a record; a mark there, or nothing, comes without moving the
 * window, so that the record's pointers stay good.  Another record comes as ITEM_NONE.
 */
void scan_item_behind(const struct scan *s, const struct item *record, uint64_t end,
		      struct item *ret);

/* The first item at or behind position; ITEM_NONE when there is none before end. */
int scan_find(struct scan *s, uint64_t position, uint64_t end, struct item *ret, struct error *err);

/* Position behind the last byte in position..end that is not zero; position when all are. */
int scan_last_byte(struct scan *s, uint64_t position, uint64_t end, uint64_t *ret,
		   struct error *err);

#endif
