/*
 * bench_store.c - haulgate-bench-store: how fast samples get from the spool into PostgreSQL, and
 * what a sample takes there, beside plain rows through a staging table on the same server in the
 * same run.
 *
 * Ours: spool, decode, assess, pack, COPY, commit, in the one store thread.  Plain: one row of 19
 * narrow columns for each second, binary COPY into a temporary table, INSERT .. ON CONFLICT DO
 * NOTHING; its rows are ready made, so only the database's work is timed.  Prints key=value lines.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/store/buffer.h"
#include "gateway/store/store.h"
#include "proto/wire/unit.h"
#include "record.pb-c.h"

static const char usage[] = "usage: haulgate-bench-store [--trucks N] [--samples N] "
			    "[--batch-frames N] [--checkpoint-s N]\n"
			    "HAULGATE_TEST_PG: a superuser's connection string; a database of its "
			    "own is made and dropped.\n";

enum { FRAME_S = 10, PLAIN_BATCH = 10000, COLUMNS = 19, FRAMES_AT_ONCE = 2000 };

struct bench {
	unsigned trucks;
	long samples;
	struct config config;
	char name[64], owner[512], gateway[512], dir[64];
	PGconn *conn;
	struct spool *spool;
	double *walks; /* state of each truck's fields */
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "haulgate-bench-store: %s: %s\n", what, why);
	exit(1);
}

static void sql(PGconn *conn, const char *text)
{
	PGresult *r = PQexec(conn, text);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		die(text, PQerrorMessage(conn));
	PQclear(r);
}

static double number(PGconn *conn, const char *text)
{
	PGresult *r = PQexec(conn, text);
	double value;

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		die(text, PQerrorMessage(conn));
	value = atof(PQgetvalue(r, 0, 0));
	PQclear(r);
	return value;
}

static double seconds(void)
{
	return (double)clock_mono_ns() / 1e9;
}

/* ---- traffic: every value walks, as an engine's do ---- */

/* Middle and step of each field of the stream, in its unit. */
static const struct {
	double middle, step;
} walk_of[STREAM_FIELD_COUNT] = {
	[STREAM_speed_kmh] = { 60, 0.6 },	 [STREAM_baro_kpa] = { 98, 0 },
	[STREAM_net_torque_pct] = { 45, 2 },	 [STREAM_friction_torque_pct] = { 8, 0 },
	[STREAM_engine_rpm] = { 1300, 9 },	 [STREAM_fuel_flow_lph] = { 25, 0.8 },
	[STREAM_nox_upstream_ppm] = { 800, 12 }, [STREAM_nox_downstream_ppm] = { 60, 3 },
	[STREAM_reagent_pct] = { 60, 0 },	 [STREAM_air_flow_kgph] = { 700, 9 },
	[STREAM_scr_in_c] = { 320, 0.4 },	 [STREAM_scr_out_c] = { 310, 0.3 },
	[STREAM_dpf_dp_kpa] = { 5, 0.1 },	 [STREAM_coolant_c] = { 85, 0 },
	[STREAM_fuel_level_pct] = { 50, 0 },	 [STREAM_lon] = { 120.45, 0.00015 },
	[STREAM_lat] = { 41.57, 0.00012 },	 [STREAM_odometer_km] = { 100000, 0.02 },
};

static double noise(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1;
	return (double)(state >> 40) / (1 << 23) - 1; /* -1 .. 1 */
}

static void body_next(struct bench *b, unsigned truck, uint8_t body[STREAM_SIZE])
{
	double *w = b->walks + (size_t)truck * STREAM_FIELD_COUNT;

	for (int i = 0; i < STREAM_FIELD_COUNT; i++) {
		w[i] += noise() * walk_of[i].step -
			(i < STREAM_lon ? (w[i] - walk_of[i].middle) / 50 : 0);
		field_put(&info_stream.fields[i], body, w[i]);
	}
	body[info_stream.fields[STREAM_position_status].offset] = 0;
}

static int64_t start_at(void)
{
	return ((int64_t)time(NULL) / 86400 - 1) * 86400 -
	       6 * 3600; /* 02:00 in Beijing, within the last days */
}

static size_t frame_make(struct bench *b, unsigned truck, int64_t at, uint8_t *out, size_t size)
{
	uint8_t unit[1024], body[STREAM_SIZE];
	struct unit_writer w;
	struct frame f = { .start = 0x23,
			   .command = COMMAND_REALTIME,
			   .answer = ANSWER_COMMAND,
			   .encryption = 1 };

	unit_start(&w, LAYOUT_A, at, 1, unit, sizeof(unit));
	for (int i = 0; i < FRAME_S; i++) {
		body_next(b, truck, body);
		unit_block(&w, INFO_STREAM, at + i, (uint16_t)(at / 10), body, sizeof(body));
	}
	snprintf(f.vin, sizeof(f.vin), "LBENC%012u", truck % 1000000);
	f.unit = unit;
	f.unit_size = w.size;
	return frame_encode(&f, out, size);
}

static void record_add(struct spool_batch *batch, const uint8_t *frame, size_t size,
		       int64_t received)
{
	Haulgate__FrameRecord r = HAULGATE__FRAME_RECORD__INIT;
	static uint8_t raw[FRAME_SIZE_MAX];
	uint8_t *p;

	memcpy(raw, frame, size);
	r.received_at_ns = (uint64_t)received * 1000000000;
	r.layout = LAYOUT_A;
	r.protocol = PROTOCOL_GB17691;
	r.raw.data = raw;
	r.raw.len = size;
	p = spool_batch_add(batch, haulgate__frame_record__get_packed_size(&r));
	if (p == NULL)
		die("spool", "a batch is full");
	haulgate__frame_record__pack(&r, p);
}

static void batch_done(struct spool_batch *batch, int status, void *arg)
{
	(void)batch;
	*(_Atomic int *)arg = status == 0 ? 1 : -1;
}

static void spool_fill(struct bench *b)
{
	struct spool_batch batch;
	_Atomic int done = 1;
	long frames = 0;
	uint8_t frame[2048];

	if (spool_batch_init(&batch, SPOOL_BATCH_MAX) < 0)
		die("spool", "no memory");
	batch.done = batch_done;
	batch.arg = &done;
	for (int64_t at = start_at(); frames * FRAME_S < b->samples; at += FRAME_S)
		for (unsigned truck = 0; truck < b->trucks && frames * FRAME_S < b->samples;
		     truck++) {
			const size_t size = frame_make(b, truck, at, frame, sizeof(frame));

			record_add(&batch, frame, size, at + FRAME_S + 1);
			if (++frames % FRAMES_AT_ONCE != 0 && frames * FRAME_S < b->samples)
				continue;
			done = 0;
			if (spool_submit(b->spool, &batch) < 0)
				die("spool", "full");
			while (done == 0)
				usleep(200);
			spool_batch_clear(&batch);
		}
	spool_batch_release(&batch);
}

/* ---- ours ---- */

static double run_store(struct bench *b)
{
	struct metrics *metrics;
	struct error err;
	struct store *store;
	double start, took;
	const struct store_options options = { .config = &b->config,
					       .spool = b->spool,
					       .spool_dir = b->dir };
	struct store_options with = options;

	if (metrics_open(NULL, 1, &metrics, &err) < 0)
		die("metrics", err.text);
	with.metrics = metrics_thread(metrics, 0);
	start = seconds();
	if (store_open(&with, &store, &err) < 0)
		die("store", err.text);
	while (metrics_read(metrics, METRIC_store_samples_total) < b->samples &&
	       seconds() < start + 600)
		usleep(2000);
	took = seconds() - start;
	store_close(store, 60000);
	printf("store_batches=%lld\n",
	       (long long)metrics_read(metrics, METRIC_store_batches_total));
	if (metrics_read(metrics, METRIC_store_samples_total) != b->samples)
		die("store", "not all samples were stored");
	metrics_close(metrics);
	return took;
}

/* ---- plain rows ---- */

static const char plain_columns[] = "vehicle_id bigint NOT NULL, at timestamptz NOT NULL, speed "
				    "real, baro smallint, torque smallint, "
				    "friction smallint, rpm real, fuel real, nox_up real, nox_down "
				    "real, reagent smallint, air real, "
				    "scr_in real, scr_out real, dpf real, coolant smallint, "
				    "fuel_level smallint, lon integer, lat integer";

static void plain_row(struct bench *b, struct buffer *out, unsigned truck, int64_t at)
{
	static const enum stream_field order[] = {
		STREAM_speed_kmh,	    STREAM_baro_kpa,	       STREAM_net_torque_pct,
		STREAM_friction_torque_pct, STREAM_engine_rpm,	       STREAM_fuel_flow_lph,
		STREAM_nox_upstream_ppm,    STREAM_nox_downstream_ppm, STREAM_reagent_pct,
		STREAM_air_flow_kgph,	    STREAM_scr_in_c,	       STREAM_scr_out_c,
		STREAM_dpf_dp_kpa,	    STREAM_coolant_c,	       STREAM_fuel_level_pct
	};
	static const char narrow[] = "fhhhffffhffffhh"; /* as plain_columns */
	const double *w = b->walks + (size_t)truck * STREAM_FIELD_COUNT;
	uint8_t body[STREAM_SIZE];

	body_next(b, truck, body);
	tuple_start(out, COLUMNS);
	column_i64(out, truck);
	column_ns(out, at * 1000000000);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (narrow[i] == 'h')
			column_i16(out, (int16_t)w[order[i]]);
		else
			column_f32(out, w[order[i]]);
	}
	column_i32(out, (int32_t)(w[STREAM_lon] * 1e6));
	column_i32(out, (int32_t)(w[STREAM_lat] * 1e6));
}

static void plain_batch(struct bench *b, const struct buffer *tuples)
{
	static const char head[19] = "PGCOPY\n\377\r\n", tail[2] = { '\xff', '\xff' };
	PGresult *r;

	sql(b->conn, "BEGIN");
	r = PQexec(b->conn, "COPY plain_stage FROM STDIN (FORMAT binary)");
	if (PQresultStatus(r) != PGRES_COPY_IN)
		die("copy", PQerrorMessage(b->conn));
	PQclear(r);
	if (PQputCopyData(b->conn, head, sizeof(head)) != 1 ||
	    PQputCopyData(b->conn, (const char *)tuples->bytes, (int)tuples->size) != 1 ||
	    PQputCopyData(b->conn, tail, sizeof(tail)) != 1 || PQputCopyEnd(b->conn, NULL) != 1)
		die("copy", PQerrorMessage(b->conn));
	while ((r = PQgetResult(b->conn)) != NULL) {
		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			die("copy", PQerrorMessage(b->conn));
		PQclear(r);
	}
	sql(b->conn, "INSERT INTO plain SELECT * FROM plain_stage ON CONFLICT DO NOTHING");
	sql(b->conn, "COMMIT");
}

static double run_plain(struct bench *b, long rows)
{
	struct buffer tuples = { 0 };
	double took = 0, start;
	char text[1024];
	long made = 0;

	snprintf(text, sizeof(text),
		 "CREATE TABLE plain (%s, PRIMARY KEY (vehicle_id, at)) PARTITION BY RANGE (at);"
		 "CREATE TABLE plain_all PARTITION OF plain DEFAULT;"
		 "CREATE TEMPORARY TABLE plain_stage (%s) ON COMMIT DELETE ROWS",
		 plain_columns, plain_columns);
	sql(b->conn, text);
	for (int64_t at = start_at(); made < rows; at += FRAME_S)
		for (unsigned truck = 0; truck < b->trucks && made < rows; truck++) {
			for (int i = 0; i < FRAME_S; i++, made++)
				plain_row(b, &tuples, truck, at + i);
			if (made % PLAIN_BATCH != 0 && made < rows)
				continue;
			start = seconds();
			plain_batch(b, &tuples);
			took += seconds() - start;
			tuples.size = 0;
		}
	buffer_release(&tuples);
	return took;
}

/* ---- all ---- */

static void database_make(struct bench *b)
{
	const char *server = getenv("HAULGATE_TEST_PG");
	char text[1200], exe[512];
	const ssize_t size = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	PGconn *conn;

	if (server == NULL)
		die("HAULGATE_TEST_PG", "is not set; run this through test/lib/with_postgres");
	conn = PQconnectdb(server);
	if (PQstatus(conn) != CONNECTION_OK)
		die("connect", PQerrorMessage(conn));
	snprintf(b->name, sizeof(b->name), "bench_store_%d", (int)getpid());
	snprintf(text, sizeof(text), "CREATE DATABASE %s", b->name);
	sql(conn, text);
	PQfinish(conn);
	exe[size > 0 ? size : 0] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(b->owner, sizeof(b->owner), "%s dbname=%s", server, b->name);
	snprintf(b->gateway, sizeof(b->gateway), "%s dbname=%s user=haulgate_gateway", server,
		 b->name);
	snprintf(text, sizeof(text), "'%s/haulgate-migrate' --conninfo '%s' --seed >&2", exe,
		 b->owner);
	if (system(text) != 0)
		die("haulgate-migrate", "failed; is it built?");
	b->conn = PQconnectdb(b->owner);
	b->config.store_conninfo = b->gateway;
}

static void database_drop(struct bench *b)
{
	char text[200];
	PGconn *conn = PQconnectdb(getenv("HAULGATE_TEST_PG"));

	PQfinish(b->conn);
	snprintf(text, sizeof(text), "DROP DATABASE %s WITH (FORCE)", b->name);
	sql(conn, text);
	PQfinish(conn);
}

static void spool_make(struct bench *b)
{
	struct spool_recovery recovery;
	struct error err;
	struct spool_options options = { .segment_size = 64 << 20,
					 .size_max = (uint64_t)64 << 30,
					 .reserve = 1 << 20 };

	snprintf(b->dir, sizeof(b->dir), "/tmp/haulgate-bench.XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		die("mkdtemp", b->dir);
	options.dir = b->dir;
	if (spool_open(&options, &recovery, &b->spool, &err) < 0)
		die("spool", err.text);
	b->walks = calloc(b->trucks, STREAM_FIELD_COUNT * sizeof(double));
	for (unsigned truck = 0; truck < b->trucks; truck++)
		for (int i = 0; i < STREAM_FIELD_COUNT; i++)
			b->walks[truck * STREAM_FIELD_COUNT + (unsigned)i] = walk_of[i].middle;
}

static void report(struct bench *b, double took, long plain_rows, double plain_took)
{
	const double ours = (double)b->samples / took, plain = (double)plain_rows / plain_took;
	const double size =
		number(b->conn, "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
				"WHERE inhparent = 'track'::regclass");
	const double plain_size = number(b->conn, "SELECT pg_total_relation_size('plain_all')");

	printf("trucks=%u\nsamples=%ld\n", b->trucks, b->samples);
	printf("store_seconds=%.2f\nstore_samples_per_s=%.0f\n", took, ours);
	printf("store_bytes_per_sample=%.1f\n", size / (double)b->samples);
	printf("plain_rows=%ld\nplain_seconds=%.2f\nplain_samples_per_s=%.0f\n", plain_rows,
	       plain_took, plain);
	printf("plain_bytes_per_sample=%.1f\n", plain_size / (double)plain_rows);
	printf("ratio=%.2f\n", ours / plain);
}

int main(int argc, char **argv)
{
	struct bench b = { .trucks = 2000,
			   .samples = 3000000,
			   .config = { .gateway_id = 1,
				       .store_batch_frames = 4096,
				       .store_batch_ms = 200,
				       .store_checkpoint_s = 10,
				       .store_days_ahead = 1,
				       .assess_vehicles = 50000 } };
	long plain_rows;
	double took;
	char text[100];

	for (int i = 1; i + 1 < argc; i += 2) {
		const long value = strtol(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "--trucks") == 0)
			b.trucks = (unsigned)value;
		else if (strcmp(argv[i], "--samples") == 0)
			b.samples = value / FRAME_S * FRAME_S;
		else if (strcmp(argv[i], "--batch-frames") == 0)
			b.config.store_batch_frames = value;
		else if (strcmp(argv[i], "--checkpoint-s") == 0)
			b.config.store_checkpoint_s = value;
		else
			argc = 0;
	}
	if (argc % 2 == 0 || b.trucks == 0 || b.samples < FRAME_S) {
		fputs(usage, stderr);
		return 2;
	}
	database_make(&b);
	spool_make(&b);
	spool_fill(&b);
	took = run_store(&b);
	plain_rows = b.samples < 1000000 ? b.samples : 1000000;
	report(&b, took, plain_rows, run_plain(&b, plain_rows));
	spool_close(b.spool);
	database_drop(&b);
	free(b.walks);
	snprintf(text, sizeof(text), "rm -rf '%s'", b.dir);
	return system(text) == 0 ? 0 : 1;
}
