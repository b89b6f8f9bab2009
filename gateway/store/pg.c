#include "gateway/store/pg.h"

#include <assert.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"

enum { POLL_MS = 100, CONNECT_S = 20, SILENCE_S = 600 };

int pg_fail(struct pg *pg, enum pg_failure failure, const char *sqlstate, const char *message)
{
	pg->failure = failure;
	snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate);
	snprintf(pg->message, sizeof(pg->message), "%s", message);
	pg->message[strcspn(pg->message, "\n")] = '\0';
	return -1;
}

/* Longest match wins; the empty prefix is everything else. */
static const struct {
	const char *prefix;
	enum pg_failure failure;
} classes[] = {
	{ "", PG_REFUSED }, { "08", PG_LOST },	{ "57P0", PG_LOST },	   { "57014", PG_AGAIN },
	{ "53", PG_LOST },  { "40", PG_AGAIN }, { "55P03", PG_AGAIN },	   { "25006", PG_LOST },
	{ "22", PG_DATA },  { "23", PG_DATA },	{ "23505", PG_DUPLICATE }, { "54", PG_DATA },
	{ "58", PG_LOST },
};

static enum pg_failure failure_class(const char *sqlstate)
{
	size_t best = 0;

	for (size_t i = 1; i < sizeof(classes) / sizeof(classes[0]); i++) {
		const size_t size = strlen(classes[i].prefix);

		if (strncmp(sqlstate, classes[i].prefix, size) == 0 &&
		    size > strlen(classes[best].prefix))
			best = i;
	}
	return classes[best].failure;
}

static int fail_connection(struct pg *pg)
{
	const char *message = PQerrorMessage(pg->conn);

	return pg_fail(pg, PG_LOST, "08000", message[0] != '\0' ? message : "connection lost");
}

static int fail_result(struct pg *pg, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (state == NULL || PQstatus(pg->conn) != CONNECTION_OK)
		return fail_connection(pg);
	return pg_fail(pg, failure_class(state), state, primary != NULL ? primary : "");
}

/* Waits for the socket.  0 something happened, -1 time is over. */
static int wait_socket(struct pg *pg, short events, int64_t limit_ns)
{
	for (;;) {
		struct pollfd fd = { .fd = PQsocket(pg->conn), .events = events };
		const int64_t now = clock_mono_ns();

		if (now > limit_ns || now > atomic_load(pg->deadline_ns))
			return pg_fail(pg, PG_LOST, "08006",
				       "no answer within the time that was left");
		if (poll(&fd, 1, POLL_MS) != 0)
			return 0;
	}
}

static int64_t limit_after(int seconds)
{
	return clock_mono_ns() + seconds * INT64_C(1000000000);
}

int pg_connect(struct pg *pg, const char *conninfo)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	const int64_t limit = limit_after(CONNECT_S);

	pg_disconnect(pg);
	pg->conn = PQconnectStart(conninfo);
	if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD)
		return fail_connection(pg);
	while (state != PGRES_POLLING_OK) {
		if (wait_socket(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, limit) < 0)
			return -1;
		state = PQconnectPoll(pg->conn);
		if (state == PGRES_POLLING_FAILED)
			return fail_connection(pg);
	}
	if (PQsetnonblocking(pg->conn, 1) != 0)
		return fail_connection(pg);
	pg->failure = PG_FINE;
	return 0;
}

void pg_disconnect(struct pg *pg)
{
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->prepared = 0;
}

static int flush(struct pg *pg)
{
	const int64_t limit = limit_after(SILENCE_S);
	int rc;

	while ((rc = PQflush(pg->conn)) == 1) {
		if (wait_socket(pg, POLLIN | POLLOUT, limit) < 0)
			return -1;
		if (PQconsumeInput(pg->conn) != 1)
			return fail_connection(pg);
	}
	return rc == 0 ? 0 : fail_connection(pg);
}

/* The next result of what was sent; NULL at its end or after a failure. */
static PGresult *next_result(struct pg *pg)
{
	const int64_t limit = limit_after(SILENCE_S);

	while (PQisBusy(pg->conn)) {
		if (wait_socket(pg, POLLIN, limit) < 0)
			return NULL;
		if (PQconsumeInput(pg->conn) != 1) {
			fail_connection(pg);
			return NULL;
		}
	}
	return PQgetResult(pg->conn);
}

/* The last result; errors are filed in pg, and everything that was sent is read to its end. */
static PGresult *finish(struct pg *pg)
{
	PGresult *r, *last = NULL;

	while ((r = next_result(pg)) != NULL) {
		const ExecStatusType status = PQresultStatus(r);

		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
		    pg->failure == PG_FINE)
			fail_result(pg, r);
		PQclear(last);
		last = r;
		if (status == PGRES_COPY_IN || PQstatus(pg->conn) != CONNECTION_OK)
			break;
	}
	if (pg->failure == PG_FINE && last == NULL)
		fail_connection(pg);
	if (pg->failure == PG_FINE)
		return last;
	PQclear(last);
	return NULL;
}

static int begin(struct pg *pg)
{
	if (pg->conn == NULL)
		return pg_fail(pg, PG_LOST, "08003", "not connected");
	pg->failure = PG_FINE;
	pg->sqlstate[0] = pg->message[0] = '\0';
	return 0;
}

int pg_command(struct pg *pg, const char *sql)
{
	PGresult *r;

	if (begin(pg) < 0)
		return -1;
	if (PQsendQuery(pg->conn, sql) != 1)
		return fail_connection(pg);
	if (flush(pg) < 0)
		return -1;
	r = finish(pg);
	PQclear(r);
	return r != NULL ? 0 : -1;
}

static int send_prepared(struct pg *pg, enum sql sql, const struct params *p)
{
	static const struct params none;
	int formats[PARAMS_MAX];
	char name[16];

	static_assert(SQL_COUNT <= 64, "pg->prepared has a bit for each statement");
	if (begin(pg) < 0)
		return -1;
	if (p == NULL)
		p = &none;
	for (int i = 0; i < p->n; i++)
		formats[i] = 1;
	snprintf(name, sizeof(name), "s%d", (int)sql);
	if ((pg->prepared >> sql & 1) == 0) {
		PGresult *r;

		if (PQsendPrepare(pg->conn, name, sql_text[sql], 0, NULL) != 1)
			return fail_connection(pg);
		if (flush(pg) < 0 || (r = finish(pg)) == NULL)
			return -1;
		PQclear(r);
		pg->prepared |= UINT64_C(1) << sql;
	}
	if (PQsendQueryPrepared(pg->conn, name, p->n, p->values, p->lengths, formats, 1) != 1)
		return fail_connection(pg);
	return flush(pg);
}

PGresult *pg_run(struct pg *pg, enum sql sql, const struct params *p)
{
	return send_prepared(pg, sql, p) < 0 ? NULL : finish(pg);
}

long pg_rows(struct pg *pg, enum sql sql, const struct params *p)
{
	PGresult *r = pg_run(pg, sql, p);
	long n = -1;

	if (r != NULL && sscanf(PQcmdTuples(r), "%ld", &n) != 1)
		n = 0;
	PQclear(r);
	return n;
}

int pg_stream(struct pg *pg, enum sql sql, const struct params *p)
{
	if (send_prepared(pg, sql, p) < 0)
		return -1;
	return PQsetSingleRowMode(pg->conn) == 1 ? 0 : fail_connection(pg);
}

PGresult *pg_next(struct pg *pg)
{
	PGresult *r = next_result(pg);

	if (r != NULL && PQresultStatus(r) == PGRES_SINGLE_TUPLE)
		return r;
	if (r != NULL && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_result(pg, r);
	PQclear(r);
	while (PQstatus(pg->conn) == CONNECTION_OK && (r = next_result(pg)) != NULL)
		PQclear(r);
	return NULL;
}

/* ---- COPY ---- */

int pg_copy_start(struct pg *pg, const char *sql)
{
	static const uint8_t head[19] = "PGCOPY\n\377\r\n";
	PGresult *r;

	if (begin(pg) < 0)
		return -1;
	if (PQsendQuery(pg->conn, sql) != 1)
		return fail_connection(pg);
	if (flush(pg) < 0 || (r = next_result(pg)) == NULL)
		return pg->failure != PG_FINE ? -1 : fail_connection(pg);
	if (PQresultStatus(r) != PGRES_COPY_IN) {
		fail_result(pg, r);
		PQclear(r);
		PQclear(finish(pg));
		return -1;
	}
	PQclear(r);
	return pg_copy_bytes(pg, head, sizeof(head));
}

int pg_copy_bytes(struct pg *pg, const uint8_t *bytes, size_t size)
{
	const int64_t limit = limit_after(SILENCE_S);
	int rc;

	while ((rc = PQputCopyData(pg->conn, (const char *)bytes, (int)size)) == 0) {
		if (wait_socket(pg, POLLIN | POLLOUT, limit) < 0)
			return -1;
		if (PQconsumeInput(pg->conn) != 1)
			return fail_connection(pg);
	}
	return rc == 1 ? flush(pg) : fail_connection(pg);
}

int pg_copy_end(struct pg *pg)
{
	static const uint8_t tail[2] = { 0xff, 0xff };
	const int64_t limit = limit_after(SILENCE_S);
	PGresult *r;
	int rc;

	if (pg_copy_bytes(pg, tail, sizeof(tail)) < 0)
		return -1;
	while ((rc = PQputCopyEnd(pg->conn, NULL)) == 0)
		if (wait_socket(pg, POLLIN | POLLOUT, limit) < 0)
			return -1;
	if (rc != 1)
		return fail_connection(pg);
	if (flush(pg) < 0)
		return -1;
	r = finish(pg);
	PQclear(r);
	return r != NULL ? 0 : -1;
}

void pg_rollback(struct pg *pg)
{
	const struct pg failed = *pg;

	if (pg->conn == NULL)
		return;
	if (PQstatus(pg->conn) == CONNECTION_OK &&
	    PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE) {
		PQputCopyEnd(pg->conn, "given up");
		pg->failure = PG_FINE;
		if (flush(pg) == 0)
			PQclear(finish(pg));
	}
	if (PQstatus(pg->conn) != CONNECTION_OK ||
	    PQtransactionStatus(pg->conn) == PQTRANS_ACTIVE ||
	    (PQtransactionStatus(pg->conn) != PQTRANS_IDLE && pg_command(pg, "ROLLBACK") < 0))
		pg_disconnect(pg);
	pg->failure = failed.failure;
	memcpy(pg->sqlstate, failed.sqlstate, sizeof(pg->sqlstate));
	memcpy(pg->message, failed.message, sizeof(pg->message));
}

/* ---- values ---- */

static void param_add(struct params *p, const void *value, size_t size)
{
	assert(p->n < PARAMS_MAX && size <= sizeof(p->scalars[0]));
	memcpy(p->scalars[p->n], value, size);
	p->values[p->n] = (const char *)p->scalars[p->n];
	p->lengths[p->n++] = (int)size;
}

void param_i64(struct params *p, int64_t value)
{
	const uint64_t be = htobe64((uint64_t)value);

	param_add(p, &be, sizeof(be));
}

void param_i32(struct params *p, int32_t value)
{
	const uint32_t be = htobe32((uint32_t)value);

	param_add(p, &be, sizeof(be));
}

void param_i16(struct params *p, int16_t value)
{
	const uint16_t be = htobe16((uint16_t)value);

	param_add(p, &be, sizeof(be));
}

void param_bool(struct params *p, bool value)
{
	const uint8_t byte = value;

	param_add(p, &byte, sizeof(byte));
}

void param_text(struct params *p, const char *text)
{
	assert(p->n < PARAMS_MAX);
	p->values[p->n] = text;
	p->lengths[p->n++] = text != NULL ? (int)strlen(text) : 0;
}

void param_time(struct params *p, int64_t unix_s)
{
	param_i64(p, (unix_s - PG_EPOCH) * 1000000);
}

bool result_null(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column);
}

static uint64_t result_int(const PGresult *r, int row, int column, int size)
{
	const uint8_t *p = (const uint8_t *)PQgetvalue(r, row, column);
	uint64_t value = 0;

	if (PQgetisnull(r, row, column))
		return 0;
	assert(PQgetlength(r, row, column) == size);
	for (int i = 0; i < size; i++)
		value = value << 8 | p[i];
	return value;
}

int16_t result_i16(const PGresult *r, int row, int column)
{
	return (int16_t)result_int(r, row, column, 2);
}

int32_t result_i32(const PGresult *r, int row, int column)
{
	return (int32_t)result_int(r, row, column, 4);
}

int64_t result_i64(const PGresult *r, int row, int column)
{
	return (int64_t)result_int(r, row, column, 8);
}

float result_f32(const PGresult *r, int row, int column)
{
	const uint32_t bits = (uint32_t)result_int(r, row, column, 4);
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

const uint8_t *result_bytes(const PGresult *r, int row, int column, size_t *ret_size)
{
	*ret_size = (size_t)PQgetlength(r, row, column);
	return (const uint8_t *)PQgetvalue(r, row, column);
}

int64_t result_time_ns(const PGresult *r, int row, int column)
{
	return (result_i64(r, row, column) + PG_EPOCH * INT64_C(1000000)) * 1000;
}
