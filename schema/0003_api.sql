-- 0003: the interface of the database.  The query service, the weekly export and anyone's psql use
-- these functions and views; a table may change behind them.
--
-- Times in JSON are RFC 3339 at +08:00.  A function refuses a bad argument with SQLSTATE HG400; one
-- that finds nothing under a name returns NULL.
-- Who may read what stands in grants.sql; the functions run with the rights of their caller.
-- Functions with optional filters are planned for each call (force_custom_plan): the conditions that do
-- not apply fold away, and the partitions outside of the period are not opened.

CREATE SCHEMA api;

-- ---- words that all share ---------------------------------------------------------------------

CREATE FUNCTION api.instant(t timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT to_char(t AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD"T"HH24:MI:SS"+08:00"')
$$;

-- The terminals' moment of reception is evidence: microseconds stay.
CREATE FUNCTION api.exact_instant(t timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT to_char(t AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD"T"HH24:MI:SS.US"+08:00"')
$$;

CREATE FUNCTION api.finding_id(vin text, day date, rule_id text, revision integer) RETURNS text
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT vin || '.' || to_char(day, 'YYYYMMDD') || '.' || rule_id || '.' || revision
$$;

CREATE FUNCTION api.division_json(d division) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN d.id IS NOT NULL
    THEN json_build_object('id', d.id, 'name', d.name, 'name_en', d.name_en) END
$$;

CREATE FUNCTION api.route_json(h haul_route) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN h.id IS NOT NULL
    THEN json_build_object('id', h.id, 'name', h.name, 'name_en', h.name_en, 'commodity', h.commodity) END
$$;

-- What a list shows of a finding, and the beginning of the single one.
CREATE FUNCTION api.finding_json(f finding, v vehicle, r rule, d division, h haul_route) RETURNS jsonb
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT jsonb_build_object(
    'id', api.finding_id(v.vin, f.day, f.rule_id, f.revision),
    'vin', v.vin, 'plate', v.plate, 'category', v.category, 'day', f.day, 'revision', f.revision,
    'rule', f.rule_id, 'rule_version', f.rule_version, 'rule_label', r.label,
    'severity', f.severity, 'state', f.state,
    'from', api.instant(f.from_at), 'to', api.instant(f.to_at),
    'division', api.division_json(d), 'route', api.route_json(h),
    'lon', round(ST_X(f.place)::numeric, 6), 'lat', round(ST_Y(f.place)::numeric, 6),
    'value', f.value, 'limit', f."limit", 'measured', f.measured)
$$;

-- ---- service ----------------------------------------------------------------------------------

-- True: this schema is there and can be read.  Asked by /readyz.
CREATE FUNCTION api.ready() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT count(*) >= 0 FROM (SELECT FROM vehicle LIMIT 1) any_row
$$;

-- ---- small lists ------------------------------------------------------------------------------

CREATE FUNCTION api.divisions() RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('divisions', coalesce(json_agg(json_build_object(
    'id', id, 'name', name, 'name_en', name_en, 'is_sample', is_sample,
    'area', ST_AsGeoJSON(area, 5)::json) ORDER BY id), '[]'))
  FROM division
$$;

CREATE FUNCTION api.routes() RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('routes', coalesce(json_agg(json_build_object(
    'id', id, 'name', name, 'name_en', name_en, 'commodity', commodity, 'half_width_m', half_width_m,
    'is_sample', is_sample, 'line', ST_AsGeoJSON(line, 5)::json) ORDER BY id), '[]'))
  FROM haul_route
$$;

-- The newest version of each rule.
CREATE FUNCTION api.rules() RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('rules', coalesce(json_agg(json_build_object(
    'id', rule_id, 'version', version, 'label', label, 'doc', doc, 'severity', severity,
    'enabled', enabled, 'parameters', parameters) ORDER BY rule_id), '[]'))
  FROM (SELECT DISTINCT ON (rule_id) * FROM rule ORDER BY rule_id, version DESC) newest
$$;

-- ---- a vehicle --------------------------------------------------------------------------------

-- Youngest moment of the vehicle's data; clock faults (part < 0) do not count.
CREATE FUNCTION api.vehicle_last_at(p_vehicle bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT last_at FROM terminal WHERE vehicle_id = p_vehicle),
                  (SELECT at + span_s * interval '1 second' FROM track
                    WHERE vehicle_id = p_vehicle AND part >= 0 ORDER BY at DESC LIMIT 1))
$$;

-- The last frame with a position, of the last 30 days of the vehicle's data.
CREATE FUNCTION api.vehicle_last(p_vehicle bigint) RETURNS json LANGUAGE plpgsql STABLE
  SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  v_last timestamptz := api.vehicle_last_at(p_vehicle);
BEGIN
  RETURN (
    SELECT json_build_object('at', api.instant(at + span_s * interval '1 second'),
      'lon', lon_e6 / 1e6::float8, 'lat', lat_e6 / 1e6::float8, 'speed_kmh', speed_kmh, 'nox_ppm', nox_ppm,
      'dpf_dp_kpa', dpf_dp_kpa, 'reagent_pct', reagent_pct)
    FROM track
    WHERE vehicle_id = p_vehicle AND lon_e6 IS NOT NULL AND lat_e6 IS NOT NULL AND part >= 0
      AND at > v_last - interval '30 days' AND at <= v_last
    ORDER BY at DESC LIMIT 1);
END $$;

CREATE FUNCTION api.vehicle_obd(p_vehicle bigint) RETURNS json LANGUAGE sql STABLE AS $$
  SELECT json_build_object('day', day, 'first_at', api.instant(first_at), 'last_at', api.instant(last_at),
    'obd_protocol', obd_protocol, 'mil', mil, 'support', support, 'readiness', readiness, 'vin', vin,
    'calibration_id', calibration_id, 'cvn', cvn, 'dtc', dtc)
  FROM obd_state WHERE vehicle_id = p_vehicle
  ORDER BY day DESC, last_at DESC, digest LIMIT 1
$$;

CREATE FUNCTION api.vehicle(p_vin text) RETURNS json LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT json_build_object(
    'vin', v.vin, 'plate', v.plate, 'category', v.category, 'stage', v.stage, 'state', v.state,
    'reference_torque_nm', v.reference_torque_nm, 'rated_power_kw', v.rated_power_kw,
    'whtc_work_kwh', v.whtc_work_kwh,
    'fleet', CASE WHEN f.id IS NOT NULL THEN json_build_object('name', f.name, 'grade', f.grade) END,
    'terminal', CASE WHEN t.vehicle_id IS NOT NULL THEN json_build_object(
      'iccid', t.iccid, 'protocol', t.protocol, 'layout', t.layout, 'software_version', t.software_version,
      'last_at', api.instant(t.last_at), 'last_received_at', api.instant(t.last_received_at)) END,
    'last', api.vehicle_last(v.id),
    'obd', api.vehicle_obd(v.id),
    'open_findings', (SELECT count(*) FROM finding WHERE vehicle_id = v.id AND state = 'open'))
  FROM vehicle v LEFT JOIN fleet f ON f.id = v.fleet_id LEFT JOIN terminal t ON t.vehicle_id = v.id
  WHERE v.vin = p_vin
$$;

-- ---- samples ----------------------------------------------------------------------------------

-- The period that is meant: given bounds, else 24 hours at the end of the vehicle's data.  Unix
-- seconds, [from, to); NULL when there is no data.  No row: no such vehicle.
CREATE FUNCTION api.samples_range(p_vin text, p_from bigint, p_to bigint)
  RETURNS TABLE (vehicle_id bigint, from_s bigint, to_s bigint)
  LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
  v_id bigint;
BEGIN
  SELECT id INTO v_id FROM vehicle WHERE vin = p_vin;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF p_from IS NULL AND p_to IS NULL THEN
    p_to := floor(extract(epoch FROM api.vehicle_last_at(v_id)))::bigint + 1;
  END IF;
  RETURN QUERY SELECT v_id, coalesce(p_from, p_to - 86400), coalesce(p_to, p_from + 86400);
END $$;

-- The next frames of a vehicle behind (p_after, p_part) (unix seconds and part of a frame; NULL: from the start)
-- that touch [p_from, p_to), ascending.  Bounded three ways, so that neither side holds much: frames, seconds, bytes.
-- A frame spans at most 3600 s (track.span_s), so earlier ones cannot reach into the period.  Frames whose clock was
-- at fault (part < 0) are left out: their times are claims, and would stand between true ones.
CREATE FUNCTION api.samples_page(p_vehicle bigint, p_from bigint, p_to bigint, p_after bigint, p_part smallint)
  RETURNS TABLE (at_s bigint, frame_part smallint, packed bytea)
  LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET search_path FROM CURRENT AS $$
BEGIN
  RETURN QUERY
    SELECT extract(epoch FROM p.at)::bigint, p.part, p.samples FROM (
      SELECT f.at, f.part, f.samples,
        sum(f.sample_count) OVER before_this AS seconds, sum(octet_length(f.samples)) OVER before_this AS bytes
      FROM (SELECT t.at, t.part, t.sample_count, t.samples FROM track t
             WHERE t.vehicle_id = p_vehicle
               AND t.at >= to_timestamp(p_from - 3600) AND t.at < to_timestamp(p_to)
               AND (p_after IS NULL OR (t.at >= to_timestamp(p_after)
                    AND (t.at, t.part) > (to_timestamp(p_after), p_part)))
               AND t.part >= 0 AND t.at + t.span_s * interval '1 second' >= to_timestamp(p_from)
             ORDER BY t.at, t.part LIMIT 400) f
      WINDOW before_this AS (ORDER BY f.at, f.part ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) p
    WHERE coalesce(p.seconds, 0) < 4000 AND coalesce(p.bytes, 0) < 262144
    ORDER BY p.at, p.part;
END $$;

-- ---- findings ---------------------------------------------------------------------------------

-- Opaque to clients: base64url of "microseconds|vehicle|rule|revision" of the last row they have.
CREATE FUNCTION api.cursor_encode(f finding) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT rtrim(translate(encode(convert_to(concat_ws('|', (extract(epoch FROM f.from_at) * 1000000)::bigint,
    f.vehicle_id, f.rule_id, f.revision), 'UTF8'), 'base64'), E'+/\n', '-_'), '=')
$$;

CREATE FUNCTION api.cursor_decode(p text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  v text[];
BEGIN
  v := string_to_array(convert_from(decode(
    rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8'), '|');
  IF cardinality(v) = 4 AND v[1] ~ '^-?[0-9]{1,18}$' AND v[2] ~ '^[0-9]{1,18}$' AND v[4] ~ '^[0-9]{1,9}$' THEN
    RETURN v;
  END IF;
  RAISE data_exception;
EXCEPTION WHEN data_exception OR character_not_in_repertoire THEN
  RAISE EXCEPTION 'cursor is not one that this service gave out; start again without it' USING ERRCODE = 'HG400';
END $$;

-- A page of findings, newest first.  Every filter may be NULL.  p_division 0: outside of all divisions.
-- p_state NULL: all that are not superseded; 'all': those too.  p_link: the request without its cursor.
-- Keyset: (from_at DESC, vehicle, rule, revision) is unique, so rows that arrive meanwhile neither
-- repeat nor hide others.  A finding lies within one day, hence the second bound on from_at.
CREATE FUNCTION api.findings(p_route integer, p_division integer, p_rule text, p_from bigint, p_to bigint,
    p_plate text, p_vin text, p_severity integer, p_state text, p_limit integer, p_cursor text, p_link text)
  RETURNS json LANGUAGE plpgsql STABLE
  SET plan_cache_mode = force_custom_plan SET search_path FROM CURRENT AS $$
DECLARE
  v_cursor text[] := api.cursor_decode(p_cursor);
  v_limit integer := coalesce(p_limit, 50);
  v_before timestamptz := timestamptz 'epoch' + v_cursor[1]::bigint * interval '1 microsecond';
  v_after_vehicle bigint := v_cursor[2];
  v_after_rule text := v_cursor[3];
  v_after_revision integer := v_cursor[4];
  v_vehicles bigint[];
BEGIN
  IF p_vin IS NOT NULL OR p_plate IS NOT NULL THEN
    v_vehicles := array(SELECT id FROM vehicle
      WHERE (p_vin IS NULL OR vin = p_vin) AND (p_plate IS NULL OR plate = p_plate));
  END IF;
  RETURN (
    WITH page AS MATERIALIZED (
      SELECT f, row_number() OVER (ORDER BY f.from_at DESC, f.vehicle_id, f.rule_id, f.revision) AS n
      FROM finding f
      WHERE ((p_state IS NULL AND f.state <> 'superseded') OR p_state = 'all' OR f.state = p_state)
        AND (v_before IS NULL OR (f.from_at <= v_before AND (f.from_at < v_before
             OR (f.vehicle_id, f.rule_id, f.revision) > (v_after_vehicle, v_after_rule, v_after_revision))))
        AND (v_vehicles IS NULL OR f.vehicle_id = ANY (v_vehicles))
        AND (p_rule IS NULL OR f.rule_id = p_rule)
        AND (p_severity IS NULL OR f.severity = p_severity)
        AND (p_division IS NULL OR f.division_id = p_division OR (p_division = 0 AND f.division_id IS NULL))
        AND (p_from IS NULL OR (f.to_at >= to_timestamp(p_from)
             AND f.from_at >= to_timestamp(p_from) - interval '1 day'))
        AND (p_to IS NULL OR f.from_at < to_timestamp(p_to))
        AND (p_route IS NULL OR f.route_id = p_route OR EXISTS (
             SELECT FROM passage p WHERE p.vehicle_id = f.vehicle_id AND p.day = f.day AND p.route_id = p_route
               AND p.from_at <= f.to_at AND p.to_at >= f.from_at))
      ORDER BY f.from_at DESC, f.vehicle_id, f.rule_id, f.revision
      LIMIT v_limit + 1),
    next AS (
      SELECT api.cursor_encode((SELECT p.f FROM page p WHERE p.n = v_limit)) AS mark
      WHERE EXISTS (SELECT FROM page WHERE n > v_limit))
    SELECT json_build_object(
      'findings', coalesce((
        SELECT json_agg(api.finding_json(p.f, v, r, d, h) ORDER BY p.n)
        FROM page p
        JOIN vehicle v ON v.id = (p.f).vehicle_id
        JOIN rule r ON r.rule_id = (p.f).rule_id AND r.version = (p.f).rule_version
        LEFT JOIN division d ON d.id = (p.f).division_id
        LEFT JOIN haul_route h ON h.id = (p.f).route_id
        WHERE p.n <= v_limit), '[]'),
      'next_cursor', (SELECT mark FROM next),
      'next', (SELECT p_link || CASE WHEN strpos(p_link, '?') > 0 THEN '&' ELSE '?' END || 'cursor=' || mark
               FROM next)));
END $$;

-- The vehicle's frames of a period as points; thinned evenly above 5000.
CREATE FUNCTION api.track_points(p_vehicle bigint, p_from timestamptz, p_to timestamptz) RETURNS json
  LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  RETURN (
    SELECT coalesce(json_agg(json_build_object('at', api.instant(at), 'lon', lon_e6 / 1e6::float8, 'lat', lat_e6 / 1e6::float8,
      'speed_kmh', speed_kmh, 'nox_ppm', nox_ppm, 'dpf_dp_kpa', dpf_dp_kpa, 'reagent_pct', reagent_pct)
      ORDER BY at, part), '[]')
    FROM (SELECT t.*, row_number() OVER (ORDER BY at, part) - 1 AS n, count(*) OVER () AS total FROM track t
           WHERE vehicle_id = p_vehicle AND at >= p_from - interval '1 hour' AND at <= p_to AND part >= 0
             AND at + span_s * interval '1 second' >= p_from) numbered
    WHERE n % (total / 5000 + 1) = 0);
END $$;

-- id: VIN.YYYYMMDD.RULE.REVISION
CREATE FUNCTION api.finding(p_id text) RETURNS json LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT (api.finding_json(f, v, r, d, h) || jsonb_build_object(
    'rule_detail', jsonb_build_object('id', r.rule_id, 'version', r.version, 'label', r.label, 'doc', r.doc,
      'severity', r.severity, 'parameters', r.parameters),
    'evidence', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('at', api.instant(e.at), 'received_at',
        api.exact_instant(e.received_at), 'gateway_id', e.gateway_id, 'position', e.position,
        'sha256', encode(sha256(e.raw), 'hex'), 'raw', encode(e.raw, 'hex'))
        ORDER BY e.at, e.gateway_id, e.position), '[]')
      FROM (SELECT * FROM evidence WHERE vehicle_id = f.vehicle_id AND day = f.day AND rule_id = f.rule_id
             ORDER BY at, gateway_id, position LIMIT 1000) e),
    'track', api.track_points(f.vehicle_id, f.from_at, f.to_at),
    'passages', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('route', api.route_json(ph), 'division', api.division_json(pd),
        'from', api.instant(p.from_at), 'to', api.instant(p.to_at), 'is_open', p.is_open, 'km', p.km,
        'nox_g', p.nox_g, 'fuel_kg', p.fuel_kg, 'samples', p.samples) ORDER BY p.from_at, p.route_id), '[]')
      FROM passage p LEFT JOIN haul_route ph ON ph.id = p.route_id LEFT JOIN division pd ON pd.id = p.division_id
      WHERE p.vehicle_id = f.vehicle_id AND p.day = f.day AND p.from_at <= f.to_at AND p.to_at >= f.from_at)
    ))::json
  FROM vehicle v
  JOIN finding f ON f.vehicle_id = v.id
  JOIN rule r ON r.rule_id = f.rule_id AND r.version = f.rule_version
  LEFT JOIN division d ON d.id = f.division_id
  LEFT JOIN haul_route h ON h.id = f.route_id
  WHERE v.vin = split_part(p_id, '.', 1) AND f.day = to_date(split_part(p_id, '.', 2), 'YYYYMMDD')
    AND f.rule_id = split_part(p_id, '.', 3) AND f.revision = split_part(p_id, '.', 4)::integer
$$;

-- ---- weekly export: one view a file kind, columns in the order of the file --------------------
-- division_id and the key columns are first; tools/cli/export.c orders by them.  Times are Beijing
-- wall clock without offset, because spreadsheets read those as times.

CREATE FUNCTION api.wall(t timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT to_char(t AT TIME ZONE INTERVAL '8 hours', 'YYYY-MM-DD HH24:MI:SS')
$$;

CREATE VIEW api.export_finding AS
  SELECT f.division_id, f.day, v.vin, f.rule_id, f.revision,
    api.finding_id(v.vin, f.day, f.rule_id, f.revision) AS id, d.name AS division, v.plate, v.category, v.stage,
    fl.name AS fleet, r.label AS rule, f.rule_version, f.severity, f.state,
    api.wall(f.from_at) AS from_at, api.wall(f.to_at) AS to_at, f.route_id, h.name AS route,
    round(ST_X(f.place)::numeric, 6) AS lon, round(ST_Y(f.place)::numeric, 6) AS lat,
    f.value, f."limit", f.measured::text AS measured
  FROM finding f
  JOIN vehicle v ON v.id = f.vehicle_id
  JOIN rule r ON r.rule_id = f.rule_id AND r.version = f.rule_version
  LEFT JOIN fleet fl ON fl.id = v.fleet_id
  LEFT JOIN division d ON d.id = f.division_id
  LEFT JOIN haul_route h ON h.id = f.route_id
  WHERE f.state <> 'superseded';

CREATE VIEW api.export_passage AS
  SELECT p.division_id, p.day, v.vin, p.route_id, api.wall(p.from_at) AS from_at, api.wall(p.to_at) AS to_at,
    d.name AS division, v.plate, v.category, v.stage, fl.name AS fleet, h.name AS route, h.commodity,
    CASE WHEN p.is_open THEN 'yes' ELSE 'no' END AS is_open,
    round(p.km::numeric, 3) AS km, round(p.nox_g::numeric, 3) AS nox_g, round(p.fuel_kg::numeric, 3) AS fuel_kg,
    p.samples
  FROM passage p
  JOIN vehicle v ON v.id = p.vehicle_id
  LEFT JOIN fleet fl ON fl.id = v.fleet_id
  LEFT JOIN division d ON d.id = p.division_id
  LEFT JOIN haul_route h ON h.id = p.route_id;

CREATE VIEW api.export_vehicle_day AS
  SELECT w.division_id, w.day, v.vin, d.name AS division, v.plate, v.category, v.stage, fl.name AS fleet,
    w.revision, w.samples, w.engine_on_s, w.nox_valid_s, w.position_valid_s, w.gap_s,
    round(w.km::numeric, 3) AS km, round(w.fuel_kg::numeric, 3) AS fuel_kg, round(w.nox_g::numeric, 3) AS nox_g,
    round(w.work_kwh::numeric, 3) AS work_kwh
  FROM vehicle_day w
  JOIN vehicle v ON v.id = w.vehicle_id
  LEFT JOIN fleet fl ON fl.id = v.fleet_id
  LEFT JOIN division d ON d.id = w.division_id;
