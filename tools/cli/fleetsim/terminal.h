/*
 * terminal.h - one truck's terminal: source, outbox and connection, as a state machine.
 *
 *   OFFLINE -> CONNECTING (-> ACTIVATING) -> GREETING -> ONLINE -> LEAVING -> DONE
 *      ^____________|____________|_________|          |  (a logout without more to come, or a rest:
 * OFFLINE)
 *
 * Loop thread only.
 */
#ifndef TOOLS_CLI_FLEETSIM_TERMINAL_H
#define TOOLS_CLI_FLEETSIM_TERMINAL_H

#include "tools/cli/fleetsim/inbox.h"
#include "tools/cli/fleetsim/link.h"
#include "tools/cli/fleetsim/obey.h"
#include "tools/cli/fleetsim/outbox.h"
#include "tools/cli/fleetsim/tally.h"

struct platform;

/* What all terminals of a run share.  Times of the drive are microseconds of simulated time since
 * the unix epoch. */
struct terminal_shared {
	uv_loop_t *loop;
	const struct fleet_plan *plan;
	struct tally *tally;
	struct sockaddr_storage tcp, tls;
	SSL_CTX *tls_context;
	struct platform *platform; /* whose connection some trucks report over, or NULL */
	struct trust_gateway gateway;
	const char *keys;	  /* folder of the trucks' keys, or NULL */
	const char *certificates; /* folder of VIN.crt and VIN.key for TLS, or NULL */
	bool cuts;		  /* streams are cut in all ways; else frames stay whole */
	unsigned window;	  /* reports in flight, 0 = as the dialect wants it */
	double speed;
	int64_t now_us;		  /* monotonic */
	int64_t drive_us;	  /* simulated */
	int64_t connects_allowed; /* until the next tick */
	int64_t owed;		  /* parcels of all terminals */
	bool ending;		  /* nothing more is made */
};

enum terminal_state {
	TERMINAL_OFFLINE,
	TERMINAL_CONNECTING,
	TERMINAL_ACTIVATING, /* the chip's key was sent; its answer is awaited */
	TERMINAL_GREETING,
	TERMINAL_ONLINE,
	TERMINAL_LEAVING,
	TERMINAL_DONE, /* everything made is with the platform, and good-bye is said */
	TERMINAL_STATE_COUNT
};

struct terminal {
	struct terminal_shared *shared;
	struct truck_plan plan;
	struct source source;
	struct moment moment;	       /* made, and not yet due */
	bool moment_made, moved, over; /* over: the source has ended */
	struct parcel *filling;
	struct outbox outbox;
	struct prng chance;
	struct trust trust;
	struct obedience *obedience; /* NULL: no order came yet */
	bool activated;		     /* the platform said so, in this run */
	int64_t activation_us;
	struct link *link; /* its own, or of plan.platform trucks the platform's */
	enum terminal_state state;
	int64_t since_us; /* of the state */
	int64_t next_connect_us;
	int64_t next_sync_us;
	unsigned failures; /* in a row */
	bool was_online, resting;
	bool whole;	     /* frames are not held back: the time to their answers counts */
	int64_t off_seconds; /* of the engine, so far */
	int64_t dead_from, dead_until; /* simulated seconds */
	uint16_t login_serial, serial;
	struct inbox inbox;
	uint32_t owed_before;
	/* for the report */
	uint64_t seconds, blocks, moments, hash;
	int64_t first, last;
};

/* Every few milliseconds: makes what is due, keeps the connection, sends. */
void terminal_tick(struct terminal *t);

/* Connects already, so that the drive starts with a session. */
void terminal_early(struct terminal *t);

/* Its connection ends, or is left to the platform that it belongs to; nobody is told. */
void terminal_hang_up(struct terminal *t);

/* ---- of a truck on the platform's connection ---- */

/* A frame for it came. */
void terminal_hear(struct terminal *t, const struct frame *f);
/* The connection is gone. */
void terminal_cut_off(struct terminal *t);

/* ---- terminal_make.c ---- */

int terminal_init(struct terminal *t, struct terminal_shared *shared, unsigned index,
		  enum kind kind, struct error *err);
void terminal_release(struct terminal *t);

/* Makes what is due, up to the present second of the drive. */
void terminal_make(struct terminal *t);
/* The connection shows the truck's certificate, where there are any. */
void terminal_certify(struct terminal *t);
int terminal_check_certificate(const struct terminal *t, struct error *err);
void terminal_plan_dead_zone(struct terminal *t, int64_t after);
bool terminal_in_dead_zone(struct terminal *t);

#endif
