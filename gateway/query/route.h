/*
 * route.h - the one table of what the service answers: dispatch, parameter checks, the statement
 * behind each route and `haulgate-query --routes` (which a test compares with docs/openapi.yaml).
 */
#ifndef GATEWAY_QUERY_ROUTE_H
#define GATEWAY_QUERY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/query/output.h"
#include "gateway/query/token.h"

enum { ROUTE_PARAMETERS_MAX = 12, ROUTE_TYPES_MAX = 2, ROUTE_STATUSES_MAX = 12 };

enum parameter_kind {
	KIND_VIN,     /* 1 to 17 letters and digits */
	KIND_FINDING, /* VIN.YYYYMMDD.RULE.REVISION */
	KIND_RULE,    /* a-z 0-9 _ */
	KIND_INTEGER, /* min..max */
	KIND_FROM,    /* instant or Beijing day; becomes unix seconds */
	KIND_TO,      /* the same; a day means its end */
	KIND_PLATE,   /* 1 to 32 bytes of printable UTF-8 */
	KIND_CHOICE,  /* "a|b|c" */
	KIND_CURSOR,  /* base64url, as this service gave it out */
	KIND_TEXT,    /* 1 to max bytes of printable UTF-8 */
};

struct parameter {
	const char *name;
	bool in_path; /* then required; else a query parameter, which may be absent or empty */
	bool required;
	enum parameter_kind kind;
	int64_t min, max;
	const char *choices;
	const char *doc;
};

struct request;

struct route {
	const char *path;   /* template: /api/v1/vehicles/{vin} */
	const char *method; /* NULL: GET, and HEAD */
	const char *doc;
	const char *types[ROUTE_TYPES_MAX]; /* content types, the default first */
	/* Starts the answer; ends in request_reply() now or later. */
	void (*start)(struct request *r);
	/* Values are the parameters in order, then the link to this request if paged, then the name
	 * of the token if signed_by. */
	const char *sql;
	const char *missing; /* detail of 404 when the statement gives NULL or no row */
	unsigned timeout_ms;
	bool open; /* no token needed */
	bool paged;
	bool signed_by;
	enum token_right right; /* that the token needs; 0: to read */
	size_t body_max;	/* of its JSON body; 0: it has none */
	struct parameter parameters[ROUTE_PARAMETERS_MAX + 1]; /* ends with name NULL */
};

extern const struct route routes[];
extern const size_t route_count;

/* What a request gave for each parameter. */
struct route_values {
	char *raw[ROUTE_PARAMETERS_MAX];	 /* as it came; NULL when absent; owned */
	const char *value[ROUTE_PARAMETERS_MAX]; /* for the statement: raw or converted */
	char converted[ROUTE_PARAMETERS_MAX][24];
};

void route_values_release(struct route_values *v);

/*
 * Finds the route and fills the path's values; NULL when there is none with this path.  When the
 * path has other methods only, the first of them, and route_takes() says no.
 */
const struct route *route_find(const char *path, const char *method, struct route_values *ret);
bool route_takes(const struct route *route, const char *method);
/* "GET, HEAD, POST": the methods of the route's path. */
void route_methods(const struct route *route, struct output *out);
enum token_right route_right(const struct route *route);

/*
 * Takes one query argument.  Returns 0, or -1 and a detail that says what is wrong and what is
 * allowed.
 */
int route_take(const struct route *route, const char *name, const char *value, size_t size,
	       struct route_values *values, char *detail, size_t detail_size);

/* Checks and converts the values; the same returns as route_take(). */
int route_check(const struct route *route, struct route_values *values, char *detail,
		size_t detail_size);

size_t route_parameter_count(const struct route *route);

/* Path and query without the cursor, percent-encoded, for the link to the next page. */
void route_link(const struct route *route, const struct route_values *values, struct output *out);

/* The status codes that a route answers with, ascending, 0 at the end. */
void route_statuses(const struct route *route, unsigned ret[ROUTE_STATUSES_MAX]);

/* The table as JSON. */
void route_print(struct output *out);

#endif
