/*
 * pipeline.h - the way of a frame: checked frame -> verdict -> record in the spool's batch ->
 * durable -> answer.  Read pipeline.c first.
 *
 * A loop fills one batch at a time and hands it over at the end of a loop turn; the answers of a
 * turn wait beside it and are sent when the spool says that the batch is durable (store.ack =
 * store: when PostgreSQL has it).  So answers of a connection leave in the order of its frames, and
 * none leaves early.
 */
#ifndef GATEWAY_INGEST_PIPELINE_H
#define GATEWAY_INGEST_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "gateway/ingest/list.h"
#include "gateway/spool/spool.h"
#include "proto/wire/unit.h"

struct connection;
struct loop;
struct turn;

/* What becomes of a frame that is offered. */
enum hold {
	HOLD_NONE,  /* it is done with */
	HOLD_PAUSE, /* no room now, and the loop is paused: offer it again after the resume */
	HOLD_QUOTA, /* the session sent its share: offer it again later, see connection_slow() */
	HOLD_TURN,  /* others wait for their turn: offer it again in the next one */
	HOLD_JOB,   /* a worker looks at it: offer it again when it is back, see connection_ask() */
};

enum { BATCH_COUNT = 4, BATCH_SIZE = 1024 * 1024 };

struct pipeline {
	struct loop *loop;
	struct spool_batch batches[BATCH_COUNT];
	struct spool_batch *spare[BATCH_COUNT];
	unsigned spare_count;
	struct turn *filling;
	struct list flying;    /* turns on their way, oldest first */
	struct report *report; /* scratch of one frame */
	unsigned full_s;       /* seconds that the spool has been refusing */
};

int pipeline_init(struct pipeline *p, struct loop *loop, struct error *err);
void pipeline_release(struct pipeline *p);

/*
 * One frame of c; verdict: ACCEPTED so far, or BAD_CHECKSUM.  Unless HOLD_NONE comes back nothing
 * was done, and the same frame must be the next one of c.
 */
enum hold pipeline_frame(struct pipeline *p, struct connection *c, const struct frame *f,
			 enum verdict verdict);

/* A header whose length cannot be: counted, no frame to keep or to answer. */
void pipeline_too_long(struct pipeline *p, struct connection *c);

/* At the end of each loop turn: hands the batch over. */
void pipeline_turn_end(struct pipeline *p);

/* The spool or the store got further: sends what may be sent. */
void pipeline_progress(struct pipeline *p);

/* Once a second: says in the log that the spool is full, and that it is not any more. */
void pipeline_report(struct pipeline *p);

/* True when no answer and no record is on its way. */
bool pipeline_idle(const struct pipeline *p);

#endif
