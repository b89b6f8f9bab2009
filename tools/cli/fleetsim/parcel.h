/*
 * parcel.h - samples that travel in one frame, kept until the other side has them.
 *
 * A parcel is made of moments, may be merged with the next one or cut in two for the supplementary
 * command, and becomes a frame each time that it is sent.
 */
#ifndef TOOLS_CLI_FLEETSIM_PARCEL_H
#define TOOLS_CLI_FLEETSIM_PARCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli/fleetsim/trust.h"

enum { PARCEL_SECONDS_MAX = 2 * FRAME_SECONDS, PARCEL_SIZE_MAX = 1536, PARCEL_FRAME_MAX = 4096 };

struct parcel {
	struct parcel *next;
	int64_t first, last; /* seconds, as claimed */
	uint64_t sent_order; /* position among what the outbox has sent; 0 = never */
	int64_t sent_ms;
	uint16_t serial;
	uint16_t size;
	uint8_t seconds;
	uint8_t tries, refused; /* times sent on this connection; times refused */
	uint8_t in_flight;	/* copies that may still be answered */
	bool queued;		/* stands in a list */
	bool done;		/* the platform has it, or refused it for good */
	bool late;		/* goes as a supplement */
	bool mixed;		/* holds more than stream blocks */
	uint8_t bytes[];	/* { type 1, size 1, at - first 4 (native), body }* */
};

/* NULL: no memory.  Freed with parcel_free(), or by the outbox that has it. */
struct parcel *parcel_new(uint16_t serial);
void parcel_free(struct parcel *p);
void parcel_add(struct parcel *p, const struct moment *m);
/* Gives back the room that p does not need; nothing can be added any more.  Returns p, perhaps
 * moved. */
struct parcel *parcel_trim(struct parcel *p);

/* True when b's samples may follow a's in one frame of that layout. */
bool parcel_can_merge(const struct parcel *a, const struct parcel *b, enum layout layout);
/* A new parcel with the samples of both. */
struct parcel *parcel_merge(const struct parcel *a, const struct parcel *b);
/* Moves the second half of p (at least two seconds) to a new parcel. */
struct parcel *parcel_split(struct parcel *p);

/*
 * The time that a frame sent at now claims to be of.  Layout C wants that of sending; header P's
 * answer repeats it, so there it is one that no other frame of the truck has.
 */
int64_t parcel_time(const struct parcel *p, const struct dialect *dialect, uint8_t command,
		    int64_t now);

/*
 * Writes the frame.  sent_at: as parcel_time() says.  trust: signs and
 * seals it.  Returns its size.
 */
size_t parcel_frame(const struct parcel *p, const struct truck_plan *truck,
		    const struct trust *trust, uint8_t command, int64_t sent_at, uint8_t *buf,
		    size_t size);

/* A frame of the truck around the unit of unit_size bytes that stands at buf + FRAME_HEAD_SIZE. */
size_t truck_frame(const struct truck_plan *truck, uint8_t command, size_t unit_size, uint8_t *buf,
		   size_t size);

#endif
