#include "gateway/query/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

enum {
	CONNECT_MS = 5000,  /* for a connection and its session settings */
	OVERTIME_MS = 3000, /* beyond statement_timeout: the server is gone */
	BACKOFF_MAX_MS = 2000,
};

struct cancel_work {
	uv_work_t work;
	struct link *link;
	PGcancel *cancel;
};

static void link_ready(uv_poll_t *handle, int status, int events);

/* ---- watching a socket ---- */

static void watch_closed(uv_handle_t *h)
{
	free(h);
}

static void unwatch(struct link *l)
{
	if (l->watch == NULL)
		return;
	uv_poll_stop(l->watch);
	uv_close((uv_handle_t *)l->watch, watch_closed);
	l->watch = NULL;
}

/* libpq may have opened another socket since the last call. */
static int watch(struct link *l, int events)
{
	int fd = PQsocket(l->conn);

	if (fd < 0)
		return -1;
	if (l->watch != NULL && l->watched != fd)
		unwatch(l);
	if (l->watch == NULL) {
		if ((l->watch = calloc(1, sizeof(*l->watch))) == NULL)
			return -1;
		if (uv_poll_init(l->pool->loop, l->watch, fd) != 0) {
			free(l->watch);
			l->watch = NULL;
			return -1;
		}
		l->watch->data = l;
		l->watched = fd;
	}
	return uv_poll_start(l->watch, events, link_ready);
}

static int watch_flush(struct link *l)
{
	int rest = PQflush(l->conn);

	return rest < 0 ? -1 : watch(l, UV_READABLE | (rest > 0 ? UV_WRITABLE : 0));
}

/* ---- the life of a connection ---- */

void link_drop(struct link *l)
{
	unwatch(l);
	PQclear(l->result);
	l->result = NULL;
	PQfinish(l->conn);
	l->conn = NULL;
	l->state = LINK_DOWN;
	l->deadline_ns = 0;
	l->timeout_ms = 0;
	l->writes = false;
}

void link_lost(struct link *l, const char *reason)
{
	struct job *j = l->job;
	const bool ran = l->state == LINK_BUSY;
	unsigned backoff = l->failures < 5 ? 100u << l->failures : BACKOFF_MAX_MS;
	char text[256];

	if (l->failures == 0)
		log_line(LOG_WARNING, "database connection lost reason=\"%s\"",
			 log_text(reason, strlen(reason), text, sizeof(text)));
	link_drop(l);
	l->job = NULL;
	l->failures++;
	l->retry_ns = clock_mono_ns() + (backoff > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff) * MS;
	if (j != NULL)
		pool_again(j, ran);
}

void link_connect(struct link *l)
{
	static const char *const keys[] = { "dbname", "client_encoding",
					    "fallback_application_name", NULL };
	const char *const values[] = { l->pool->conninfo, "UTF8", "haulgate-query", NULL };

	l->conn = PQconnectStartParams(keys, values, 1);
	if (l->conn == NULL || PQstatus(l->conn) == CONNECTION_BAD) {
		link_lost(l, l->conn != NULL ? PQerrorMessage(l->conn) : "no memory");
		return;
	}
	l->state = LINK_CONNECTING;
	l->deadline_ns = clock_mono_ns() + CONNECT_MS * MS;
	if (watch(l, UV_WRITABLE) != 0)
		link_lost(l, "no socket");
}

/* Nothing may write, whatever the role could, but for a job that says so. */
static void link_setup(struct link *l)
{
	const char *sql = "SET default_transaction_read_only = on; SET TimeZone = 'Asia/Shanghai';"
			  "SET DateStyle = 'ISO, YMD'; SET jit = off";

	l->state = LINK_SETUP;
	if (PQsetnonblocking(l->conn, 1) != 0 || !PQsendQuery(l->conn, sql) || watch_flush(l) != 0)
		link_lost(l, PQerrorMessage(l->conn));
}

static void link_connecting(struct link *l)
{
	/* libpq may close its socket and open another one under the same number: libuv must not
	 * remember the old one. */
	unwatch(l);
	switch (PQconnectPoll(l->conn)) {
	case PGRES_POLLING_READING:
		if (watch(l, UV_READABLE) != 0)
			link_lost(l, "no socket");
		return;
	case PGRES_POLLING_WRITING:
		if (watch(l, UV_WRITABLE) != 0)
			link_lost(l, "no socket");
		return;
	case PGRES_POLLING_OK:
		link_setup(l);
		return;
	default:
		link_lost(l, PQerrorMessage(l->conn));
	}
}

void link_run(struct link *l)
{
	const struct job_spec *spec = &l->job->spec;
	char timeout[16];
	const char *const setting[] = { timeout, spec->writes ? "off" : "on" };
	int64_t allowed = (int64_t)spec->timeout_ms + OVERTIME_MS;
	int sent;

	l->deadline_ns = clock_mono_ns() + allowed * MS;
	/* One that writes asks first in any case, so that it is not sent into a dead connection. */
	if (l->state != LINK_TIMEOUT &&
	    (l->timeout_ms != spec->timeout_ms || spec->writes || l->writes)) {
		snprintf(timeout, sizeof(timeout), "%u", spec->timeout_ms);
		l->state = LINK_TIMEOUT;
		sent = PQsendQueryParams(l->conn,
					 "SELECT set_config('statement_timeout', $1, false),"
					 " set_config('default_transaction_read_only', $2, false)",
					 2, NULL, setting, NULL, NULL, 0);
	} else {
		l->state = LINK_BUSY;
		sent = PQsendQueryParams(l->conn, spec->sql, spec->value_count, NULL, spec->values,
					 NULL, NULL, spec->binary);
	}
	if (!sent || watch_flush(l) != 0)
		link_lost(l, PQerrorMessage(l->conn));
}

/* True for errors that say: the server is going or coming, nothing is wrong with the statement. */
static bool sqlstate_is_outage(const char *state)
{
	static const char *const outages[] = { "57P01", "57P02", "57P03", "57P05", "40001",
					       "08000", "08003", "08006", NULL };

	for (size_t i = 0; state != NULL && outages[i] != NULL; i++)
		if (strcmp(state, outages[i]) == 0)
			return true;
	return false;
}

static void link_free_for_next(struct link *l)
{
	l->state = LINK_IDLE;
	l->deadline_ns = 0;
	l->failures = 0;
	if (watch(l, UV_READABLE) != 0)
		link_lost(l, "no socket");
}

/* The statement has ended and l->result holds its outcome. */
static void link_finished(struct link *l)
{
	PGresult *result = l->result;
	struct job *j = l->job;
	bool good = PQresultStatus(result) == PGRES_TUPLES_OK ||
		    PQresultStatus(result) == PGRES_COMMAND_OK;
	bool setting = l->state == LINK_SETUP || l->state == LINK_TIMEOUT;

	if (!good && ((setting && !l->cancelling) ||
		      sqlstate_is_outage(PQresultErrorField(result, PG_DIAG_SQLSTATE)))) {
		link_lost(l, result != NULL ? PQresultErrorMessage(result) : "no result");
		return;
	}
	l->result = NULL;
	if (l->state == LINK_TIMEOUT && j != NULL) {
		PQclear(result);
		l->timeout_ms = j->spec.timeout_ms;
		l->writes = j->spec.writes;
		link_run(l);
		return;
	}
	if (l->state == LINK_SETUP)
		l->pool->reconnects++;
	if (l->state == LINK_TIMEOUT)
		l->timeout_ms = 0; /* cancelled meanwhile: unknown */
	l->job = NULL;
	if (l->cancelling) {
		l->state = LINK_PARKED;
		l->deadline_ns = clock_mono_ns() + OVERTIME_MS * MS;
	} else {
		link_free_for_next(l);
	}
	if (j == NULL)
		PQclear(result);
	else
		job_end(j, good ? JOB_DONE : JOB_REFUSED, result);
}

static void link_receive(struct link *l)
{
	PGresult *result;

	if (!PQconsumeInput(l->conn)) {
		link_lost(l, PQerrorMessage(l->conn));
		return;
	}
	if (l->state == LINK_IDLE || l->state == LINK_PARKED)
		return;
	while (!PQisBusy(l->conn)) {
		if ((result = PQgetResult(l->conn)) == NULL) {
			link_finished(l);
			return;
		}
		/* Of several results the first error counts, else the last one. */
		if (l->result != NULL && PQresultStatus(l->result) == PGRES_FATAL_ERROR) {
			PQclear(result);
			continue;
		}
		PQclear(l->result);
		l->result = result;
	}
}

static void link_ready(uv_poll_t *handle, int status, int events)
{
	struct link *l = handle->data;
	struct pool *p = l->pool;

	if (status < 0)
		link_lost(l, uv_strerror(status));
	else if (l->state == LINK_CONNECTING)
		link_connecting(l);
	else if ((events & UV_WRITABLE) != 0 && watch_flush(l) != 0)
		link_lost(l, PQerrorMessage(l->conn));
	else if ((events & UV_READABLE) != 0)
		link_receive(l);
	pool_serve(p);
}

/* ---- cancel: PQcancel blocks, so a thread does it ---- */

static void cancel_run(uv_work_t *work)
{
	struct cancel_work *w = work->data;
	char reason[256];

	/* A cancel that fails costs nothing: statement_timeout ends the statement. */
	(void)PQcancel(w->cancel, reason, sizeof(reason));
}

static void cancel_done(uv_work_t *work, int status)
{
	struct cancel_work *w = work->data;
	struct link *l = w->link;
	struct pool *p = l->pool;

	(void)status;
	PQfreeCancel(w->cancel);
	free(w);
	l->cancelling = false;
	if (l->state == LINK_PARKED)
		link_free_for_next(l);
	pool_cancel_ended(p);
}

void link_cancel(struct link *l)
{
	struct cancel_work *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->cancel = PQgetCancel(l->conn)) == NULL) {
		free(w);
		return;
	}
	w->link = l;
	w->work.data = w;
	if (uv_queue_work(l->pool->loop, &w->work, cancel_run, cancel_done) != 0) {
		PQfreeCancel(w->cancel);
		free(w);
		return;
	}
	l->cancelling = true;
	l->pool->cancels_under_way++;
	l->pool->cancels++;
}
