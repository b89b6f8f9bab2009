/*
 * command.h - commands on their way down, as a connection sees them: one in flight, sent when the
 * terminal is logged in, repeated, answered or given up.
 *
 * Loop thread only, except command_ready() and command_deliver().
 */
#ifndef GATEWAY_INGEST_COMMAND_H
#define GATEWAY_INGEST_COMMAND_H

#include <stdatomic.h>

#include "gateway/downlink/downlink.h"
#include "proto/wire/frame.h"

struct connection;
struct server;

enum { COMMAND_KINDS = 3 };

/* Of a connection; zeroed = nothing in flight. */
struct command_slot {
	atomic_bool taken; /* an order has arrived, or is in flight */
	/* Put there by command_deliver() while the VIN is bound to the connection; owned. */
	_Atomic(struct downlink_order *) arrived;
	struct downlink_order *order; /* in flight; owned */
	unsigned sends;		      /* of it, in this session */
	uint64_t sent_ms;
	int64_t sent_at; /* the time that the frame says: no two orders of a session have the same
			  */
	uint8_t owed[COMMAND_KINDS]; /* answers that earlier orders may still get */
};

/* The terminal logged in: asks for what waits for its VIN. */
void command_logged_in(struct connection *c);
/* An answer from the logged-in terminal.  True: it belonged to the command in flight. */
bool command_answer(struct connection *c, const struct frame *f);
/* What command_deliver() left in c->command.arrived: sends it.  May close c. */
void command_arrived(struct connection *c);
/* The session or the connection ends: the order, one that has just arrived too, goes back to the
 * queue.  The VIN is released already, so nothing more arrives. */
void command_ended(struct connection *c);
/* Every sweep while c->command.order is set: repeats or gives up what got no answer.  May close c.
 */
void command_sweep(struct connection *c, uint64_t now_ms);

/*
 * downlink's callbacks, on its thread; arg: the server.  The order finds its connection with
 * vin_table_visit(), which keeps it alive: there c->command.arrived is set and connection_post(c,
 * MAIL_ORDER) called.
 */
bool command_ready(const char *vin, void *arg);
void command_deliver(struct downlink_order *order, void *arg);

#endif
