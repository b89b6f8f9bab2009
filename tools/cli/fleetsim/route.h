/*
 * route.h - the sample haul routes, read out of schema/seed/city.sql, as roads to drive on.
 *
 * Pure after loading: distances, positions and heights are functions of the route, so that every
 * truck climbs the same hill.
 */
#ifndef TOOLS_CLI_FLEETSIM_ROUTE_H
#define TOOLS_CLI_FLEETSIM_ROUTE_H

#include <stddef.h>

#include "gateway/base/error.h"

enum { ROUTE_POINTS_MAX = 256, ROUTES_MAX = 64 };

struct route {
	int id;
	char commodity[16];
	size_t point_count; /* at least 2 */
	double lon[ROUTE_POINTS_MAX], lat[ROUTE_POINTS_MAX];
	double at_m[ROUTE_POINTS_MAX]; /* distance of each point from the first, along the road */
	double length_m;
};

struct route_list {
	size_t count; /* at least 1 */
	struct route routes[ROUTES_MAX];
};

/*
 * Reads every "(id, 'name', 'name_en', 'commodity', 'LINESTRING(lon lat, ...)', half_width)" of the
 * file.  path NULL: one built-in line, for tests and for an installation without the seed.
 */
int routes_load(const char *path, struct route_list *ret, struct error *err);

/* Where s metres from the start is; s outside 0..length_m is clamped. */
void route_position(const struct route *r, double s, double *ret_lon, double *ret_lat);

/* Metres above the sea at s. */
double route_height(const struct route *r, double s);

/* Speed limit at s, m/s: villages, mountain roads and open road. */
double route_limit(const struct route *r, double s);

#endif
