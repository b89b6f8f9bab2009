#include "gateway/ingest/command.h"

/* Placeholder until commands are written: nothing ever waits for a terminal. */

void command_logged_in(struct connection *c)
{
	(void)c;
}

bool command_answer(struct connection *c, const struct frame *f)
{
	(void)c;
	(void)f;
	return false;
}

void command_arrived(struct connection *c)
{
	(void)c;
}

void command_ended(struct connection *c)
{
	(void)c;
}

void command_sweep(struct connection *c, uint64_t now_ms)
{
	(void)c;
	(void)now_ms;
}

void command_deliver(struct downlink_order *order, void *arg)
{
	(void)order;
	(void)arg;
}
