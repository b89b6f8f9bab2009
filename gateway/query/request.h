/*
 * request.h - one HTTP request inside the service: from its head to the log line.
 *
 * NEW -> STARTED -> READY (request_reply) -> QUEUED (libmicrohttpd has the response).
 * While it waits for the database its connection is suspended; each wait is ended by one wake.
 */
#ifndef GATEWAY_QUERY_REQUEST_H
#define GATEWAY_QUERY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

#include "gateway/query/pool.h"
#include "gateway/query/route.h"
#include "proto/record/pack.h"

struct service;
struct stream;

enum request_phase { REQUEST_NEW, REQUEST_STARTED, REQUEST_READY, REQUEST_QUEUED };

struct request {
	struct service *service;
	struct MHD_Connection *connection;
	const struct route *route; /* NULL: no such path */
	const char *method, *type; /* type: negotiated content type */
	struct token token;	   /* who asks; unset on an open route */
	char id[65];
	int64_t started_ns;
	struct route_values values;
	char *link;
	enum request_phase phase;
	bool bad_uri;
	struct output body;  /* what was sent, up to a bound */
	uint64_t body_size;  /* all of it */
	char *kept[4];	     /* texts of the body, while the statement needs them */
	bool gone;	     /* the client left: nothing is sent any more */
	uint64_t body_bytes; /* streamed so far */
	unsigned status;
	struct MHD_Response *response;
	bool waiting; /* suspended */
	struct job *job;
	struct stream *stream;	    /* answer.h; NULL for an answer in one piece */
	struct request *next, **at; /* list of all requests of the service */
};

/* More of the body; false: more than anybody could mean, the connection is to end. */
bool request_body(struct request *r, const char *bytes, size_t size);
/* Finds the route, checks token and parameters, and starts the answer. */
void request_start(struct request *r, const char *path, const char *method);

/* Answers; takes the response over.  At most once for a request. */
void request_reply(struct request *r, unsigned status, struct MHD_Response *response,
		   const char *type);
/* Answers with application/problem+json. */
void request_problem(struct request *r, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs the statement of the route; done gets the request as arg. */
void request_query(struct request *r, const char *sql, const char *const *values, int count,
		   bool binary, job_cb done);
/* The answer to a job that brought no rows; result is released. */
void request_database_problem(struct request *r, enum job_outcome outcome, PGresult *result);

/* Suspends the connection / wakes it.  Each wait is ended by one wake. */
void request_wait(struct request *r);
void request_wake(struct request *r);

/* The client has left: cancels what runs, and ends the wait. */
void request_leave(struct request *r);
void request_free(struct request *r);

/* To be called after a resumed connection: libmicrohttpd runs as soon as the loop turns. */
void service_kick(struct service *s);
/* What handlers may use of the service. */
const struct token *service_authorize(const struct service *s, const char *header);
struct pool *service_pool(struct service *s);
const char *service_run_dir(const struct service *s);
struct unpacked *service_scratch(struct service *s);
void service_metrics(struct service *s, struct output *out);

#endif
