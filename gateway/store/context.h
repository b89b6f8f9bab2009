/*
 * context.h - what an assessment depends on besides the samples: rule versions and geometry.
 *
 * The hash names it: a state that was folded in another context is not used, its day is folded
 * again.
 */
#ifndef GATEWAY_STORE_CONTEXT_H
#define GATEWAY_STORE_CONTEXT_H

#include "gateway/assess/assess.h"
#include "gateway/geo/geo.h"
#include "gateway/store/pg.h"

struct context { /* zeroed = empty */
	struct rule_set rules;
	struct geo *geo;
	struct geo_cursor *cursor;
	uint64_t rules_hash, geo_hash;
	uint64_t hash; /* of both; never 0 once loaded */
};

/* Loads rules and geometry.  On failure the context stays as it was and the reason stands in pg. */
int context_load(struct context *c, struct pg *pg);
/* Only the rules. */
int context_load_rules(struct context *c, struct pg *pg);
void context_release(struct context *c);

/* FNV-1a; start with HASH_START. */
#define HASH_START UINT64_C(14695981039346656037)
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size);

#endif
