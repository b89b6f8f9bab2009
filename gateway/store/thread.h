/*
 * thread.h - the store thread's own data.  Internal to gateway/store.
 */
#ifndef GATEWAY_STORE_THREAD_H
#define GATEWAY_STORE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/store/loader.h"
#include "gateway/store/store.h"

struct store {
	struct store_options options; /* the texts are ours */
	char *conninfo;
	pthread_t thread;

	/* Written by others. */
	_Atomic bool stopping;
	_Atomic int64_t deadline_ns; /* monotonic; nothing waits past it */
	_Atomic int64_t batch_frames, batch_ms, checkpoint_s, days_ahead;

	/* Of the thread. */
	struct loader loader;
	struct spool_reader *reader;
	bool attached; /* connected, and position and states agree with the database */
	bool restored; /* the states of the last checkpoint have been taken over, once */
	bool replaced; /* spool and database do not belong together: nothing is done any more */
	int backend;   /* process that serves, or served, our connection */

	/* A COMMIT without answer: attach() finds out what became of it. */
	bool unknown;
	bool unknown_checkpoint;
	size_t unknown_from, unknown_to;

	size_t done;   /* items of the batch that are committed */
	size_t window; /* items in one transaction; shrinks when the database refuses one */
	bool reloaded; /* the registry was read again because of this batch */
	bool drained;  /* told to stop, and the spool has nothing more */
	int64_t complained_ns;
	char complaint[300];
	unsigned attempts; /* of the same transaction */

	int64_t next_vehicles_ns, next_full_ns, next_rules_ns, next_days_ns, next_checkpoint_ns;
	uint8_t *
		day_bits; /* days with a partition, as far as we know; bit = day since 2000-01-01 */
	int64_t no_days_until_ns; /* partitions could not be made: not again before that */
};

/*
 * attach.c: connects, checks that the database is fit, takes the lock of this gateway number, loads
 * what the assessment needs, and compares positions.  0, or -1 with the reason in loader.pg.
 */
int store_attach(struct store *s);
void store_detach(struct store *s);

/* partition.c: day partitions ahead of today, and those that the batch needs.  A failure to make
 * some is logged; -1 only when the connection is lost. */
int store_days_ahead(struct store *s);
int store_days_for_batch(struct store *s);

/* After a commit: tells the spool and the owner how far we are. */
void store_committed(struct store *s);

/* What went wrong last, in the log; the same thing once a minute. */
void store_complain(struct store *s, const char *what);

#endif
