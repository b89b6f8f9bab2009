/*
 * database.h - the identity thread's connection: connect, ask, hear.
 *
 * Every wait is a poll() that looks at *stopping, and no answer takes longer than its limit: a
 * server that is gone without a word cannot hold the thread.
 */
#ifndef GATEWAY_IDENTITY_DATABASE_H
#define GATEWAY_IDENTITY_DATABASE_H

#include <libpq-fe.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/error.h"

struct database {
	PGconn *conn; /* NULL: not connected */
	const atomic_bool *stopping;
};

int database_connect(struct database *d, const char *conninfo, struct error *err);
void database_disconnect(struct database *d);

/* Statements without parameters and rows.  After a failure the connection is to be given up. */
int database_command(struct database *d, const char *sql, struct error *err);
/* One statement; text NULL: without a parameter.  The result is binary; the caller clears it. */
PGresult *database_query(struct database *d, const char *sql, const char *text, struct error *err);
/* Takes in what came without being asked for.  Then PQnotifies() has it. */
int database_listen(struct database *d, struct error *err);

/* ---- values; NULL is 0, "" and no bytes ---- */

int64_t value_int(const PGresult *r, int row, int column); /* smallint, integer, bigint */
bool value_bool(const PGresult *r, int row, int column);
double value_real(const PGresult *r, int row, int column);
/* Cut to fit. */
void value_text(const PGresult *r, int row, int column, char *out, size_t size);
const char *value_word(const PGresult *r, int row, int column); /* as long as the result */
const uint8_t *value_bytes(const PGresult *r, int row, int column, size_t *ret_size);
/* timestamptz in unix seconds, rounded down; otherwise: for NULL. */
int64_t value_time(const PGresult *r, int row, int column, int64_t otherwise);

#endif
