/*
 * downlink.h - the queue of commands in PostgreSQL, as the gateway sees it: takes orders for VINs
 * that have a session here, and writes down what became of them.
 *
 * One thread with a connection of its own that LISTENs on haulgate_command.  An order is taken with
 * FOR UPDATE SKIP LOCKED and marked with our gateway_id, so two gateways never send the same one.
 */
#ifndef GATEWAY_DOWNLINK_DOWNLINK_H
#define GATEWAY_DOWNLINK_DOWNLINK_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/metrics.h"
#include "proto/wire/frame.h"

/* One order, typed already: unit is what stands behind the six bytes of time. */
struct downlink_order {
	int64_t id;
	char vin[VIN_SIZE + 1];
	uint8_t command;    /* 0x80 query, 0x81 set, 0x82 control */
	int64_t expires_at; /* unix seconds */
	unsigned attempts;  /* sent so far */
	size_t size;
	uint8_t unit[1024];
};

enum downlink_end {
	DOWNLINK_ANSWERED, /* answer: the unit of the terminal's answer */
	DOWNLINK_REFUSED,  /* the terminal answered with an error flag */
	DOWNLINK_SILENT,   /* no answer to all attempts */
	DOWNLINK_EXPIRED,
	DOWNLINK_IMPOSSIBLE, /* the terminal's protocol has no commands */
	DOWNLINK_BACK,	     /* the session ended: to the queue again */
};

struct downlink;

struct downlink_options {
	const struct config *config;
	struct metrics_thread *metrics;
	/* On the downlink thread: the order is the callee's.  When its VIN has no session here, it
	 * ends it with DOWNLINK_BACK. */
	void (*deliver)(struct downlink_order *order, void *arg);
	void *arg;
};

/* conninfo empty: ERROR_USAGE.  Does not wait for the database. */
int downlink_open(const struct downlink_options *options, struct downlink **ret, struct error *err);
void downlink_close(struct downlink *d); /* NULL-safe */
void downlink_reload(struct downlink *d, const struct config *config);

/* Any thread, all below. */

/* vin logged in here: its waiting orders are delivered, one at a time. */
void downlink_logged_in(struct downlink *d, const char *vin);
/* It was sent (again): written down. */
void downlink_sent(struct downlink *d, const struct downlink_order *order);
/* Frees the order.  The next one of the VIN follows, when there is one. */
void downlink_end(struct downlink *d, struct downlink_order *order, enum downlink_end end,
		  const uint8_t *answer, size_t size);

#endif
