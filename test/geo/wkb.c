#include "test/geo/wkb.h"

#include <assert.h>
#include <string.h>

static void put(struct wkb *w, const void *bytes, size_t size)
{
	assert(w->size + size <= sizeof(w->bytes));
	memcpy(w->bytes + w->size, bytes, size);
	w->size += size;
}

/* In the order of this machine, and said so. */
void wkb_start(struct wkb *w, uint32_t type, uint32_t parts)
{
	const uint8_t order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

	put(w, &order, 1);
	put(w, &type, sizeof(type));
	put(w, &parts, sizeof(parts));
}

void wkb_ring(struct wkb *w, const double *corners, uint32_t n)
{
	uint32_t points = n + 1;

	put(w, &points, sizeof(points));
	put(w, corners, n * 2 * sizeof(double));
	put(w, corners, 2 * sizeof(double));
}

void wkb_box(struct wkb *w, double west, double south, double east, double north)
{
	const double corners[] = { west, south, east, south, east, north, west, north };

	wkb_start(w, WKB_POLYGON, 1);
	wkb_ring(w, corners, 4);
}
