/*
 * quota.h - what one address, one VIN and one session may ask of us, and how bad behaviour is
 * remembered: all of it bounded in memory, decaying, counted.  docs/security.md, "Quotas".
 *
 * An address is an IPv4 address or an IPv6 /64.  Loops share the table of addresses; it is touched
 * at accept, login, bad frames and close, never per good frame.  Any thread, except where said.
 *
 * Thousands of trucks share the address of their carrier.  So what one of them does wrong counts
 * against the number of its neighbours that behave well, and it only ever keeps new connections
 * out: nobody who is in is ended for what his address did.
 */
#ifndef GATEWAY_INGEST_QUOTA_H
#define GATEWAY_INGEST_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"

struct quota;

/* How the table counts one connection; inside it, zero at first, changed here only. */
struct quota_guest {
	bool counted; /* among the connections of its address */
	bool good;    /* logged in, and no offence yet */
};

/*
 * remembered_max: addresses, and VINs, that are remembered.  When there is no room, the address
 * with the smallest penalty that has no connection is forgotten.
 */
int quota_new(size_t remembered_max, struct quota **ret, struct error *err);
void quota_free(struct quota *q); /* NULL-safe */

/* peer: 16 bytes, IPv6 or v4-mapped.  now_ms: monotonic; may step back a little. */

/* A connection came.  False: shed it now. */
bool quota_accept(struct quota *q, const struct config *c, const uint8_t peer[16],
		  struct quota_guest *guest, uint64_t now_ms);
/* It logged in: from now on it speaks for its address. */
void quota_welcome(struct quota *q, const struct config *c, const uint8_t peer[16],
		   struct quota_guest *guest, uint64_t now_ms);
/* It is gone; one that was shed too. */
void quota_closed(struct quota *q, const struct config *c, const uint8_t peer[16],
		  struct quota_guest *guest, uint64_t now_ms);

/*
 * Somebody wants to log in as vin (or platform account).  False: THROTTLED.  A VIN is counted for
 * each address by itself, so that nobody elsewhere can use up the logins of a truck.
 */
bool quota_login(struct quota *q, const struct config *c, const uint8_t peer[16], const char *vin,
		 uint64_t now_ms);

/* What a connection did wrong; weights in quota.c.  Penalties halve every penalty_half_life_s. */
enum quota_offence {
	OFFENCE_BAD_FRAMES,
	OFFENCE_LOGIN_REFUSED,
	OFFENCE_FORGERY,
	OFFENCE_HANDSHAKE,
	OFFENCE_DEADLINE,
	OFFENCE_SLOW,
	OFFENCE_COUNT
};
void quota_offence(struct quota *q, const struct config *c, const uint8_t peer[16],
		   struct quota_guest *guest, enum quota_offence offence, uint64_t now_ms);

/*
 * A frame of size bytes was refused that anybody could have sent.  False: enough of these are kept,
 * so that nobody fills the disk by connecting again and again.  bad_frames_max KiB a minute for an
 * address, and one more for each of its good connections; for all addresses together KEPT_KIB_S.
 */
enum { KEPT_KIB_S = 64 };
bool quota_keep(struct quota *q, const struct config *c, const uint8_t peer[16], size_t size,
		uint64_t now_ms);

/*
 * The frames of one session: a token bucket of rate a second and 10 seconds' burst, inside the
 * session.  Returns 0: go on, or the milliseconds to wait before reading on.  Loop thread.
 */
struct quota_bucket {
	uint64_t at_ms; /* 0: never used, full */
	double left;
};
unsigned quota_take(struct quota_bucket *b, unsigned rate, uint64_t now_ms);

/*
 * How many unauthenticated connections to drop now, oldest first: none up to `limit`, at random
 * with rising probability up to twice of it, all above.  chance: 32 random bits.
 */
unsigned quota_early_drop(unsigned unauthenticated, unsigned limit, uint32_t chance);

#endif
