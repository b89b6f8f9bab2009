/*
 * obey.h - a terminal under orders: queries and sets its parameters, and says yes to controls, by
 * the tables of proto/wire/downlink.h (the edition of 2016, which header P has).
 */
#ifndef TOOLS_CLI_FLEETSIM_OBEY_H
#define TOOLS_CLI_FLEETSIM_OBEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/downlink.h"

/* What the terminal remembers of its parameters, as the wire has them. */
struct obedience;

struct order_answer {
	uint8_t flag; /* ANSWER_SUCCESS or ANSWER_ERROR */
	bool leaves;  /* the control ends the connection, once the answer is sent */
	size_t unit_size;
	uint8_t unit[DOWNLINK_UNIT_MAX];
};

/* A command of the platform, not an answer. */
bool is_order(const struct frame *f);

/*
 * f: a command 80, 81 or 82.  *o is made when it is NULL; the caller frees it.  A set is taken
 * whole or not at all, and not when it names something unknown or read-only.  False: nothing to
 * answer.
 */
bool obey(struct obedience **o, const struct frame *f, struct order_answer *ret);
void obedience_free(struct obedience *o);

#endif
