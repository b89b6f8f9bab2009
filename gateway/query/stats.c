#include "gateway/query/stats.h"

#include <assert.h>

void stats_add(struct stats *s, const struct route *route, unsigned status, int64_t ns)
{
	struct route_stats *at =
		&s->routes[route != NULL ? (size_t)(route - routes) : STATS_ROUTES_MAX];

	assert(route_count <= STATS_ROUTES_MAX);
	at->requests[status > 599 ? 0 : status / 100]++;
	at->ns += ns;
}

static const char *method_of(const struct route *route)
{
	return route->method != NULL ? route->method : "GET";
}

static void put_requests(const char *route, const char *method, const struct route_stats *stats,
			 struct output *out)
{
	static const char *const classes[] = { "left", NULL, "2xx", NULL, "4xx", "5xx" };

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (classes[i] != NULL)
			output_format(out,
				      "haulgate_query_requests_total{route=\"%s\",method=\"%s\","
				      "status=\"%s\"} %llu\n",
				      route, method, classes[i],
				      (unsigned long long)stats->requests[i]);
}

static uint64_t requests_of(const struct route_stats *stats)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(stats->requests) / sizeof(stats->requests[0]); i++)
		n += stats->requests[i];
	return n;
}

void stats_put(const struct stats *s, struct output *out)
{
	output_text(out, "# HELP haulgate_query_requests_total requests answered\n"
			 "# TYPE haulgate_query_requests_total counter\n");
	for (size_t i = 0; i < route_count; i++)
		put_requests(routes[i].path, method_of(&routes[i]), &s->routes[i], out);
	put_requests("other", "", &s->routes[STATS_ROUTES_MAX], out);
	output_text(out, "# HELP haulgate_query_request_seconds time from head to end\n"
			 "# TYPE haulgate_query_request_seconds summary\n");
	for (size_t i = 0; i < route_count; i++) {
		const char *path = routes[i].path, *method = method_of(&routes[i]);

		output_format(out,
			      "haulgate_query_request_seconds_sum{route=\"%s\",method=\"%s\"} "
			      "%.6f\n"
			      "haulgate_query_request_seconds_count{route=\"%s\",method=\"%s\"} "
			      "%llu\n",
			      path, method, (double)s->routes[i].ns / 1e9, path, method,
			      (unsigned long long)requests_of(&s->routes[i]));
	}
}
