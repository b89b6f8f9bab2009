/*
 * bench_assess.c - samples a core folds into vehicle-days, with the sample city's geometry.
 *
 * Frames of ten samples from many trucks on all routes take turns, as in the store thread, so that
 * neither the state of a vehicle-day nor the cursor's last answer is warmer than in service.  And
 * the windows of a trip of a day.  Prints name=value lines.
 */
#include <errno.h>
#include <geos_c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/assess/assess.h"
#include "gateway/assess/trip.h"

enum {
	TRUCKS = 2000,
	FRAME_SAMPLES = 10,
	ROUTES_MAX = 16,
	ROUTE_SAMPLES = 3000,
	BODY_SIZE = 37,
	DAY = 20780,
	DAY_S = 86400,
	DAY_START_S = DAY * DAY_S - 8 * 3600,
};

static const double METRES_PER_DEG = 95000; /* between a degree east and a degree north, here */

struct bench {
	struct geo *geo;
	unsigned route_count;
	uint8_t bodies[ROUTES_MAX][ROUTE_SAMPLES][BODY_SIZE];
	struct rule_set rules;
	unsigned char *days;
	unsigned *next; /* sample of each truck */
};

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "haulgate-bench-assess: %s: %s\n", what, why);
	exit(1);
}

/* ---- the city: schema/seed/city.sql states its lines' form ---- */

static void add_area(struct bench *b, GEOSContextHandle_t geos, const GEOSGeometry *area, int id,
		     bool route)
{
	struct error err = { 0 };
	size_t size;
	unsigned char *wkb = GEOSGeomToWKB_buf_r(geos, area, &size);
	int rc;

	if (wkb == NULL)
		die("geometry", "no WKB");
	rc = route ? geo_add_route(b->geo, id, wkb, size, &err)
		   : geo_add_division(b->geo, id, wkb, size, &err);
	if (rc < 0)
		die("geometry", err.text);
	GEOSFree_r(geos, wkb);
}

static void make_body(double lon, double lat, int i, uint8_t *body)
{
	static const struct {
		enum stream_field field;
		double value, swing;
	} values[] = {
		{ STREAM_speed_kmh, 55, 20 },	       { STREAM_baro_kpa, 98, 0 },
		{ STREAM_net_torque_pct, 45, 30 },     { STREAM_friction_torque_pct, 8, 0 },
		{ STREAM_engine_rpm, 1300, 200 },      { STREAM_fuel_flow_lph, 25, 15 },
		{ STREAM_nox_upstream_ppm, 900, 300 }, { STREAM_nox_downstream_ppm, 300, 300 },
		{ STREAM_air_flow_kgph, 600, 250 },    { STREAM_scr_in_c, 310, 40 },
		{ STREAM_scr_out_c, 300, 30 },	       { STREAM_dpf_dp_kpa, 4, 3 },
		{ STREAM_coolant_c, 85, 2 },	       { STREAM_reagent_pct, 60, 0 },
	};

	memset(body, 0, BODY_SIZE);
	for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
		field_put(&info_stream.fields[values[k].field], body,
			  values[k].value + values[k].swing * sin(i / 40.0));
	field_put(&info_stream.fields[STREAM_lon], body, lon);
	field_put(&info_stream.fields[STREAM_lat], body, lat);
	field_put(&info_stream.fields[STREAM_odometer_km], body, 1000 + i / 65.0);
}

static void add_route(struct bench *b, GEOSContextHandle_t geos, const GEOSGeometry *line, int id,
		      double half_width_m)
{
	GEOSGeometry *corridor = GEOSBuffer_r(geos, line, half_width_m / METRES_PER_DEG, 8);

	if (corridor == NULL || b->route_count == ROUTES_MAX)
		die("city", "a route that cannot be used");
	add_area(b, geos, corridor, id, true);
	GEOSGeom_destroy_r(geos, corridor);
	for (int i = 0; i < ROUTE_SAMPLES; i++) {
		GEOSGeometry *p =
			GEOSInterpolateNormalized_r(geos, line, (double)i / ROUTE_SAMPLES);
		double lon = 0, lat = 0;

		GEOSGeomGetX_r(geos, p, &lon);
		GEOSGeomGetY_r(geos, p, &lat);
		GEOSGeom_destroy_r(geos, p);
		make_body(lon, lat, i, b->bodies[b->route_count][i]);
	}
	b->route_count++;
}

static void add_row(struct bench *b, GEOSContextHandle_t geos, GEOSWKTReader *reader, char *line)
{
	char *polygon = strstr(line, "'POLYGON("), *path = strstr(line, "'LINESTRING("), *end;
	char *start = polygon != NULL ? polygon : path;
	GEOSGeometry *shape;
	int id;

	if (start == NULL || sscanf(line, " (%d", &id) != 1)
		return;
	end = strchr(start + 1, '\'');
	if (end == NULL)
		die("city", "a text without end");
	*end = '\0';
	shape = GEOSWKTReader_read_r(geos, reader, start + 1);
	if (shape == NULL)
		die("city", start + 1);
	if (polygon != NULL)
		add_area(b, geos, shape, id, false);
	else
		add_route(b, geos, shape, id, strtod(end + 2, NULL));
	GEOSGeom_destroy_r(geos, shape);
}

static void load_city(struct bench *b, const char *path)
{
	GEOSContextHandle_t geos = GEOS_init_r();
	GEOSWKTReader *reader = GEOSWKTReader_create_r(geos);
	struct error err = { 0 };
	FILE *in = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;

	if (in == NULL)
		die(path, strerror(errno));
	if (geo_new(&b->geo, &err) < 0)
		die("geo", err.text);
	while (getline(&line, &room, in) >= 0)
		add_row(b, geos, reader, line);
	free(line);
	fclose(in);
	GEOSWKTReader_destroy_r(geos, reader);
	GEOS_finish_r(geos);
	if (geo_build(b->geo, &err) < 0)
		die("geo", err.text);
	if (b->route_count == 0)
		die(path, "no route");
}

/* ---- the runs ---- */

static struct assess_day *day_of_truck(struct bench *b, unsigned truck)
{
	return (struct assess_day *)(void *)(b->days + truck * assess_day_size());
}

static void start(struct bench *b)
{
	static const struct vehicle_facts facts = { 2000, 300, '6' };

	for (unsigned i = 0; i < TRUCKS; i++) {
		assess_day_init(day_of_truck(b, i), DAY, &facts);
		b->next[i] = 0;
	}
}

static void fold_frame(struct bench *b, unsigned truck, struct geo_cursor *cursor)
{
	for (int i = 0; i < FRAME_SAMPLES; i++) {
		unsigned n = b->next[truck]++;
		struct block block = { .info = &info_stream,
				       .type = INFO_STREAM,
				       .at = DAY_START_S + (int64_t)n,
				       .size = BODY_SIZE };

		block.body = b->bodies[truck % b->route_count][(n + truck * 17) % ROUTE_SAMPLES];
		assess_day_block(day_of_truck(b, truck), &b->rules, cursor, &block);
	}
}

static double samples_per_s(struct bench *b, struct geo_cursor *cursor, double seconds)
{
	double begin, end;
	unsigned long frames = 0;

	start(b);
	begin = cpu_s();
	do {
		for (unsigned i = 0; i < TRUCKS; i++)
			fold_frame(b, i, cursor);
		frames += TRUCKS;
		end = cpu_s();
	} while (end - begin < seconds && b->next[0] + FRAME_SAMPLES < DAY_S);
	return (double)frames * FRAME_SAMPLES / (end - begin);
}

static double results_per_s(struct bench *b, double seconds, size_t *findings, size_t *passages)
{
	double begin = cpu_s(), end;
	unsigned long n = 0;

	*findings = *passages = 0;
	do {
		for (unsigned i = 0; i < TRUCKS; i++) {
			struct assess_result r;

			assess_day_result(day_of_truck(b, i), &b->rules, &r);
			*findings += n < TRUCKS ? r.finding_count : 0;
			*passages += n < TRUCKS ? r.passage_count : 0;
			n++;
		}
		end = cpu_s();
	} while (end - begin < seconds);
	return (double)n / (end - begin);
}

/* A trip of a day with all its windows, from its one allocation to its results. */
static void assess_trip(const struct engine_values *values)
{
	static const struct trip_parameters parameters = { .engine = { 2000, 0.84,
								       TORQUE_INDICATED },
							   .rated_power_kw = 300,
							   .whtc_work_kwh = 28,
							   .limit_mgpkwh = 690,
							   .baro_min_kpa = 82.5 };
	struct trip *t = trip_new(&parameters, DAY_S);
	struct trip_window_result result;
	struct two_bin_result bins;

	if (t == NULL)
		die("memory", strerror(errno));
	for (int i = 0; i < DAY_S; i++)
		trip_add(t, i, &values[i]);
	for (int threshold = 20; threshold >= 10; threshold -= 5)
		trip_window(t, TRIP_WORK, threshold, &result);
	trip_window(t, TRIP_CO2, 0, &result);
	trip_window(t, TRIP_FUEL, 0, &result);
	trip_two_bin(t, &bins);
	trip_free(t);
}

static double window_samples_per_s(double seconds)
{
	struct engine_values *values = calloc(DAY_S, sizeof(*values));
	unsigned long days = 0;
	double begin, end;

	if (values == NULL)
		die("memory", strerror(errno));
	for (int i = 0; i < DAY_S; i++) {
		const double swing = sin(i / 40.0) * sin(i / 1777.0);

		values[i] = (struct engine_values){ 45 + 30 * swing,
						    8,
						    1300 + 200 * swing,
						    25 + 15 * swing,
						    600 + 250 * swing,
						    300 + 300 * swing,
						    85,
						    98 };
	}
	begin = cpu_s();
	do {
		assess_trip(values);
		days++;
		end = cpu_s();
	} while (end - begin < seconds);
	free(values);
	return (double)days * DAY_S / (end - begin);
}

int main(int argc, char **argv)
{
	const char *city = argc > 1 ? argv[1] : HAULGATE_SCHEMA_DIR "/seed/city.sql";
	struct bench *b = calloc(1, sizeof(*b));
	struct geo_cursor *cursor = NULL;
	struct error err = { 0 };
	size_t findings, passages;

	if (b == NULL || (b->days = calloc(TRUCKS, assess_day_size())) == NULL ||
	    (b->next = calloc(TRUCKS, sizeof(*b->next))) == NULL)
		die("memory", strerror(errno));
	rule_set_init(&b->rules);
	load_city(b, city);
	if (geo_cursor_new(b->geo, &cursor, &err) < 0)
		die("geo", err.text);
	printf("trucks=%d\nroutes=%u\n", TRUCKS, b->route_count);
	printf("vehicle_day_bytes=%zu\n", assess_day_size());
	printf("fold_samples_per_s=%.0f\n", samples_per_s(b, NULL, 2));
	printf("fold_and_locate_samples_per_s=%.0f\n", samples_per_s(b, cursor, 2));
	printf("results_per_s=%.0f\n", results_per_s(b, 1, &findings, &passages));
	printf("window_samples_per_s=%.0f\n", window_samples_per_s(2));
	printf("findings=%zu\npassages=%zu\n", findings, passages);
	geo_cursor_free(cursor);
	geo_free(b->geo);
	free(b->days);
	free(b->next);
	free(b);
	return 0;
}
