/*
 * memory.h - allocation that cannot fail: a machine without memory ends the process, the spool
 * holds everything and a restart goes on (as in gateway/store/arena.h).
 */
#ifndef GATEWAY_IDENTITY_MEMORY_H
#define GATEWAY_IDENTITY_MEMORY_H

#include <stdlib.h>

#include "gateway/base/log.h"

/* Zeroed; not NULL, also for no elements. */
static inline void *memory_zero(size_t count, size_t size)
{
	void *p = calloc(count > 0 ? count : 1, size);

	if (p == NULL) {
		log_line(LOG_ERROR, "identity: out of memory, the process ends");
		abort();
	}
	return p;
}

#endif
