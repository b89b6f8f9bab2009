/*
 * loader.h - one transaction of the store: from decoded records to committed rows.
 *
 * Internal to gateway/store; store.c drives it.  The steps stand in loader_run(), in order, each in
 * a file of its own.  Every step returns 0, or -1 with the reason in l->pg.
 */
#ifndef GATEWAY_STORE_LOADER_H
#define GATEWAY_STORE_LOADER_H

#include "gateway/store/days.h"
#include "record.pb-c.h"

enum { SPAN_MAX_S = 3600, EVIDENCE_MAX = 400, EVIDENCE_BEFORE_S = 60 };

struct loader {
	struct pg pg;
	unsigned gateway_id;
	struct registry *registry;
	struct context context;
	struct days days;
	struct batch batch;
	struct spool_reader *evidence;	/* fetches frames by position */
	struct metrics_thread *metrics; /* may be NULL */
	struct identities *identities;	/* may be NULL: nothing is checked again */

	uint64_t position;   /* committed: everything before it is stored */
	bool position_known; /* the database has a row for us */
	bool staged;	     /* this time through the staging table */
	uint32_t serial;     /* of the run at work */

	/* Reused by the steps. */
	struct buffer tuples;
	struct rows rows, superseded, updated, inserted;
	struct arena scratch;  /* one vehicle-day, one row */
	struct entry *entries; /* load.c */
	size_t entries_max;
	struct unpacked *unpacked;
	size_t fold_budget; /* blocks of loaded days that a batch folds before it only compares */
	struct day **list;  /* days to load */
	size_t list_max;

	/* Counted during a run, added to the metrics when it is committed. */
	struct tally {
		size_t frames, samples, duplicates, replays, quarantined, reassessed, findings;
	} tally;
};

void loader_init(struct loader *l, unsigned gateway_id, size_t vehicles);
void loader_release(struct loader *l);

/*
 * Stores the items [from, to) of the batch in one transaction, and moves the position behind the
 * last of them (from == to: only a checkpoint).  -1: nothing was stored, except when *ret_unknown:
 * then the connection broke during COMMIT and the database has to be asked.
 */
int loader_run(struct loader *l, size_t from, size_t to, bool checkpoint, bool *ret_unknown);

/* What loader_run() does with its states after the outcome of COMMIT is known. */
void loader_committed(struct loader *l, size_t from, size_t to, bool checkpoint);
void loader_failed(struct loader *l);

/* place.c: splits reports by vehicle-day; folds those that continue it, loads the days of the
 * others. */
int loader_place(struct loader *l, size_t from, size_t to);
/* The same for records that are stored already: days that they do not continue become non-resident.
 */
void loader_replay(struct loader *l, size_t from, size_t to);

/*
 * load.c: the days of l->list, n of them: stored rows and this batch's segments, merged and folded.
 * _compare merges only the rows that the segments overlap: it finds what is new, and leaves the
 * days non-resident until the next checkpoint.
 */
int loader_load(struct loader *l, size_t n);
int loader_compare(struct loader *l, size_t n);
struct day **loader_list(struct loader *l, size_t n); /* room for n */
/* What the database has of the findings of n days of the list. */
int loader_load_findings(struct loader *l, size_t n);

/* track.c: the rows of the reports. */
int loader_track(struct loader *l, size_t from, size_t to);

/* write.c: what else the records carry. */
int loader_obd(struct loader *l, size_t from, size_t to);
int loader_events(struct loader *l, size_t from, size_t to);
int loader_quarantine(struct loader *l, size_t from, size_t to);
void loader_terminals(struct loader *l, size_t from, size_t to);

/* sender.c: what comes of knowing who sent a record. */
int loader_activations(struct loader *l, size_t from, size_t to);
int loader_replays(struct loader *l, size_t from, size_t to);
int loader_platform_days(struct loader *l, size_t from, size_t to);
int loader_platform_serials(struct loader *l, size_t from, size_t to);

/* finding.c: the findings of the touched days that have changed, and their evidence. */
int loader_findings(struct loader *l);

/* evidence.c: the frames of findings that have begun or grown. */
struct proof {
	const struct day *day;
	enum rule rule;
	int64_t from, to;
	bool fresh; /* a new revision: also frames older than the youngest kept */
};
int loader_evidence(struct loader *l, const struct proof *proofs, size_t n);

/* verify.c: what is known of the signature of a frame that proves something; one that the policy
 * left unchecked is checked now.  _doubt marks the vehicle of a bad one. */
struct checked {
	unsigned signature; /* enum signature_check */
	uint64_t key;	    /* terminal_key.id */
};
struct checked loader_check_signature(struct loader *l, const char *vin,
				      const Haulgate__FrameRecord *record);
int loader_doubt(struct loader *l, const struct vehicle *v, const Haulgate__FrameRecord *record);

/* checkpoint.c: roll-ups, passages and snapshots of the dirty days.  _prepare folds those again
 * that are not resident or that another gateway has touched; it comes before the findings. */
int loader_checkpoint_prepare(struct loader *l);
int loader_checkpoint(struct loader *l);

/* restore.c: after a start, the states of the last checkpoint and the fold of what came since: the
 * records from the reader's place to l->position.  reader NULL: only the states. */
int loader_restore(struct loader *l, uint64_t snapshot_position, struct spool_reader *reader);

/* Finds the vehicle of each report and event; makes provisional ones in a transaction of its own.
 */
int loader_vehicles(struct loader *l);

void loader_count(struct loader *l, enum metric metric, int64_t n);

#endif
