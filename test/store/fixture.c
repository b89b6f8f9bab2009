#include "test/store/fixture.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/store/context.h"
#include "proto/record/pack.h"

static unsigned databases; /* made by this process */

/* ---- database ---- */

static PGconn *connect_to(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(conn));
	return conn;
}

static void execute(PGconn *conn, const char *sql)
{
	PGresult *r = PQexec(conn, sql);
	const ExecStatusType status = PQresultStatus(r);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	PQclear(r);
}

static const char *server(void)
{
	const char *text = getenv("HAULGATE_TEST_PG");

	if (text == NULL)
		fail_msg("%s", "run this through test/lib/with_postgres");
	return text;
}

static const char geometry[] =
	"INSERT INTO division VALUES (211302, '双塔区', 'Shuangta', "
	"ST_Multi(ST_MakeEnvelope(120.3, 41.4, 120.6, 41.7, 4326)), true);"
	"INSERT INTO haul_route VALUES (7, '测试', 'test', 'coal', "
	"ST_GeomFromText('LINESTRING(120.40 41.50, 120.50 41.50)', 4326), 500, "
	"ST_Multi(ST_MakeEnvelope(120.40, 41.49, 120.50, 41.51, 4326)), true);";

/* Migrated once; every test copies it. */
static const char *template_make(PGconn *conn)
{
	static char name[64];
	char sql[256];
	PGconn *fresh;

	if (name[0] != '\0')
		return name;
	snprintf(name, sizeof(name), "store_template_%d", (int)getpid());
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
	execute(conn, sql);
	snprintf(sql, sizeof(sql), "'%s' --conninfo '%s dbname=%s' >/dev/null",
		 getenv("HAULGATE_MIGRATE"), server(), name);
	assert_int_equal(system(sql), 0);
	snprintf(sql, sizeof(sql), "%s dbname=%s", server(), name);
	fresh = connect_to(sql);
	execute(fresh, geometry);
	/* The tests' days are long ago. */
	execute(fresh, "UPDATE registry_policy SET activation_age = '100 years'");
	PQfinish(fresh);
	return name;
}

void fixture_new_database(struct fixture *f)
{
	PGconn *conn = connect_to(server());
	char sql[256];

	PQfinish(f->conn);
	snprintf(f->name, sizeof(f->name), "store_%d_%u", (int)getpid(), ++databases);
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE %s", f->name, template_make(conn));
	execute(conn, sql);
	PQfinish(conn);
	snprintf(f->owner, sizeof(f->owner), "%s dbname=%s", server(), f->name);
	snprintf(f->gateway, sizeof(f->gateway), "%s dbname=%s user=haulgate_gateway", server(),
		 f->name);
	f->config.store_conninfo = f->gateway;
	f->conn = connect_to(f->owner);
}

/* ---- spool and store ---- */

void fixture_spool_open(struct fixture *f)
{
	struct spool_recovery recovery;
	struct error err;
	const struct spool_options options = { .dir = f->dir,
					       .segment_size = 8 << 20,
					       .size_max = (uint64_t)8 << 30,
					       .reserve = 1 << 20 };

	if (spool_open(&options, &recovery, &f->spool, &err) < 0)
		fail_msg("%s", err.text);
}

void fixture_spool_close(struct fixture *f)
{
	spool_close(f->spool);
	f->spool = NULL;
}

void fixture_open(struct fixture *f)
{
	struct error err;

	*f = (struct fixture){ .config = { .gateway_id = 1,
					   .store_batch_frames = 256,
					   .store_batch_ms = 5,
					   .store_checkpoint_s = 3600,
					   .store_days_ahead = 1,
					   .assess_vehicles = 1000 } };
	snprintf(f->dir, sizeof(f->dir), "/tmp/haulgate-store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	fixture_new_database(f);
	fixture_spool_open(f);
	assert_int_equal(metrics_open(NULL, 1, &f->metrics, &err), 0);
}

void fixture_close(struct fixture *f)
{
	char sql[128];
	PGconn *conn;

	assert_null(f->store);
	PQfinish(f->conn);
	conn = connect_to(server());
	snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", f->name);
	execute(conn, sql);
	PQfinish(conn);
	spool_close(f->spool);
	metrics_close(f->metrics);
	snprintf(sql, sizeof(sql), "rm -rf '%s'", f->dir);
	assert_int_equal(system(sql), 0);
}

void fixture_store_open(struct fixture *f)
{
	const struct store_options options = { .config = &f->config,
					       .spool = f->spool,
					       .spool_dir = f->dir,
					       .archive_dir = "",
					       .metrics = metrics_thread(f->metrics, 0),
					       .identities = f->identities,
					       .fold_budget = f->fold_budget };
	struct error err;

	if (store_open(&options, &f->store, &err) < 0)
		fail_msg("%s", err.text);
}

void fixture_store_close(struct fixture *f)
{
	store_close(f->store, 60000);
	f->store = NULL;
}

void fixture_store_all(struct fixture *f)
{
	fixture_store_open(f);
	fixture_store_close(f);
}

static uint64_t spool_end(struct fixture *f)
{
	struct spool_reader *reader;
	struct spool_record record;
	struct error err;
	uint64_t end = 0;

	if (spool_reader_open(f->dir, NULL, 0, &reader, &err) < 0)
		fail_msg("%s", err.text);
	while (spool_reader_next(reader, spool_durable(f->spool), &record, &err) == 1)
		end = record.next;
	spool_reader_close(reader);
	return end;
}

void fixture_wait_stored(struct fixture *f)
{
	const uint64_t end = spool_end(f);
	const struct timespec slice = { .tv_nsec = 10 * 1000000 };

	while ((uint64_t)fixture_number(
		       f, "SELECT coalesce(max(position), 0) FROM ingest_position") < end)
		nanosleep(&slice, NULL);
}

/* ---- frames ---- */

void truck_vin(unsigned truck, char vin[VIN_SIZE + 1])
{
	snprintf(vin, VIN_SIZE + 1, "LTEST%012u", truck % 1000000);
}

void truck_body(unsigned truck, int64_t at, uint8_t body[STREAM_SIZE])
{
	const int64_t t = at - BASE_AT;
	const uint64_t noise =
		hash_bytes(hash_bytes(HASH_START, &truck, sizeof(truck)), &at, sizeof(at)) >> 40;
	const double along = (double)(t % 3000) / 3000;
	const double values[STREAM_FIELD_COUNT] = {
		[STREAM_speed_kmh] = 60 + (double)(noise % 64) / 8,
		[STREAM_baro_kpa] = 98,
		[STREAM_net_torque_pct] = 50 + (double)(noise % 7),
		[STREAM_friction_torque_pct] = 8,
		[STREAM_engine_rpm] = 1300,
		[STREAM_fuel_flow_lph] = 25,
		[STREAM_nox_upstream_ppm] = 800,
		[STREAM_nox_downstream_ppm] =
			truck % 3 == VIOLATOR ? 900 + (double)(noise % 50) : 60,
		[STREAM_reagent_pct] = 60 - (double)(t / 600 % 100) * 0.4,
		[STREAM_air_flow_kgph] = 700,
		[STREAM_scr_in_c] = 320,
		[STREAM_scr_out_c] = 310,
		[STREAM_dpf_dp_kpa] = 5,
		[STREAM_coolant_c] = 85,
		[STREAM_fuel_level_pct] = 50,
		[STREAM_position_status] = 0,
		[STREAM_lon] = 120.35 + 0.2 * along,
		[STREAM_lat] = 41.5,
		[STREAM_odometer_km] = 100000 + (double)t / 60,
	};

	memset(body, 0, STREAM_SIZE);
	for (int i = 0; i < STREAM_FIELD_COUNT; i++)
		field_put(&info_stream.fields[i], body, values[i]);
}

struct bytes truck_unit(unsigned truck, uint8_t command, const uint8_t *unit, size_t size)
{
	struct frame f = { .start = 0x23,
			   .header = HEADER_V,
			   .command = command,
			   .answer = ANSWER_COMMAND,
			   .software_version = 1,
			   .encryption = 1,
			   .unit = unit,
			   .unit_size = size };
	struct bytes out;

	truck_vin(truck, f.vin);
	out.size = frame_encode(&f, out.bytes, sizeof(out.bytes));
	assert_true(out.size > 0);
	return out;
}

struct bytes truck_report(unsigned truck, uint8_t command, int64_t at, unsigned count)
{
	uint8_t unit[3000], body[STREAM_SIZE];
	struct unit_writer w;

	unit_start(&w, LAYOUT_A, at, 1, unit, sizeof(unit));
	for (unsigned i = 0; i < count; i++) {
		truck_body(truck, at + i, body);
		unit_block(&w, INFO_STREAM, at + i, (uint16_t)(at % 60000 + i), body, sizeof(body));
	}
	assert_false(w.failed);
	return truck_unit(truck, command, unit, w.size);
}

static size_t obd_body(unsigned truck, bool mil, uint8_t body[OBD_SIZE + 4])
{
	static const uint8_t code[4] = { 0x0c, 0x11, 0x12, 0x01 }; /* SPN 4364 FMI 18 */

	memset(body, 0, OBD_SIZE + 4);
	body[0] = 2;
	body[1] = mil;
	truck_vin(truck, (char *)body + 6);
	memset(body + 23, 'C', 36);
	body[OBD_SIZE - 1] = mil;
	memcpy(body + OBD_SIZE, code, sizeof(code));
	return OBD_SIZE + (mil ? sizeof(code) : 0);
}

struct bytes truck_obd(unsigned truck, int64_t at, bool mil)
{
	uint8_t unit[512], body[OBD_SIZE + 4];
	const size_t size = obd_body(truck, mil, body);
	struct unit_writer w;

	unit_start(&w, LAYOUT_A, at, 1, unit, sizeof(unit));
	unit_block(&w, INFO_OBD, at, 1, body, size);
	return truck_unit(truck, COMMAND_REALTIME, unit, w.size);
}

void samples_expect_obd(struct samples *s, unsigned truck, int64_t at, bool mil)
{
	char vin[VIN_SIZE + 1];
	uint8_t body[OBD_SIZE + 4];
	const size_t size = obd_body(truck, mil, body);

	truck_vin(truck, vin);
	samples_add(s, vin, at, INFO_OBD, body, size);
}

struct bytes truck_login(unsigned truck, int64_t at, uint16_t serial)
{
	uint8_t unit[64];
	const size_t size =
		unit_login(at, serial, "89860012345678901234", HEADER_V, unit, sizeof(unit));

	return truck_unit(truck, COMMAND_LOGIN, unit, size);
}

void fixture_drive(struct fixture *f, unsigned truck, int64_t at, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i += 10) {
		const struct bytes frame = truck_report(truck, COMMAND_REALTIME, at + i, 10);

		fixture_feed(f, &frame, at + i + 11, VERDICT_ACCEPTED);
	}
}

/* ---- what the database holds ---- */

void fixture_execute(struct fixture *f, const char *sql)
{
	execute(f->conn, sql);
}

char *fixture_text(struct fixture *f, const char *sql)
{
	PGresult *r = PQexec(f->conn, sql);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(f->conn));
	for (int i = 0; i < PQntuples(r); i++)
		for (int j = 0; j < PQnfields(r); j++)
			fprintf(out, "%s%c", PQgetvalue(r, i, j),
				j + 1 < PQnfields(r) ? '|' : '\n');
	fclose(out);
	PQclear(r);
	return text;
}

long fixture_number(struct fixture *f, const char *sql)
{
	char *text = fixture_text(f, sql);
	const long n = strtol(text, NULL, 10);

	free(text);
	return n;
}

void assert_rows(struct fixture *f, const char *sql, const char *expected)
{
	char *text = fixture_text(f, sql);

	assert_string_equal(text, expected);
	free(text);
}

char *fixture_derived(struct fixture *f)
{
	static const char *const queries[] = {
		("SELECT vin, day, rule_id, rule_version, g.state, from_at, to_at, division_id, "
		 "route_id, "
		 "ST_AsText(place), value, \"limit\", measured - 'signatures' FROM finding g JOIN "
		 "vehicle v ON "
		 "v.id = vehicle_id "
		 "WHERE g.state <> 'superseded' ORDER BY 1, 2, 3"),
		("SELECT vin, day, division_id, samples, engine_on_s, nox_valid_s, "
		 "position_valid_s, gap_s, km, "
		 "fuel_kg, nox_g, work_kwh FROM vehicle_day JOIN vehicle v ON v.id = vehicle_id "
		 "ORDER BY 1, 2"),
		("SELECT vin, day, route_id, from_at, to_at, is_open, division_id, km, nox_g, "
		 "fuel_kg, samples "
		 "FROM passage JOIN vehicle v ON v.id = vehicle_id ORDER BY 1, 2, 3, 4"),
		("SELECT o.vin, day, digest, first_at, last_at, mil, dtc FROM obd_state o ORDER BY "
		 "1, 2, 3"),
	};
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		char *text = fixture_text(f, queries[i]);

		fprintf(out, "-- %zu\n%s", i, text);
		free(text);
	}
	fclose(out);
	return all;
}
