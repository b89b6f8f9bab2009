/*
 * quota.h - what one address, one VIN and one session may ask of us, and how bad behaviour is
 * remembered: all of it bounded in memory, decaying, counted.
 *
 * An address is an IPv4 address or an IPv6 /64.  Loops share the table of addresses; it is touched
 * at accept, login, bad frames and close, never per good frame.  Any thread, except where said.
 */
#ifndef GATEWAY_INGEST_QUOTA_H
#define GATEWAY_INGEST_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"

struct quota;

int quota_new(size_t sources_max, struct quota **ret, struct error *err);
void quota_free(struct quota *q); /* NULL-safe */

/* peer: 16 bytes, IPv6 or v4-mapped.  now_ms: monotonic. */

/* A connection came.  False: shed it now (do not call quota_closed). */
bool quota_accept(struct quota *q, const struct config *c, const uint8_t peer[16], uint64_t now_ms);
void quota_closed(struct quota *q, const uint8_t peer[16]);

/* Somebody wants to log in as vin (or platform account).  False: THROTTLED. */
bool quota_login(struct quota *q, const struct config *c, const uint8_t peer[16], const char *vin,
		 uint64_t now_ms);

/* What an address did wrong; weights in quota.c.  Penalties halve every penalty_half_life_s. */
enum quota_offence {
	OFFENCE_BAD_FRAMES,
	OFFENCE_LOGIN_REFUSED,
	OFFENCE_FORGERY,
	OFFENCE_DEADLINE,
	OFFENCE_SLOW,
	OFFENCE_COUNT
};
void quota_offence(struct quota *q, const struct config *c, const uint8_t peer[16],
		   enum quota_offence offence, uint64_t now_ms);

/*
 * The frames of one session: a token bucket of rate a second and 10 seconds' burst, inside the
 * session.  Returns 0: go on, or the milliseconds to wait before reading on.  Loop thread.
 */
struct quota_bucket {
	uint64_t at_ms;
	uint32_t milli; /* thousandths of a frame that are left; 0 at_ms: never used */
};
unsigned quota_take(struct quota_bucket *b, unsigned rate, uint64_t now_ms);

/*
 * How many unauthenticated connections to drop now, oldest first: none up to `limit`, at random
 * with rising probability up to twice of it, all above.  chance: 32 random bits.
 */
unsigned quota_early_drop(unsigned unauthenticated, unsigned limit, uint32_t chance);

#endif
