/*
 * outbox.h - what a terminal still owes the platform, and what to send next.
 *
 * The rules of a careful terminal: real-time reports (0x02) first; what was made without a
 * connection, or was in flight when it was lost, goes as a supplement (0x03), paced; no answer
 * within 3 s: sent again, after 3 tries the connection is given up.  A parcel is forgotten only
 * when it is certain that the platform has it: its answer came; or, where reports are not answered,
 * a time synchronisation that was sent behind it was answered, and another one SETTLE_MS later on
 * the same connection: the first shows that the platform read it (a stream keeps its order), the
 * second that it lived on long enough to keep it; or 30 s passed without trouble.  Without answers
 * at most UNPROVED_MAX parcels are sent ahead of that proof: a platform that reads a session at its
 * own pace would else answer the synchronisation behind them too late, and all would be sent again.
 *
 * Pure: no sockets and no clock; times are milliseconds of a monotonic clock given by the caller.
 */
#ifndef TOOLS_CLI_FLEETSIM_OUTBOX_H
#define TOOLS_CLI_FLEETSIM_OUTBOX_H

#include "tools/cli/fleetsim/parcel.h"

/* Commands of the vehicle link that proto/wire does not name. */
enum {
	COMMAND_SYNC = 0x05,
	COMMAND_HEARTBEAT = 0x07,
	COMMAND_ACTIVATION = 0x07,
	COMMAND_ACTIVATION_ANSWER = 0x08,
};

enum {
	ANSWER_MS = 3000,
	TRIES = 3,
	REFUSALS = 3,
	PATIENCE_MS = 10000, /* for a key that the platform has just been told */
	REFUSED_PAUSE_MS = 500,
	UNANSWERED_KEPT_MS = 30000,
	SETTLE_MS = 1500,
	UNPROVED_MAX = 512, /* read within TRIES * ANSWER_MS at the gateway's default vin_frames */
	COPIES_MAX = 64,    /* frames in flight; the window is smaller */
	WINDOW_MAX = 32,
};

/* A frame on its way that may be answered. */
struct copy {
	struct parcel *parcel; /* NULL for login, time and the like */
	uint8_t command;
	int64_t at; /* time of its unit, which header P's answer repeats; or WIRE_TIME_NONE */
	int64_t sent_us;
	uint64_t covers; /* of a time synchronisation: everything up to this sent_order */
	bool expired;	 /* no answer in time: its parcel is sent again */
};

struct parcel_list {
	struct parcel *head, **tail;
	uint32_t count;
};

struct outbox {
	/* set by outbox_init */
	bool answered, by_time; /* reports are answered; answers carry the unit's time */
	bool regroups;
	enum layout layout;
	unsigned window; /* reports in flight */
	int64_t pace_ms; /* between supplements */

	struct parcel_list again;	/* to send a second time at once */
	struct parcel_list live;	/* never sent, real-time */
	struct parcel_list late;	/* supplements */
	struct parcel_list kept;	/* sent, of the unanswered kind */
	struct copy copies[COPIES_MAX]; /* in order of sending */
	unsigned count;
	int64_t next_late_ms;
	int64_t patient_until_ms; /* until then a refusal does not count; set by the owner */
	uint64_t read_order; /* the platform has read everything up to here, at read_ms; 0 = unknown
			      */
	int64_t read_ms;
	uint64_t order; /* of what was sent */
	uint64_t regrouped, refused, resent, supplements;
};

/* What the caller should do now. */
enum outbox_advice { OUTBOX_FINE, OUTBOX_RECONNECT };

void outbox_init(struct outbox *o, const struct truck_plan *truck, unsigned window,
		 int64_t pace_ms);
void outbox_release(struct outbox *o);

/* Takes over p.  online: a session stands, so that it may go as a real-time report. */
void outbox_add(struct outbox *o, struct parcel *p, bool online);

/*
 * The next parcel to send and its command; NULL: nothing may be sent now.  The caller sends it at
 * once and calls outbox_sent().
 */
struct parcel *outbox_next(struct outbox *o, int64_t now_ms, uint8_t *ret_command);

/* The frame of p has been handed to the connection.  at: time of its unit. */
void outbox_sent(struct outbox *o, struct parcel *p, uint8_t command, int64_t at, int64_t now_us);

/* A login, time synchronisation, heartbeat or logout that will be answered was sent. */
void outbox_sent_other(struct outbox *o, uint8_t command, int64_t at, int64_t now_us);

/*
 * An answer came.  Returns microseconds since its frame was sent, or -1 when nothing waits for it.
 * success: header P's flag; header V knows no other.
 */
int64_t outbox_answer(struct outbox *o, uint8_t command, int64_t at, bool success, int64_t now_us);

/* Deadlines: queues what must be sent again. */
enum outbox_advice outbox_tick(struct outbox *o, int64_t now_ms);

/* The connection is gone: what was in flight becomes a supplement. */
void outbox_lost(struct outbox *o, int64_t now_ms);

/* Parcels that the platform may not have. */
uint32_t outbox_owed(const struct outbox *o);
/* True when a time synchronisation would help to forget something. */
bool outbox_wants_sync(const struct outbox *o, int64_t now_ms);
/* True while a frame of that command waits for its answer. */
bool outbox_waits(const struct outbox *o, uint8_t command);

#endif
