/*
 * days.h - the vehicle-days in memory: the fold of each, and what of it the database has.
 *
 * A day is resident while its state is the fold of exactly what the track table holds of it (and
 * what the transaction at work adds).  After a failed transaction it is not: then it is folded
 * again from the table when it is touched next.  Dirty: the database's vehicle_day, passages and
 * snapshot are older than the state.  A dirty day is never forgotten, only a clean one. Store
 * thread only.
 */
#ifndef GATEWAY_STORE_DAYS_H
#define GATEWAY_STORE_DAYS_H

#include <stdalign.h>

#include "gateway/store/batch.h"
#include "gateway/store/context.h"

enum { LAST_TYPES_MAX = 16, DAY_RECORD_VERSION = 1 };

/* What a snapshot keeps besides the state.  Plain memory; another version or size is ignored. */
struct day_record {
	uint32_t version, state_size;
	uint64_t context; /* struct context.hash that the state was folded in */
	struct vehicle_facts facts;
	int64_t received_ns;		    /* of the youngest frame that touched it */
	int64_t last_at;		    /* youngest sample; INT64_MIN = none */
	uint8_t last_types[LAST_TYPES_MAX]; /* types held for that second */
	uint8_t last_type_count;
	uint8_t last_part; /* highest track.part used for that second */
	struct {
		uint64_t digest;  /* of the row in force */
		int32_t revision; /* of the row in force, 0 = none */
		int32_t newest;	  /* highest revision ever */
		int32_t version;  /* of the rule */
	} findings[RULE_COUNT];
	uint32_t folded;   /* blocks */
	uint64_t passages; /* digest of what the table holds; 0 = unknown */
};

struct day {
	struct vehicle *vehicle;
	int64_t vehicle_id;
	int32_t number; /* Beijing days since 1970-01-01 */
	struct day *hash_next;
	struct day *newer, *older; /* by last use */
	bool resident, dirty;
	bool corrected; /* late data changed it since the last checkpoint */
	bool deferred;	/* not resident until the next checkpoint folds it (place.c) */
	bool foreign;	/* another gateway has assessed it since we did (checkpoint.c) */

	/* of the batch at work */
	uint32_t serial;
	struct segment *segments, **segments_end;
	bool late; /* kept a sample older than some that was stored before */

	struct day_record record;
	alignas(16) uint8_t state[]; /* struct assess_day */
};

struct day_key {
	int64_t vehicle_id;
	int32_t number;
};

struct days {
	size_t count,
		max; /* max: aimed at, exceeded by the dirty ones of one checkpoint interval */
	struct day **slots;
	size_t slot_count;
	struct day *newest, *oldest;

	struct day **touched; /* by the batch at work */
	size_t touched_count, touched_max;
	struct day **dirty;
	size_t dirty_count, dirty_max;
	struct day_key *forgotten; /* whose snapshots are to be deleted */
	size_t forgotten_count, forgotten_max;
};

void days_init(struct days *d, size_t max);
void days_release(struct days *d);

static inline struct assess_day *day_state(struct day *day)
{
	return (struct assess_day *)(void *)day->state;
}

struct day *days_find(struct days *d, int64_t vehicle_id, int32_t number);
/* Found or made, as the one used last.  A new one is not resident. */
struct day *days_get(struct days *d, struct vehicle *v, int32_t number);

/* The list of the batch at work; days_touch() takes a day up once for each serial. */
void days_touch(struct days *d, struct day *day, uint32_t serial);
void days_mark_dirty(struct days *d, struct day *day);

/* The snapshot is to be deleted as well.  Not for a dirty day. */
void days_forget(struct days *d, struct day *day);

/* The touched ones are no longer what the database holds. */
void days_drop_touched(struct days *d);
/* None is: the context has changed. */
void days_drop_all(struct days *d);
/* After a checkpoint has been committed: all are clean; the least used beyond max, and those not
 * used for IDLE_HOURS before the youngest reception, are forgotten. */
void days_checkpointed(struct days *d);

/* Starts the fold of an empty day. */
void day_start(struct day *day, const struct context *c);
/* True when the state may be folded on: resident, same context, same facts. */
bool day_current(const struct day *day, const struct context *c);
void day_fold(struct day *day, struct context *c, const struct block *b);
/* The part of it that day_continues() looks at. */
void day_note(struct day *day, const struct block *b);
/* True when the blocks continue the day, each with a second and type that it does not have. */
bool day_continues(const struct day *day, const struct block *blocks, size_t n);
/* Folds them; they must continue the day. */
void day_continue(struct day *day, struct context *c, const struct block *blocks, size_t n);

/* Snapshot: record and state in one piece of memory. */
size_t day_snapshot_size(void);
void day_snapshot(const struct day *day, uint8_t *out);
/* False when it is of another program, context or facts. */
bool day_restore(struct day *day, const struct context *c, const uint8_t *bytes, size_t size);

#endif
