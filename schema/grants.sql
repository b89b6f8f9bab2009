-- What each role may do.  tools/migrate runs this after the migrations, every time, so that it is the whole truth:
-- it first takes everything away.  docs/store.md says why each right is needed.
-- Partitions get no grants of their own: they are reached through track.

DO $$
DECLARE t record;
BEGIN
  EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO haulgate_gateway', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO haulgate_query, haulgate_export', current_database());
  FOR t IN
    SELECT format('%I.%I', n.nspname, c.relname) AS name, n.nspname AS schema, c.relkind AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND pg_has_role(c.relowner, 'USAGE')
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, haulgate_gateway, haulgate_query, haulgate_export', t.name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO haulgate_gateway, haulgate_query, haulgate_export', t.schema);
    -- Views are made to be read; what a reader may see of the tables stands below.
    IF t.kind IN ('v', 'm') THEN
      EXECUTE format('GRANT SELECT ON %s TO haulgate_query, haulgate_export', t.name);
    END IF;
  END LOOP;
END $$;

GRANT SELECT ON division, haul_route, fleet, vehicle, terminal, track, obd_state, terminal_event, rule, vehicle_day,
      finding, evidence, passage TO haulgate_query;
GRANT SELECT ON division, haul_route, fleet, vehicle, rule, vehicle_day, finding, passage TO haulgate_export;
GRANT SELECT, INSERT, UPDATE ON export_run TO haulgate_export;

-- The gateway adds; it changes only what is its own derivation, and deletes only what it replaces at once.
GRANT SELECT ON division, haul_route, rule, schema_version TO haulgate_gateway;
GRANT SELECT, INSERT (vin, state) ON vehicle TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON terminal TO haulgate_gateway;
GRANT SELECT, INSERT ON track TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE (first_at, last_at) ON obd_state TO haulgate_gateway;
GRANT INSERT ON terminal_event TO haulgate_gateway;
GRANT SELECT (vehicle_id, day, rule_id, at), INSERT ON evidence TO haulgate_gateway;
GRANT SELECT (gateway_id, position, sqlstate), INSERT ON quarantine TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON vehicle_day TO haulgate_gateway;
GRANT SELECT, INSERT,
      UPDATE (rule_version, severity, state, from_at, to_at, division_id, route_id, place, value, "limit", measured, digest)
      ON finding TO haulgate_gateway;
GRANT SELECT, INSERT, DELETE ON passage TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON assess_snapshot TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON ingest_position TO haulgate_gateway;
GRANT EXECUTE ON FUNCTION haulgate_make_partitions(date, date) TO haulgate_gateway;
