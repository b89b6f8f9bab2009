/*
 * geo.h - which division and which haul routes a point lies in.
 *
 * Geometry is loaded once (WKB, SRID 4326) and asked per sample: GEOS prepared geometry behind an
 * STRtree.  A geo is immutable after geo_build(): any number of threads may ask, each with its own
 * geo_cursor (which also remembers the last answer, so that a truck that stays on its route
 * costs one point-in-polygon test).
 */
#ifndef GATEWAY_GEO_GEO_H
#define GATEWAY_GEO_GEO_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

enum { GEO_ROUTES_MAX = 4 }; /* overlapping corridors reported for one point */

struct geo_place {
	int32_t division;		/* division.id (GB/T 2260 code), 0 = outside */
	int32_t routes[GEO_ROUTES_MAX]; /* haul_route.id, ascending, 0-filled */
};

struct geo;
struct geo_cursor;

int geo_new(struct geo **ret, struct error *err);
void geo_free(struct geo *g);

/* wkb: polygon or multipolygon, degrees.  ERROR_USAGE names what is wrong with the geometry. */
int geo_add_division(struct geo *g, int32_t id, const uint8_t *wkb, size_t size, struct error *err);
/* corridor: the route's area, already buffered. */
int geo_add_route(struct geo *g, int32_t id, const uint8_t *wkb, size_t size, struct error *err);
int geo_build(struct geo *g, struct error *err);

int geo_cursor_new(const struct geo *g, struct geo_cursor **ret, struct error *err);
void geo_cursor_free(struct geo_cursor *c);
void geo_locate(struct geo_cursor *c, double lon, double lat, struct geo_place *ret);

#endif
