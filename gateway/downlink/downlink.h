/*
 * downlink.h - the queue of commands in PostgreSQL, as the gateway sees it: takes orders for VINs
 * that have a session here, and writes down what became of them.
 *
 * One thread with a connection of its own that LISTENs on haulgate_command.  An order is taken with
 * FOR UPDATE SKIP LOCKED and marked with our gateway_id, and of a vehicle only the oldest one that
 * waits; so two gateways never send the same one, and a terminal has one in flight.
 *
 * Nothing of an order in hand is lost while the database is away: what became of it is written when
 * the database is back.  What a process that ended had in hand goes back to the queue when the
 * gateway with its number starts again.
 */
#ifndef GATEWAY_DOWNLINK_DOWNLINK_H
#define GATEWAY_DOWNLINK_DOWNLINK_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/metrics.h"
#include "proto/wire/downlink.h"

/* An order in the hand of whoever it was delivered to.  He changes what stands below the line. */
struct downlink_order {
	int64_t id;
	char vin[VIN_SIZE + 1];
	struct downlink_command command;
	int64_t expires_at; /* unix seconds */
	/* ---- */
	unsigned attempts;	       /* sent so far, by processes before this one too */
	enum downlink_edition edition; /* set when it is sent */
	size_t unit_size;
	uint8_t unit[DOWNLINK_UNIT_MAX];     /* behind the time; set when it is sent */
	uint8_t flag;			     /* of the answer */
	char message[DOWNLINK_MESSAGE_SIZE]; /* why it ended so, for people; may be empty */
};

enum downlink_end {
	DOWNLINK_ANSWERED,   /* with success */
	DOWNLINK_REFUSED,    /* the terminal answered with an error flag */
	DOWNLINK_SILENT,     /* sent, and no answer to all attempts */
	DOWNLINK_EXPIRED,    /* never sent */
	DOWNLINK_IMPOSSIBLE, /* the terminal's protocol cannot say it */
	DOWNLINK_BACK,	     /* the session ended: to the queue again */
};

struct downlink;

struct downlink_options {
	const struct config *config;
	struct metrics_thread *metrics;
	/* Both on the downlink thread. */
	/* vin has a session here that has no order in hand. */
	bool (*ready)(const char *vin, void *arg);
	/* The order is the callee's, who ends it, with DOWNLINK_BACK when the session has gone. */
	void (*deliver)(struct downlink_order *order, void *arg);
	void *arg;
};

/* conninfo empty: ERROR_USAGE.  Does not wait for the database. */
int downlink_open(const struct downlink_options *options, struct downlink **ret, struct error *err);

/*
 * All orders were ended, or their owners forget them now: then they are taken up again by the next
 * process.  Waits a few seconds for the database to take what is to be written.  NULL-safe.
 */
void downlink_close(struct downlink *d);

/* Any thread, all below. */

/* vin logged in here: its waiting orders are delivered, one at a time. */
void downlink_logged_in(struct downlink *d, const char *vin);
/* It was sent (again): written down. */
void downlink_sent(struct downlink *d, struct downlink_order *order);
/*
 * Takes the order back.  answer: the unit of the terminal's answer, or NULL.  The next one of the
 * VIN follows, when there is one.
 */
void downlink_end(struct downlink *d, struct downlink_order *order, enum downlink_end end,
		  const uint8_t *answer, size_t size);

#endif
