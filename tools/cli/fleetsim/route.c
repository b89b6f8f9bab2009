#include "tools/cli/fleetsim/route.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/fleetsim/prng.h"

/* Stands in where no seed file is: roughly from Beipiao to Chaoyang and on to Jianping. */
static const char builtin[] =
	"(0, '', '', 'coal', 'LINESTRING(120.77 41.80, 120.68 41.72, 120.57 41.64, "
	"120.45 41.57, 120.30 41.50, 120.13 41.47, 119.93 41.45, 119.64 41.40)', 500)";

/* Metres of one degree of latitude, and of longitude at the city's 41.5 degrees north. */
static const double lat_m = 111200, lon_m = 83300;

static double distance(double lon0, double lat0, double lon1, double lat1)
{
	const double x = (lon1 - lon0) * lon_m, y = (lat1 - lat0) * lat_m;

	return sqrt(x * x + y * y);
}

/* p stands behind "LINESTRING(".  Returns 0, or -1 when it is no line. */
static int parse_line(const char *p, struct route *r)
{
	for (;;) {
		char *end;
		const double lon = strtod(p, &end);
		if (end == p || r->point_count == ROUTE_POINTS_MAX)
			return -1;
		p = end;
		const double lat = strtod(p, &end);
		if (end == p || lon < -180 || lon > 180 || lat < -90 || lat > 90)
			return -1;
		p = end + strspn(end, " \n\t");
		const size_t n = r->point_count++;
		r->lon[n] = lon;
		r->lat[n] = lat;
		r->at_m[n] =
			n == 0 ? 0
			       : r->at_m[n - 1] + distance(r->lon[n - 1], r->lat[n - 1], lon, lat);
		if (*p++ != ',')
			break;
	}
	if (r->point_count < 2)
		return -1;
	r->length_m = r->at_m[r->point_count - 1];
	return r->length_m >= 1000 ? 0 : -1;
}

/* The row's id and commodity stand before the line: "(7, '...', '...', 'coal', 'LINESTRING(". */
static void parse_head(const char *text, const char *line, struct route *r)
{
	const char *p = line;

	while (p > text && p[-1] != '\n' && line - p < 400)
		p--;
	p += strcspn(p, "(");
	if (*p == '(')
		r->id = (int)strtol(p + 1, NULL, 10);
	/* The third quoted text; quotes come in pairs. */
	for (int quotes = 0; p < line && quotes < 5; p++)
		quotes += *p == '\'';
	snprintf(r->commodity, sizeof(r->commodity), "%.*s", (int)strcspn(p, "'"), p);
}

static int parse(const char *text, struct route_list *ret)
{
	static const char mark[] = "LINESTRING(";

	ret->count = 0;
	for (const char *p = text; (p = strstr(p, mark)) != NULL; p += sizeof(mark) - 1) {
		struct route *r = &ret->routes[ret->count];
		if (ret->count == ROUTES_MAX)
			break;
		/* MULTILINESTRING has another bracket behind its name and is not matched. */
		memset(r, 0, sizeof(*r));
		if (parse_line(p + sizeof(mark) - 1, r) != 0)
			continue;
		parse_head(text, p, r);
		ret->count++;
	}
	return ret->count > 0 ? 0 : -1;
}

int routes_load(const char *path, struct route_list *ret, struct error *err)
{
	char *text = NULL;
	FILE *f = NULL;
	int rc = 0;

	if (path == NULL) {
		rc = parse(builtin, ret);
		assert(rc == 0);
		return rc;
	}
	f = fopen(path, "re");
	if (f == NULL) {
		rc = error_errno(err, ERROR_IO, "%s", path);
		goto out;
	}
	enum { SEED_FILE_MAX = 4 << 20 };
	text = malloc(SEED_FILE_MAX + 1);
	if (text == NULL) {
		rc = error_set(err, ERROR_MEMORY, "no memory for %s", path);
		goto out;
	}
	text[fread(text, 1, SEED_FILE_MAX, f)] = '\0';
	if (parse(text, ret) != 0)
		rc = error_set(err, ERROR_USAGE, "%s: no LINESTRING of at least 1 km found in it",
			       path);
out:
	if (f != NULL)
		fclose(f);
	free(text);
	return rc;
}

void route_position(const struct route *r, double s, double *ret_lon, double *ret_lat)
{
	size_t low = 0, high = r->point_count - 1;

	s = s < 0 ? 0 : s > r->length_m ? r->length_m : s;
	while (high - low > 1) {
		const size_t middle = (low + high) / 2;
		if (r->at_m[middle] <= s)
			low = middle;
		else
			high = middle;
	}
	const double part = (s - r->at_m[low]) / (r->at_m[high] - r->at_m[low]);
	*ret_lon = r->lon[low] + (r->lon[high] - r->lon[low]) * part;
	*ret_lat = r->lat[low] + (r->lat[high] - r->lat[low]) * part;
}

/* Smooth noise 0..1: hashed values at whole x, joined without a kink. */
static double smooth(const struct route *r, uint64_t salt, double x)
{
	const int64_t cell = (int64_t)x;
	const double t = x - (double)cell, w = t * t * (3 - 2 * t);
	const uint64_t key = salt * 0x10001 + (uint64_t)r->id * 0x1000003;
	const double a = (double)(prng_hash(key + (uint64_t)cell) >> 11) * 0x1p-53;
	const double b = (double)(prng_hash(key + (uint64_t)cell + 1) >> 11) * 0x1p-53;

	return a + (b - a) * w;
}

double route_height(const struct route *r, double s)
{
	/* Hills of 60 m every 2.4 km on top of country that rises and falls by 250 m over 20 km. */
	return 150 + 250 * smooth(r, 1, s / 20000) + 60 * smooth(r, 2, s / 2400);
}

double route_limit(const struct route *r, double s)
{
	const double kind = smooth(r, 3, s / 3000);

	return (kind < 0.15 ? 50 : kind < 0.35 ? 65 : 80) / 3.6;
}
