/*
 * crypto.h - worker threads for what costs too much on an event loop: opening and verifying units,
 * and platform passwords.
 *
 * A connection has at most one job, and jobs are done first come, first served: so whoever sends
 * much waits for his own frames, not others for him.  The queue is bounded by the number of
 * connections.
 */
#ifndef GATEWAY_INGEST_CRYPTO_H
#define GATEWAY_INGEST_CRYPTO_H

#include "gateway/base/error.h"
#include "gateway/identity/identity.h"

struct connection;
struct crypto_pool;

/* Made by the loop, filled by a worker, given back to the loop; owns copies of all it needs. */
struct crypto_job {
	struct crypto_job *next;
	struct connection *c; /* pinned by c->job; touched on its loop only */
	void (*work)(struct crypto_job *job, struct report *scratch);
	/* a frame */
	struct frame frame; /* bytes point into this allocation */
	struct identity *identity;
	struct key_ring *ring;
	struct guard_keys keys;
	enum layout known;
	int64_t now;
	struct guard_result result;
	uint8_t *unit; /* opened; points into this allocation */
	/* a password */
	struct identity_platform *platform;
	char password[21];
	bool password_right;
	size_t size; /* of this allocation, for the loop's memory */
};

/* workers 0: one for each core.  metrics: a slot of its own. */
int crypto_pool_new(unsigned workers, struct metrics_thread *metrics, struct crypto_pool **ret,
		    struct error *err);
/* After the loops were told to stop; what waits is done first.  NULL-safe. */
void crypto_pool_free(struct crypto_pool *p);

/* Takes the job; afterwards it is on its loop's list `crypto_done`, and the loop is woken. */
void crypto_submit(struct crypto_pool *p, struct crypto_job *job);

/* A job that checks f with the keys of id (both may be NULL/none).  NULL without memory. */
struct crypto_job *crypto_frame_job(struct identities *t, struct identity *id,
				    const struct frame *f, enum protocol protocol,
				    enum layout known, bool verify, int64_t now);
struct crypto_job *crypto_password_job(struct identity_platform *p, const char *password);
void crypto_job_free(struct crypto_job *job); /* NULL-safe; wipes */

#endif
