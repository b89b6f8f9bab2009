/*
 * make_track: rows of the table track and metrics files, for the tests of the query service.
 *
 *   make_track track VEHICLE FROM FRAMES SECONDS [STEP]  COPY text of FRAMES frames of SECONDS
 * samples; a sample every STEP seconds (1) make_track heartbeat DIR AGE_S                       a
 * gateway's metrics file in DIR
 *
 * A sample's values follow from its second alone (put_stream), so a test can tell what must come
 * out.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "proto/record/pack.h"

static void put(const struct info *info, uint8_t *body, const char *name, double value)
{
	field_put(info_field(info, name), body, value);
}

/* test/query/service.py: expected_sample() is the same in Python. */
static void put_stream(uint8_t body[STREAM_SIZE], int64_t t)
{
	memset(body, 0xFF, STREAM_SIZE);
	put(&info_stream, body, "speed_kmh", (double)(t % 90));
	put(&info_stream, body, "engine_rpm", (double)(800 + t % 1000));
	put(&info_stream, body, "fuel_flow_lph", (double)(t % 40));
	put(&info_stream, body, "nox_downstream_ppm", t % 7 == 0 ? NAN : (double)(t % 500));
	put(&info_stream, body, "reagent_pct", 60);
	put(&info_stream, body, "scr_in_c", 250);
	put(&info_stream, body, "dpf_dp_kpa", 0);
	put(&info_stream, body, "net_torque_pct", -5);
	put(&info_stream, body, "odometer_km", 1000);
	field_put_raw(info_field(&info_stream, "position_status"), body, t % 11 == 0 ? 1 : 0);
	put(&info_stream, body, "lon", 120 + (double)(t % 1000) * 1e-6);
	put(&info_stream, body, "lat", 41.5);
}

static void put_supplementary(uint8_t body[SUPPLEMENTARY_SIZE])
{
	memset(body, 0xFF, SUPPLEMENTARY_SIZE);
	put(&info_supplementary, body, "reagent_tank_c", 21);
}

static int print_frame(const char *vehicle, int64_t at, int64_t seconds, int64_t step)
{
	static uint8_t bodies[REPORT_BLOCKS_MAX][64], packed[PACK_SIZE_MAX];
	static struct block blocks[REPORT_BLOCKS_MAX];
	size_t n = 0, size;

	for (int64_t i = 0; i < seconds && n + 2 <= REPORT_BLOCKS_MAX; i++) {
		int64_t t = at + i * step;

		put_stream(bodies[n], t);
		blocks[n] = (struct block){ .info = &info_stream,
					    .type = INFO_STREAM,
					    .at = t,
					    .body = bodies[n],
					    .size = STREAM_SIZE };
		n++;
		if (t % 5 != 0)
			continue;
		put_supplementary(bodies[n]);
		blocks[n] = (struct block){ .info = &info_supplementary,
					    .type = INFO_SUPPLEMENTARY,
					    .at = t,
					    .body = bodies[n],
					    .size = SUPPLEMENTARY_SIZE };
		n++;
	}
	if ((size = blocks_pack(blocks, n, at, packed, sizeof(packed))) == 0)
		return -1;
	printf("%s\t@%" PRId64 "\t@%" PRId64 "\t%" PRId64 "\t1\t%" PRId64 "\t%" PRId64
	       "\t0\t120000000\t41500000\t50\t100\t5\t1\t60\t\\\\x",
	       vehicle, at, at + 1, at, seconds, (seconds - 1) * step);
	for (size_t i = 0; i < size; i++)
		printf("%02x", packed[i]);
	putchar('\n');
	return 0;
}

static int heartbeat(const char *dir, int64_t age_s)
{
	struct metrics *m;
	struct error err;
	char path[1000];

	snprintf(path, sizeof(path), "%s/gateway-1.metrics", dir);
	if (metrics_open(path, 1, &m, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	metrics_set(metrics_thread(m, 0), METRIC_heartbeat_ns,
		    clock_wall_ns() - age_s * INT64_C(1000000000));
	metrics_add(metrics_thread(m, 0), METRIC_frames_received_total, 77);
	metrics_close(m);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "heartbeat") == 0)
		return heartbeat(argv[2], strtoll(argv[3], NULL, 10));
	if ((argc == 6 || argc == 7) && strcmp(argv[1], "track") == 0) {
		int64_t from = strtoll(argv[3], NULL, 10), frames = strtoll(argv[4], NULL, 10);
		int64_t seconds = strtoll(argv[5], NULL, 10);
		int64_t step = argc == 7 ? strtoll(argv[6], NULL, 10) : 1;

		for (int64_t i = 0; i < frames; i++)
			if (print_frame(argv[2], from + i * seconds * step, seconds, step) != 0)
				return 1;
		return 0;
	}
	fputs("see the head of make_track.c\n", stderr);
	return 2;
}
