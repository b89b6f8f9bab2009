/* From a request's head to its route: token, parameters, content type. */
#include "gateway/query/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/query/negotiate.h"

static const char *header(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct arguments {
	struct request *request;
	int rc;
	char *detail;
	size_t detail_size;
};

static enum MHD_Result take_argument(void *arg, enum MHD_ValueKind kind, const char *name,
				     size_t name_size, const char *value, size_t size)
{
	struct arguments *a = arg;

	(void)kind;
	if (strlen(name) != name_size)
		name = "?";
	a->rc = route_take(a->request->route, name, value, size, &a->request->values, a->detail,
			   a->detail_size);
	return a->rc == 0 ? MHD_YES : MHD_NO;
}

static int take_arguments(struct request *r, char *detail, size_t detail_size)
{
	struct arguments a = { .request = r, .detail = detail, .detail_size = detail_size };

	MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND, take_argument, &a);
	if (a.rc != 0)
		return a.rc;
	return route_check(r->route, &r->values, detail, detail_size);
}

/* A route with one type gives it, whatever the client would like better. */
static const char *choose_type(const struct request *r)
{
	const char *const *types = r->route->types;

	if (types[1] == NULL)
		return types[0];
	return negotiate_type(header(r, MHD_HTTP_HEADER_ACCEPT), types, ROUTE_TYPES_MAX);
}

/* The token, and whether it may do that. */
static bool may(struct request *r)
{
	const struct token *token;

	if (r->route != NULL && r->route->open)
		return true;
	token = service_authorize(r->service, header(r, MHD_HTTP_HEADER_AUTHORIZATION));
	if (token == NULL) {
		request_problem(r, MHD_HTTP_UNAUTHORIZED,
				"a token is needed: Authorization: Bearer TOKEN");
		return false;
	}
	r->token = *token;
	return true;
}

static bool is_json(const char *type)
{
	static const char json[] = "application/json";

	return type != NULL && strncasecmp(type, json, sizeof(json) - 1) == 0 &&
	       strchr(" ;", type[sizeof(json) - 1]) != NULL;
}

/* False: the request has been answered. */
static bool body_is_right(struct request *r)
{
	const size_t max = r->route->body_max;

	if (max == 0 && r->body_size > 0)
		request_problem(r, MHD_HTTP_CONTENT_TOO_LARGE, "a request has no body here");
	else if (max > 0 && (r->body_size > max || r->body.failed))
		request_problem(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than %zu bytes",
				max);
	else if (max > 0 && !is_json(header(r, MHD_HTTP_HEADER_CONTENT_TYPE)))
		request_problem(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
				"the body must be application/json");
	else
		return true;
	return false;
}

static void start(struct request *r)
{
	struct output link;

	if (r->route->paged) {
		output_init(&link, 16 * 1024);
		route_link(r->route, &r->values, &link);
		r->link = link.data;
	}
	r->route->start(r);
}

/* Everything under /api/ asks for the token first, so that nothing is learnt without one. */
void request_start(struct request *r, const char *path, const char *method)
{
	char detail[600] = "";

	r->phase = REQUEST_STARTED;
	if (!r->bad_uri)
		r->route = route_find(path, method, &r->values);
	if (!may(r))
		return;
	if (r->route == NULL)
		request_problem(r, MHD_HTTP_NOT_FOUND,
				"no such path; docs/openapi.yaml lists what there is");
	else if (!route_takes(r->route, method))
		request_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED,
				"this path does not take that method; the header Allow lists those "
				"that it takes");
	else if (!r->route->open && (r->token.rights & route_right(r->route)) == 0)
		request_problem(r, MHD_HTTP_FORBIDDEN, "this token lacks the right to %s",
				route_right(r->route) == TOKEN_READ ? "read" : "command");
	else if (!body_is_right(r))
		return;
	else if (!r->route->open && take_arguments(r, detail, sizeof(detail)) != 0)
		request_problem(r, MHD_HTTP_BAD_REQUEST, "%s", detail);
	else if ((r->type = choose_type(r)) == NULL)
		request_problem(r, MHD_HTTP_NOT_ACCEPTABLE, "this answer comes as %s or %s",
				r->route->types[0], r->route->types[1]);
	else
		start(r);
}
