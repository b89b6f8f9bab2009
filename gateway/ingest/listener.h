/* listener.h - a listening socket of one loop (SO_REUSEPORT), and admission of connections. */
#ifndef GATEWAY_INGEST_LISTENER_H
#define GATEWAY_INGEST_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "gateway/base/error.h"

struct loop;

struct listener {
	uv_tcp_t tcp;
	struct loop *loop;
	bool tls, open;
	/*
	 * A connection waits because enough came in this turn of the loop, or too many handshakes
	 * are in flight.  libuv asks for no other until this one is accepted, so the rest waits in
	 * the kernel.
	 */
	bool deferred;
	unsigned accepted; /* in this turn */
};

/*
 * address: "host:port".  With port 0 the kernel chooses; the address got is written to
 * ret_address (size CONFIG_HOST_SIZE + 10), so that the next loop can share the port.
 */
int listener_open(struct listener *l, struct loop *loop, bool tls, const char *address,
		  char *ret_address, size_t size, struct error *err);
void listener_close(struct listener *l); /* of one that is not open: nothing */

/* The turn is over: accepts what was deferred, if that may be now. */
void listener_turn_end(struct listener *l);

#endif
