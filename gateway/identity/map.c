#include "gateway/identity/map.h"

#include <stdint.h>
#include <string.h>

#include "gateway/identity/memory.h"

enum { BUCKETS_FIRST = 64 };

struct map_entry {
	struct map_entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

/* FNV-1a.  The keys come from the registry, so nobody outside chooses what collides. */
static uint64_t hash_text(const char *key)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *key != '\0'; key++)
		hash = (hash ^ (uint8_t)*key) * UINT64_C(1099511628211);
	return hash ^ hash >> 32;
}

/* The link that points to the entry, or to NULL where it would stand. */
static struct map_entry **find(const struct map *m, const char *key, uint64_t hash)
{
	struct map_entry **link = &m->buckets[hash & (m->bucket_count - 1)];

	while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static void grow(struct map *m)
{
	struct map_entry **old = m->buckets;
	const size_t count = m->bucket_count;

	m->bucket_count = count > 0 ? 2 * count : BUCKETS_FIRST;
	m->buckets = memory_zero(m->bucket_count, sizeof(*m->buckets));
	for (size_t i = 0; i < count; i++) {
		struct map_entry *e = old[i], *next;

		for (; e != NULL; e = next) {
			struct map_entry **bucket = &m->buckets[e->hash & (m->bucket_count - 1)];

			next = e->next;
			e->next = *bucket;
			*bucket = e;
		}
	}
	free(old);
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *e = m->count > 0 ? *find(m, key, hash_text(key)) : NULL;

	return e != NULL ? e->value : NULL;
}

void *map_set(struct map *m, const char *key, void *value)
{
	const uint64_t hash = hash_text(key);
	const size_t size = strlen(key) + 1;
	struct map_entry **link;
	void *old = NULL;

	if (m->count == m->bucket_count)
		grow(m);
	link = find(m, key, hash);
	if (*link != NULL) {
		old = (*link)->value;
	} else {
		*link = memory_zero(1, sizeof(**link) + size);
		(*link)->hash = hash;
		memcpy((*link)->key, key, size);
		m->count++;
	}
	(*link)->value = value;
	return old;
}

void *map_take(struct map *m, const char *key)
{
	struct map_entry **link = m->count > 0 ? find(m, key, hash_text(key)) : NULL, *e;
	void *value;

	if (link == NULL || *link == NULL)
		return NULL;
	e = *link;
	*link = e->next;
	value = e->value;
	free(e);
	m->count--;
	return value;
}

void map_each(const struct map *m, void (*each)(void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < m->bucket_count; i++)
		for (const struct map_entry *e = m->buckets[i]; e != NULL; e = e->next)
			each(e->value, arg);
}

void map_clear(struct map *m, void (*each)(void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < m->bucket_count; i++) {
		struct map_entry *e = m->buckets[i], *next;

		for (; e != NULL; e = next) {
			next = e->next;
			if (each != NULL)
				each(e->value, arg);
			free(e);
		}
	}
	free(m->buckets);
	*m = (struct map){ 0 };
}
