/*
 * row.h - the rows of the database that haulgate-link reads, and the statements that read them.
 */
#ifndef GATEWAY_LINK_ROW_H
#define GATEWAY_LINK_ROW_H

#include "gateway/link/link.h"

/* $1: the gateway.  A position for each active link: without one, from the oldest frame on. */
extern const char row_positions_sql[];
/* Vehicles of the fleets that an active link asks for; text. */
extern const char row_members_sql[];
/* id, WKB of the areas that an active link asks for; binary. */
extern const char row_divisions_sql[], row_routes_sql[];
/* $1: the gateway; text. */
extern const char row_links_sql[];

/* The n-th link.  ERROR_USAGE: err says what of it cannot be used.  Released by the caller. */
int row_link(const PGresult *r, int n, struct link_row *ret, struct error *err);

/* Replace what stood in p; on failure (logged) it stays.  ERROR_MEMORY or ERROR_USAGE. */
int row_members(const PGresult *r, struct places *p);
int row_areas(const PGresult *divisions, const PGresult *routes, struct places *p);

#endif
