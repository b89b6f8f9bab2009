/*
 * session.h - what a terminal or a platform may do: the rules of login, VIN, credential and
 * command, as verdicts.
 *
 * A session lives inside its connection.  Loop thread only.
 */
#ifndef GATEWAY_INGEST_SESSION_H
#define GATEWAY_INGEST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/identity/identity.h"
#include "gateway/ingest/vin_table.h"
#include "proto/wire/unit.h"

struct connection;
struct crypto_job;

struct session {
	struct vin_owner owner;
	char vin[VIN_SIZE + 1];
	bool logged_in; /* the VIN is bound to this connection */
	/*
	 * Somebody else holds the VIN and has proved himself by a key: the login counts when a
	 * report of this connection proves the same.
	 */
	bool contends;
	bool certified;	  /* it showed a certificate of this VIN that a CA vouches for */
	bool hj1239;	  /* seen to speak HJ 1239, whatever its header says */
	uint8_t layout;	  /* enum layout, of its last report */
	uint32_t refused; /* records of refused frames in this minute */
	uint32_t bad;	  /* bad frames in this minute */
	uint32_t minute;  /* of the two counts, monotonic */

	/* Of the login frame, so that a command can be framed alike. */
	uint8_t start;
	enum header header;
	uint8_t software_version;

	struct identity *identity; /* of the bound VIN; NULL: not registered, or nobody knows */
	enum identity_state known; /* which of the two */
	int64_t certificate;	   /* id of the registered one that it showed; 0: none */
	/*
	 * Ids of keys; 0: none yet.  shown: of its last fresh signature, which keeps those out who
	 * have shown nothing.  key: the same, when no report that is as young was ever proved for
	 * the VIN, so that it cannot have been recorded; only that takes a VIN over, and is spared.
	 */
	int64_t shown, key;

	struct identity_platform *platform; /* logged in: its frames carry VINs of its own */
};

/* What to do with a frame. */
struct judgement {
	bool held;	   /* a worker was asked: nothing else is said yet */
	struct frame seen; /* as the rules saw it: opened, when it was encrypted */
	enum verdict verdict;
	unsigned quirks;
	enum layout layout;
	enum protocol protocol; /* refined */
	bool keep;		/* goes into the spool */
	bool reply;		/* gets an answer, where the protocol defines one */
	enum answer answer;
	bool at_once; /* the answer promises nothing, so it waits for no record */
	bool ends;    /* a logout: the session is over */
	bool bad;     /* too many of these end the connection */

	/* What was proved, for the record. */
	bool opened; /* seen.unit is what was inside */
	uint64_t cipher_key;
	enum signature_check signature;
	uint64_t signature_key;
	enum signature_user signature_user;
	uint64_t credential;
};

void session_init(struct session *s);

/*
 * Applies the rules to one frame and changes the session by it.  so_far: ACCEPTED or BAD_CHECKSUM.
 * proof: what a worker found out about this frame, when it was asked; the judgement points into it.
 */
struct judgement session_judge(struct connection *c, const struct frame *f, enum verdict so_far,
			       struct crypto_job *proof, struct report *scratch);

/* Takes a frame from the session's share: 0, or the milliseconds until it has one. */
unsigned session_quota(struct connection *c);

/* Counts a bad frame.  False: too many of them in this minute. */
bool session_bad_frame(struct connection *c);

/* The registry changed.  False: the session may not go on. */
bool session_reconsider(struct connection *c);

/* The VIN is free for others again, or the platform logged out.  Without a session: nothing. */
void session_end(struct connection *c);

#endif
