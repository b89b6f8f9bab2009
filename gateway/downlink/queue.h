/*
 * queue.h - the table command, as the downlink thread uses it: every statement that it runs.
 *
 * Every wait is a poll() with a limit, so that a server that stopped answering cannot hold the
 * thread when the gateway is to end.  One thread.
 *
 * Functions return 0 (or what they say), or -1: the connection is to be given up, queue.message
 * says why.
 */
#ifndef GATEWAY_DOWNLINK_QUEUE_H
#define GATEWAY_DOWNLINK_QUEUE_H

#include <stdatomic.h>

#include <libpq-fe.h>

#include "gateway/downlink/downlink.h"

struct queue {
	PGconn *conn;
	char *conninfo;
	int gateway_id;
	_Atomic int64_t deadline_ns; /* monotonic; no wait goes past it */
	char sqlstate[6];
	char message[300];
};

/* Connects, takes the lock that makes us the only gateway of this number, and listens. */
int queue_connect(struct queue *q);
void queue_disconnect(struct queue *q);

/* Words of the database that came meanwhile: the VINs for which something waits. */
int queue_notified(struct queue *q, void (*vin)(const char *vin, void *arg), void *arg);

/*
 * What stands in the table as in our hand, and is not in ids, goes back.  started: the process has
 * just begun, so what an earlier one had taken may have been sent without being written down.
 */
int queue_reclaim(struct queue *q, const int64_t *ids, size_t count, bool started);

/* What expired without being in anybody's hand ends. */
int queue_expire(struct queue *q);

/*
 * The vehicles behind vehicle_id (0: from the first) whose oldest order waits, in pages: tell is
 * called for each; *vehicle_id is where the next page begins, 0 at the end.  vins NULL: of all;
 * else count of them, and no pages.
 */
int queue_waiting(struct queue *q, const char (*vins)[VIN_SIZE + 1], size_t count,
		  int64_t *vehicle_id, void (*tell)(int64_t id, const char *vin, void *arg),
		  void *arg);

/* A row of command, as it was taken. */
struct queue_row {
	int64_t id, expires_at;
	unsigned attempts;
	const char *vin, *kind, *parameters;
};

/* Takes those of ids that nobody else took meanwhile. */
int queue_take(struct queue *q, const int64_t *ids, size_t count,
	       void (*taken)(const struct queue_row *row, void *arg), void *arg);

/* What became of an order. */
struct queue_result {
	int64_t id;
	const char *state;
	bool in_hand; /* still */
	unsigned attempts;
	int64_t sent_at;  /* unix seconds; 0: not sent */
	int64_t ended_at; /* 0: it has not ended */
	size_t unit_size;
	uint8_t unit[DOWNLINK_UNIT_MAX];
	/* Once it is not in hand any more. */
	enum downlink_end end;
	const struct downlink_order *order;
	const uint8_t *answer;
	size_t answer_size;
};

enum queue_written {
	QUEUE_WRITTEN,
	QUEUE_NOT_OURS,	  /* the table says that somebody else has it, or that it has ended */
	QUEUE_UNWRITABLE, /* the database takes nothing of it; queue.message says why */
};
/* What the database refuses to keep of message and answer is left out, and said so. */
int queue_write(struct queue *q, const struct queue_result *result);

#endif
