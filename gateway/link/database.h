/*
 * database.h - one PostgreSQL connection on a libuv loop: statements in a line, notifications.
 *
 * It connects by itself, again after each loss (0.2 to 5 seconds between tries), takes the lock
 * that makes this process the only link service of its gateway, and LISTENs; then it is ready.
 * The loop never waits for the database.
 *
 * One thread, the loop's.  Callbacks come from the loop, never from inside a call.
 */
#ifndef GATEWAY_LINK_DATABASE_H
#define GATEWAY_LINK_DATABASE_H

#include <stdbool.h>

#include <libpq-fe.h>
#include <uv.h>

#include "gateway/base/error.h"

struct database;

struct database_events {
	void (*ready)(void *arg); /* locked, listening: read everything */
	void (*notified)(const char *channel, void *arg);
};

/* result: NULL when the statement failed or the connection was lost, which is logged already. */
typedef void database_done(PGresult *result, void *arg);

enum { DATABASE_VALUES_MAX = 16 };

int database_open(uv_loop_t *loop, const char *conninfo, unsigned gateway_id,
		  const struct database_events *events, void *arg, struct database **ret,
		  struct error *err);
/* No callback comes any more; the loop frees it.  NULL-safe. */
void database_close(struct database *d);

bool database_ready(const struct database *d);

/*
 * One statement of text parameters (copied; NULL is NULL); the result is text, or binary.  False:
 * not ready, or no memory; done is not called then.
 */
bool database_run(struct database *d, const char *sql, int n, const char *const *values,
		  bool binary, database_done *done, void *arg);
/* done of these will not be called. */
void database_forget(struct database *d, const void *arg);

#endif
