#include "gateway/link/database.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"

enum {
	CONNECT_MS = 10000,
	STATEMENT_MS = 60000,
	RETRY_MIN_MS = 200,
	RETRY_MAX_MS = 5000,
};

/* DOWN (retried by the timer) --> CONNECTING --> ATTACHING --> READY; from each of them: DOWN */
enum database_state { DATABASE_DOWN, DATABASE_CONNECTING, DATABASE_ATTACHING, DATABASE_READY };

struct statement {
	struct statement *next;
	const char *sql;
	int count;
	const char *values[DATABASE_VALUES_MAX];
	bool binary;
	database_done *done; /* NULL: forgotten */
	const void *owner;
	void *arg;
	char texts[];
};

struct database {
	uv_loop_t *loop;
	const struct database_events *events;
	void *arg;
	char *conninfo;
	unsigned gateway_id;
	enum database_state state;
	PGconn *conn;
	uv_poll_t *watch; /* freed by its close callback */
	int watched;
	uv_timer_t timer; /* DOWN: next try; else: the deadline of what runs */
	struct statement *first, **last;
	bool running; /* the first one */
	PGresult *result;
	unsigned failures;
	char complaint[256]; /* the last one, so that it is not repeated for ever */
};

static void ready_cb(uv_poll_t *handle, int status, int events);
static void connect_start(struct database *d);

/* ---- watching the socket ---- */

static void watch_closed(uv_handle_t *handle)
{
	free(handle);
}

static void unwatch(struct database *d)
{
	if (d->watch == NULL)
		return;
	uv_poll_stop(d->watch);
	uv_close((uv_handle_t *)d->watch, watch_closed);
	d->watch = NULL;
}

/* libpq may have opened another socket since the last call. */
static int watch(struct database *d, int events)
{
	const int fd = PQsocket(d->conn);

	if (fd < 0)
		return -1;
	if (d->watch != NULL && d->watched != fd)
		unwatch(d);
	if (d->watch == NULL) {
		if ((d->watch = calloc(1, sizeof(*d->watch))) == NULL)
			return -1;
		if (uv_poll_init(d->loop, d->watch, fd) != 0) {
			free(d->watch);
			d->watch = NULL;
			return -1;
		}
		d->watch->data = d;
		d->watched = fd;
	}
	return uv_poll_start(d->watch, events, ready_cb);
}

static int flush(struct database *d)
{
	const int rest = PQflush(d->conn);

	return rest < 0 ? -1 : watch(d, UV_READABLE | (rest > 0 ? UV_WRITABLE : 0));
}

/* ---- down ---- */

static struct statement *take_first(struct database *d)
{
	struct statement *s = d->first;

	if ((d->first = s->next) == NULL)
		d->last = &d->first;
	return s;
}

static void complain(struct database *d, const char *reason)
{
	char text[256], line[256];
	const size_t n = strcspn(reason, "\n");

	log_text(reason, n, text, sizeof(text));
	snprintf(line, sizeof(line), "%s", text);
	if (strcmp(line, d->complaint) == 0)
		return;
	memcpy(d->complaint, line, sizeof(line));
	log_line(LOG_WARNING, "database cannot be used, tried again error=\"%s\"", line);
}

static void retry_cb(uv_timer_t *timer)
{
	connect_start(timer->data);
}

static void lost(struct database *d, const char *reason)
{
	unsigned pause_ms = d->failures < 5 ? RETRY_MIN_MS << d->failures : RETRY_MAX_MS;

	complain(d, reason);
	unwatch(d);
	PQclear(d->result);
	d->result = NULL;
	PQfinish(d->conn);
	d->conn = NULL;
	d->state = DATABASE_DOWN;
	d->running = false;
	d->failures++;
	uv_timer_start(&d->timer, retry_cb, pause_ms, 0);
	while (d->first != NULL) {
		struct statement *s = take_first(d);

		if (s->done != NULL)
			s->done(NULL, s->arg);
		free(s);
	}
}

static void deadline_cb(uv_timer_t *timer)
{
	lost(timer->data, "no answer in time");
}

/* ---- up ---- */

/* The number only has to be the same everywhere; the second one is the gateway. */
static void attach(struct database *d)
{
	char sql[400];

	snprintf(sql, sizeof(sql),
		 "SET synchronous_commit = off; SET client_min_messages = warning;"
		 "SET TimeZone = 'Asia/Shanghai'; SET DateStyle = 'ISO, YMD';"
		 "SET statement_timeout = '30s'; SET extra_float_digits = 1;"
		 "LISTEN haulgate_link; LISTEN haulgate_registry;"
		 "SELECT pg_try_advisory_lock(3276806, %u)",
		 d->gateway_id);
	d->state = DATABASE_ATTACHING;
	if (PQsetnonblocking(d->conn, 1) != 0 || !PQsendQuery(d->conn, sql) || flush(d) != 0)
		lost(d, PQerrorMessage(d->conn));
}

static void connecting(struct database *d)
{
	/* libpq may close its socket and open another one under the same number. */
	unwatch(d);
	switch (PQconnectPoll(d->conn)) {
	case PGRES_POLLING_READING:
		if (watch(d, UV_READABLE) != 0)
			lost(d, "no socket");
		return;
	case PGRES_POLLING_WRITING:
		if (watch(d, UV_WRITABLE) != 0)
			lost(d, "no socket");
		return;
	case PGRES_POLLING_OK:
		attach(d);
		return;
	default:
		lost(d, PQerrorMessage(d->conn));
	}
}

static void connect_start(struct database *d)
{
	static const char *const keys[] = { "dbname", "client_encoding",
					    "fallback_application_name", NULL };
	const char *const values[] = { d->conninfo, "UTF8", "haulgate-link", NULL };

	d->conn = PQconnectStartParams(keys, values, 1);
	d->state = DATABASE_CONNECTING;
	if (d->conn == NULL || PQstatus(d->conn) == CONNECTION_BAD) {
		lost(d, d->conn != NULL ? PQerrorMessage(d->conn) : "no memory");
		return;
	}
	uv_timer_start(&d->timer, deadline_cb, CONNECT_MS, 0);
	if (watch(d, UV_WRITABLE) != 0)
		lost(d, "no socket");
}

/* Sending failed: told from the loop, not from inside the call. */
static void broken_cb(uv_timer_t *timer)
{
	struct database *d = timer->data;

	lost(d, PQerrorMessage(d->conn));
}

static void run_next(struct database *d)
{
	struct statement *s = d->first;

	if (d->state != DATABASE_READY || d->running || s == NULL)
		return;
	d->running = true;
	uv_timer_start(&d->timer, deadline_cb, STATEMENT_MS, 0);
	if (!PQsendQueryParams(d->conn, s->sql, s->count, NULL, s->values, NULL, NULL, s->binary) ||
	    flush(d) != 0)
		uv_timer_start(&d->timer, broken_cb, 0, 0);
}

static void attached(struct database *d)
{
	if (PQresultStatus(d->result) != PGRES_TUPLES_OK) {
		lost(d, PQresultErrorMessage(d->result));
		return;
	}
	if (PQgetvalue(d->result, 0, 0)[0] != 't') {
		lost(d, "another haulgate-link with this gateway.id is connected");
		return;
	}
	d->state = DATABASE_READY;
	if (d->complaint[0] != '\0')
		log_line(LOG_NOTICE, "database is there again");
	d->complaint[0] = '\0';
	d->failures = 0;
	d->events->ready(d->arg);
}

/* What ran has ended; d->result holds its last result, or its error. */
static void finished(struct database *d)
{
	PGresult *result;
	struct statement *s;

	uv_timer_stop(&d->timer);
	if (d->state == DATABASE_ATTACHING) {
		attached(d);
		PQclear(d->result);
		d->result = NULL;
		return;
	}
	assert(d->running);
	result = d->result;
	d->result = NULL;
	d->running = false;
	s = take_first(d);
	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_COMMAND_OK) {
		complain(d, PQresultErrorMessage(result));
		PQclear(result);
		result = NULL;
	}
	if (s->done != NULL)
		s->done(result, s->arg);
	PQclear(result);
	free(s);
}

static void notifications(struct database *d)
{
	PGnotify *n;

	while ((n = PQnotifies(d->conn)) != NULL) {
		if (d->state == DATABASE_READY)
			d->events->notified(n->relname, d->arg);
		PQfreemem(n);
	}
}

static void receive(struct database *d)
{
	PGresult *result;

	if (!PQconsumeInput(d->conn)) {
		lost(d, PQerrorMessage(d->conn));
		return;
	}
	while ((d->running || d->state == DATABASE_ATTACHING) && !PQisBusy(d->conn)) {
		if ((result = PQgetResult(d->conn)) == NULL) {
			finished(d);
			break;
		}
		/* Of several results the first error counts, else the last one. */
		if (d->result != NULL && PQresultStatus(d->result) == PGRES_FATAL_ERROR) {
			PQclear(result);
			continue;
		}
		PQclear(d->result);
		d->result = result;
	}
	if (d->conn == NULL)
		return;
	notifications(d);
	if (d->conn != NULL && PQstatus(d->conn) != CONNECTION_OK)
		lost(d, PQerrorMessage(d->conn));
	run_next(d);
}

static void ready_cb(uv_poll_t *handle, int status, int events)
{
	struct database *d = handle->data;

	if (status < 0)
		lost(d, uv_strerror(status));
	else if (d->state == DATABASE_CONNECTING)
		connecting(d);
	else if ((events & UV_WRITABLE) != 0 && flush(d) != 0)
		lost(d, PQerrorMessage(d->conn));
	else if ((events & UV_READABLE) != 0)
		receive(d);
}

/* ---- interface ---- */

bool database_ready(const struct database *d)
{
	return d->state == DATABASE_READY;
}

bool database_run(struct database *d, const char *sql, int n, const char *const *values,
		  bool binary, database_done *done, void *arg)
{
	struct statement *s;
	size_t size = 0;
	char *at;

	assert(n <= DATABASE_VALUES_MAX);
	if (d->state != DATABASE_READY)
		return false;
	for (int i = 0; i < n; i++)
		size += values[i] != NULL ? strlen(values[i]) + 1 : 0;
	if ((s = calloc(1, sizeof(*s) + size)) == NULL)
		return false;
	s->sql = sql;
	s->count = n;
	s->binary = binary;
	s->done = done;
	s->owner = s->arg = arg;
	at = s->texts;
	for (int i = 0; i < n; i++) {
		const size_t room = values[i] != NULL ? strlen(values[i]) + 1 : 0;

		s->values[i] = room > 0 ? memcpy(at, values[i], room) : NULL;
		at += room;
	}
	*d->last = s;
	d->last = &s->next;
	run_next(d);
	return true;
}

void database_forget(struct database *d, const void *arg)
{
	for (struct statement *s = d->first; s != NULL; s = s->next)
		if (s->owner == arg)
			s->done = NULL;
}

int database_open(uv_loop_t *loop, const char *conninfo, unsigned gateway_id,
		  const struct database_events *events, void *arg, struct database **ret,
		  struct error *err)
{
	struct database *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->conninfo = strdup(conninfo)) == NULL) {
		free(d);
		return error_set(err, ERROR_MEMORY, "no memory");
	}
	d->loop = loop;
	d->events = events;
	d->arg = arg;
	d->gateway_id = gateway_id;
	d->last = &d->first;
	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
	uv_timer_start(&d->timer, retry_cb, 0, 0);
	*ret = d;
	return 0;
}

static void closed(uv_handle_t *handle)
{
	struct database *d = handle->data;

	free(d->conninfo);
	free(d);
}

void database_close(struct database *d)
{
	if (d == NULL)
		return;
	unwatch(d);
	PQclear(d->result);
	PQfinish(d->conn);
	d->conn = NULL;
	d->state = DATABASE_DOWN;
	while (d->first != NULL)
		free(take_first(d));
	uv_close((uv_handle_t *)&d->timer, closed);
}
