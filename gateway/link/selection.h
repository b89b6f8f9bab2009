/*
 * selection.h - which vehicles' frames a link forwards, by what the registry and the frame say.
 *
 *   all       every frame
 *   fleet     the vehicle belongs to one of the fleets now
 *   division  a valid position in the frame lies in one of the divisions
 *   route     the same with the routes' corridors
 *
 * A frame without a valid position (login, logout, OBD information alone) goes nowhere by division
 * and route.
 */
#ifndef GATEWAY_LINK_SELECTION_H
#define GATEWAY_LINK_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/geo/geo.h"
#include "proto/wire/unit.h"

enum selection_kind { SELECTION_ALL, SELECTION_FLEET, SELECTION_DIVISION, SELECTION_ROUTE };

struct selection {
	enum selection_kind kind;
	size_t count;
	int64_t *ids;
};

/* Fleets of the vehicles that some link asks for; sorted by VIN. */
struct fleet_member {
	char vin[VIN_SIZE + 1];
	int64_t fleet;
};

struct places {
	size_t count;
	struct fleet_member *members;
	struct geo *geo; /* NULL: not loaded, no link asks for it */
	struct geo_cursor *cursor;
};

void places_release(struct places *p);

/* False for a name that is none. */
bool selection_kind_read(const char *name, enum selection_kind *ret);

/* scratch: the report's blocks are read into it. */
bool selection_wants(const struct selection *s, const struct places *p, const struct frame *f,
		     enum layout layout, int64_t received_at, struct report *scratch);

#endif
