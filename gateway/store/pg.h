/*
 * pg.h - libpq with what the store needs: errors as classes, binary parameters, binary COPY.
 *
 * Every wait is a poll() that also watches a deadline, so that a server that stopped answering
 * cannot hold the store thread when the gateway is to end.  One thread.
 */
#ifndef GATEWAY_STORE_PG_H
#define GATEWAY_STORE_PG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "gateway/base/error.h"

/* What to do about a failure; docs/store.md has the SQLSTATEs of each. */
enum pg_failure {
	PG_FINE,
	PG_LOST,      /* the connection is gone or unfit: reconnect */
	PG_AGAIN,     /* somebody was in the way: the same transaction again, a little later */
	PG_DUPLICATE, /* 23505 */
	PG_DATA,      /* the server refuses a value: some record of the batch */
	PG_REFUSED,   /* nothing we can do: rights, schema, disk; an operator has to look */
};

struct pg {
	PGconn *conn;
	enum pg_failure failure; /* of the last call */
	char sqlstate[6];
	char message[300];
	const _Atomic int64_t *deadline_ns; /* monotonic; no wait goes past it */
	uint64_t prepared;		    /* bit n: statement n is known to this connection */
};

/* Every statement that the store prepares; texts in sql.c. */
enum sql {
	SQL_SETTINGS,
	SQL_SCHEMA,
	SQL_LOCK,
	SQL_MAKE_PARTITIONS,
	SQL_DIVISIONS,
	SQL_ROUTES,
	SQL_RULES,
	SQL_VEHICLES,
	SQL_VEHICLE_INSERT,
	SQL_VEHICLES_BY_VIN,
	SQL_POSITION_READ,
	SQL_POSITION_INSERT,
	SQL_POSITION_MOVE,
	SQL_STAGE_MOVE,
	SQL_STAGE_MOVE_CLOCK,
	SQL_DAY_ROWS,
	SQL_DAY_FINDINGS,
	SQL_OBD,
	SQL_TERMINAL,
	SQL_EVENT,
	SQL_ACTIVATION,
	SQL_REPLAY,
	SQL_PLATFORM_DAY,
	SQL_PLATFORM_SERIAL,
	SQL_QUARANTINE,
	SQL_QUARANTINED,
	SQL_FINDING_SUPERSEDE,
	SQL_FINDING_UPDATE,
	SQL_FINDING_INSERT,
	SQL_EVIDENCE_FRAMES,
	SQL_EVIDENCE_INSERT,
	SQL_FINDING_SIGNATURES,
	SQL_SIGNATURE_DOUBTED,
	SQL_DAY_FOREIGN,
	SQL_DAY_UPSERT,
	SQL_DAY_ADOPT,
	SQL_PASSAGE_DELETE,
	SQL_PASSAGE_INSERT,
	SQL_SNAPSHOT_UPSERT,
	SQL_SNAPSHOT_DELETE,
	SQL_SNAPSHOTS,
	SQL_COUNT
};
extern const char *const sql_text[SQL_COUNT];
extern const char sql_copy_track[], sql_copy_stage[], sql_make_stage[];

/* Parameters of one execution.  They point into buffers of the caller. */
enum { PARAMS_MAX = 24 };
struct params {
	int n;
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX];
	uint8_t scalars[PARAMS_MAX][8];
};

int pg_connect(struct pg *pg, const char *conninfo);
void pg_disconnect(struct pg *pg);

/* Plain SQL without parameters and rows: BEGIN, COMMIT, SET. */
int pg_command(struct pg *pg, const char *sql);

/* Ends a failed transaction, also in the middle of a COPY.  Keeps the failure that stands in pg. */
void pg_rollback(struct pg *pg);

/*
 * Runs a statement; all values and results are binary.  NULL after a failure, which stands in pg;
 * else the caller clears the result.  p may be NULL.
 */
PGresult *pg_run(struct pg *pg, enum sql sql, const struct params *p);

/* As pg_run, when only the number of rows matters.  Returns it, or -1. */
long pg_rows(struct pg *pg, enum sql sql, const struct params *p);

/*
 * A result row by row: pg_stream starts, pg_next gives one row each (caller clears it), then NULL
 * with pg->failure == PG_FINE at the end.  Nothing else may run in between.
 */
int pg_stream(struct pg *pg, enum sql sql, const struct params *p);
PGresult *pg_next(struct pg *pg);

/* COPY ... FROM STDIN (binary).  bytes: tuples as struct buffer writes them. */
int pg_copy_start(struct pg *pg, const char *sql);
int pg_copy_bytes(struct pg *pg, const uint8_t *bytes, size_t size);
int pg_copy_end(struct pg *pg);

/* A failure that we found out ourselves. */
int pg_fail(struct pg *pg, enum pg_failure failure, const char *sqlstate, const char *message);

/* ---- values ---- */

enum { PG_EPOCH = 946684800, PG_EPOCH_DAY = 10957 }; /* 2000-01-01 */

void param_i32(struct params *p, int32_t value);
void param_i64(struct params *p, int64_t value);
void param_i16(struct params *p, int16_t value);
void param_bool(struct params *p, bool value);
void param_text(struct params *p, const char *text);
void param_time(struct params *p, int64_t unix_s);

bool result_null(const PGresult *r, int row, int column);
int16_t result_i16(const PGresult *r, int row, int column);
int32_t result_i32(const PGresult *r, int row, int column);
int64_t result_i64(const PGresult *r, int row, int column);
float result_f32(const PGresult *r, int row, int column);
const uint8_t *result_bytes(const PGresult *r, int row, int column, size_t *ret_size);
int64_t result_time_ns(const PGresult *r, int row, int column); /* unix nanoseconds */

#endif
