#include "gateway/downlink/statement.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"

enum { POLL_MS = 100, ANSWER_S = 30 };

int statement_fail(struct queue *q, const char *sqlstate, const char *message)
{
	snprintf(q->sqlstate, sizeof(q->sqlstate), "%s", sqlstate);
	snprintf(q->message, sizeof(q->message), "%s", message);
	q->message[strcspn(q->message, "\n")] = '\0';
	return -1;
}

int statement_lost(struct queue *q)
{
	return statement_fail(q, "08000", q->conn != NULL ? PQerrorMessage(q->conn) : "no memory");
}

int statement_wait(struct queue *q, short events, int64_t limit_ns)
{
	for (;;) {
		struct pollfd fd = { .fd = PQsocket(q->conn), .events = events };
		const int64_t now = clock_mono_ns();

		if (now > limit_ns || now > atomic_load(&q->deadline_ns))
			return statement_fail(q, "08006",
					      "no answer within the time that was left");
		if (poll(&fd, 1, POLL_MS) != 0)
			return 0;
	}
}

int64_t statement_limit(int seconds)
{
	return clock_mono_ns() + seconds * INT64_C(1000000000);
}

static int flush(struct queue *q, int64_t limit)
{
	int rc;

	while ((rc = PQflush(q->conn)) == 1) {
		if (statement_wait(q, POLLIN | POLLOUT, limit) < 0)
			return -1;
		if (PQconsumeInput(q->conn) != 1)
			return statement_lost(q);
	}
	return rc == 0 ? 0 : statement_lost(q);
}

/* The last result of what was sent, or NULL. */
static PGresult *receive(struct queue *q, int64_t limit)
{
	PGresult *last = NULL, *r;

	for (;;) {
		while (PQisBusy(q->conn)) {
			if (statement_wait(q, POLLIN, limit) < 0 ||
			    (PQconsumeInput(q->conn) != 1 && statement_lost(q) < 0)) {
				PQclear(last);
				return NULL;
			}
		}
		if ((r = PQgetResult(q->conn)) == NULL)
			return last;
		PQclear(last);
		last = r;
	}
}

void values_text(struct values *v, const char *text)
{
	assert(v->n < VALUES_MAX);
	v->value[v->n++] = text;
}

void values_number(struct values *v, int64_t number)
{
	snprintf(v->number[v->n], NUMBER_SIZE, "%" PRId64, number);
	values_text(v, v->number[v->n]);
}

void values_bytes(struct values *v, const uint8_t *bytes, size_t size)
{
	v->size[v->n] = (int)size;
	v->format[v->n] = 1;
	values_text(v, (const char *)bytes);
}

PGresult *statement_run(struct queue *q, const char *sql, const struct values *v)
{
	static const struct values none;
	const int64_t limit = statement_limit(ANSWER_S);
	const char *state, *message;
	PGresult *r;

	if (v == NULL)
		v = &none;
	if (PQsendQueryParams(q->conn, sql, v->n, NULL, v->value, v->size, v->format, 0) != 1) {
		statement_lost(q);
		return NULL;
	}
	if (flush(q, limit) < 0)
		return NULL;
	if ((r = receive(q, limit)) == NULL) {
		if (PQstatus(q->conn) == CONNECTION_OK)
			statement_fail(q, "08006", "no result");
		return NULL;
	}
	if (PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK)
		return r;
	state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	if (state == NULL)
		statement_lost(q);
	else
		statement_fail(q, state, message != NULL ? message : "");
	PQclear(r);
	return NULL;
}

int statement_only(struct queue *q, const char *sql, const struct values *v)
{
	PGresult *r = statement_run(q, sql, v);

	PQclear(r);
	return r != NULL ? 0 : -1;
}
