/*
 * map.h - texts to pointers: VINs, ids, chips, logins.  Owns the keys, not the values.
 */
#ifndef GATEWAY_IDENTITY_MAP_H
#define GATEWAY_IDENTITY_MAP_H

#include <stddef.h>

struct map_entry;

struct map { /* zeroed = empty */
	struct map_entry **buckets;
	size_t bucket_count, count;
};

/* The value, or NULL. */
void *map_get(const struct map *m, const char *key);
/* value is not NULL.  Returns what stood there before, or NULL. */
void *map_set(struct map *m, const char *key, void *value);
/* Takes the key out.  Returns its value, or NULL. */
void *map_take(struct map *m, const char *key);
/* Every value once, in no order.  The map must not change meanwhile. */
void map_each(const struct map *m, void (*each)(void *value, void *arg), void *arg);
/* each may be NULL; else it is called for each value. */
void map_clear(struct map *m, void (*each)(void *value, void *arg), void *arg);

#endif
