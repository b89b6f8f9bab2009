/*
 * stream.h - what lies between a socket and the frames: nothing, or TLS.
 *
 * Above this line a connection does not know which.
 */
#ifndef GATEWAY_INGEST_STREAM_H
#define GATEWAY_INGEST_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct connection;

struct stream {
	/* Bytes came from the socket; calls connection_input() with what they mean. */
	void (*received)(struct connection *c, const uint8_t *bytes, size_t size);
	/* Bytes for the peer; calls connection_write(). */
	void (*send)(struct connection *c, const uint8_t *bytes, size_t size);
	/* The last word before an orderly close. */
	void (*finish)(struct connection *c);
	void (*release)(struct connection *c);
};

extern const struct stream stream_plain, stream_tls;

#endif
