/*
 * store.h - from the spool into PostgreSQL: decode, assess, and commit, in one thread.
 *
 * One transaction = track rows + everything derived from them (findings, passages, roll-ups,
 * terminal events, quarantine) + the spool position.  Killed anywhere, started again: nothing
 * answered is missing, nothing is there twice.  The database may be away for hours; the spool
 * holds what it misses, and the thread reconnects.
 */
#ifndef GATEWAY_STORE_STORE_H
#define GATEWAY_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"
#include "gateway/base/metrics.h"
#include "gateway/spool/spool.h"

struct store;
struct identities;

struct store_options {
	const struct config *config; /* must outlive the store; reload: store_reload() */
	struct spool *spool;	     /* waited on, and told what may be archived */
	const char *spool_dir, *archive_dir;
	struct metrics_thread *metrics; /* of the store thread; may be NULL */
	/* Called on the store thread after each commit; position: everything before it is stored.
	 */
	void (*committed)(uint64_t position, void *arg);
	void *arg;
	/* Keys for signatures that prove a finding; may be NULL; must outlive the store. */
	struct identities *identities;
	/* Samples of late days that one transaction folds again; those of the days beyond it wait
	 * for the next checkpoint.  0: the default. */
	size_t fold_budget;
};

/* Starts the thread; does not wait for the database. */
int store_open(const struct store_options *options, struct store **ret, struct error *err);

/* Stores what the spool holds up to now if the database answers within timeout_ms, then stops. */
void store_close(struct store *s, int timeout_ms);

/* A reloaded configuration, for the keys marked R.  Any thread. */
void store_reload(struct store *s, const struct config *config);

#endif
