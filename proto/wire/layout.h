/*
 * layout.h - one reading of a report unit: a layout, and how tolerant it is.  Inside proto/ only.
 */
#ifndef PROTO_WIRE_LAYOUT_H
#define PROTO_WIRE_LAYOUT_H

#include "proto/wire/unit.h"

/* What a reading does with a type that has no table, and with 0x80 bodies that are not 17 bytes. */
enum tolerance {
	TOLERANCE_NONE,	 /* no reading; GB/T 32960 custom types with their length are legal, though
			  */
	TOLERANCE_SIZED, /* two bytes of length, then data */
	TOLERANCE_REST,	 /* the rest of the unit, kept as one raw block, after a known body */
};

struct reading {
	enum layout layout;
	enum tolerance tolerance;
	bool twc_swapped; /* 03 carries the 32 byte body, 05 the 30 byte body */
};

/* How credible a reading is; less is better. */
struct score {
	unsigned values; /* implausible times, serials and values; a time counts most */
	unsigned cost;	 /* of unknown types and of types that are swapped */
	size_t unknown;	 /* blocks of unknown types */
	size_t unread;	 /* bytes left as a raw rest */
};

/*
 * Reads the unit; true when it is consumed exactly.  Fills all of *ret but protocol, and sets the
 * quirks that the reading itself shows.  *ret is undefined when false.
 * ret_score may be NULL, and is then not worked out.
 */
bool reading_walk(const struct frame *f, const struct reading *how, int64_t now, struct report *ret,
		  struct score *ret_score);

/* The emission layouts know a signature block behind each body, or one at the end. */
enum { SIGNATURE_SIZE = 66 };

#endif
