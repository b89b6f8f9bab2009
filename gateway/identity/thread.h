/*
 * thread.h - the inside of struct identities, for identity.c (what others ask) and thread.c (who
 * keeps it right).
 */
#ifndef GATEWAY_IDENTITY_THREAD_H
#define GATEWAY_IDENTITY_THREAD_H

#include <pthread.h>

#include "gateway/identity/database.h"
#include "gateway/identity/index.h"

struct identities {
	struct metrics_thread *metrics; /* may be NULL */
	void (*changed)(const char *vin, void *arg);
	void *arg;
	char *conninfo;

	/*
	 * Held by others to read, by the identity thread to change what stands here; that thread
	 * alone changes index and platforms, so it reads them without.  Never held for long: a load
	 * is made beside what is known, and then put in its place.
	 */
	pthread_rwlock_t lock;
	bool loaded;
	struct index index;
	struct map platforms;  /* struct identity_platform by login */
	struct key_ring *ring; /* changed by identities_reload() */

	atomic_bool stopping, reloaded, signature_required;
	int wake_fd; /* eventfd: stopping or reloaded was set */
	bool has_thread;
	pthread_t thread;

	/* the identity thread's */
	struct database db;
	uint64_t platforms_digest;
	int64_t judged_at, next_bound; /* unix seconds: when a snapshot becomes stale */
	int64_t full_ns, heard_ns;     /* monotonic: of the last full load, of the last answer */
	unsigned failures;	       /* connections in a row */
	int64_t complained_ns;
	char complaint[300];
};

void *identities_thread(void *arg);

/* Puts fresh in the place of old, if that is still the ring; takes fresh over. */
void identities_set_ring(struct identities *t, const struct key_ring *old, struct key_ring *fresh);

#endif
