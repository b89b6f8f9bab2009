/*
 * load.h - what a load protocol tells the generator: how a conversation opens, what a request is,
 * and where an answer ends.
 *
 * One generator for our own frames and for MQTT, so that both servers are measured by the same
 * code.
 */
#ifndef TOOLS_CLI_BENCH_LOAD_H
#define TOOLS_CLI_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

enum { LOAD_REQUEST_MAX = 1024 };

struct load_peer {
	unsigned number;   /* of the connection */
	uint32_t requests; /* made so far */
};

struct load_protocol {
	const char *name;
	/* First bytes of a connection; answered by exactly one answer. */
	size_t (*open)(const struct load_peer *peer, uint8_t *buf, size_t size);
	/* The next request; answered by exactly one answer. */
	size_t (*request)(struct load_peer *peer, uint8_t *buf, size_t size);
	/* Size of the answer at buf, 0 = not complete. */
	size_t (*answer)(const uint8_t *buf, size_t size);
};

extern const struct load_protocol load_frames; /* HJ 1239 reports of ten samples */
extern const struct load_protocol load_mqtt;   /* MQTT 3.1.1 QoS 1, payload of the same size */

#endif
