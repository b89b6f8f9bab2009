#include "gateway/query/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/query/request.h"

#define HEARTBEAT_MAX_NS INT64_C(10000000000)

void answer_health(struct request *r)
{
	static char body[] = "{\"status\":\"ok\"}\n";

	request_reply(
		r, MHD_HTTP_OK,
		MHD_create_response_from_buffer(sizeof(body) - 1, body, MHD_RESPMEM_PERSISTENT),
		r->route->types[0]);
}

/* ---- readyz ---- */

static bool gateway_alive(const struct request *r, char *detail, size_t size)
{
	int64_t heartbeat = metrics_heartbeat(service_run_dir(r->service));
	int64_t age = clock_wall_ns() - heartbeat;

	if (heartbeat == 0)
		snprintf(detail, size, "no gateway has written its metrics file in %s",
			 service_run_dir(r->service));
	else if (age > HEARTBEAT_MAX_NS)
		snprintf(detail, size, "the last sign of life of a gateway is %lld s old",
			 (long long)(age / 1000000000));
	else
		return true;
	return false;
}

static void ready_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	static char body[] = "{\"status\":\"ready\"}\n";
	struct request *r = arg;
	bool database = outcome == JOB_DONE;
	char gateway[400] = "";

	r->job = NULL;
	gateway_alive(r, gateway, sizeof(gateway));
	if (database && gateway[0] == '\0')
		request_reply(r, MHD_HTTP_OK,
			      MHD_create_response_from_buffer(sizeof(body) - 1, body,
							      MHD_RESPMEM_PERSISTENT),
			      r->route->types[0]);
	else
		request_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "%s%s%s",
				database		 ? ""
				: outcome == JOB_REFUSED ? "the database lacks the schema, or the "
							   "role may not read it"
				: outcome == JOB_UNAVAILABLE ? "the database does not answer"
							     : "all database connections are busy",
				!database && gateway[0] != '\0' ? "; " : "", gateway);
	PQclear(result);
}

void answer_ready(struct request *r)
{
	request_query(r, r->route->sql, NULL, 0, false, ready_done);
}

/* ---- metrics ---- */

void answer_metrics(struct request *r)
{
	const char *dir = service_run_dir(r->service);
	size_t size = metrics_prometheus(dir, NULL, 0) + 4096, n;
	struct output out;
	char *room;

	output_init(&out, 16 * 1024 * 1024);
	if ((room = output_room(&out, size)) != NULL) {
		/* A gateway may have come since the size was asked for. */
		n = metrics_prometheus(dir, room, size);
		out.used = n < size ? n : size - 1;
	}
	service_metrics(r->service, &out);
	if (out.failed) {
		output_release(&out);
		request_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory");
		return;
	}
	request_reply(r, MHD_HTTP_OK,
		      MHD_create_response_from_buffer(out.used, out.data, MHD_RESPMEM_MUST_FREE),
		      r->route->types[0]);
}

/* ---- one JSON value from PostgreSQL ---- */

static void clear_result(void *result)
{
	PQclear(result);
}

static void json_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	struct request *r = arg;

	r->job = NULL;
	if (outcome != JOB_DONE) {
		request_database_problem(r, outcome, result);
	} else if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0)) {
		PQclear(result);
		request_problem(r, MHD_HTTP_NOT_FOUND, "%s",
				r->route->missing != NULL ? r->route->missing : "nothing there");
	} else {
		/* The body stays in the result: not copied. */
		request_reply(r, MHD_HTTP_OK,
			      MHD_create_response_from_buffer_with_free_callback_cls(
				      (size_t)PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0),
				      clear_result, result),
			      r->route->types[0]);
	}
}

void answer_json(struct request *r)
{
	const char *values[JOB_VALUES_MAX];
	size_t n = route_parameter_count(r->route);

	memcpy(values, r->values.value, n * sizeof(values[0]));
	if (r->route->paged)
		values[n++] = r->link;
	if (r->route->signed_by)
		values[n++] = r->token.name;
	request_query(r, r->route->sql, values, (int)n, false, json_done);
}
