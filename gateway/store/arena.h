/*
 * arena.h - memory of one batch: allocated piece by piece, given back at once.
 *
 * No piece is freed alone.  The chunks stay for the next batch, so a steady load allocates nothing.
 * A machine without memory ends the process: the spool holds everything, a restart goes on.
 */
#ifndef GATEWAY_STORE_ARENA_H
#define GATEWAY_STORE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *first, *current;
	size_t used; /* bytes handed out since the last clear */
};

/* Aligned for every type, never NULL.  Zeroed memory is a valid, empty arena. */
void *arena_alloc(struct arena *a, size_t size);
void arena_clear(struct arena *a);
void arena_release(struct arena *a);

/* As malloc and realloc, but never NULL. */
void *memory_alloc(size_t size);
void *memory_grow(void *old, size_t size);

#endif
