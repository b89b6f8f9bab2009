/*
 * stats.h - how often each route was asked, how that ended and how long it took.  One thread.
 */
#ifndef GATEWAY_QUERY_STATS_H
#define GATEWAY_QUERY_STATS_H

#include <stdint.h>

#include "gateway/query/route.h"

enum { STATS_ROUTES_MAX = 24 };

struct stats {
	struct route_stats {
		uint64_t requests[6]; /* by class of status; 0: the client left */
		int64_t ns;
	} routes[STATS_ROUTES_MAX + 1]; /* the last: no such path */
};

/* route NULL: there is none; status 0: the client left. */
void stats_add(struct stats *s, const struct route *route, unsigned status, int64_t ns);

/* Prometheus text. */
void stats_put(const struct stats *s, struct output *out);

#endif
