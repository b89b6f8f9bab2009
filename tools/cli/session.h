/*
 * session.h - a person changes the registry: one connection, one transaction, and in it the line
 * of audit_log that says who did what.
 *
 * The actor is set as haulgate.actor of the transaction, so that the triggers of registry_history
 * name him too.  One thread.
 */
#ifndef TOOLS_CLI_SESSION_H
#define TOOLS_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "gateway/base/error.h"

struct session {
	PGconn *conn;
	char actor[64];
	bool open; /* a transaction */
};

/*
 * conninfo: NULL or "" for the PG* environment; one with a password is refused, since everybody
 * can read arguments.  actor: NULL or "" for the login name.
 */
int session_open(struct session *s, const char *program, const char *conninfo, const char *actor,
		 struct error *err);
void session_close(struct session *s); /* rolls back what is open */

int session_begin(struct session *s, struct error *err);
/* ERROR_CLOSED: nobody knows whether it was done.  Any other failure: it was not. */
int session_commit(struct session *s, struct error *err);

/*
 * One statement.  sizes: NULL when all values are texts; else a value with a size other than 0 is
 * that many bytes.  ret may be NULL.  what: what was to be done, for the message.
 */
int session_run(struct session *s, const char *what, const char *sql, int n,
		const char *const *values, const int *sizes, PGresult **ret, struct error *err);

/* The line of audit_log.  Takes detail over; it holds no secret. */
int session_audit(struct session *s, const char *action, const char *subject, json_t *detail,
		  struct error *err);

/* A value of a result; NULL when it is NULL. */
const char *session_value(const PGresult *result, int row, int column);

/* The id of a registered vehicle.  ERROR_NOT_FOUND with what to do about it. */
int session_vehicle(struct session *s, const char *vin, int64_t *ret, struct error *err);

#endif
