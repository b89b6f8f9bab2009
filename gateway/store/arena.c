#include "gateway/store/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "gateway/base/log.h"

enum { CHUNK_SIZE = 1 << 20, ALIGNMENT = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	alignas(ALIGNMENT) unsigned char bytes[];
};

static void *must(void *p)
{
	if (p == NULL) {
		log_line(LOG_ERROR, "store: out of memory");
		abort();
	}
	return p;
}

void *memory_alloc(size_t size)
{
	return must(malloc(size));
}

void *memory_grow(void *old, size_t size)
{
	return must(realloc(old, size));
}

static struct arena_chunk *chunk_new(size_t size)
{
	const size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
	struct arena_chunk *c = memory_alloc(sizeof(*c) + room);

	*c = (struct arena_chunk){ .size = room };
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->current;

	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	while (c != NULL && c->size - c->used < size && c->next != NULL)
		c = c->next;
	if (c == NULL || c->size - c->used < size) {
		struct arena_chunk *fresh = chunk_new(size);

		if (c == NULL)
			a->first = fresh;
		else
			c->next = fresh;
		c = fresh;
	}
	a->current = c;
	a->used += size;
	c->used += size;
	return c->bytes + c->used - size;
}

void arena_clear(struct arena *a)
{
	for (struct arena_chunk *c = a->first; c != NULL; c = c->next)
		c->used = 0;
	a->current = a->first;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	for (struct arena_chunk *c = a->first, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct arena){ 0 };
}
