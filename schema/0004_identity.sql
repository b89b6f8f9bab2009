-- 0004: who may speak for a vehicle, and who asked it what.
--
-- credential: a number that says what a frame's sender proved himself with: id * 4 + kind, kind 1 terminal_key,
-- 2 certificate, 3 platform; NULL when nothing was proved (gateway/identity/identity.h).

ALTER TABLE fleet
  ADD COLUMN signature        text NOT NULL DEFAULT 'inherit' CHECK (signature IN ('inherit', 'optional', 'required')),
  ADD COLUMN signature_share  real NOT NULL DEFAULT 1 CHECK (signature_share BETWEEN 0 AND 1),
  ADD COLUMN transport        text NOT NULL DEFAULT 'any' CHECK (transport IN ('any', 'tls', 'certificate')),
  ADD COLUMN encryption       text NOT NULL DEFAULT 'optional' CHECK (encryption IN ('optional', 'required'));

ALTER TABLE vehicle
  ADD COLUMN valid_from  timestamptz,
  ADD COLUMN valid_to    timestamptz,
  ADD COLUMN signature_doubted_at  timestamptz,  -- a frame that proves a finding had a bad signature: all are checked since
  DROP CONSTRAINT vehicle_state_check,
  ADD CONSTRAINT vehicle_state_check CHECK (state IN ('registered', 'provisional', 'blocked', 'retired'));

-- The box as registered; table terminal is the box as last seen.
CREATE TABLE terminal_identity (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vehicle_id  bigint NOT NULL REFERENCES vehicle,
  maker       text,
  model       text,
  serial      text,
  iccid       text CHECK (iccid ~ '^[0-9A-Za-z]{20}$'),
  chip_id     text CHECK (octet_length(chip_id) BETWEEN 1 AND 16),
  state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'removed')),
  valid_from  timestamptz NOT NULL DEFAULT now(),
  valid_to    timestamptz,
  CHECK (valid_to > valid_from)
);
CREATE UNIQUE INDEX terminal_identity_one ON terminal_identity (vehicle_id) WHERE state = 'active';

-- Keys of terminals.  A signer has a public key; a cipher has a secret, wrapped with the gateway's wrapping key
-- (docs/keys.md), or none: then the gateway's own pair of that algorithm opens its units, in this mode.
CREATE TABLE terminal_key (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vehicle_id  bigint NOT NULL REFERENCES vehicle,
  purpose     text NOT NULL CHECK (purpose IN ('sign', 'encrypt')),
  algorithm   text NOT NULL CHECK (algorithm IN ('sm2', 'rsa', 'sm4', 'aes128', 'p256')),
  mode        text NOT NULL DEFAULT 'default',           -- proto/wire/algorithm.h, CIPHER_MODES
  chip_id     text CHECK (octet_length(chip_id) BETWEEN 1 AND 16),
  public_key  bytea,                                     -- sm2, p256: X || Y; rsa: DER
  secret      bytea,                                     -- wrapped; never in clear
  iv          bytea CHECK (octet_length(iv) = 16),       -- of mode cbc-fixed
  state       text NOT NULL DEFAULT 'active' CHECK (state IN ('pending', 'active', 'revoked')),
  origin      text NOT NULL DEFAULT 'import' CHECK (origin IN ('import', 'activation')),
  valid_from  timestamptz NOT NULL DEFAULT now(),
  valid_to    timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now(),
  changed_by  text,
  reason      text,
  CHECK (valid_to > valid_from),
  CHECK ((purpose = 'sign') = (public_key IS NOT NULL)),
  CHECK (purpose = 'encrypt' OR secret IS NULL),
  CHECK (algorithm IN ('sm2', 'rsa') OR (purpose = 'sign') = (algorithm = 'p256')),
  CHECK (algorithm NOT IN ('sm2', 'p256') OR octet_length(public_key) = 64),
  CHECK (algorithm NOT IN ('sm4', 'aes128') OR secret IS NOT NULL),
  CHECK ((mode = 'cbc-fixed') = (iv IS NOT NULL))
);
CREATE INDEX terminal_key_vehicle ON terminal_key (vehicle_id);
CREATE INDEX terminal_key_public ON terminal_key USING hash (public_key);
-- A key that ends may still be good beside the one that takes its place in the same chip (tools/keys rotate).
CREATE UNIQUE INDEX terminal_key_chip ON terminal_key (chip_id) WHERE purpose = 'sign' AND state = 'active' AND valid_to IS NULL;
CREATE UNIQUE INDEX terminal_key_once ON terminal_key (vehicle_id, public_key) WHERE purpose = 'sign' AND state <> 'revoked';

CREATE TABLE certificate (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vehicle_id   bigint NOT NULL REFERENCES vehicle,
  fingerprint  bytea NOT NULL UNIQUE CHECK (octet_length(fingerprint) = 32),  -- SHA-256 of the DER
  subject      text,
  issuer       text,
  valid_from   timestamptz NOT NULL,
  valid_to     timestamptz NOT NULL,
  state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'revoked')),
  changed_by   text,
  reason       text
);
CREATE INDEX certificate_vehicle ON certificate (vehicle_id);

-- ---- platforms ------------------------------------------------------------------------------

-- Enterprise platforms that report to us.
CREATE TABLE platform (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name         text NOT NULL UNIQUE,
  login        text NOT NULL UNIQUE CHECK (octet_length(login) BETWEEN 1 AND 12),
  password     text NOT NULL CHECK (password LIKE '$y$%'),   -- crypt(5), yescrypt
  sources      cidr[] NOT NULL DEFAULT '{}',                 -- empty: any address
  require_tls  boolean NOT NULL DEFAULT true,
  state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked')),
  changed_by   text
);

CREATE TABLE platform_vehicle (
  platform_id  integer NOT NULL REFERENCES platform,
  vehicle_id   bigint NOT NULL REFERENCES vehicle,
  PRIMARY KEY (platform_id, vehicle_id)
);
CREATE INDEX platform_vehicle_vehicle ON platform_vehicle (vehicle_id);

-- What a platform delivered of a vehicle on a day.
-- Delay: reception - time of sending (layout C) or collection, of real-time reports.
CREATE TABLE platform_day (
  platform_id   integer NOT NULL,
  vehicle_id    bigint NOT NULL,
  day           date NOT NULL,
  frames        integer NOT NULL,     -- reports stored, supplements included, duplicates not
  supplements   integer NOT NULL,
  duplicates    integer NOT NULL,
  refused       integer NOT NULL,
  first_serial  integer,              -- smallest of the day; NULL: the layout has none
  last_serial   integer,              -- largest
  delay_ms_sum  bigint NOT NULL,
  delay_ms_max  bigint NOT NULL,
  delay_frames  integer NOT NULL,     -- real-time reports that the two above are over
  PRIMARY KEY (platform_id, vehicle_id, day)
);

-- The serials in all that it delivered, stored or not, each once however often it came: 8 KiB in at most 32 rows a vehicle-day.
CREATE TABLE platform_serial (
  platform_id  integer NOT NULL,
  vehicle_id   bigint NOT NULL,
  day          date NOT NULL,
  page         smallint NOT NULL,     -- from serial 2048 * page on
  seen         bit(2048) NOT NULL,
  PRIMARY KEY (platform_id, vehicle_id, day, page)
);

-- Platforms that we report to.  Passwords stand in files of the link service, mode 0600.
CREATE TABLE platform_link (
  id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name           text NOT NULL UNIQUE,
  address        text NOT NULL,                        -- host:port
  tls            boolean NOT NULL DEFAULT true,
  tls_ca         text,                                 -- PEM file; NULL: the system's
  start          text NOT NULL DEFAULT '~~' CHECK (start IN ('~~', '##')),
  platform_code  text NOT NULL CHECK (octet_length(platform_code) BETWEEN 1 AND 17),
  login          text NOT NULL CHECK (octet_length(login) BETWEEN 1 AND 12),
  password_file  text NOT NULL,
  selection      text NOT NULL DEFAULT 'all' CHECK (selection IN ('all', 'fleet', 'division', 'route')),
  selected       bigint[] NOT NULL DEFAULT '{}',       -- ids of fleets, divisions or routes
  in_flight      integer NOT NULL DEFAULT 64 CHECK (in_flight BETWEEN 1 AND 4096),
  state          text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'stopped')),
  changed_by     text
);

CREATE TABLE platform_link_position (
  link_id     integer NOT NULL REFERENCES platform_link,
  gateway_id  smallint NOT NULL,
  position    bigint NOT NULL,        -- everything before it is answered by the other side, or not selected
  forwarded   bigint NOT NULL DEFAULT 0,
  refused     bigint NOT NULL DEFAULT 0,   -- answered with an error; kept in platform_link_refused
  updated_at  timestamptz NOT NULL DEFAULT now(),
  message     text,                   -- what is wrong now, or NULL
  PRIMARY KEY (link_id, gateway_id)
);

CREATE TABLE platform_link_refused (
  link_id     integer NOT NULL REFERENCES platform_link,
  gateway_id  smallint NOT NULL,
  position    bigint NOT NULL,
  vin         text NOT NULL,
  flag        smallint NOT NULL,      -- of the answer; 0: never answered, 254: the other side closes instead
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (link_id, gateway_id, position)
);

-- ---- data -----------------------------------------------------------------------------------

ALTER TABLE track
  ADD COLUMN credential bigint,
  ADD COLUMN platform   integer;    -- that delivered it; NULL: the terminal itself did
ALTER TABLE evidence
  ADD COLUMN unit       bytea,      -- in clear, when raw is encrypted
  ADD COLUMN signature  smallint,   -- proto/wire/signature.h; checked when the finding was written, if not before
  ADD COLUMN key_id     bigint,     -- terminal_key
  ADD COLUMN credential bigint;

-- Samples that came again from somebody else: kept beside the first, and changing nothing.
CREATE TABLE replay (
  vehicle_id        bigint NOT NULL,
  at                timestamptz NOT NULL,   -- first such sample of the frame
  gateway_id        smallint NOT NULL,
  position          bigint NOT NULL,
  received_at       timestamptz NOT NULL,
  samples           integer NOT NULL,
  credential        bigint,
  platform          integer,
  first_credential  bigint,
  first_platform    integer,
  peer              inet,
  PRIMARY KEY (vehicle_id, at, gateway_id, position)
);

-- ---- commands -------------------------------------------------------------------------------

CREATE TABLE command (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vehicle_id   bigint NOT NULL REFERENCES vehicle,
  kind         text NOT NULL CHECK (kind IN ('query', 'set', 'control')),
  parameters   jsonb NOT NULL,            -- as ordered: docs/downlink.md
  state        text NOT NULL DEFAULT 'queued'
               CHECK (state IN ('queued', 'sent', 'answered', 'refused', 'silent', 'expired', 'impossible', 'cancelled')),
  ordered_by   text NOT NULL,
  reason       text NOT NULL,
  ordered_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  gateway_id   smallint,                  -- that has it in hand, or had it last
  taken_at     timestamptz,               -- NULL: no gateway has it in hand
  attempts     integer NOT NULL DEFAULT 0,
  unit         bytea,                     -- as sent, behind the time: the terminal's protocol decides how
  sent_at      timestamptz,
  ended_at     timestamptz,
  answer       bytea,                     -- the unit of the answer
  answered     jsonb,                     -- the same, decoded
  message      text                       -- why it ended as it did
);
CREATE INDEX command_waiting ON command (vehicle_id, id) WHERE state IN ('queued', 'sent');
CREATE UNIQUE INDEX command_in_hand ON command (vehicle_id) WHERE state IN ('queued', 'sent') AND taken_at IS NOT NULL;
CREATE INDEX command_vehicle ON command (vehicle_id, id DESC);

-- Who did what.  Nobody updates or deletes.
CREATE TABLE audit_log (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  began    timestamptz NOT NULL DEFAULT now(),   -- of the transaction: what it changed has the same
  actor    text NOT NULL,            -- the person, as the tool was told
  role     text NOT NULL DEFAULT session_user,   -- the login that it came through: cannot be chosen
  action   text NOT NULL,            -- command.order, key.revoke, registry.import, ...
  subject  text,                     -- VIN, platform, ...
  detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON audit_log (at);

-- Rows of the registry as they were before a change.
CREATE TABLE registry_history (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  began    timestamptz NOT NULL DEFAULT now(),   -- as in audit_log
  actor    text NOT NULL DEFAULT coalesce(nullif(current_setting('haulgate.actor', true), ''), session_user),
  role     text NOT NULL DEFAULT session_user,
  kind     text NOT NULL,            -- table
  row_id   bigint,                   -- its id; of platform_vehicle the vehicle's
  action   text NOT NULL CHECK (action IN ('UPDATE', 'DELETE')),
  old      jsonb NOT NULL            -- secrets and passwords left out
);
CREATE INDEX registry_history_row ON registry_history (kind, row_id, id);
CREATE INDEX registry_history_began ON registry_history (began);

-- ---- activation -----------------------------------------------------------------------------

-- Each activation that the gateway accepted, and what became of it: so that a spool that is read again gives the
-- same answers, and a person sees who tried what.
CREATE TABLE activation (
  vehicle_id  bigint NOT NULL REFERENCES vehicle,
  at          timestamptz NOT NULL,
  digest      bytea NOT NULL,        -- SHA-256 of what was asked
  chip_id     text,
  algorithm   text NOT NULL,
  public_key  bytea NOT NULL,
  result      text NOT NULL CHECK (result IN ('active', 'pending', 'known', 'chip_taken', 'off')),
  PRIMARY KEY (vehicle_id, at, digest)
);

-- One row.  How far activations may go, whatever a gateway asks for, since its login may be in wrong hands: approval
-- makes no key active, off makes none at all.  activation_age: how old a spool's backlog may be; no key is good from
-- before that.
CREATE TABLE registry_policy (
  id              integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  activation      text NOT NULL DEFAULT 'automatic' CHECK (activation IN ('automatic', 'approval', 'off')),
  activation_age  interval NOT NULL DEFAULT '30 days' CHECK (activation_age >= '0')
);
INSERT INTO registry_policy DEFAULT VALUES;

-- The rules of an activation, where two gateways cannot disagree; identity_activation() in gateway/identity/identity.h
-- says the same from memory.  One that stands in table activation already has its result again and changes nothing.
--   known       the key is active for this vehicle, with this chip
--   chip_taken  chip or key are active for another vehicle: no row
--   off         registry_policy takes none: no row
--   active      the first key of the vehicle, neither key nor chip were ever revoked, wanted_state is active, and
--               registry_policy takes it without a person
--   pending     a person has to decide: another key is or was there, or wanted_state is pending
-- The key is good from the time that the gateway says, but not from before its newest activation that was accepted,
-- not from longer ago than a backlog may be, and not from more than ten minutes ahead.
-- Runs as the owner: the gateway has no right of its own to add a key, so this is the only way it has, and it
-- cannot replace, revoke or approve one.
CREATE FUNCTION activation_take(vehicle_id bigint, chip_id text, public_key bytea, algorithm text, at timestamptz,
                                wanted_state text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  vehicle  ALIAS FOR $1;
  chip     text := nullif($2, '');
  key      ALIAS FOR $3;
  method   ALIAS FOR $4;
  moment   ALIAS FOR $5;
  wanted   ALIAS FOR $6;
  asked    bytea := sha256(convert_to(format('%s/%s/%s/%s', chip, method, wanted, encode(key, 'hex')), 'UTF8'));
  answer   text;
  waiting  bigint;
  had      terminal_key;
  policy   registry_policy;
  since    timestamptz;
BEGIN
  IF wanted IS NULL OR wanted NOT IN ('active', 'pending') THEN
    RAISE EXCEPTION 'activation_take: wanted_state % is neither active nor pending', wanted
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Activations are rare: one at a time, so that no two gateways give a chip away twice.
  PERFORM pg_advisory_xact_lock(hashtextextended('haulgate activation', 0));
  SELECT result INTO answer FROM activation a WHERE a.vehicle_id = vehicle AND a.at = moment AND a.digest = asked;
  IF answer IS NOT NULL THEN
    RETURN answer;
  END IF;
  SELECT * INTO STRICT policy FROM registry_policy;
  since := least(now() + interval '10 minutes',
                 greatest(moment, now() - policy.activation_age,
                          (SELECT max(a.at) FROM activation a
                           WHERE a.vehicle_id = vehicle AND a.result IN ('active', 'pending', 'known'))));

  SELECT * INTO had FROM terminal_key k
    WHERE k.vehicle_id = vehicle AND k.purpose = 'sign' AND k.public_key = key AND k.state <> 'revoked';
  IF EXISTS (SELECT FROM terminal_key k WHERE k.vehicle_id <> vehicle AND k.purpose = 'sign' AND k.state = 'active'
                                          AND (k.chip_id = chip OR k.public_key = key)) THEN
    answer := 'chip_taken';
  ELSIF had.state = 'active' AND (had.chip_id IS NULL OR had.chip_id IS NOT DISTINCT FROM chip) THEN
    answer := 'known';
  ELSIF policy.activation = 'off' THEN
    answer := 'off';
  ELSIF wanted = 'active' AND policy.activation = 'automatic'
    AND NOT EXISTS (SELECT FROM terminal_key k WHERE k.vehicle_id = vehicle AND k.purpose = 'sign'
                                                 AND k.state <> 'pending')
    AND NOT EXISTS (SELECT FROM terminal_key k WHERE k.purpose = 'sign' AND k.state = 'revoked'
                                                 AND (k.chip_id = chip OR k.public_key = key)) THEN
    answer := 'active';
  ELSE
    answer := 'pending';
  END IF;

  INSERT INTO activation VALUES (vehicle, moment, asked, chip, method, key, answer);
  IF answer = 'active' AND had.id IS NOT NULL THEN
    UPDATE terminal_key k SET state = 'active', chip_id = chip, valid_from = since WHERE k.id = had.id;
  ELSIF answer = 'active' OR (answer = 'pending' AND had.id IS NULL) THEN
    INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, public_key, state, origin, valid_from, changed_by)
      VALUES (vehicle, 'sign', method, chip, key, answer, 'activation', since, 'activation');
  END IF;
  RETURN answer;
END $$;
REVOKE ALL ON FUNCTION activation_take(bigint, text, bytea, text, timestamptz, text) FROM PUBLIC;

-- ---- changes are told, and remembered -------------------------------------------------------

-- Tells running gateways which vehicles to read again: 'vehicle:<id>' each, or 'all' above a hundred.
CREATE FUNCTION registry_tell(changed bigint[]) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT pg_notify('haulgate_registry', 'all') WHERE cardinality(changed) > 100
  UNION ALL
  SELECT pg_notify('haulgate_registry', 'vehicle:' || id) FROM unnest(changed) id
    WHERE cardinality(changed) <= 100 AND id IS NOT NULL
$$;

-- Statement triggers with the rows before (was) and after (now_is).  Rows that a statement left as they were are
-- passed over, so that the same file imported again wakes nobody and fills no history.
-- Argument: how to find the vehicles of a changed row c.
CREATE FUNCTION registry_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  rows   text := CASE TG_OP WHEN 'INSERT' THEN 'TABLE now_is' WHEN 'DELETE' THEN 'TABLE was'
                 ELSE '(TABLE was EXCEPT TABLE now_is) UNION ALL (TABLE now_is EXCEPT TABLE was)' END;
  ids    bigint[];
BEGIN
  EXECUTE format('SELECT array_agg(DISTINCT id) FROM (SELECT %s AS id FROM (%s) c) v', TG_ARGV[0], rows) INTO ids;
  PERFORM registry_tell(ids);
  RETURN NULL;
END $$;

CREATE FUNCTION registry_fleet_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  ids  bigint[];
BEGIN
  SELECT array_agg(v.id) INTO ids FROM vehicle v WHERE v.fleet_id IN (SELECT id FROM (TABLE was EXCEPT TABLE now_is) c);
  PERFORM registry_tell(ids);
  RETURN NULL;
END $$;

CREATE FUNCTION registry_platform_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  PERFORM pg_notify('haulgate_registry', 'platform');
  RETURN NULL;
END $$;

-- The row before the change, without what is secret.  Runs as the owner: nobody else may write history.
CREATE FUNCTION registry_remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  rows  text := CASE TG_OP WHEN 'DELETE' THEN 'TABLE was' ELSE 'TABLE was EXCEPT TABLE now_is' END;
BEGIN
  EXECUTE format($q$
    INSERT INTO registry_history (kind, row_id, action, old)
    SELECT %L, (j ->> %L)::bigint, %L, j - 'secret' - 'password' FROM (SELECT to_jsonb(c) AS j FROM (%s) c) o
  $q$, TG_TABLE_NAME, TG_ARGV[0], TG_OP, rows);
  RETURN NULL;
END $$;

DO $$
DECLARE t record;
BEGIN
  FOR t IN SELECT * FROM (VALUES
      ('vehicle', 'id', 'c.id'), ('fleet', 'id', NULL), ('terminal_identity', 'id', 'c.vehicle_id'),
      ('terminal_key', 'id', 'c.vehicle_id'), ('certificate', 'id', 'c.vehicle_id'), ('platform', 'id', NULL),
      ('platform_vehicle', 'vehicle_id', 'c.vehicle_id'), ('platform_link', 'id', NULL), ('registry_policy', 'id', NULL)) v (name, id, vehicle)
  LOOP
    EXECUTE format('CREATE TRIGGER remember_update AFTER UPDATE ON %I REFERENCING OLD TABLE AS was NEW TABLE AS now_is '
                   'FOR EACH STATEMENT EXECUTE FUNCTION registry_remember(%L)', t.name, t.id);
    EXECUTE format('CREATE TRIGGER remember_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS was '
                   'FOR EACH STATEMENT EXECUTE FUNCTION registry_remember(%L)', t.name, t.id);
    CONTINUE WHEN t.vehicle IS NULL;
    EXECUTE format('CREATE TRIGGER tell_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS now_is '
                   'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.vehicle);
    EXECUTE format('CREATE TRIGGER tell_update AFTER UPDATE ON %I REFERENCING OLD TABLE AS was NEW TABLE AS now_is '
                   'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.vehicle);
    EXECUTE format('CREATE TRIGGER tell_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS was '
                   'FOR EACH STATEMENT EXECUTE FUNCTION registry_changed(%L)', t.name, t.vehicle);
  END LOOP;
END $$;

CREATE TRIGGER tell_update AFTER UPDATE ON fleet REFERENCING OLD TABLE AS was NEW TABLE AS now_is
  FOR EACH STATEMENT EXECUTE FUNCTION registry_fleet_changed();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON platform
  FOR EACH STATEMENT EXECUTE FUNCTION registry_platform_changed();

-- Of these two tables only one thing is news: another layout (the store writes table terminal at each checkpoint), and
-- whether commands wait.  So these go by row, and their conditions are judged before anything is queued.
CREATE FUNCTION registry_vehicle_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  PERFORM pg_notify('haulgate_registry', 'vehicle:' || NEW.vehicle_id);
  RETURN NULL;
END $$;
CREATE TRIGGER tell_insert AFTER INSERT ON terminal FOR EACH ROW WHEN (NEW.layout <> 0)
  EXECUTE FUNCTION registry_vehicle_changed();
CREATE TRIGGER tell_update AFTER UPDATE ON terminal FOR EACH ROW WHEN (NEW.layout <> OLD.layout)
  EXECUTE FUNCTION registry_vehicle_changed();
CREATE TRIGGER tell_insert AFTER INSERT ON command FOR EACH ROW EXECUTE FUNCTION registry_vehicle_changed();
CREATE TRIGGER tell_update AFTER UPDATE ON command FOR EACH ROW
  WHEN ((NEW.state IN ('queued', 'sent')) <> (OLD.state IN ('queued', 'sent'))) EXECUTE FUNCTION registry_vehicle_changed();

-- What was written down stays: the owner of the tables is refused too, and would have to drop the trigger first.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON registry_history
  FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- ---- views for people -----------------------------------------------------------------------

CREATE SCHEMA registry;

-- One line a vehicle, as tools/registry exports it; times open to one side are NULL.
CREATE VIEW registry.vehicles AS
  SELECT v.vin, v.plate, v.category, v.stage, v.reference_torque_nm, v.rated_power_kw, v.whtc_work_kwh,
         f.name AS fleet, v.state, v.valid_from, v.valid_to,
         t.maker, t.model, t.serial, t.iccid, t.chip_id,
         (SELECT string_agg(p.login, ' ' ORDER BY p.login) FROM platform_vehicle pv JOIN platform p ON p.id = pv.platform_id
          WHERE pv.vehicle_id = v.id) AS platforms,
         k.signers, k.ciphers, k.pending,
         (SELECT count(*) FROM certificate c WHERE c.vehicle_id = v.id AND c.state = 'active') AS certificates
  FROM vehicle v
  LEFT JOIN fleet f ON f.id = v.fleet_id
  LEFT JOIN terminal_identity t ON t.vehicle_id = v.id AND t.state = 'active'
  LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE purpose = 'sign' AND state = 'active') AS signers,
                            count(*) FILTER (WHERE purpose = 'encrypt' AND state = 'active') AS ciphers,
                            count(*) FILTER (WHERE state = 'pending') AS pending
                     FROM terminal_key k WHERE k.vehicle_id = v.id) k ON true;

-- One line a key of a terminal, without what is secret.
CREATE VIEW registry.keys AS
  SELECT k.id, v.vin, k.purpose, k.algorithm, k.mode, k.chip_id, k.state, k.origin, k.valid_from, k.valid_to, k.created_at,
         k.changed_by, k.reason, encode(sha256(k.public_key), 'hex') AS fingerprint, k.secret IS NOT NULL AS has_secret
  FROM terminal_key k JOIN vehicle v ON v.id = k.vehicle_id;

-- HJ 1239.2: packets lost of those sent, and delay, of each platform's vehicles on each day.  Expected: serials from the
-- smallest to the largest of the day; NULL: the layout has none.
CREATE VIEW platform_vehicle_quality AS
  SELECT d.*, s.serials, d.last_serial - d.first_serial + 1 AS expected,
         d.last_serial - d.first_serial + 1 - s.serials AS lost
  FROM platform_day d CROSS JOIN LATERAL
    (SELECT coalesce(sum(bit_count(seen)), 0)::integer AS serials FROM platform_serial s
     WHERE (s.platform_id, s.vehicle_id, s.day) = (d.platform_id, d.vehicle_id, d.day)) s;

-- The same of all its vehicles; those without serials count neither way.
CREATE VIEW platform_quality AS
  SELECT p.name AS platform, p.login, q.day, count(*) AS vehicles, sum(q.frames) AS frames,
         sum(q.supplements) AS supplements, sum(q.duplicates) AS duplicates, sum(q.refused) AS refused,
         sum(q.expected) AS expected, sum(q.lost) AS lost, sum(q.lost)::float8 / nullif(sum(q.expected), 0) AS loss,
         sum(q.delay_ms_sum)::float8 / nullif(sum(q.delay_frames), 0) AS delay_ms_mean, max(q.delay_ms_max) AS delay_ms_max
  FROM platform_vehicle_quality q JOIN platform p ON p.id = q.platform_id
  GROUP BY p.id, p.name, p.login, q.day;
