/* sql.c - every statement of the store, in one place: what it may touch is in schema/grants.sql. */
#include "gateway/store/pg.h"

#define TRACK_COLUMNS                                                                              \
	"vehicle_id, at, part, received_at, position, gateway_id, sample_count, span_s, quirks, "  \
	"lon_e6, lat_e6, speed_kmh, nox_ppm, nox_mg, dpf_dp_kpa, reagent_pct, samples, "           \
	"credential, platform"

const char sql_copy_track[] = "COPY track (" TRACK_COLUMNS ") FROM STDIN (FORMAT binary)";
const char sql_copy_stage[] =
	"COPY pg_temp.track_stage (" TRACK_COLUMNS ") FROM STDIN (FORMAT binary)";
const char sql_make_stage[] = "CREATE TEMPORARY TABLE IF NOT EXISTS track_stage "
			      "(LIKE track INCLUDING DEFAULTS) ON COMMIT DELETE ROWS";

const char *const sql_text[SQL_COUNT] = {
	[SQL_SETTINGS] = "SELECT current_setting('fsync') = 'on', "
			 "current_setting('full_page_writes') = 'on', "
			 "current_setting('data_checksums') = 'on'",
	[SQL_SCHEMA] = "SELECT coalesce(max(version), 0)::integer FROM schema_version",
	/* One store for each gateway number in a database, for as long as the connection lives. */
	[SQL_LOCK] = "SELECT pg_try_advisory_lock(1751217511, $1::smallint::integer)",
	[SQL_MAKE_PARTITIONS] = "SELECT haulgate_make_partitions($1::date, $2::date)",

	[SQL_DIVISIONS] = "SELECT id, ST_AsBinary(area) FROM division ORDER BY id",
	[SQL_ROUTES] = "SELECT id, ST_AsBinary(corridor) FROM haul_route ORDER BY id",
	/* One row for each parameter, and one with NULL for a rule without any. */
	[SQL_RULES] =
		"SELECT r.rule_id, r.version, p.key, p.value::text::float8 FROM "
		"(SELECT DISTINCT ON (rule_id) * FROM rule WHERE enabled ORDER BY rule_id, version "
		"DESC) r "
		"LEFT JOIN LATERAL jsonb_each(r.parameters) p ON jsonb_typeof(p.value) = 'number' "
		"ORDER BY r.rule_id, p.key",

	[SQL_VEHICLES] = "SELECT v.id, v.vin, v.reference_torque_nm, "
			 "v.rated_power_kw, v.stage, "
			 "t.layout FROM vehicle v LEFT JOIN terminal t ON t.vehicle_id = v.id "
			 "WHERE v.id > $1::bigint "
			 "ORDER BY v.id",
	[SQL_VEHICLE_INSERT] = "INSERT INTO vehicle (vin, state) SELECT v, 'provisional' FROM "
			       "unnest($1::text[]) v "
			       "ON CONFLICT DO NOTHING",
	[SQL_VEHICLES_BY_VIN] =
		"SELECT v.id, v.vin, v.reference_torque_nm, v.rated_power_kw, "
		"v.stage, t.layout FROM vehicle v LEFT JOIN terminal t ON t.vehicle_id = v.id "
		"WHERE v.vin = ANY ($1::text[])",

	[SQL_POSITION_READ] = "SELECT position, snapshot_position FROM ingest_position WHERE "
			      "gateway_id = $1::smallint",
	[SQL_POSITION_INSERT] =
		"INSERT INTO ingest_position (gateway_id, position, snapshot_position) "
		"VALUES ($1::smallint, $2::bigint, $3::bigint) ON CONFLICT DO NOTHING",
	[SQL_POSITION_MOVE] =
		"UPDATE ingest_position SET position = $2::bigint, snapshot_position = "
		"coalesce($3::bigint, snapshot_position), updated_at = now() "
		"WHERE gateway_id = $1::smallint AND position = $4::bigint",

	[SQL_STAGE_MOVE] = "INSERT INTO track (" TRACK_COLUMNS ") SELECT " TRACK_COLUMNS
			   " FROM pg_temp.track_stage "
			   "WHERE part >= 0 ON CONFLICT DO NOTHING",
	[SQL_STAGE_MOVE_CLOCK] = "INSERT INTO track (" TRACK_COLUMNS ") SELECT " TRACK_COLUMNS
				 " FROM pg_temp.track_stage WHERE part < 0 ON CONFLICT DO NOTHING "
				 "RETURNING position",

	/*
	 * The rows of some vehicles that reach into the range of each.  $4, $5: bounds over all, $4
	 * minus the longest span of a row, so that few partitions are opened.  One index scan for
	 * each vehicle, in the order of the array: nothing is sorted or gathered.
	 */
	[SQL_DAY_ROWS] =
		"SELECT q.n, t.at, t.part, t.samples, coalesce(t.credential, 0), "
		"coalesce(t.platform, 0), t.quirks FROM unnest($1::bigint[], "
		"$2::timestamptz[], "
		"$3::timestamptz[]) WITH ORDINALITY q(vehicle_id, from_at, to_at, n) CROSS JOIN "
		"LATERAL ("
		"SELECT at, part, samples, credential, platform, quirks "
		"FROM track t WHERE t.vehicle_id = q.vehicle_id "
		"AND t.at >= $4::timestamptz AND t.at <= $5::timestamptz "
		"AND t.at >= q.from_at - interval '3600 s' AND t.at <= q.to_at AND t.quirks & 32 = "
		"0 "
		"AND (t.at >= q.from_at OR t.at + t.span_s * interval '1 second' >= q.from_at) "
		"ORDER BY t.at, t.part) t",
	[SQL_DAY_FINDINGS] = "SELECT vehicle_id, rule_id, max(revision), "
			     "max(revision) FILTER (WHERE state <> 'superseded'), "
			     "max(digest) FILTER (WHERE state <> 'superseded'), "
			     "max(rule_version) FILTER (WHERE state <> 'superseded') "
			     "FROM finding WHERE vehicle_id = ANY ($1::bigint[]) AND day = "
			     "$2::date GROUP BY 1, 2",

	[SQL_OBD] = "INSERT INTO obd_state (vehicle_id, day, digest, first_at, last_at, "
		    "obd_protocol, mil, support, "
		    "readiness, vin, calibration_id, cvn, dtc, body) "
		    "SELECT u.vehicle_id, u.day, u.digest, u.first_at, u.last_at, u.obd_protocol, "
		    "u.mil, u.support, "
		    "u.readiness, u.vin, u.calibration_id, u.cvn, "
		    "CASE WHEN u.dtc = '' THEN '{}' ELSE string_to_array(u.dtc, '|') END, u.body "
		    "FROM unnest($1::bigint[], $2::date[], $3::bytea[], $4::timestamptz[], "
		    "$5::timestamptz[], "
		    "$6::smallint[], $7::boolean[], $8::integer[], $9::integer[], $10::text[], "
		    "$11::text[], "
		    "$12::text[], $13::text[], $14::bytea[]) AS u(vehicle_id, day, digest, "
		    "first_at, last_at, "
		    "obd_protocol, mil, support, readiness, vin, calibration_id, cvn, dtc, body) "
		    "ON CONFLICT (vehicle_id, day, digest) DO UPDATE SET "
		    "first_at = LEAST(obd_state.first_at, excluded.first_at), "
		    "last_at = GREATEST(obd_state.last_at, excluded.last_at) "
		    "WHERE obd_state.first_at > excluded.first_at OR obd_state.last_at < "
		    "excluded.last_at",
	[SQL_TERMINAL] =
		"INSERT INTO terminal AS t (vehicle_id, iccid, protocol, layout, software_version, "
		"last_at, "
		"last_received_at) SELECT * FROM unnest($1::bigint[], $2::text[], $3::smallint[], "
		"$4::smallint[], $5::smallint[], $6::timestamptz[], $7::timestamptz[]) "
		"ON CONFLICT (vehicle_id) DO UPDATE SET iccid = coalesce(excluded.iccid, t.iccid), "
		"protocol = CASE WHEN excluded.protocol <> 0 THEN excluded.protocol ELSE "
		"t.protocol END, "
		"layout = CASE WHEN excluded.layout <> 0 THEN excluded.layout ELSE t.layout END, "
		"software_version = coalesce(excluded.software_version, t.software_version), "
		"last_at = GREATEST(t.last_at, excluded.last_at), "
		"last_received_at = GREATEST(t.last_received_at, excluded.last_received_at)",
	[SQL_EVENT] =
		"INSERT INTO terminal_event (vehicle_id, at, kind, serial, detail, received_at, "
		"gateway_id, "
		"position) SELECT u.vehicle_id, u.at, u.kind, u.serial, u.detail::jsonb, "
		"u.received_at, "
		"$1::smallint, u.position FROM unnest($2::bigint[], $3::timestamptz[], $4::text[], "
		"$5::integer[], $6::text[], $7::timestamptz[], $8::bigint[]) "
		"AS u(vehicle_id, at, kind, serial, detail, received_at, position) ON CONFLICT DO "
		"NOTHING",
	[SQL_ACTIVATION] =
		"SELECT activation_take(u.vehicle_id, u.chip_id, u.public_key, u.algorithm, u.at, "
		"u.state) FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], "
		"$5::timestamptz[], $6::text[]) WITH ORDINALITY "
		"AS u(vehicle_id, chip_id, public_key, algorithm, at, state, n) ORDER BY u.n",
	[SQL_REPLAY] =
		"INSERT INTO replay (gateway_id, vehicle_id, at, position, received_at, samples, "
		"credential, platform, first_credential, first_platform, peer) "
		"SELECT $1::smallint, u.vehicle_id, u.at, u.position, u.received_at, u.samples, "
		"u.credential, u.platform, u.first_credential, u.first_platform, "
		"u.peer::inet FROM unnest($2::bigint[], $3::timestamptz[], $4::bigint[], "
		"$5::timestamptz[], $6::integer[], $7::bigint[], $8::integer[], $9::bigint[], "
		"$10::integer[], $11::text[]) "
		"AS u(vehicle_id, at, position, received_at, samples, credential, platform, "
		"first_credential, first_platform, peer) ON CONFLICT DO NOTHING",
	/* In the order of the key, so that two gateways never wait for each other in a circle. */
	[SQL_PLATFORM_DAY] =
		"INSERT INTO platform_day AS d (platform_id, vehicle_id, day, frames, supplements, "
		"duplicates, refused, first_serial, last_serial, delay_ms_sum, delay_ms_max, "
		"delay_frames) SELECT platform_id, vehicle_id, day, sum(frames), "
		"sum(supplements), sum(duplicates), sum(refused), min(first_serial), "
		"max(last_serial), coalesce(sum(delay_ms), 0), coalesce(max(delay_ms), 0), "
		"count(delay_ms) FROM unnest($1::integer[], $2::bigint[], $3::date[], "
		"$4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::integer[], "
		"$9::integer[], $10::bigint[]) AS u(platform_id, vehicle_id, day, frames, "
		"supplements, duplicates, refused, first_serial, last_serial, delay_ms) "
		"GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 "
		"ON CONFLICT (platform_id, vehicle_id, day) DO UPDATE SET "
		"frames = d.frames + excluded.frames, "
		"supplements = d.supplements + excluded.supplements, "
		"duplicates = d.duplicates + excluded.duplicates, "
		"refused = d.refused + excluded.refused, "
		"first_serial = LEAST(d.first_serial, excluded.first_serial), "
		"last_serial = GREATEST(d.last_serial, excluded.last_serial), "
		"delay_ms_sum = d.delay_ms_sum + excluded.delay_ms_sum, "
		"delay_ms_max = GREATEST(d.delay_ms_max, excluded.delay_ms_max), "
		"delay_frames = d.delay_frames + excluded.delay_frames",
	/* The same order again.  What has been seen is not written again. */
	[SQL_PLATFORM_SERIAL] =
		"INSERT INTO platform_serial AS s (platform_id, vehicle_id, day, page, seen) "
		"SELECT platform_id, vehicle_id, day, serial / 2048, "
		"bit_or(set_bit(0::bit(2048), serial % 2048, 1)) FROM unnest($1::integer[], "
		"$2::bigint[], $3::date[], $4::integer[]) "
		"AS u(platform_id, vehicle_id, day, serial) "
		"GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 "
		"ON CONFLICT (platform_id, vehicle_id, day, page) DO UPDATE SET "
		"seen = s.seen | excluded.seen WHERE s.seen & excluded.seen <> excluded.seen",
	[SQL_QUARANTINE] =
		"INSERT INTO quarantine (gateway_id, position, reason, vin, received_at, sqlstate, "
		"message, "
		"raw) SELECT $1::smallint, u.* FROM unnest($2::bigint[], $3::text[], $4::text[], "
		"$5::timestamptz[], $6::text[], $7::text[], $8::bytea[]) u ON CONFLICT DO NOTHING",
	[SQL_QUARANTINED] =
		"SELECT position FROM quarantine WHERE gateway_id = $1::smallint "
		"AND position >= $2::bigint AND position < $3::bigint AND sqlstate IS NOT NULL",

	[SQL_FINDING_SUPERSEDE] =
		"UPDATE finding f SET state = 'superseded' FROM unnest($1::bigint[], $2::date[], "
		"$3::text[], $4::integer[]) AS u(vehicle_id, day, rule_id, revision) "
		"WHERE (f.vehicle_id, f.day, f.rule_id, f.revision) = "
		"(u.vehicle_id, u.day, u.rule_id, u.revision)",
#define FINDING_ARRAYS                                                                             \
	"unnest($1::bigint[], $2::date[], $3::text[], $4::integer[], $5::integer[], "              \
	"$6::smallint[], $7::timestamptz[], $8::timestamptz[], $9::integer[], $10::integer[], "    \
	"$11::float8[], $12::float8[], $13::float8[], $14::float8[], $15::text[], $16::bigint[]) " \
	"AS u(vehicle_id, day, rule_id, revision, rule_version, severity, from_at, to_at, "        \
	"division_id, route_id, lon, lat, value, lim, measured, digest)"
#define FINDING_PLACE "ST_SetSRID(ST_MakePoint(u.lon, u.lat), 4326)"
	[SQL_FINDING_UPDATE] =
		"UPDATE finding f SET rule_version = u.rule_version, severity = u.severity, "
		"from_at = u.from_at, to_at = u.to_at, division_id = u.division_id, "
		"route_id = u.route_id, place = " FINDING_PLACE ", value = u.value, "
		"\"limit\" = u.lim, measured = u.measured::jsonb, digest = u.digest "
		"FROM " FINDING_ARRAYS " WHERE (f.vehicle_id, f.day, f.rule_id, f.revision) = "
		"(u.vehicle_id, u.day, u.rule_id, u.revision)",
	[SQL_FINDING_INSERT] =
		"INSERT INTO finding (vehicle_id, day, rule_id, revision, rule_version, severity, "
		"state, "
		"from_at, to_at, division_id, route_id, place, value, \"limit\", measured, digest) "
		"SELECT u.vehicle_id, u.day, u.rule_id, u.revision, u.rule_version, u.severity, "
		"'open', "
		"u.from_at, u.to_at, u.division_id, u.route_id, " FINDING_PLACE ", u.value, u.lim, "
		"u.measured::jsonb, u.digest FROM " FINDING_ARRAYS,
	/*
	 * The frames of our spool that prove each finding and are not kept yet; $6: also those
	 * older than the youngest that is kept.  $8, $9: bounds over all, so that few partitions
	 * are opened.
	 */
	[SQL_EVIDENCE_FRAMES] = "SELECT q.n, t.at, t.position, t.received_at FROM "
				"unnest($1::bigint[], $2::date[], $3::text[], "
				"$4::timestamptz[], $5::timestamptz[], $6::boolean[]) "
				"WITH ORDINALITY q(vehicle_id, day, rule_id, from_at, to_at, "
				"fresh, n) CROSS JOIN LATERAL ("
				"SELECT t.at, t.position, t.received_at FROM track t WHERE "
				"t.vehicle_id = q.vehicle_id "
				"AND t.at >= q.from_at AND t.at <= q.to_at AND t.at >= "
				"$8::timestamptz AND t.at <= $9::timestamptz "
				"AND t.gateway_id = $7::smallint AND t.quirks & 32 = 0 "
				"AND (q.fresh OR t.at > coalesce((SELECT max(e.at) FROM evidence e "
				"WHERE e.vehicle_id = q.vehicle_id "
				"AND e.day = q.day AND e.rule_id = q.rule_id), '-infinity')) "
				"AND NOT EXISTS (SELECT FROM evidence e WHERE (e.vehicle_id, "
				"e.day, e.rule_id, e.at) = "
				"(q.vehicle_id, q.day, q.rule_id, t.at)) "
				"ORDER BY t.at, t.part LIMIT greatest(0, $10::integer - (SELECT "
				"count(*) FROM evidence e "
				"WHERE e.vehicle_id = q.vehicle_id AND e.day = q.day AND e.rule_id "
				"= q.rule_id))) t",
	[SQL_EVIDENCE_INSERT] =
		"INSERT INTO evidence (gateway_id, vehicle_id, day, rule_id, at, position, "
		"received_at, "
		"raw, unit, signature, key_id, credential) SELECT $1::smallint, u.* FROM "
		"unnest($2::bigint[], $3::date[], $4::text[], $5::timestamptz[], $6::bigint[], "
		"$7::timestamptz[], $8::bytea[], $9::bytea[], $10::smallint[], $11::bigint[], "
		"$12::bigint[]) u ON CONFLICT DO NOTHING",
	/* Numbers as in proto/wire/signature.h; NULL: written before there were any. */
	[SQL_FINDING_SIGNATURES] =
		"UPDATE finding f SET measured = f.measured || jsonb_build_object('signatures', "
		"(SELECT jsonb_build_object("
		"'valid', count(*) FILTER (WHERE e.signature = 1), "
		"'invalid', count(*) FILTER (WHERE e.signature = 2), "
		"'unsigned', count(*) FILTER (WHERE e.signature = 0), "
		"'unchecked', count(*) FILTER (WHERE coalesce(e.signature, 3) > 2)) "
		"FROM evidence e WHERE (e.vehicle_id, e.day, e.rule_id) = "
		"(f.vehicle_id, f.day, f.rule_id) "
		"AND e.at >= f.from_at - $4::integer * interval '1 s' AND e.at <= f.to_at)) "
		"FROM unnest($1::bigint[], $2::date[], $3::text[]) AS u(vehicle_id, day, rule_id) "
		"WHERE (f.vehicle_id, f.day, f.rule_id) = (u.vehicle_id, u.day, u.rule_id) "
		"AND f.state <> 'superseded'",
	[SQL_SIGNATURE_DOUBTED] = "UPDATE vehicle SET signature_doubted_at = $2::timestamptz "
				  "WHERE id = $1::bigint AND signature_doubted_at IS NULL",

	/* Vehicle-days that another gateway has assessed since we did. */
	[SQL_DAY_FOREIGN] =
		"SELECT d.vehicle_id, d.day FROM vehicle_day d JOIN unnest($1::bigint[], "
		"$2::date[]) "
		"AS u(vehicle_id, day) USING (vehicle_id, day) WHERE d.gateway_id <> $3::smallint "
		"FOR UPDATE OF d",
#define DAY_INSERT                                                                                 \
	"INSERT INTO vehicle_day AS d (vehicle_id, day, revision, division_id, samples, "          \
	"engine_on_s, nox_valid_s, position_valid_s, gap_s, km, fuel_kg, nox_g, work_kwh, "        \
	"gateway_id) SELECT u.*, $14::smallint FROM unnest($1::bigint[], $2::date[], "             \
	"$3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], "              \
	"$8::integer[], $9::integer[], $10::float8[], $11::float8[], $12::float8[], "              \
	"$13::float8[]) u ON CONFLICT (vehicle_id, day) DO UPDATE SET "                            \
	"revision = d.revision + excluded.revision - 1, division_id = excluded.division_id, "      \
	"samples = excluded.samples, engine_on_s = excluded.engine_on_s, "                         \
	"nox_valid_s = excluded.nox_valid_s, position_valid_s = excluded.position_valid_s, "       \
	"gap_s = excluded.gap_s, km = excluded.km, fuel_kg = excluded.fuel_kg, "                   \
	"nox_g = excluded.nox_g, work_kwh = excluded.work_kwh, gateway_id = excluded.gateway_id"
	/* A row that another gateway made in this moment is left alone; then fewer rows are hit. */
	[SQL_DAY_UPSERT] = DAY_INSERT " WHERE d.gateway_id = excluded.gateway_id",
	[SQL_DAY_ADOPT] = DAY_INSERT,
	[SQL_PASSAGE_DELETE] = "DELETE FROM passage p USING unnest($1::bigint[], $2::date[]) AS "
			       "u(vehicle_id, day) "
			       "WHERE p.vehicle_id = u.vehicle_id AND p.day = u.day",
	[SQL_PASSAGE_INSERT] =
		"INSERT INTO passage (vehicle_id, day, route_id, from_at, to_at, is_open, "
		"division_id, "
		"km, nox_g, fuel_kg, samples) SELECT * FROM unnest($1::bigint[], $2::date[], "
		"$3::integer[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], "
		"$7::integer[], "
		"$8::float8[], $9::float8[], $10::float8[], $11::integer[])",
	[SQL_SNAPSHOT_UPSERT] =
		"INSERT INTO assess_snapshot AS s (gateway_id, version, vehicle_id, day, state) "
		"SELECT $1::smallint, $2::integer, u.* FROM unnest($3::bigint[], $4::date[], "
		"$5::bytea[]) u ON CONFLICT (vehicle_id, day, gateway_id) DO UPDATE SET "
		"version = excluded.version, state = excluded.state",
	[SQL_SNAPSHOT_DELETE] =
		"DELETE FROM assess_snapshot s USING unnest($2::bigint[], $3::date[]) "
		"AS u(vehicle_id, day) WHERE s.gateway_id = $1::smallint "
		"AND s.vehicle_id = u.vehicle_id AND s.day = u.day",
	[SQL_SNAPSHOTS] = "SELECT vehicle_id, day, version, state FROM assess_snapshot "
			  "WHERE gateway_id = $1::smallint",
};
