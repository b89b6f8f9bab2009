/* From a request's head to its route: token, parameters, content type. */
#include "gateway/query/request.h"

#include <stdlib.h>
#include <string.h>

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

/* Everything under /api/ asks for the token first, so that nothing is learnt without one. */
void request_start(struct request *r, const char *path, const char *method)
{
	struct output link;
	char detail[600] = "";

	r->phase = REQUEST_STARTED;
	if (!r->bad_uri)
		r->route = route_find(path, &r->values);
	if ((r->route == NULL || !r->route->open) &&
	    !service_authorize(r->service, header(r, MHD_HTTP_HEADER_AUTHORIZATION))) {
		request_problem(r, MHD_HTTP_UNAUTHORIZED,
				"a token is needed: Authorization: Bearer TOKEN");
	} else if (r->route == NULL) {
		request_problem(r, MHD_HTTP_NOT_FOUND,
				"no such path; docs/openapi.yaml lists what there is");
	} else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		request_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED,
				"this service only reads: GET and HEAD");
	} else if (r->has_body) {
		request_problem(r, MHD_HTTP_CONTENT_TOO_LARGE, "a request has no body here");
	} else if (!r->route->open && take_arguments(r, detail, sizeof(detail)) != 0) {
		request_problem(r, MHD_HTTP_BAD_REQUEST, "%s", detail);
	} else if ((r->type = choose_type(r)) == NULL) {
		request_problem(r, MHD_HTTP_NOT_ACCEPTABLE, "this answer comes as %s or %s",
				r->route->types[0], r->route->types[1]);
	} else {
		if (r->route->paged) {
			output_init(&link, 16 * 1024);
			route_link(r->route, &r->values, &link);
			r->link = link.data;
		}
		r->route->start(r);
	}
}
