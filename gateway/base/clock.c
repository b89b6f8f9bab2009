#include "gateway/base/clock.h"

#include <sys/timex.h>
#include <time.h>

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t); /* cannot fail for these clocks */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

unsigned clock_status(void)
{
	struct timex t = { .modes = 0 };

	switch (adjtimex(&t)) {
	case -1:
		return 0;
	case TIME_ERROR:
		return 2;
	default:
		return t.status & STA_UNSYNC ? 2 : 1;
	}
}
