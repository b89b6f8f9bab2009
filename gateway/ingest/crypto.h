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
#include "gateway/base/metrics.h"
#include "gateway/identity/identity.h"
#include "gateway/ingest/list.h"

struct connection;
struct crypto_pool;
struct loop;

/*
 * What a worker finds out about one frame.  Made by the loop, filled by a worker, given back to the
 * loop, where the frame is offered again with it; owns copies of all it needs.
 */
struct crypto_job {
	struct list link;     /* in the pool's queue, then on the loop's list of those done */
	struct connection *c; /* pinned by c->job; touched on its loop only */
	struct loop *loop;
	bool done; /* back on the loop, which alone sets it */
	void (*work)(struct crypto_job *job, struct report *scratch);
	size_t size; /* of this allocation, for the loop's memory */

	/* The frame. */
	bool guarded;	    /* result is there */
	struct frame frame; /* bytes point behind this struct */
	struct identity *identity;
	struct key_ring *ring;
	struct guard_keys keys;
	enum layout known;
	int64_t now;
	struct guard_result result;
	uint8_t *unit; /* opened; behind this struct */

	/* The password of a platform. */
	bool judged;			    /* password_right is there */
	struct identity_platform *platform; /* NULL: nobody of that name */
	char password[21];
	bool password_right;
};

/* workers 0: one for each core.  metrics: a slot of its own. */
int crypto_pool_new(unsigned workers, struct metrics_thread *metrics, struct crypto_pool **ret,
		    struct error *err);
/* After the loops were told to stop; what waits is done first.  NULL-safe. */
void crypto_pool_free(struct crypto_pool *p);

/* Takes the job; afterwards it is on the list of those done of job->loop, which is woken. */
void crypto_submit(struct crypto_pool *p, struct crypto_job *job);

/*
 * A job about f.  id may be NULL; t NULL: there are no keys.  verify: check a signature too.
 * NULL without memory.
 */
struct crypto_job *crypto_frame_job(struct identities *t, struct identity *id,
				    const struct frame *f, enum protocol protocol,
				    enum layout known, bool verify, int64_t now);
/*
 * Makes it a job about a password, before it is submitted (again).  Takes over platform, NULL for a
 * name that nobody has: that takes as long.
 */
void crypto_ask_password(struct crypto_job *job, struct identity_platform *platform,
			 const char *password);
void crypto_job_free(struct crypto_job *job); /* NULL-safe; wipes */

#endif
