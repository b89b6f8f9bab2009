/* wkb.h - small areas as WKB, for tests. */
#ifndef TEST_GEO_WKB_H
#define TEST_GEO_WKB_H

#include <stddef.h>
#include <stdint.h>

struct wkb {
	uint8_t bytes[4096];
	size_t size;
};

/* Starts a polygon of so many rings, a multipolygon of so many polygons, or any other type. */
void wkb_start(struct wkb *w, uint32_t type, uint32_t parts);
enum { WKB_LINESTRING = 2, WKB_POLYGON = 3, WKB_MULTIPOLYGON = 6 };

/* A ring of n corners, closed by itself: lon, lat, lon, lat, ... */
void wkb_ring(struct wkb *w, const double *corners, uint32_t n);
void wkb_box(struct wkb *w, double west, double south, double east, double north);

#endif
