/*
 * loop.h - one event loop: a thread with its own listening sockets and connections.
 *
 * Everything in struct loop belongs to its thread, except what is marked.  So the way of a frame
 * takes no lock; other threads set a flag and wake the loop.
 */
#ifndef GATEWAY_INGEST_LOOP_H
#define GATEWAY_INGEST_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/log.h"
#include "gateway/base/metrics.h"
#include "gateway/ingest/list.h"
#include "gateway/ingest/listener.h"
#include "gateway/ingest/pipeline.h"
#include "gateway/ingest/server.h"

enum {
	READ_BUFFER_SIZE = 64 * 1024,
	PLAIN_BUFFER_SIZE = 16 * 1024 + 512, /* one TLS record */
	OUT_BUFFER_SIZE = 32 * 1024,
	SWEEP_MS = 250,
	DRAIN_MS = 10000, /* longest wait for the spool at a stop */
	/* Of TLS in one turn, about 0.4 ms each: who is in waits no longer than for these. */
	HANDSHAKE_STEPS = 8,
	/*
	 * Who sends a hundred frames in one go waits for those who send one: the first of each
	 * connection are heard in the turn in which they come, more of them only while the turn is
	 * short.  Of one connection and of all, about 7 us each.
	 */
	TURN_FRAMES_FREE = 2,
	TURN_FRAMES_EACH = 16,
	TURN_FRAMES_ALL = 64,
};

/* Why nothing is read: any bit stops all connections of the loop that have something to read. */
enum loop_pause {
	PAUSE_BATCH = 1u << 0, /* all spool batches are full */
	PAUSE_SPOOL = 1u << 1, /* the spool takes nothing now: silence */
	/* The loop's share of limit.memory_mib is used up.  Frames that are here already are heard
	 * all the same: nothing else would ever free what they take. */
	PAUSE_MEMORY = 1u << 2,
	PAUSE_STOP = 1u << 3, /* for ever: SIGTERM */
};

/* One list for each kind of deadline, oldest member first: a sweep looks at the heads alone. */
enum deadline { DEADLINE_LOGIN, DEADLINE_IDLE, DEADLINE_LINGER, DEADLINE_COUNT };

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t sweep;
	uv_check_t turn_end;
	pthread_t thread;
	unsigned index;
	struct server *server;
	const struct config *config;
	struct metrics_thread *metrics;
	struct listener tcp, tls;
	struct pipeline pipeline;

	struct list connections; /* all */
	struct list waiting[DEADLINE_COUNT];
	struct list partial;	  /* owe us the rest of a frame, or a sound one; oldest first */
	struct list paused;	  /* would read if there were no pause */
	struct list stalled;	  /* have whole frames that a pause stopped */
	struct list queued;	  /* have whole frames, and had their share of this turn */
	uint32_t turn;		  /* count of them, wraps */
	unsigned turn_frames;	  /* heard in this one */
	struct list slowed;	  /* sent more than their share */
	struct list ordered;	  /* have a command in flight */
	unsigned pauses;	  /* enum loop_pause */
	size_t memory;		  /* bytes held for connections and answers */
	struct list shaking;	  /* TLS handshakes in flight, oldest first */
	unsigned handshakes;	  /* how many */
	unsigned handshake_steps; /* that may still be done in this turn */
	unsigned strangers;	  /* connections without a login */
	struct list silent;	  /* of them, those that nothing is expected of; oldest first */
	unsigned contenders;	  /* of them, those with session.contends */
	unsigned jobs;		  /* that workers have */
	uint64_t random;	  /* state of loop_random() */
	uint64_t serial;	  /* of the last connection */
	unsigned clock_status;
	unsigned log_budget, log_suppressed;
	unsigned sweeps;
	bool overdue; /* more connections are to be closed than one turn bears */
	bool running; /* the thread was started */
	bool stopping;
	uint64_t stop_ms; /* when the drain began */

	/* Scratch of one callback: no connection owns a buffer while it is idle. */
	uint8_t read_buffer[READ_BUFFER_SIZE];
	uint8_t plain_buffer[PLAIN_BUFFER_SIZE];
	uint8_t out_buffer[OUT_BUFFER_SIZE];
	size_t out_size;
	const uint8_t *cipher; /* what TLS has yet to read of the bytes received */
	size_t cipher_size;

	/* Set by other threads. */
	_Atomic(const struct config *) new_config;
	atomic_bool stop;
	_Atomic uint64_t turned_ms; /* monotonic time of the last sweep */
	atomic_bool registry;	    /* all of it changed, or the CRLs */
	pthread_mutex_t mutex;	    /* of the lists below */
	struct list mail;	    /* connections that another thread sent word to */
	struct list crypto_done;    /* jobs that workers gave back */
};

/* Makes the loop and its listeners; the thread starts with loop_run. */
int loop_new(struct server *server, unsigned index, struct loop **ret, struct error *err);
int loop_run(struct loop *l, struct error *err);
/* Waits for the thread, if it runs.  NULL-safe. */
void loop_join(struct loop *l);
/* After loop_join, the store and the spool: nobody wakes it any more.  NULL-safe. */
void loop_free(struct loop *l);

/* Any thread. */
void loop_wake(struct loop *l);

/* Loop thread only, all below. */
void loop_pause(struct loop *l, enum loop_pause why);
/* Takes the reason away; connections read again at the end of the turn when it was the last. */
void loop_resume(struct loop *l, enum loop_pause why);
void loop_memory(struct loop *l, ptrdiff_t change);
/* Unforeseeable from outside, good enough to choose whom to look at; not for keys. */
uint32_t loop_random(struct loop *l);
/* c has frames, and waits for the next turn to be heard. */
void loop_queue(struct loop *l, struct connection *c);
/* True when one more line about a bad peer may be logged in this second. */
bool loop_may_log(struct loop *l);

#endif
