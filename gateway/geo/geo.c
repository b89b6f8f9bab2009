/* geo.c - divisions and corridors behind an STRtree of GEOS prepared geometry. */
#include "gateway/geo/geo.h"

#include <assert.h>
#include <geos_c.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { DIVISION, ROUTE };

/*
 * Around a point that had to ask the tree, the cursor keeps everything within this distance
 * (about 1 km), so that the next points of the same frame need not ask again.
 */
static const double NEAR_DEG = 0.01;

enum { NEAR_MAX = 32, STRTREE_NODE_SIZE = 10, SRID_WGS84 = 4326 };

struct area {
	enum kind kind;
	int32_t id;
	GEOSGeometry *geometry;
	const GEOSPreparedGeometry *prepared;
	double west, south, east, north;
};

struct geo {
	GEOSContextHandle_t context; /* of the thread that loads */
	char message[256];	     /* what GEOS said last */
	struct area *areas;
	size_t count, room;
	GEOSSTRtree *tree;
	bool built;
};

struct geo_cursor {
	const struct geo *geo;
	GEOSContextHandle_t context;
	bool valid; /* lon, lat, answer */
	double lon, lat;
	struct geo_place answer;
	/* All areas whose box meets this one, divisions first, by ascending id. */
	bool near_valid;
	double west, south, east, north;
	size_t near_count;
	const struct area *near[NEAR_MAX];
	size_t found; /* may exceed NEAR_MAX: then near is not complete */
};

static void on_message(const char *message, void *arg)
{
	struct geo *g = arg;

	snprintf(g->message, sizeof(g->message), "%s", message);
}

int geo_new(struct geo **ret, struct error *err)
{
	struct geo *g = calloc(1, sizeof(*g));

	assert(ret != NULL);
	if (g == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for the geometry");
	g->context = GEOS_init_r();
	if (g->context == NULL) {
		free(g);
		return error_set(err, ERROR_MEMORY, "no memory for GEOS");
	}
	GEOSContext_setErrorMessageHandler_r(g->context, on_message, g);
	*ret = g;
	return 0;
}

void geo_free(struct geo *g)
{
	if (g == NULL)
		return;
	if (g->tree != NULL)
		GEOSSTRtree_destroy_r(g->context, g->tree);
	for (size_t i = 0; i < g->count; i++) {
		GEOSPreparedGeom_destroy_r(g->context, g->areas[i].prepared);
		GEOSGeom_destroy_r(g->context, g->areas[i].geometry);
	}
	free(g->areas);
	GEOS_finish_r(g->context);
	free(g);
}

/* ---- loading ---- */

static int check(struct geo *g, const GEOSGeometry *geometry, const char *what, int32_t id,
		 struct error *err)
{
	int type = GEOSGeomTypeId_r(g->context, geometry);
	int srid = GEOSGetSRID_r(g->context, geometry);
	char *reason;
	int rc;

	if (type != GEOS_POLYGON && type != GEOS_MULTIPOLYGON)
		return error_set(err, ERROR_USAGE, "%s %d: a polygon or multipolygon is needed",
				 what, id);
	if (srid != 0 && srid != SRID_WGS84)
		return error_set(err, ERROR_USAGE, "%s %d: SRID is %d, not %d", what, id, srid,
				 SRID_WGS84);
	if (GEOSisEmpty_r(g->context, geometry) != 0)
		return error_set(err, ERROR_USAGE, "%s %d: the area is empty", what, id);
	if (GEOSisValid_r(g->context, geometry) == 1)
		return 0;
	reason = GEOSisValidReason_r(g->context, geometry);
	rc = error_set(err, ERROR_USAGE, "%s %d: %s", what, id,
		       reason != NULL ? reason : g->message);
	GEOSFree_r(g->context, reason);
	return rc;
}

static int bounds(struct geo *g, struct area *a, const char *what, struct error *err)
{
	if (GEOSGeom_getXMin_r(g->context, a->geometry, &a->west) != 1 ||
	    GEOSGeom_getYMin_r(g->context, a->geometry, &a->south) != 1 ||
	    GEOSGeom_getXMax_r(g->context, a->geometry, &a->east) != 1 ||
	    GEOSGeom_getYMax_r(g->context, a->geometry, &a->north) != 1)
		return error_set(err, ERROR_USAGE, "%s %d: no bounds: %s", what, a->id, g->message);
	if (!(a->west >= -180 && a->east <= 180 && a->south >= -90 && a->north <= 90))
		return error_set(err, ERROR_USAGE, "%s %d: coordinates are not degrees", what,
				 a->id);
	return 0;
}

static int room_for_one(struct geo *g, struct error *err)
{
	size_t room = g->room == 0 ? 16 : g->room * 2;
	struct area *areas;

	if (g->count < g->room)
		return 0;
	areas = realloc(g->areas, room * sizeof(*areas));
	if (areas == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for %zu areas", room);
	g->areas = areas;
	g->room = room;
	return 0;
}

static int add(struct geo *g, enum kind kind, int32_t id, const uint8_t *wkb, size_t size,
	       struct error *err)
{
	const char *what = kind == DIVISION ? "division" : "route";
	struct area a = { .kind = kind, .id = id };
	GEOSWKBReader *reader = NULL;
	int rc;

	assert(g != NULL && wkb != NULL);
	if (g->built)
		return error_set(err, ERROR_USAGE, "%s %d: added after geo_build", what, id);
	if (id <= 0)
		return error_set(err, ERROR_USAGE, "%s %d: the id must be above 0", what, id);
	if ((rc = room_for_one(g, err)) < 0)
		return rc;
	g->message[0] = '\0';
	reader = GEOSWKBReader_create_r(g->context);
	if (reader == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for GEOS");
	a.geometry = GEOSWKBReader_read_r(g->context, reader, wkb, size);
	GEOSWKBReader_destroy_r(g->context, reader);
	if (a.geometry == NULL)
		return error_set(err, ERROR_USAGE, "%s %d: not WKB: %s", what, id, g->message);
	if ((rc = check(g, a.geometry, what, id, err)) < 0 || (rc = bounds(g, &a, what, err)) < 0)
		goto out;
	a.prepared = GEOSPrepare_r(g->context, a.geometry);
	if (a.prepared == NULL) {
		rc = error_set(err, ERROR_MEMORY, "%s %d: cannot prepare: %s", what, id,
			       g->message);
		goto out;
	}
	g->areas[g->count++] = a;
	return 0;
out:
	GEOSGeom_destroy_r(g->context, a.geometry);
	return rc;
}

int geo_add_division(struct geo *g, int32_t id, const uint8_t *wkb, size_t size, struct error *err)
{
	return add(g, DIVISION, id, wkb, size, err);
}

int geo_add_route(struct geo *g, int32_t id, const uint8_t *wkb, size_t size, struct error *err)
{
	return add(g, ROUTE, id, wkb, size, err);
}

static int by_kind_and_id(const void *a, const void *b)
{
	const struct area *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/*
 * GEOS builds the index of a prepared polygon, and the tree itself, at the first question, without
 * a lock. So each is asked once here, while only one thread knows them; afterwards they are only
 * read.
 */
static int warm(struct geo *g, const struct area *a, struct error *err)
{
	GEOSGeometry *p = GEOSPointOnSurface_r(g->context, a->geometry);
	char inside = p == NULL ? 2 : GEOSPreparedIntersects_r(g->context, a->prepared, p);

	GEOSGeom_destroy_r(g->context, p);
	if (inside != 1)
		return error_set(err, ERROR_USAGE, "%s %d: cannot be asked: %s",
				 a->kind == DIVISION ? "division" : "route", a->id, g->message);
	return 0;
}

static void ignore(void *item, void *arg)
{
	(void)item;
	(void)arg;
}

static GEOSGeometry *box(GEOSContextHandle_t context, double west, double south, double east,
			 double north)
{
	GEOSCoordSequence *corners = GEOSCoordSeq_create_r(context, 2, 2);

	if (corners == NULL)
		return NULL;
	GEOSCoordSeq_setXY_r(context, corners, 0, west, south);
	GEOSCoordSeq_setXY_r(context, corners, 1, east, north);
	return GEOSGeom_createLineString_r(context, corners); /* its envelope is the box */
}

int geo_build(struct geo *g, struct error *err)
{
	GEOSGeometry *world;

	assert(g != NULL && !g->built);
	if (g->count > 0)
		qsort(g->areas, g->count, sizeof(*g->areas), by_kind_and_id);
	for (size_t i = 1; i < g->count; i++) {
		if (by_kind_and_id(&g->areas[i - 1], &g->areas[i]) == 0)
			return error_set(err, ERROR_USAGE, "%s %d: given twice",
					 g->areas[i].kind == DIVISION ? "division" : "route",
					 g->areas[i].id);
	}
	g->tree = GEOSSTRtree_create_r(g->context, STRTREE_NODE_SIZE);
	world = box(g->context, -180, -90, 180, 90);
	if (g->tree == NULL || world == NULL) {
		GEOSGeom_destroy_r(g->context, world);
		return error_set(err, ERROR_MEMORY, "no memory for the tree of areas");
	}
	for (size_t i = 0; i < g->count; i++)
		GEOSSTRtree_insert_r(g->context, g->tree, g->areas[i].geometry, &g->areas[i]);
	GEOSSTRtree_query_r(g->context, g->tree, world, ignore, NULL);
	GEOSGeom_destroy_r(g->context, world);
	for (size_t i = 0; i < g->count; i++) {
		int rc = warm(g, &g->areas[i], err);

		if (rc < 0)
			return rc;
	}
	g->built = true;
	return 0;
}

/* ---- asking ---- */

int geo_cursor_new(const struct geo *g, struct geo_cursor **ret, struct error *err)
{
	struct geo_cursor *c;

	assert(g != NULL && g->built && ret != NULL);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for a cursor");
	c->geo = g;
	c->context = GEOS_init_r();
	if (c->context == NULL) {
		free(c);
		return error_set(err, ERROR_MEMORY, "no memory for GEOS");
	}
	*ret = c;
	return 0;
}

void geo_cursor_free(struct geo_cursor *c)
{
	if (c == NULL)
		return;
	GEOS_finish_r(c->context);
	free(c);
}

static void on_near(void *item, void *arg)
{
	struct geo_cursor *c = arg;
	const struct area *a = item;
	size_t i;

	if (c->found++ >= NEAR_MAX)
		return;
	/* Areas stand in one array in order of kind and id: so does near. */
	for (i = c->near_count++; i > 0 && c->near[i - 1] > a; i--)
		c->near[i] = c->near[i - 1];
	c->near[i] = a;
}

static void near_load(struct geo_cursor *c, double lon, double lat)
{
	GEOSGeometry *around;

	c->west = lon - NEAR_DEG;
	c->east = lon + NEAR_DEG;
	c->south = lat - NEAR_DEG;
	c->north = lat + NEAR_DEG;
	c->near_count = c->found = 0;
	c->near_valid = false;
	around = box(c->context, c->west, c->south, c->east, c->north);
	if (around == NULL)
		return;
	GEOSSTRtree_query_r(c->context, c->geo->tree, around, on_near, c);
	GEOSGeom_destroy_r(c->context, around);
	c->near_valid = c->found <= NEAR_MAX;
}

static bool contains(struct geo_cursor *c, const struct area *a, const GEOSGeometry *point,
		     double lon, double lat)
{
	return lon >= a->west && lon <= a->east && lat >= a->south && lat <= a->north &&
	       GEOSPreparedIntersects_r(c->context, a->prepared, point) == 1;
}

/*
 * Areas come by ascending id and of the divisions the first one wins, so that a point on a border
 * has one answer, whatever was asked before.
 */
static void answer(struct geo_cursor *c, const GEOSGeometry *point, double lon, double lat)
{
	bool all = !c->near_valid;
	size_t n = all ? c->geo->count : c->near_count, routes = 0;

	for (size_t i = 0; i < n && routes < GEO_ROUTES_MAX; i++) {
		const struct area *a = all ? &c->geo->areas[i] : c->near[i];

		if (a->kind == DIVISION && c->answer.division != 0)
			continue;
		if (!contains(c, a, point, lon, lat))
			continue;
		if (a->kind == DIVISION)
			c->answer.division = a->id;
		else
			c->answer.routes[routes++] = a->id;
	}
}

void geo_locate(struct geo_cursor *c, double lon, double lat, struct geo_place *ret)
{
	GEOSGeometry *point;

	assert(c != NULL && ret != NULL);
	memset(ret, 0, sizeof(*ret));
	if (!(lon >= -180 && lon <= 180 && lat >= -90 && lat <= 90))
		return;
	if (c->valid && lon == c->lon && lat == c->lat) {
		*ret = c->answer;
		return;
	}
	if (!c->near_valid || lon < c->west || lon > c->east || lat < c->south || lat > c->north)
		near_load(c, lon, lat);
	memset(&c->answer, 0, sizeof(c->answer));
	point = GEOSGeom_createPointFromXY_r(c->context, lon, lat);
	c->valid = point != NULL;
	if (point == NULL)
		return;
	c->lon = lon;
	c->lat = lat;
	answer(c, point, lon, lat);
	GEOSGeom_destroy_r(c->context, point);
	*ret = c->answer;
}
