-- What each role may do.  tools/migrate runs this after the migrations, every time, so that it is the whole truth:
-- it first takes everything away.  docs/store.md says why each right is needed.
-- Partitions get no grants of their own: they are reached through track.

DO $$
DECLARE t record;
BEGIN
  EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO haulgate_gateway, haulgate_operator', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO haulgate_query, haulgate_export, haulgate_link',
                 current_database());
  FOR t IN
    SELECT format('%I.%I', n.nspname, c.relname) AS name, n.nspname AS schema, c.relkind AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND pg_has_role(c.relowner, 'USAGE')
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, haulgate_gateway, haulgate_query, haulgate_export, haulgate_link, '
                   'haulgate_operator', t.name);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO haulgate_gateway, haulgate_query, haulgate_export, haulgate_link, '
                   'haulgate_operator', t.schema);
    -- Views are made to be read; what a reader may see of the tables stands below.
    IF t.kind IN ('v', 'm') THEN
      EXECUTE format('GRANT SELECT ON %s TO haulgate_query, haulgate_export, haulgate_operator', t.name);
    END IF;
  END LOOP;
END $$;

GRANT SELECT ON division, haul_route, fleet, vehicle, terminal, track, obd_state, terminal_event, rule, vehicle_day,
      finding, evidence, passage TO haulgate_query;
GRANT SELECT ON division, haul_route, fleet, vehicle, rule, vehicle_day, finding, passage TO haulgate_export;
GRANT SELECT, INSERT, UPDATE ON export_run TO haulgate_export;

-- The gateway adds; it changes only what is its own derivation, and deletes only what it replaces at once.
GRANT SELECT ON division, haul_route, rule, schema_version TO haulgate_gateway;
GRANT SELECT, INSERT (vin, state), UPDATE (signature_doubted_at) ON vehicle TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON terminal TO haulgate_gateway;
GRANT SELECT, INSERT ON track TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE (first_at, last_at) ON obd_state TO haulgate_gateway;
GRANT INSERT ON terminal_event TO haulgate_gateway;
GRANT SELECT (vehicle_id, day, rule_id, at, signature), INSERT ON evidence TO haulgate_gateway;
GRANT SELECT (gateway_id, position, sqlstate), INSERT ON quarantine TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON vehicle_day TO haulgate_gateway;
GRANT SELECT, INSERT,
      UPDATE (rule_version, severity, state, from_at, to_at, division_id, route_id, place, value, "limit", measured, digest)
      ON finding TO haulgate_gateway;
GRANT SELECT, INSERT, DELETE ON passage TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON assess_snapshot TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON ingest_position TO haulgate_gateway;
GRANT EXECUTE ON FUNCTION haulgate_make_partitions(date, date) TO haulgate_gateway;

-- The registry as the gateway needs it.  It adds a terminal's key by activation_take() alone.
GRANT SELECT ON fleet, terminal_identity, terminal_key, certificate, platform, platform_vehicle TO haulgate_gateway;
GRANT EXECUTE ON FUNCTION activation_take(bigint, text, bytea, text, timestamptz, text) TO haulgate_gateway;
GRANT SELECT, INSERT, UPDATE ON platform_day, platform_serial TO haulgate_gateway;
GRANT SELECT, INSERT ON replay TO haulgate_gateway;
GRANT SELECT, UPDATE (state, gateway_id, taken_at, attempts, unit, sent_at, ended_at, answer, answered, message) ON command
      TO haulgate_gateway;

-- Who reads sees no secret, wrapped or hashed as it may be.
GRANT SELECT ON terminal_identity, certificate, platform_vehicle, platform_day, platform_serial,
      platform_link_position, platform_link_refused, replay, activation TO haulgate_query, haulgate_operator;
GRANT SELECT (id, name, login, sources, require_tls, state, changed_by) ON platform TO haulgate_query, haulgate_operator;
GRANT SELECT (id, vehicle_id, purpose, algorithm, mode, chip_id, public_key, state, origin, valid_from, valid_to, created_at,
              changed_by, reason) ON terminal_key TO haulgate_query;
GRANT SELECT (id, name, address, tls, tls_ca, start, platform_code, login, selection, selected, not_from, in_flight, state,
              changed_by) ON platform_link TO haulgate_query;

-- Commands are ordered, seen and cancelled by functions alone, which write the audit row with them.
GRANT EXECUTE ON FUNCTION api.command_order(text, text, jsonb, text, text, bigint), api.command(text, bigint),
      api.commands(text, text, bigint, integer), api.command_cancel(text, bigint, text, text)
      TO haulgate_query, haulgate_operator;

-- tools/keys, tools/registry, tools/command: people who keep the registry.  Nothing that a finding may rest on is
-- deleted: vehicles retire, keys and certificates are revoked, terminals removed.
GRANT SELECT ON division, haul_route, fleet, vehicle, terminal, terminal_key, platform_link, audit_log,
      registry_history, schema_version TO haulgate_operator;
GRANT INSERT, UPDATE ON fleet, vehicle, terminal_identity, terminal_key, certificate, platform, platform_link
      TO haulgate_operator;
GRANT INSERT, DELETE ON platform_vehicle TO haulgate_operator;
GRANT SELECT, UPDATE (activation) ON registry_policy TO haulgate_operator;
GRANT INSERT (actor, action, subject, detail) ON audit_log TO haulgate_operator;
-- tools/link: a new link begins where the gateways are now.
GRANT SELECT ON ingest_position TO haulgate_operator;
GRANT INSERT (link_id, gateway_id, position) ON platform_link_position TO haulgate_operator;

-- haulgate-link reads what to forward and keeps its own position.
GRANT SELECT ON division, haul_route, fleet, vehicle, passage, vehicle_day, platform_link, ingest_position, schema_version
      TO haulgate_link;
GRANT SELECT, INSERT, UPDATE ON platform_link_position TO haulgate_link;
GRANT SELECT, INSERT ON platform_link_refused TO haulgate_link;
