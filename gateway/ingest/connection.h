/*
 * connection.h - one terminal's connection, from accept to the last close callback.
 *
 * Ownership: connection_accept() allocates; nobody frees.  The connection frees itself when libuv
 * has closed the socket and the pipeline holds no answer for it any more.
 * Loop thread only.
 */
#ifndef GATEWAY_INGEST_CONNECTION_H
#define GATEWAY_INGEST_CONNECTION_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "gateway/ingest/command.h"
#include "gateway/ingest/list.h"
#include "gateway/ingest/quota.h"
#include "gateway/ingest/session.h"
#include "gateway/ingest/stream.h"

struct loop;
struct listener;
struct certificate;

enum connection_state {
	CONNECTION_HANDSHAKE, /* TLS only */
	CONNECTION_GREETING,  /* no vehicle yet */
	CONNECTION_ACTIVE,    /* a vehicle is logged in */
	CONNECTION_LINGERING, /* we said our last word and wait for the peer's close */
	CONNECTION_CLOSING,   /* ends in the free */
	CONNECTION_STATES
};

enum connection_end {
	END_PEER,	/* closed or broken by the other side */
	END_DEADLINE,	/* login, frame or idle */
	END_BAD_FRAMES, /* too many of them in a minute */
	END_TAKEN_OVER, /* the VIN logged in elsewhere */
	END_SLOW,	/* does not read its answers */
	END_TLS,	/* the handshake or a record was wrong */
	END_MEMORY,	/* ours is short */
	END_SHED,	/* more connections than allowed */
	END_THROTTLED,	/* its address asks for too much, or behaved badly */
	END_DROPPED,	/* too many that do not log in, and it is the oldest */
	END_REVOKED,	/* the registry does not let the vehicle in any more */
	END_STOP,	/* we stop */
	END_COUNT
};

/* Word from another thread. */
enum connection_mail {
	MAIL_TAKEN_OVER = 1u << 0, /* the VIN logged in elsewhere */
	MAIL_ORDER = 1u << 1,	   /* a command came for the vehicle: c->command.arrived */
	MAIL_CHANGED = 1u << 2,	   /* the registry says something else of the vehicle */
};

enum { PEER_SIZE = 18, PEER_TEXT_SIZE = 64 };

struct connection {
	uv_tcp_t tcp;
	struct loop *loop;
	const struct stream *stream;
	SSL *ssl;			 /* NULL on a plain connection */
	struct certificate *certificate; /* shown and verified; NULL: none */
	struct list all, wait, partial;
	struct list paused;  /* on loop->paused, loop->stalled or loop->queued */
	struct list mail;    /* on loop->mail, both under loop->mutex */
	unsigned mail_why;   /* enum connection_mail */
	struct list shaking; /* on loop->shaking */
	struct list silent;  /* on loop->silent, since silent_ms */
	struct list slowed;  /* on loop->slowed, until slowed_ms */
	struct list ordered; /* on loop->ordered: a command is in flight */
	uint64_t serial;     /* loop << 48 | count */
	uint64_t wait_ms, partial_ms, slowed_ms, silent_ms;
	/* Bytes of a frame that is not complete, or that waits for a resume; NULL when empty. */
	uint8_t *in;
	uint32_t in_size, in_max;
	uint32_t out_size;     /* handed to libuv, not yet sent */
	uint32_t answers;      /* of ours in the pipeline: they hold a pointer to us */
	uint32_t answers_size; /* bytes of them */
	uint32_t discarded;    /* bytes that came while lingering */
	uint32_t turn;	       /* of the loop, in which it last was heard, */
	uint32_t turn_frames;  /* with so many frames */
	struct session session;
	struct quota_bucket quota;
	struct quota_guest guest; /* how its address is charged for it */
	struct command_slot command;
	struct crypto_job *job;	 /* about the first frame of in; pins c until it is done */
	uint8_t peer[PEER_SIZE]; /* IPv6 or v4-mapped, port; as in the record */
	uint8_t state;		 /* enum connection_state */
	uint8_t end;		 /* enum connection_end, once lingering or closing */
	bool reading;
	bool waits_for_peer; /* stopped reading: the peer does not take its answers */
	uint8_t held;	     /* enum hold: in may hold whole frames that wait */
	bool put_off;	     /* its handshake waits for us, not for the peer */
	bool astray;	     /* sent a frame that is too long, and no sound one since */
	bool eof;	     /* the peer sends no more; it may still want its answers */
	bool closed;	     /* libuv is done with tcp */
};

/* Takes the connection that listener has waiting; sheds it when a bound is reached. */
void connection_accept(struct listener *listener);

/* ---- for the streams ---- */

/* The stream can carry frames now. */
void connection_ready(struct connection *c);
/* Bytes of frames: c may be closed when it returns, but is not freed. */
void connection_input(struct connection *c, const uint8_t *bytes, size_t size);
/* Bytes for the socket; what it does not take is queued. */
void connection_write(struct connection *c, const uint8_t *bytes, size_t size);
/* Nothing more will come: closes as soon as no answer is owed. */
void connection_input_ends(struct connection *c);

/* ---- for session and pipeline ---- */

bool connection_open(const struct connection *c); /* neither lingering nor closing */
void connection_logged_in(struct connection *c);
void connection_logged_out(struct connection *c);
/* One or more whole answers. */
void connection_send(struct connection *c, const uint8_t *bytes, size_t size);
/* Something that may have put a command in flight, or ended one, was done. */
void connection_ordered(struct connection *c);
/* The address of the peer is remembered for what it did. */
/* A stranger begins to be silent, or has said something that is worth waiting for. */
void connection_silent(struct connection *c, bool silent);
void connection_offence(struct connection *c, enum quota_offence offence);
/* The frames that it sent behind this moment wait for ms milliseconds. */
void connection_slow(struct connection *c, unsigned ms);
/*
 * A worker is asked about the frame that is being judged; when it is done the frame is offered
 * again.  The job is the connection's until then, and again until it is taken.
 */
void connection_ask(struct connection *c, struct crypto_job *job);
void connection_job_done(struct connection *c);
/* What was found out about this frame, now the caller's; NULL: nobody was asked. */
struct crypto_job *connection_take_proof(struct connection *c);
void connection_drop_proof(struct connection *c, struct crypto_job *proof); /* NULL-safe */
/* The pipeline let go of answers: c may be freed. */
void connection_unpin(struct connection *c, uint32_t answers, uint32_t size);
const char *connection_peer_text(const struct connection *c, char out[PEER_TEXT_SIZE]);

/*
 * Any thread: from vin_table_visit(), which keeps c alive.  The loop of c goes on with
 * connection_read_mail().
 */
void connection_post(struct connection *c, enum connection_mail what);

/* ---- for the loop ---- */

void connection_read_mail(struct connection *c, unsigned why);
/* Looks at the registry and at the CRLs again; ends the session that may not go on. */
void connection_reconsider(struct connection *c);

/* At once; what is queued is lost.  Idempotent. */
void connection_close(struct connection *c, enum connection_end end);
/* After what is queued was sent; waits a second for the peer to close. */
void connection_finish(struct connection *c, enum connection_end end);
/* What held it is over: goes on where it stopped. */
void connection_resume(struct connection *c);
/*
 * May one more be accepted?  When there are too many that have not logged in, or shaken hands, the
 * oldest are dropped for it; but not before they had time to say something, since in a herd
 * everybody is honest.
 */
bool connection_has_room(struct loop *l, bool tls);
/*
 * Closes those whose time is over, a few at a time; loop->overdue tells that there are more.  Looks
 * at the heads of the loop's lists only.
 */
void connection_close_overdue(struct loop *l);
/* That, and lets those go on whose wait is over. */
void connection_sweep(struct loop *l);

/* ---- between connection.c and connection_io.c ---- */

void connection_read(struct connection *c); /* starts reading, unless something speaks against it */
void connection_hush(struct connection *c); /* stops reading */
/* Something that was owed to the peer is gone: reads again, or ends what was over. */
void connection_written(struct connection *c);
/* A whole frame came: the idle deadline begins anew. */
void connection_alive(struct connection *c);

#endif
