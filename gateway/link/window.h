/*
 * window.h - the frames of one link that the other side has not settled yet, in the order of the
 * spool.
 *
 *   READY --> SENT --> DONE (answered with success)
 *     ^        |
 *     |        +--> WAITING (answered with an error: again after a pause, twice) --> SENT
 *     |        |
 *     +--------+    the connection was lost before an answer came
 *              |
 *              +--> REFUSED (the third error; or others were answered around it on three
 *                   connections, it never; or the peer closes on it) --> DONE, once that is
 *                   written down
 *
 * A peer that closes on one frame would stop all behind it.  When it has closed twice with nothing
 * answered and the same frame the oldest, frames go one at a time, so that a close names its frame:
 * that is a suspect.  It waits until another one was answered on the connection; the third close on
 * it after that refuses it.  A close on one that was not suspected means that it closes on others
 * too: the counts begin again.  A peer that closes on everything therefore refuses nothing.
 *
 * Bounded by frames and bytes; the spool is the queue, this is what is under way.  Pure: no clock,
 * no I/O.  Times are milliseconds of a monotonic clock.
 */
#ifndef GATEWAY_LINK_WINDOW_H
#define GATEWAY_LINK_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/frame.h"

enum { WINDOW_FRAMES = 8192, WINDOW_BYTES = 4 * 1024 * 1024 };
enum { WINDOW_TRIES = 3 };	    /* answers with an error, or connections without an answer */
enum { WINDOW_ONE_BY_ONE = 64 };    /* answers, before many may be under way again */
enum { WINDOW_FLAG_SILENT = 0 };    /* stands in place of an answer's flag: there was none */
enum { WINDOW_FLAG_CLOSES = 0xFE }; /* the same: the peer closes instead; no answer has this flag */

enum window_state { WINDOW_READY, WINDOW_SENT, WINDOW_WAITING, WINDOW_REFUSED, WINDOW_DONE };

struct window_frame {
	uint64_t position, sequence; /* of its record */
	int64_t received_at;	     /* unix seconds */
	uint8_t *bytes;
	size_t size;
	uint64_t order;	 /* of sending, over all connections */
	uint64_t due_ms; /* SENT: when it was sent; WAITING: when to send it again */
	uint8_t state;	 /* enum window_state */
	uint8_t errors, silences, closes;
	uint8_t flag; /* of the last error */
	bool suspect; /* the peer closed while it was under way alone */
	bool told;    /* REFUSED: is being written down */
};

struct window {
	struct window_frame *frames; /* a ring of WINDOW_FRAMES */
	size_t first, count;
	size_t bytes;
	size_t unanswered;  /* SENT */
	size_t ready;	    /* READY */
	uint64_t again_ms;  /* no WAITING one is due before */
	size_t in_flight;   /* bound of unanswered */
	uint64_t order;	    /* last given */
	uint64_t answered;  /* highest order that was answered on this connection */
	uint64_t answer_ms; /* when the last answer came, or the first frame was sent */
	uint64_t stuck;	    /* the oldest's position at a close without any answer; 0: none */
	size_t one_by_one;  /* answers for which frames still go one at a time */
};

bool window_init(struct window *w, size_t in_flight); /* false: no memory */
void window_release(struct window *w);

/* No room for another frame of that size; one frame always has room. */
bool window_full(const struct window *w, size_t size);
/* Copies bytes: a whole frame.  False: no memory, nothing was taken. */
bool window_add(struct window *w, uint64_t position, uint64_t sequence, int64_t received_at,
		const uint8_t *bytes, size_t size);

/* As many are under way as may be. */
bool window_busy(const struct window *w);
/*
 * The frame to send now, or NULL; marks it as sent.  Valid until the next call.  last: there is no
 * other frame to be had, so a suspect may go without one that was answered before it.
 */
struct window_frame *window_send(struct window *w, uint64_t now_ms, bool last);

enum window_answer {
	WINDOW_ANSWER_STRANGE, /* nothing that was sent here fits it */
	WINDOW_ANSWER_SUCCESS,
	WINDOW_ANSWER_AGAIN,   /* an error; it is sent again */
	WINDOW_ANSWER_REFUSED, /* an error, the last one */
};
/*
 * Settles the oldest unanswered frame with this VIN, command and time of unit; an answer without a
 * time settles the oldest with this VIN and command.
 */
enum window_answer window_answer(struct window *w, const struct frame *answer, uint64_t now_ms);

/*
 * No answer at all for so long although one is owed, or three times as long for one frame: the
 * connection is to be made anew.
 */
bool window_overdue(const struct window *w, uint64_t now_ms, uint64_t answer_ms);

/* The peer has closed; before window_disconnected().  Returns how many it refused. */
size_t window_closed(struct window *w);
/* The connection is gone: all that is unanswered will be sent again.  Returns how many refused. */
size_t window_disconnected(struct window *w);

/*
 * Takes what is settled off the front.  From then on everything before *position is settled;
 * sequence is that of the last record before it.  Both are left alone when nothing waits: then
 * everything that was read is settled.
 */
void window_settle(struct window *w, uint64_t *position, uint64_t *sequence);

/* The next refused frame behind *index (start with 0) that is not being written down; NULL: none.
 */
struct window_frame *window_refused(struct window *w, size_t *index);
/* What window_refused() gave and was told is written down, or was not. */
void window_told(struct window *w, bool written);

#endif
