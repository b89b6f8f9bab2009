/*
 * peer_tls.h - the TLS half of peer.c: bytes in, bytes out, no sockets.
 */
#ifndef GATEWAY_LINK_PEER_TLS_H
#define GATEWAY_LINK_PEER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

struct peer_tls;

/* ca: PEM file, "" for the system's.  ERROR_USAGE: it cannot be used. */
int peer_tls_new(const char *ca, const char *host, struct peer_tls **ret, struct error *err);
void peer_tls_free(struct peer_tls *t); /* NULL-safe */

/* From the socket.  -1: no memory. */
int peer_tls_take(struct peer_tls *t, const uint8_t *bytes, size_t size);
/* 1: done, 0: more bytes are needed, -1: refused, err says why. */
int peer_tls_handshake(struct peer_tls *t, struct error *err);
/* Decrypted bytes; 0: none yet; -1: the session is over or broken, err says which. */
int peer_tls_read(struct peer_tls *t, uint8_t *out, size_t size, struct error *err);
int peer_tls_write(struct peer_tls *t, const uint8_t *bytes, size_t size); /* -1: broken */
/* Bytes for the socket; 0: none. */
size_t peer_tls_give(struct peer_tls *t, uint8_t *out, size_t size);

#endif
