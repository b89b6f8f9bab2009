#include "gateway/identity/database.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"

enum { POLL_MS = 100, CONNECT_S = 20, ANSWER_S = 60 };

static int fail(const struct database *d, struct error *err)
{
	const char *text = d->conn != NULL ? PQerrorMessage(d->conn) : "no memory";

	return error_set(err, ERROR_DATABASE, "%.*s", (int)strcspn(text, "\n"), text);
}

static int wait_socket(const struct database *d, short events, int64_t limit_ns, struct error *err)
{
	for (;;) {
		struct pollfd fd = { .fd = PQsocket(d->conn), .events = events };

		if (atomic_load(d->stopping))
			return error_set(err, ERROR_CLOSED, "the gateway ends");
		if (clock_mono_ns() > limit_ns)
			return error_set(err, ERROR_DATABASE, "no answer in time");
		if (poll(&fd, 1, POLL_MS) != 0)
			return 0;
	}
}

static int64_t limit_after(int seconds)
{
	return clock_mono_ns() + seconds * INT64_C(1000000000);
}

int database_connect(struct database *d, const char *conninfo, struct error *err)
{
	/* What stands behind dbname overrides the operator's string.  The keepalives and the
	 * timeout find a server that went away without a word, within 25 s. */
	static const char *const words[] = { "dbname",
					     "application_name",
					     "client_encoding",
					     "keepalives_idle",
					     "keepalives_interval",
					     "keepalives_count",
					     "tcp_user_timeout",
					     NULL };
	const char *values[] = { conninfo, "haulgate-identity", "UTF8", "10", "5", "3", "15000",
				 NULL };
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	const int64_t limit = limit_after(CONNECT_S);

	assert(d->conn == NULL);
	d->conn = PQconnectStartParams(words, values, 1);
	if (d->conn == NULL || PQstatus(d->conn) == CONNECTION_BAD)
		return fail(d, err);
	while (state != PGRES_POLLING_OK) {
		const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		const int rc = wait_socket(d, events, limit, err);

		if (rc < 0)
			return rc;
		if ((state = PQconnectPoll(d->conn)) == PGRES_POLLING_FAILED)
			return fail(d, err);
	}
	return PQsetnonblocking(d->conn, 1) == 0 ? 0 : fail(d, err);
}

void database_disconnect(struct database *d)
{
	PQfinish(d->conn);
	d->conn = NULL;
}

static int flush(struct database *d, int64_t limit, struct error *err)
{
	int left, rc;

	while ((left = PQflush(d->conn)) == 1) {
		if ((rc = wait_socket(d, POLLIN | POLLOUT, limit, err)) < 0)
			return rc;
		if (PQconsumeInput(d->conn) != 1)
			return fail(d, err);
	}
	return left == 0 ? 0 : fail(d, err);
}

/* The last result of what was sent, or NULL with the first error. */
static PGresult *finish(struct database *d, int64_t limit, struct error *err)
{
	PGresult *r, *last = NULL;
	int rc = flush(d, limit, err);

	for (;;) {
		while (rc == 0 && PQisBusy(d->conn)) {
			rc = wait_socket(d, POLLIN, limit, err);
			if (rc == 0 && PQconsumeInput(d->conn) != 1)
				rc = fail(d, err);
		}
		if (rc != 0 || (r = PQgetResult(d->conn)) == NULL)
			break;
		if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
			rc = fail(d, err);
		PQclear(last);
		last = r;
	}
	if (rc == 0 && last == NULL)
		rc = fail(d, err);
	if (rc == 0)
		return last;
	PQclear(last);
	return NULL;
}

int database_command(struct database *d, const char *sql, struct error *err)
{
	PGresult *r;

	if (PQsendQuery(d->conn, sql) != 1)
		return fail(d, err);
	r = finish(d, limit_after(ANSWER_S), err);
	PQclear(r);
	return r != NULL ? 0 : err->code;
}

PGresult *database_query(struct database *d, const char *sql, const char *text, struct error *err)
{
	if (PQsendQueryParams(d->conn, sql, text != NULL, NULL, &text, NULL, NULL, 1) != 1) {
		fail(d, err);
		return NULL;
	}
	return finish(d, limit_after(ANSWER_S), err);
}

int database_listen(struct database *d, struct error *err)
{
	return PQconsumeInput(d->conn) == 1 ? 0 : fail(d, err);
}

/* ---- values ---- */

static uint64_t big_endian(const PGresult *r, int row, int column)
{
	const uint8_t *p = (const uint8_t *)PQgetvalue(r, row, column);
	uint64_t value = 0;

	assert(PQgetlength(r, row, column) <= 8);
	for (int i = 0; i < PQgetlength(r, row, column); i++)
		value = value << 8 | p[i];
	return value;
}

int64_t value_int(const PGresult *r, int row, int column)
{
	const uint64_t value = big_endian(r, row, column);

	switch (PQgetlength(r, row, column)) {
	case 2:
		return (int16_t)value;
	case 4:
		return (int32_t)value;
	default:
		return (int64_t)value;
	}
}

bool value_bool(const PGresult *r, int row, int column)
{
	return big_endian(r, row, column) != 0;
}

double value_real(const PGresult *r, int row, int column)
{
	const uint32_t bits = (uint32_t)big_endian(r, row, column);
	float value;

	memcpy(&value, &bits, sizeof(value));
	return (double)value;
}

const char *value_word(const PGresult *r, int row, int column)
{
	return PQgetvalue(r, row, column);
}

void value_text(const PGresult *r, int row, int column, char *out, size_t size)
{
	snprintf(out, size, "%s", value_word(r, row, column));
}

const uint8_t *value_bytes(const PGresult *r, int row, int column, size_t *ret_size)
{
	*ret_size = (size_t)PQgetlength(r, row, column);
	return (const uint8_t *)PQgetvalue(r, row, column);
}

int64_t value_time(const PGresult *r, int row, int column, int64_t otherwise)
{
	static const int64_t epoch_s = 946684800; /* 2000-01-01, where PostgreSQL begins */
	int64_t us, s;

	if (PQgetisnull(r, row, column))
		return otherwise;
	us = value_int(r, row, column);
	if (us == INT64_MIN || us == INT64_MAX)
		return us; /* -infinity, infinity */
	s = us / 1000000 - (us % 1000000 < 0);
	return s + epoch_s;
}
