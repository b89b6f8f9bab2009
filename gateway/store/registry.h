/*
 * registry.h - the vehicles of the database, in memory: who is known, what is known of them, and
 * what their terminals were last seen with.
 *
 * Store thread only; who may speak for a VIN is the matter of gateway/identity.  A struct vehicle
 * never moves and lives as long as the registry.
 */
#ifndef GATEWAY_STORE_REGISTRY_H
#define GATEWAY_STORE_REGISTRY_H

#include "gateway/assess/assess.h"
#include "gateway/store/buffer.h"
#include "gateway/store/store.h"

enum { ICCID_TEXT_SIZE = 21 };

struct vehicle {
	char vin[VIN_SIZE + 1];
	int64_t id; /* 0: no longer in the database */
	struct vehicle_facts facts;
	uint32_t seen_in; /* number of the last full refresh that had it */

	/* The terminal as last seen, for the table of that name; written when dirty. */
	char iccid[ICCID_TEXT_SIZE];
	uint8_t protocol, layout;
	int16_t software_version; /* -1 = unknown */
	int64_t last_at;	  /* unix seconds; INT64_MIN = never */
	int64_t last_received_ns;
	bool dirty;
};

struct registry;

struct registry *registry_new(void);
void registry_free(struct registry *g);

/* Reads new vehicles; full: all, so that changed facts and deleted ones are seen. */
int registry_refresh(struct registry *g, struct pg *pg, bool full);

/* NULL when it is not in the database as far as we know. */
struct vehicle *registry_find(struct registry *g, const char *vin);
struct vehicle *registry_by_id(struct registry *g, int64_t id);

/* Makes provisional vehicles for these, in a transaction of its own, and knows them afterwards. */
int registry_add(struct registry *g, struct pg *pg, struct rows *vins);

/* Marks what is known of the terminal as not yet written. */
void registry_touch(struct registry *g, struct vehicle *v);

/* Writes what registry_touch() marked, inside the caller's transaction ... */
int registry_write(struct registry *g, struct pg *pg);
/* ... and forgets the marks, once that is committed. */
void registry_written(struct registry *g);
bool registry_dirty(const struct registry *g);

#endif
