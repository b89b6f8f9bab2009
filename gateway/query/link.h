/*
 * link.h - one connection of the pool; inside pool.c and link.c only.
 */
#ifndef GATEWAY_QUERY_LINK_H
#define GATEWAY_QUERY_LINK_H

#include "gateway/query/pool.h"

#define MS INT64_C(1000000)

/*
 * DOWN -> CONNECTING -> SETUP -> IDLE -> TIMEOUT -> BUSY -> IDLE, from any of them to DOWN.
 * A cancelled job leaves its link without a job until the statement has ended; if the cancel is
 * still on its way then, the link stays PARKED, so that the cancel cannot hit the next statement.
 */
enum link_state {
	LINK_DOWN,	 /* since retry_ns will be tried again */
	LINK_CONNECTING, /* PQconnectPoll */
	LINK_SETUP,	 /* session settings */
	LINK_IDLE,
	LINK_TIMEOUT, /* the session is being set for job: statement_timeout, may it write */
	LINK_BUSY,    /* a statement runs */
	LINK_PARKED,  /* it has ended, its cancel is under way */
};

struct link {
	struct pool *pool;
	enum link_state state;
	PGconn *conn;
	uv_poll_t *watch; /* freed by its close callback */
	int watched;	  /* file descriptor */
	struct job *job;
	PGresult *result;
	unsigned timeout_ms; /* as set in the session */
	bool writes;	     /* as set in the session */
	int64_t deadline_ns; /* of this state; 0 = none */
	int64_t retry_ns;
	unsigned failures;
	bool cancelling; /* a PQcancel is under way in a thread */
};

struct job {
	struct pool *pool;
	struct job *next;  /* in line, or given up */
	struct link *link; /* runs there, or NULL */
	struct job_spec spec;
	const char *values[JOB_VALUES_MAX]; /* spec.values, so that the caller's array may go */
	int64_t deadline_ns;		    /* in line */
	bool retried;
	bool lost; /* with its connection, while it wrote */
};

struct pool {
	uv_loop_t *loop;
	char *conninfo;
	uv_timer_t tick;
	struct job *first, **last; /* in line */
	struct job *given_up;	   /* the next tick tells their owners */
	unsigned waiting, cancels_under_way;
	bool closing, tick_closed;
	uint64_t cancels, reconnects;
	unsigned link_count;
	struct link links[];
};

/* ---- link.c, for pool.c ---- */

void link_connect(struct link *l);
void link_run(struct link *l);	  /* l is idle and l->job is set */
void link_cancel(struct link *l); /* after l->job was taken away */
void link_drop(struct link *l);
void link_lost(struct link *l, const char *reason);

/* ---- pool.c, for link.c ---- */

void pool_serve(struct pool *p); /* gives waiting jobs to idle links */
/* Its connection died, ran: while it ran.  Back in line, or given up. */
void pool_again(struct job *j, bool ran);
void pool_cancel_ended(struct pool *p);
void job_end(struct job *j, enum job_outcome outcome, PGresult *result);

#endif
