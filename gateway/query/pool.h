/*
 * pool.h - a fixed number of PostgreSQL connections on a libuv loop.
 *
 * A job is one statement with parameters and one result that fits into memory.  Jobs wait in
 * line (bounded in number and time) for a connection.  One that reads and whose connection died is
 * tried once more on another one: a restart of the database costs its clients a pause.  One that
 * writes is not, once it may have begun.  Connections that broke come back by themselves.
 *
 * One thread: the loop's.  Callbacks run from the loop, never from inside pool_submit().
 */
#ifndef GATEWAY_QUERY_POOL_H
#define GATEWAY_QUERY_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>
#include <uv.h>

#include "gateway/base/error.h"

struct pool;
struct job;

enum job_outcome {
	JOB_DONE,	 /* result holds the rows */
	JOB_REFUSED,	 /* result holds PostgreSQL's error */
	JOB_BUSY,	 /* no connection became free in time; result is NULL */
	JOB_UNAVAILABLE, /* the database does not answer; result is NULL */
	JOB_UNKNOWN,	 /* the connection died while it wrote; result is NULL */
};

/* result: the callee's, PQclear() it.  The job is gone when this is called. */
typedef void (*job_cb)(enum job_outcome outcome, PGresult *result, void *arg);

enum { JOB_VALUES_MAX = 16 };

struct job_spec {
	const char *sql;
	int value_count;
	const char *const *values; /* texts or NULL; the texts must live until the job ends or is
				      cancelled */
	bool binary;		   /* format of the result */
	bool writes;
	unsigned timeout_ms; /* statement_timeout */
	job_cb done;
	void *arg;
};

int pool_new(uv_loop_t *loop, const char *conninfo, unsigned connections, struct pool **ret,
	     struct error *err);

/*
 * Ends every connection without calling callbacks; jobs must have been cancelled.  The memory is
 * released once the loop has closed the handles: run the loop until it ends.
 */
void pool_close(struct pool *p);

/* NULL when too many wait already, or no memory is left. */
struct job *pool_submit(struct pool *p, const struct job_spec *spec);

/* The callback will not be called any more; a statement that runs already is cancelled. */
void job_cancel(struct job *j);

struct pool_state {
	unsigned connections, up, busy, waiting;
	uint64_t cancels, reconnects;
};
void pool_state(const struct pool *p, struct pool_state *ret);

#endif
