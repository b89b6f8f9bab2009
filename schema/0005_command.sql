-- 0005: commands to terminals: order, look, cancel.  docs/downlink.md.
--
-- Whoever orders may execute these functions and touch no table: they run as the owner, check what is ordered, and
-- write the line of audit_log in the same transaction.  What the parameters of a command are, the gateway and the
-- tools know from one table (proto/wire/downlink.h) and check before they come here; the gateway does again.
-- Refusals: HG400 a bad argument, HG404 no such vehicle or command, HG409 not now.

-- A password for dialling is for the terminal alone.
CREATE FUNCTION api.command_parameters(p jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p ? 'dial_password' THEN p || '{"dial_password": "***"}' ELSE p END
$$;

-- What is over without a gateway that says so, is over.  One that took it four hours ago does not come back with it, and
-- may have sent it without writing that down.
CREATE FUNCTION api.command_state(c command) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN c.state NOT IN ('queued', 'sent') OR c.taken_at > now() - interval '4 hours' OR c.expires_at > now()
      THEN c.state
    WHEN c.attempts > 0 OR c.taken_at IS NOT NULL THEN 'silent' ELSE 'expired' END
$$;

CREATE FUNCTION api.command_json(c command, p_vin text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('id', c.id, 'vin', p_vin, 'kind', c.kind,
    'parameters', api.command_parameters(c.parameters), 'state', api.command_state(c),
    'ordered_by', c.ordered_by, 'reason', c.reason, 'ordered_at', api.instant(c.ordered_at),
    'expires_at', api.instant(c.expires_at), 'gateway_id', c.gateway_id, 'attempts', c.attempts,
    'sent_at', api.instant(c.sent_at), 'ended_at', api.instant(c.ended_at), 'answer', encode(c.answer, 'hex'),
    'answered', c.answered, 'message', c.message)
$$;

-- A text that a person wrote, for a table that people read.
CREATE FUNCTION api.command_words(p text, p_name text, p_max integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF p IS NULL OR btrim(p) = '' OR length(p) > p_max THEN
    RAISE EXCEPTION '% is needed: 1 to % characters', p_name, p_max USING ERRCODE = 'HG400';
  END IF;
  RETURN btrim(p);
END $$;

-- p_parameters: query: ["name", ...]; set: {"name": value, ...}; control: {"action": "name", "field": value, ...}.
-- p_expires_s: seconds from now, NULL: a day.
CREATE FUNCTION api.command_order(p_vin text, p_kind text, p_parameters jsonb, p_reason text, p_who text,
                                  p_expires_s bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_vehicle  vehicle;
  v_who      text := api.command_words(p_who, 'who orders', 64);
  v_reason   text := api.command_words(p_reason, 'reason', 500);
  v_shape    text := CASE p_kind WHEN 'query' THEN 'array' ELSE 'object' END;
  c          command;
BEGIN
  IF coalesce(p_kind, '') NOT IN ('query', 'set', 'control') THEN
    RAISE EXCEPTION 'kind must be query, set or control' USING ERRCODE = 'HG400';
  ELSIF p_parameters IS NULL OR octet_length(p_parameters::text) > 8192
     OR jsonb_typeof(p_parameters) <> v_shape THEN
    RAISE EXCEPTION 'parameters of a % must be a JSON % of at most 8 KiB', p_kind, v_shape
      USING ERRCODE = 'HG400';
  ELSIF p_expires_s NOT BETWEEN 10 AND 2592000 THEN
    RAISE EXCEPTION 'expires_s is %; it must be 10 to 2592000, which is 30 days', p_expires_s USING ERRCODE = 'HG400';
  END IF;
  -- Locked, so that orders that come at once cannot pass the bound together.
  SELECT * INTO v_vehicle FROM vehicle WHERE vin = p_vin FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no vehicle with this VIN is registered' USING ERRCODE = 'HG404';
  ELSIF v_vehicle.state IN ('blocked', 'retired') THEN
    RAISE EXCEPTION 'the vehicle is %: it cannot log in, so no command can reach it', v_vehicle.state
      USING ERRCODE = 'HG409';
  ELSIF (SELECT count(*) FROM command w WHERE w.vehicle_id = v_vehicle.id AND w.state IN ('queued', 'sent')
                                          AND (w.expires_at > now() OR w.taken_at IS NOT NULL)) >= 100 THEN
    RAISE EXCEPTION '100 commands wait for this vehicle: cancel some, or wait for their end' USING ERRCODE = 'HG409';
  END IF;
  INSERT INTO command (vehicle_id, kind, parameters, ordered_by, reason, expires_at)
    VALUES (v_vehicle.id, p_kind, p_parameters, v_who, v_reason, now() + coalesce(p_expires_s, 86400) * interval '1 second')
    RETURNING * INTO c;
  INSERT INTO audit_log (actor, action, subject, detail)
    VALUES (v_who, 'command.order', p_vin, jsonb_build_object('id', c.id, 'kind', c.kind,
      'parameters', api.command_parameters(c.parameters), 'reason', v_reason, 'expires_at', api.instant(c.expires_at)));
  RETURN api.command_json(c, p_vin);
END $$;

-- p_vin NULL: of any vehicle.  NULL: there is none.
CREATE FUNCTION api.command(p_vin text, p_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT api.command_json(c, v.vin) FROM command c JOIN vehicle v ON v.id = c.vehicle_id
  WHERE c.id = p_id AND (p_vin IS NULL OR v.vin = p_vin)
$$;

-- Newest first; p_before: the id that the page before ended with.  p_state: one of them, 'open' (queued or sent), or NULL
-- for all.  NULL: no such vehicle.
CREATE FUNCTION api.commands(p_vin text, p_state text, p_before bigint, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  v_id     bigint;
  v_limit  integer := coalesce(p_limit, 50);
BEGIN
  SELECT id INTO v_id FROM vehicle WHERE vin = p_vin;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN (
    WITH page AS MATERIALIZED (
      SELECT c FROM command c
      WHERE c.vehicle_id = v_id AND (p_before IS NULL OR c.id < p_before)
        AND (p_state IS NULL OR api.command_state(c) = p_state
             OR (p_state = 'open' AND api.command_state(c) IN ('queued', 'sent')))
      ORDER BY c.id DESC LIMIT v_limit + 1),
    shown AS (SELECT c FROM page ORDER BY (c).id DESC LIMIT v_limit)
    SELECT jsonb_build_object(
      'commands', coalesce((SELECT jsonb_agg(api.command_json(c, p_vin) ORDER BY (c).id DESC) FROM shown), '[]'),
      'next_before', CASE WHEN (SELECT count(*) FROM page) > v_limit THEN (SELECT min((c).id) FROM shown) END));
END $$;

-- Only what no gateway has in hand: what a truck was told cannot be taken back.  A gateway that took it four hours ago
-- (more than any number of attempts takes) and said nothing since does not come back with it.
CREATE FUNCTION api.command_cancel(p_vin text, p_id bigint, p_who text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_who     text := api.command_words(p_who, 'who cancels', 64);
  v_reason  text := api.command_words(p_reason, 'reason', 500);
  v_vin     text;
  c         command;
BEGIN
  SELECT v.vin INTO v_vin FROM command w JOIN vehicle v ON v.id = w.vehicle_id
    WHERE w.id = p_id AND (p_vin IS NULL OR v.vin = p_vin);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no command with this number' USING ERRCODE = 'HG404';
  END IF;
  SELECT * INTO c FROM command w WHERE w.id = p_id FOR UPDATE;
  IF api.command_state(c) NOT IN ('queued', 'sent') THEN
    RAISE EXCEPTION 'command % has ended already: %', c.id, api.command_state(c) USING ERRCODE = 'HG409';
  ELSIF c.taken_at > now() - interval '4 hours' THEN
    RAISE EXCEPTION 'command % is on its way by gateway %, sent % times so far: it ends by itself', c.id, c.gateway_id,
      c.attempts USING ERRCODE = 'HG409';
  END IF;
  UPDATE command w SET state = 'cancelled', taken_at = NULL, ended_at = now(), message = format('cancelled by %s: %s', v_who, v_reason)
    WHERE w.id = p_id RETURNING * INTO c;
  INSERT INTO audit_log (actor, action, subject, detail)
    VALUES (v_who, 'command.cancel', v_vin, jsonb_build_object('id', c.id, 'reason', v_reason, 'attempts', c.attempts));
  RETURN api.command_json(c, v_vin);
END $$;

-- One that waits is told to the gateways, by its VIN; one that moved on, to whoever watches, by its number.
CREATE FUNCTION command_tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NEW.state IN ('queued', 'sent') AND NEW.taken_at IS NULL THEN
    PERFORM pg_notify('haulgate_command', vin) FROM vehicle WHERE id = NEW.vehicle_id;
  END IF;
  PERFORM pg_notify('haulgate_command_state', NEW.id::text);
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON command FOR EACH ROW EXECUTE FUNCTION command_tell();

REVOKE ALL ON FUNCTION api.command_order(text, text, jsonb, text, text, bigint), api.command(text, bigint),
  api.commands(text, text, bigint, integer), api.command_cancel(text, bigint, text, text), command_tell() FROM PUBLIC;
