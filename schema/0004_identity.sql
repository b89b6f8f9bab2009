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
  CHECK (purpose = 'encrypt' OR secret IS NULL)
);
CREATE INDEX terminal_key_vehicle ON terminal_key (vehicle_id);
CREATE UNIQUE INDEX terminal_key_chip ON terminal_key (chip_id) WHERE purpose = 'sign' AND state = 'active';
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

-- What a platform delivered of a vehicle on a day.  Lost: serials missing between the first and the last of the day.
-- Delay: reception - time of sending (layout C) or collection, of real-time reports.
CREATE TABLE platform_day (
  platform_id   integer NOT NULL,
  vehicle_id    bigint NOT NULL,
  day           date NOT NULL,
  frames        integer NOT NULL,     -- reports stored, supplements included, duplicates not
  supplements   integer NOT NULL,
  duplicates    integer NOT NULL,
  refused       integer NOT NULL,
  first_serial  integer,              -- NULL: the layout has none
  last_serial   integer,
  delay_ms_sum  bigint NOT NULL,
  delay_ms_max  bigint NOT NULL,
  delay_frames  integer NOT NULL,     -- real-time reports that the two above are over
  PRIMARY KEY (platform_id, vehicle_id, day)
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
  flag        smallint NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (link_id, gateway_id, position)
);

-- ---- data -----------------------------------------------------------------------------------

ALTER TABLE track ADD COLUMN credential bigint;
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
  first_credential  bigint,
  peer              inet,
  PRIMARY KEY (vehicle_id, at, gateway_id, position)
);

-- ---- commands -------------------------------------------------------------------------------

CREATE TABLE command (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vehicle_id   bigint NOT NULL REFERENCES vehicle,
  kind         text NOT NULL CHECK (kind IN ('query', 'set', 'control')),
  parameters   jsonb NOT NULL,            -- as ordered: docs/downlink.md
  unit         bytea NOT NULL,            -- behind the time, on the wire
  state        text NOT NULL DEFAULT 'queued'
               CHECK (state IN ('queued', 'sent', 'answered', 'refused', 'silent', 'expired', 'impossible', 'cancelled')),
  ordered_by   text NOT NULL,
  reason       text NOT NULL,
  ordered_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  gateway_id   smallint,                  -- that has taken it
  attempts     integer NOT NULL DEFAULT 0,
  sent_at      timestamptz,
  ended_at     timestamptz,
  answer       bytea,
  answered     jsonb                      -- the answer, decoded
);
CREATE INDEX command_waiting ON command (vehicle_id, id) WHERE state IN ('queued', 'sent');
CREATE INDEX command_vehicle ON command (vehicle_id, id DESC);

-- Who did what.  Nobody updates or deletes.
CREATE TABLE audit_log (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor    text NOT NULL,
  action   text NOT NULL,            -- command.order, key.revoke, registry.import, ...
  subject  text,                     -- VIN, platform, ...
  detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON audit_log (at);

-- Rows of the registry as they were before a change.
CREATE TABLE registry_history (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor    text NOT NULL DEFAULT coalesce(nullif(current_setting('haulgate.actor', true), ''), session_user),
  kind     text NOT NULL,            -- table
  row_id   bigint,
  action   text NOT NULL CHECK (action IN ('UPDATE', 'DELETE')),
  old      jsonb NOT NULL            -- secrets and passwords left out
);
CREATE INDEX registry_history_row ON registry_history (kind, row_id, id);
