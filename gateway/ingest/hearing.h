/*
 * hearing.h - one frame before the rules: what they have at hand, and the rules themselves.
 * Inside session only: judge.c (read it first), hearing.c, session.c, rule_*.c.
 *
 * A rule may ask a worker (hearing_ask).  Then it returns at once, and the same frame is heard
 * again with the worker's proof; so what a rule changes before it asks must bear being done twice.
 */
#ifndef GATEWAY_INGEST_HEARING_H
#define GATEWAY_INGEST_HEARING_H

#include "gateway/ingest/connection.h"
#include "gateway/ingest/crypto.h"
#include "gateway/ingest/loop.h"

struct hearing {
	struct connection *c;
	const struct frame *f; /* as sent */
	int64_t now;	       /* unix seconds */
	struct report *scratch;
	struct crypto_job *proof; /* of this frame; NULL: no worker was asked yet */
	struct judgement *j;	  /* j->seen is what the rules look at */
	/* Of f->vin, once hearing_identify() was called. */
	bool identified;
	bool owned; /* the count of identity is ours, not the session's */
	enum identity_state known;
	struct identity *identity; /* NULL unless IDENTITY_KNOWN */
};

/* ---- hearing.c ---- */

/* Looks up who f->vin is; the session knows it of its own VIN. */
void hearing_identify(struct hearing *h);

/*
 * May the vehicle be spoken for on this connection?  Where nothing is known of it, because the
 * registry is not loaded, it may: the frames are kept, and the store looks again.
 */
enum verdict connection_admits(const struct connection *c, const char *vin,
			       enum identity_state known, const struct identity *identity);
/* The registered certificate that the peer showed; NULL: none. */
const struct identity_certificate *connection_certificate(const struct connection *c,
							  const struct identity *identity);

/* Neither vehicle nor platform: may not cost us much. */
bool hearing_of_stranger(const struct hearing *h);
/* One of so many logins a minute.  To be asked once a frame. */
bool hearing_may_log_in(const struct hearing *h, const char *name);
/* The layout that the frame's terminal was last seen with. */
enum layout hearing_layout(const struct hearing *h);

/*
 * The frame waits for a worker: ACCEPTED, and h->j->held.  Without memory it is refused in silence,
 * so that the terminal tries again.
 */
enum verdict hearing_ask(struct hearing *h, bool verify);
enum verdict hearing_ask_password(struct hearing *h, const char *login, const char *password);
enum verdict hearing_silence(struct hearing *h);

/*
 * An encrypted unit is opened: h->j->seen becomes the frame with what was inside.  It stays as sent
 * when there are no keys, or it reads as plain.
 */
enum verdict hearing_open(struct hearing *h);
/* The signature of the report in h->scratch, and what the policy makes of it. */
enum verdict hearing_verify(struct hearing *h);

/* ---- session.c ---- */

/* Binds f->vin to the connection.  Of one that is bound: nothing. */
enum verdict session_bind(struct hearing *h);
/* The report in h->scratch has a valid signature by that key; or the session had shown the key
 * before, and its signature is one of those that are not looked at. */
void session_spoke(struct hearing *h, int64_t key);

/* ---- the rules ---- */

typedef enum verdict rule(struct hearing *h);

rule rule_login, rule_report, rule_logout, rule_tamper_alarm; /* rule_vehicle.c */
rule rule_activation;					      /* rule_activation.c */
rule rule_platform_login, rule_platform_logout;		      /* rule_platform.c */

/* rule_platform.c: may the logged-in platform speak for f->vin? */
enum verdict platform_speaks_for(struct hearing *h);
/* May its session go on, now that the account is as in fresh (NULL: gone)? */
bool platform_goes_on(const struct connection *c, const struct identity_platform *fresh);

#endif
