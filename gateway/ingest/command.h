/*
 * command.h - commands on their way down, as a connection sees them: one in flight, sent when the
 * terminal is logged in, repeated, answered or given up.
 *
 * Loop thread only, except command_deliver().
 */
#ifndef GATEWAY_INGEST_COMMAND_H
#define GATEWAY_INGEST_COMMAND_H

#include "gateway/downlink/downlink.h"
#include "proto/wire/frame.h"

struct connection;
struct server;

/* Of a connection; zeroed = nothing in flight. */
struct command_slot {
	struct downlink_order *order; /* owned */
	uint64_t sent_ms;
	int64_t sent_at; /* the time that the frame says */
	unsigned attempt;
};

/* The terminal logged in: asks for what waits for its VIN. */
void command_logged_in(struct connection *c);
/* MEANING_DOWNLINK_ANSWER from the logged-in terminal.  True: it belonged to the one in flight. */
bool command_answer(struct connection *c, const struct frame *f);
/* The session or the connection ends: the order goes back to the queue. */
void command_ended(struct connection *c);
/* Every sweep: repeats or gives up what got no answer. */
void command_sweep(struct connection *c, uint64_t now_ms);

/* downlink's deliver callback, on its thread: order finds its connection by VIN. */
void command_deliver(struct downlink_order *order, void *arg);

#endif
