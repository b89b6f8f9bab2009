/*
 * index.h - the vehicles known, by VIN and by id, and whose the chips and public keys are.
 *
 * Not locked: identity.c locks it for all but the thread that changes it.
 */
#ifndef GATEWAY_IDENTITY_INDEX_H
#define GATEWAY_IDENTITY_INDEX_H

#include "gateway/identity/map.h"
#include "gateway/identity/snapshot.h"

struct index {			  /* zeroed = empty */
	struct map by_vin, by_id; /* of struct snapshot; by_id has the count */
	struct map holders;	  /* of struct holder, by claim */
};

/* Who has a chip or a public key. */
struct holder {
	int64_t vehicle_id; /* of the active key; 0: of none */
	char vin[VIN_SIZE + 1];
	unsigned revoked; /* keys with it that were revoked */
};

struct snapshot *index_by_vin(const struct index *x, const char *vin);
struct snapshot *index_by_id(const struct index *x, int64_t vehicle_id);
const struct holder *index_holder(const struct index *x, const char *claim);

/* Takes the caller's count over.  The vehicle may not be in it. */
void index_add(struct index *x, struct snapshot *s);
/* Returns the snapshot with its count, or NULL. */
struct snapshot *index_take(struct index *x, int64_t vehicle_id);
void index_clear(struct index *x);

#endif
