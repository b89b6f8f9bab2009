/*
 * link.h - one link: it keeps itself logged in to another platform, and forwards what the spool
 * holds from its own position on.
 *
 *   WAITING --> CONNECTING --> LOGIN --> ACTIVE --> LEAVING --> CLOSED (the last word is written)
 *      ^            |            |         |
 *      +------------+------------+---------+   lost, refused or silent: after a pause
 *
 * Loss (no connection, closed, garbage, an answer that does not come): 1 s, 2 s, 4 s ..
 * retry_max_s, half to whole of it by chance.  A login that is refused or not answered:
 * login_retry_s, after each third one login_pause_s (GB/T 32960), and up to a tenth more by chance.
 *
 * Promise: position moves over a frame only when the other side has answered it with success, or
 * its refusal stands in platform_link_refused.  What the spool no longer has is counted and told.
 *
 * link.c: states; talk.c: login and answers; forward.c: from the spool to the socket; progress.c:
 * what the database knows of it.  One thread, the loop's.
 */
#ifndef GATEWAY_LINK_LINK_H
#define GATEWAY_LINK_LINK_H

#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/metrics.h"
#include "gateway/link/database.h"
#include "gateway/link/outgoing.h"
#include "gateway/link/peer.h"
#include "gateway/link/selection.h"
#include "gateway/link/window.h"
#include "gateway/spool/spool.h"

struct link;

/* What the links of the process share. */
struct link_host {
	uv_loop_t *loop;
	const struct config *config;
	struct database *database;
	struct metrics_thread *metrics;
	struct places places;
	uint64_t stored; /* position of the gateway's store: nothing behind it leaves */
	struct report *scratch;
	uint8_t *out;				 /* LINK_OUT_SIZE bytes, for one turn of one link */
	void (*gone)(struct link *l, void *arg); /* it is freed after this */
	void *arg;
};
enum { LINK_OUT_SIZE = 256 * 1024 };

/* A row of platform_link, and where platform_link_position says that it stands. */
struct link_row {
	int32_t id;
	uint32_t version; /* xmin: another one after each change */
	char name[64];
	char address[300];
	bool tls;
	char tls_ca[1024];
	uint8_t start;
	char platform_code[VIN_SIZE + 1];
	char login[13];
	char password_file[1024];
	struct selection selection;
	size_t not_from_count;
	int64_t *not_from; /* ids of platforms */
	size_t in_flight;
	uint64_t position, sequence;
	int64_t forwarded, refused, missing;
	char login_day[11]; /* 2026-11-23, "": none */
	int login_serial;
};
void link_row_release(struct link_row *r);

enum link_state {
	LINK_WAITING,
	LINK_CONNECTING,
	LINK_LOGIN,
	LINK_ACTIVE,
	LINK_LEAVING,
	LINK_CLOSED,
	LINK_STATES
};

enum { LINK_MESSAGE_SIZE = 400, LINK_IN_SIZE = 8192 };

/* What the database is told.  connected_since: unix seconds, 0: not connected. */
struct link_progress {
	uint64_t position, sequence;
	int64_t forwarded, refused, missing, connected_since;
	int login_serial;
	char message[LINK_MESSAGE_SIZE];
};

struct link {
	struct link *next; /* the host's list */
	struct link_host *host;
	struct link_row row;
	enum link_state state;
	uint64_t deadline_ms; /* of the state; 0: none */
	uv_timer_t turn;      /* goes on forwarding in the next turn of the loop */

	struct peer *peer;
	uint8_t in[LINK_IN_SIZE];
	size_t in_used, noise;
	uint64_t active_ms, last_sent_ms;
	unsigned failures, login_failures;
	unsigned barren; /* connections in a row that took frames and answered none of them */
	char reason[LINK_MESSAGE_SIZE]; /* of the last failure that was logged */
	uint64_t reason_ms;

	struct window window;
	struct spool_reader *reader; /* NULL: to be opened at progress.position */
	uint64_t read_position, read_sequence;
	uint64_t reader_retry_ms;
	uint64_t starved_ms; /* since when the spool has nothing where the store has been; 0: it
				has */
	uint64_t gap_ms;     /* since when segments are away at read_position; 0: they are not */

	struct link_progress progress, saved;
	bool saving, saving_failed;
	struct link_progress in_save;
	uint64_t next_save_ms;
};

/* Takes the row's memory over, also when it fails.  NULL: no memory. */
struct link *link_new(struct link_host *host, struct link_row *row);
/* Logs out, writes down where it stands, and goes: host->gone is called, maybe from inside. */
void link_leave(struct link *l);
/* Goes at once; the connection is cut, nothing is written down. */
void link_drop(struct link *l);
/* Several times a second. */
void link_tick(struct link *l);
/* The operator has changed something: try now, whatever was waited for. */
void link_retry_now(struct link *l);
/* host->stored has moved. */
void link_stored(struct link *l);

/* ---- between link.c, talk.c, forward.c and progress.c ---- */

/* Gives up the connection; it is tried again later. */
void link_lost(struct link *l, const char *reason);
/* The same, and it was the other side that ended it. */
void link_closed_by_peer(struct link *l, const char *reason);
void link_login_refused(struct link *l, const char *reason);
void link_logging_in(struct link *l);
void link_logged_in(struct link *l);
void link_frame_answered(struct link *l); /* whatever the answer was */
void link_close(struct link *l);	  /* on purpose: only the database has to be told */

/* For the message column; complain: into the log too, the same thing once an hour. */
void link_say(struct link *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void link_complain(struct link *l, uint64_t pause_ms, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

extern const struct peer_events talk_events;
struct outgoing_login talk_identity(const struct link *l); /* without the password */

/* Sends what may be sent now. */
void forward_pump(struct link *l);
/* Reads one record ahead, so that it is known from which one on records would be missing. */
void forward_learn(struct link *l);

/* Where it stands, as of now. */
void progress_update(struct link *l);
/* Writes it down if it is time, or at once.  True: nothing is left to write. */
bool progress_save(struct link *l, bool at_once);
/* One more login today. */
uint16_t progress_login_serial(struct link *l, int64_t now);

#endif
