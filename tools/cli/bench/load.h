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

#include "proto/wire/unit.h"

enum {
	LOAD_REQUEST_MAX = 1024,
	LOAD_SAMPLES = 10, /* of a report */
	LOAD_PREPARED = 8, /* different reports of a connection in a file of prepared frames */
};

struct load_peer {
	unsigned number;		    /* of the connection */
	uint32_t requests;		    /* made so far */
	const struct frames_file *prepared; /* of load_prepared, borrowed */
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

extern const struct load_protocol load_frames;	 /* HJ 1239 reports of ten samples */
extern const struct load_protocol load_mqtt;	 /* MQTT 3.1.1 QoS 1, payload of the same size */
extern const struct load_protocol load_prepared; /* the frames of a file, again and again */

/*
 * A file of prepared frames: for each connection its login and LOAD_PREPARED reports, back to back.
 * The gateway answers a frame that it has seen before as any other; it is the store that finds out.
 * Ends the program when the file has not enough.
 */
struct frames_file *frames_file_read(const char *path, unsigned connections);
void frames_file_free(struct frames_file *p); /* NULL-safe */

/* A fixed day of the past: no clock here, and every run sends the same times. */
extern const int64_t load_start;
void load_vin(const struct load_peer *peer, char vin[VIN_SIZE + 1]);
/* A truck at cruise whose values move a little from second to second, as real ones do. */
void load_sample(uint32_t t, uint8_t body[STREAM_SIZE]);

#endif
