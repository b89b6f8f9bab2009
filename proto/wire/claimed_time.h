/*
 * claimed_time.h - the time that a terminal claims, with the peculiarities of real clocks.
 * Inside proto/ only.
 */
#ifndef PROTO_WIRE_CLAIMED_TIME_H
#define PROTO_WIRE_CLAIMED_TIME_H

#include "proto/wire/frame.h"

/*
 * Unix seconds, or WIRE_TIME_NONE.  Adds to *quirks: BCD_TIME when only the reading as BCD digits
 * is near now (some makers send it so, against the standard), CLOCK when the time is more
 * than a day ahead of now or before 2015.
 */
int64_t claimed_time(const uint8_t b[WIRE_TIME_SIZE], int64_t now, unsigned *quirks);

#endif
