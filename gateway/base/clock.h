/* clock.h - the two clocks.  Deadlines use the monotonic one; evidence carries the wall clock. */
#ifndef GATEWAY_BASE_CLOCK_H
#define GATEWAY_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ns(void);
int64_t clock_wall_ns(void);
/* 1 synchronised, 2 unsynchronised (adjtimex), 0 unknown.  Costs a system call: ask rarely. */
unsigned clock_status(void);

#endif
