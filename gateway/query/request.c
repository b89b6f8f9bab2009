#include "gateway/query/request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/query/answer.h"

void request_wait(struct request *r)
{
	assert(!r->waiting);
	r->waiting = true;
	MHD_suspend_connection(r->connection);
}

void request_wake(struct request *r)
{
	if (!r->waiting)
		return;
	r->waiting = false;
	MHD_resume_connection(r->connection);
	service_kick(r->service);
}

void request_leave(struct request *r)
{
	r->gone = true;
	if (r->job != NULL)
		job_cancel(r->job);
	r->job = NULL;
	if (r->stream != NULL)
		stream_client_left(r->stream);
	request_wake(r);
}

void request_free(struct request *r)
{
	if (r->job != NULL)
		job_cancel(r->job);
	if (r->stream != NULL)
		stream_request_ended(r->stream);
	if (r->phase == REQUEST_READY)
		MHD_destroy_response(r->response);
	if ((*r->at = r->next) != NULL)
		r->next->at = r->at;
	route_values_release(&r->values);
	output_release(&r->body);
	for (size_t i = 0; i < sizeof(r->kept) / sizeof(r->kept[0]); i++)
		free(r->kept[i]);
	free(r->link);
	free(r);
}

bool request_body(struct request *r, const char *bytes, size_t size)
{
	enum { KEPT_MAX = 16 * 1024, REFUSED_MAX = 64 * 1024 };

	if (r->body_size == 0)
		output_init(&r->body, KEPT_MAX);
	r->body_size += size;
	output_bytes(&r->body, bytes, size); /* fails, and stays failed, above the bound */
	return r->body_size <= REFUSED_MAX;
}

/* An answer may hold personal data: nobody on the way keeps it, no browser guesses its type. */
static void add_headers(const struct request *r, struct MHD_Response *response, const char *type)
{
	static const char *const headers[][2] = {
		{ MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "X-Frame-Options", "DENY" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
	};
	char full[80];

	snprintf(full, sizeof(full), "%s%s", type,
		 strcmp(type, "text/csv") == 0 ? "; charset=utf-8; header=present" : "");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, full);
	MHD_add_response_header(response, "X-Request-Id", r->id);
	if (r->route != NULL && r->route->types[1] != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

void request_reply(struct request *r, unsigned status, struct MHD_Response *response,
		   const char *type)
{
	assert(r->phase == REQUEST_STARTED);
	if (response == NULL) {
		log_line(LOG_ERROR, "no memory for a response id=%s", r->id);
		r->gone = true; /* closes the connection */
		request_wake(r);
		return;
	}
	add_headers(r, response, type);
	r->status = status;
	r->response = response;
	r->phase = REQUEST_READY;
	request_wake(r);
}

static void add_methods(const struct request *r, struct MHD_Response *response)
{
	struct output methods;

	output_init(&methods, 256);
	route_methods(r->route, &methods);
	if (!methods.failed)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, methods.data);
	output_release(&methods);
}

void request_problem(struct request *r, unsigned status, const char *format, ...)
{
	struct MHD_Response *response;
	struct output out;
	char detail[800];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	output_init(&out, 16 * 1024);
	output_text(&out, "{\"type\":\"about:blank\",\"title\":");
	output_json(&out, MHD_get_reason_phrase_for(status));
	output_format(&out, ",\"status\":%u,\"detail\":", status);
	output_json(&out, detail);
	output_text(&out, ",\"request_id\":");
	output_json(&out, r->id);
	output_text(&out, "}\n");
	if (out.failed)
		output_release(&out);
	response = MHD_create_response_from_buffer(out.used, out.data, MHD_RESPMEM_MUST_FREE);
	if (response != NULL && status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
					"Bearer realm=\"haulgate\"");
	if (response != NULL && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		add_methods(r, response);
	if (response != NULL && status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "2");
	request_reply(r, status, response, "application/problem+json");
}

void request_query(struct request *r, const char *sql, const char *const *values, int count,
		   bool binary, job_cb done)
{
	assert(r->job == NULL);
	r->job = pool_submit(service_pool(r->service),
			     &(struct job_spec){ .sql = sql,
						 .value_count = count,
						 .values = values,
						 .binary = binary,
						 .writes = r->route->right == TOKEN_COMMAND,
						 .timeout_ms = r->route->timeout_ms,
						 .done = done,
						 .arg = r });
	if (r->job == NULL)
		request_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE,
				"too many requests wait for the database; try again later");
	else if (!r->waiting)
		request_wait(r);
}

/* The functions of the schema say what is wrong with what was asked by these. */
static unsigned status_of(const char *sqlstate)
{
	static const struct {
		const char *sqlstate;
		unsigned status;
	} all[] = {
		{ "HG400", MHD_HTTP_BAD_REQUEST },
		{ "HG404", MHD_HTTP_NOT_FOUND },
		{ "HG409", MHD_HTTP_CONFLICT },
	};

	for (size_t i = 0; sqlstate != NULL && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].sqlstate, sqlstate) == 0)
			return all[i].status;
	return 0;
}

static void statement_refused(struct request *r, const char *state, const char *message)
{
	char text[200];

	if (status_of(state) != 0) {
		request_problem(r, status_of(state), "%s", message);
		return;
	}
	if (state != NULL && strcmp(state, "57014") == 0) {
		request_problem(
			r, MHD_HTTP_SERVICE_UNAVAILABLE,
			"the answer took longer than %u s; narrow it by a period, a vehicle "
			"or a route",
			(r->route->timeout_ms + 999) / 1000);
		return;
	}
	log_line(LOG_ERROR, "statement refused sqlstate=%s id=%s route=%s message=\"%s\"",
		 state != NULL ? state : "?", r->id, r->route->path,
		 message != NULL ? log_text(message, strlen(message), text, sizeof(text)) : "");
	request_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
			"the database refused the statement (SQLSTATE %s); the log of the "
			"service says more under this request_id",
			state != NULL ? state : "?");
}

void request_database_problem(struct request *r, enum job_outcome outcome, PGresult *result)
{
	if (outcome == JOB_BUSY)
		request_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE,
				"all database connections are busy; try again later");
	else if (outcome == JOB_UNAVAILABLE)
		request_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the database does not answer");
	else if (outcome == JOB_UNKNOWN)
		request_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE,
				"the database went away meanwhile: it is not known whether this "
				"was done; look before you ask again");
	else
		statement_refused(r, PQresultErrorField(result, PG_DIAG_SQLSTATE),
				  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	PQclear(result);
}
