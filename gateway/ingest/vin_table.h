/*
 * vin_table.h - which connection a VIN is logged in on, over all loops of the process, and the
 * layout that its terminal was last seen with.
 *
 * Touched at login, logout and change of layout only, never per frame, but for platforms' frames.
 * Any thread.
 * Memory is bounded: VINs without a session are forgotten, the longest unused first.
 */
#ifndef GATEWAY_INGEST_VIN_TABLE_H
#define GATEWAY_INGEST_VIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "proto/wire/unit.h"

struct vin_table;

/* Who holds a VIN.  Lives as long as it holds one. */
struct vin_owner {
	/*
	 * Another owner took the VIN.  Called on the thread of the newcomer with a lock held: only
	 * pass the word on, and do not call the table.  The owner holds nothing any more.
	 */
	void (*taken_over)(struct vin_owner *o);
	/* What it proved itself with (identity.h); while it holds the VIN changed by
	 * vin_table_set_credential() only. */
	uint64_t credential;
};

/* How a visitor finds the owner. */
typedef void vin_visit(struct vin_owner *o, void *arg);

enum vin_claim {
	VIN_CLAIMED,
	VIN_CLAIMED_FROM_OTHER,
	VIN_HELD_BY_OTHER,	/* nobody proved anything, and first come is first served */
	VIN_HELD_BY_CREDENTIAL, /* the holder proved what the newcomer did not */
	VIN_NO_MEMORY
};

struct vin_found {
	enum layout layout; /* as remembered, or LAYOUT_UNKNOWN */
	uint64_t holder;    /* VIN_HELD_*: its credential */
};

int vin_table_new(size_t remembered_max, struct vin_table **ret, struct error *err);
void vin_table_free(struct vin_table *t); /* NULL-safe */

/*
 * The same credential takes over, and so does a stronger kind of it; a weaker or another one is
 * refused.  takeover: what holds between two owners without any.  *ret: unless VIN_NO_MEMORY.
 */
enum vin_claim vin_table_claim(struct vin_table *t, const char *vin, struct vin_owner *o,
			       bool takeover, struct vin_found *ret);

/* o proved something.  Nothing happens when o does not hold vin. */
void vin_table_set_credential(struct vin_table *t, const char *vin, struct vin_owner *o,
			      uint64_t credential);

/*
 * Somebody signed, or spoke in a session that had shown its key, at that time by the clock of his
 * terminal (unix seconds).  True when nobody did so later or at the same time for this VIN: a
 * report that was recorded and is sent again is never the newest.
 */
bool vin_table_is_newest(struct vin_table *t, const char *vin, int64_t at);

/* After this nobody calls o->taken_over.  Nothing happens when o does not hold vin. */
void vin_table_release(struct vin_table *t, const char *vin, struct vin_owner *o);

/*
 * Calls visit for the owner of vin, with a lock held that keeps the owner alive: only pass the word
 * on, and do not call the table.  False: nobody holds vin.
 */
bool vin_table_visit(struct vin_table *t, const char *vin, vin_visit *visit, void *arg);

/* Whether or not somebody holds vin. */
enum layout vin_table_layout(struct vin_table *t, const char *vin);
void vin_table_set_layout(struct vin_table *t, const char *vin, enum layout layout);

#endif
