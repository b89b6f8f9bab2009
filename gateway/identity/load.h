/*
 * load.h - rows of the registry to snapshots.
 */
#ifndef GATEWAY_IDENTITY_LOAD_H
#define GATEWAY_IDENTITY_LOAD_H

#include "gateway/identity/database.h"
#include "gateway/identity/index.h"

/* What a snapshot depends on besides its rows. */
struct load_policy {
	const struct key_ring *ring;
	bool signature_required; /* where the fleet says 'inherit' */
	int64_t at;		 /* unix seconds now */
};

struct loaded {
	struct snapshot **list; /* counted; a vehicle whose rows are as known: the one known */
	size_t count;
};

/*
 * ids: "{1,2}", or NULL for all.  All rows are of one moment.  Keys that cannot be used are left
 * out and logged, once for as long as they stay as they are.
 */
int load_vehicles(struct database *d, const char *ids, const struct load_policy *policy,
		  const struct index *known, struct loaded *ret, struct error *err);
void loaded_release(struct loaded *l);

/* All accounts into an empty map, by login; *ret_digest tells whether they are other ones. */
int load_platforms(struct database *d, struct map *ret, uint64_t *ret_digest, struct error *err);
void platforms_clear(struct map *m);

#endif
