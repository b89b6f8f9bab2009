/*
 * link.h - one terminal's connection: TCP or TLS on a libuv loop, with a choice of how the stream
 * is cut.
 *
 * link_open() allocates; the link frees itself after closed() was called or link_close() was asked
 * for. closed() is called at most once, never from inside link_open(), and not after link_close().
 * Loop thread only.
 */
#ifndef TOOLS_CLI_FLEETSIM_LINK_H
#define TOOLS_CLI_FLEETSIM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>
#include <uv.h>

#include "tools/cli/fleetsim/prng.h"

/* X(name, doc): how frames lie in TCP segments */
#define SEGMENTS(X)                                                                                \
	X(whole, "each frame in one segment")                                                      \
	X(random, "cut at random places, the rest some milliseconds later")                        \
	X(byte, "single bytes")                                                                    \
	X(merged, "several frames in one segment")

#define SEGMENT_ENUM_(name, doc) SEGMENT_##name,
enum segments { SEGMENTS(SEGMENT_ENUM_) SEGMENT_COUNT };
#undef SEGMENT_ENUM_

struct link_handler {
	void (*opened)(void *arg);
	void (*received)(void *arg, const uint8_t *bytes, size_t size);
	void (*closed)(void *arg, bool was_open);
};

struct link;

/* tls NULL: plain TCP.  Returns 0 or a negative libuv code. */
int link_open(uv_loop_t *loop, const struct sockaddr *address, SSL_CTX *tls,
	      const struct link_handler *handler, void *arg, struct link **ret);

/* Of TLS, at once after link_open(): what is shown to the other side.  False: unreadable files. */
bool link_certify(struct link *l, const char *certificate, const char *key);

/* From now on the stream is cut like this.  chance is borrowed. */
void link_cut(struct link *l, enum segments segments, struct prng *chance);

/* Queues bytes; link_flush() or the next link_tick() sends them. */
void link_send(struct link *l, const uint8_t *bytes, size_t size);
void link_flush(struct link *l);
/* Every few milliseconds: what was held back goes on. */
void link_tick(struct link *l);

/* Bytes queued and not yet taken by the kernel. */
size_t link_backlog(const struct link *l);

void link_close(struct link *l);

#endif
