/*
 * session.h - what a terminal may do: the rules of login, VIN and command, as verdicts.
 *
 * A session lives inside its connection.  Loop thread only.
 */
#ifndef GATEWAY_INGEST_SESSION_H
#define GATEWAY_INGEST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/ingest/vin_table.h"
#include "proto/wire/unit.h"

struct connection;

struct session {
	struct vin_owner owner;
	char vin[VIN_SIZE + 1];
	bool logged_in;	  /* the VIN is bound to this connection */
	bool hj1239;	  /* seen to speak HJ 1239, whatever its header says */
	uint8_t layout;	  /* enum layout, of its last report */
	uint32_t refused; /* records of refused frames in this minute */
	uint32_t bad;	  /* bad frames in this minute */
	uint32_t minute;  /* of the two counts, monotonic */
};

/* What to do with a frame. */
struct judgement {
	enum verdict verdict;
	unsigned quirks;
	enum layout layout;
	enum protocol protocol; /* refined */
	bool keep;		/* goes into the spool */
	bool reply;		/* gets an answer, where the protocol defines one */
	enum answer answer;
	bool at_once; /* the answer promises nothing, so it waits for no record */
	bool ends;    /* a logout: the session is over */
};

void session_init(struct session *s);

/*
 * Applies the rules to one frame and changes the session by it.  so_far: ACCEPTED or BAD_CHECKSUM.
 */
struct judgement session_judge(struct connection *c, const struct frame *f, enum verdict so_far,
			       struct report *scratch);

/* Takes a frame from the session's share: 0, or the milliseconds until it has one. */
unsigned session_quota(struct connection *c);

/* Counts a bad frame.  False: too many of them in this minute. */
bool session_bad_frame(struct connection *c);

/* The VIN is free for others again.  Nothing happens when nobody is logged in. */
void session_end(struct connection *c);

#endif
