/*
 * inbox.h - the frames in what a connection received, however its stream was cut.
 *
 * Pure.  All zero is an empty one.
 */
#ifndef TOOLS_CLI_FLEETSIM_INBOX_H
#define TOOLS_CLI_FLEETSIM_INBOX_H

#include "proto/wire/frame.h"

struct inbox {
	size_t size, used;
	uint8_t bytes[1280]; /* an order is the longest */
};

/*
 * Takes of the size bytes at *bytes what the next frame needs, and moves both on.  False: all is
 * taken, and no frame is whole.  *ret is a view, good until the next call.
 */
bool inbox_next(struct inbox *in, const uint8_t **bytes, size_t *size, struct frame *ret);

/* Forgets what it has: the connection is another one. */
void inbox_clear(struct inbox *in);

#endif
