/*
 * hand.h - the orders that the table says are in our hand, and what is still to be written of them.
 *
 *   added --> sent, again and again --> ended --> written and freed
 *
 * Whatever came together is written in one statement: so what is kept is bounded by the number of
 * orders, however long the database is away.  Any thread, except where said.
 */
#ifndef GATEWAY_DOWNLINK_HAND_H
#define GATEWAY_DOWNLINK_HAND_H

#include "gateway/downlink/queue.h"

struct hand;

struct hand *hand_new(void);	/* NULL without memory */
void hand_free(struct hand *h); /* with all orders; NULL-safe */

/* NULL without memory. */
struct downlink_order *hand_add(struct hand *h, const struct queue_row *row);
void hand_sent(struct hand *h, const struct downlink_order *order);
void hand_end(struct hand *h, struct downlink_order *order, enum downlink_end end,
	      const uint8_t *answer, size_t size);

size_t hand_count(struct hand *h);
/* Their ids, to be freed; NULL without memory. */
int64_t *hand_ids(struct hand *h, size_t *ret_count);

/* ---- one thread, that of the database ---- */

bool hand_has_news(struct hand *h);
/* What is to be written next; NULL: nothing.  Then one of the two below. */
struct downlink_order *hand_news(struct hand *h, struct queue_result *ret);
/* It is written: an order that has ended is freed.  Returns how often it was sent since the last
 * time. */
unsigned hand_written(struct hand *h, struct downlink_order *order,
		      const struct queue_result *result);
void hand_not_written(struct hand *h, const struct downlink_order *order);
/* It cannot be written: the others go on, and it waits for more news or for hand_again(). */
void hand_set_aside(struct hand *h, const struct downlink_order *order);
/* Everything that was set aside is news again. */
void hand_again(struct hand *h);

#endif
