/*
 * peer.h - one connection to another platform: name, TCP, TLS if wanted, then bytes.
 *
 * Each address of the name is tried in turn, ten seconds each.  TLS 1.2 or 1.3; the certificate
 * must be of a CA of the file (or the system's) and name the host.
 *
 * One thread, the loop's.  Events come from the loop, never from inside a call, but for
 * peer_send().
 */
#ifndef GATEWAY_LINK_PEER_H
#define GATEWAY_LINK_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "gateway/base/error.h"

struct peer;

struct peer_events {
	void (*ready)(void *arg); /* bytes can be sent */
	void (*received)(const uint8_t *bytes, size_t size, void *arg);
	void (*sent)(void *arg); /* nothing waits to be sent any more */
	/* It is over, for this reason; peer_close() is still to be called.  The last event. */
	void (*failed)(const char *reason, void *arg);
};

struct peer_options {
	const char *address; /* host:port, [IPv6]:port */
	bool tls;
	const char *tls_ca; /* PEM file; NULL or "": the system's */
	const struct peer_events *events;
	void *arg;
};

/* ERROR_USAGE: the address or the CA file is wrong. */
int peer_open(uv_loop_t *loop, const struct peer_options *options, struct peer **ret,
	      struct error *err);

/* After ready.  Bytes are copied, and wiped when they are sent. */
void peer_send(struct peer *p, const uint8_t *bytes, size_t size);
size_t peer_unsent(const struct peer *p); /* bytes that the socket has not taken */

/* At once; no event comes any more.  NULL-safe.  The loop frees it. */
void peer_close(struct peer *p);

#endif
