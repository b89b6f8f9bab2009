-- 0001: the data model.  Forward only: never edit a migration that has been released.
--
-- Shard-ready: vehicle_id stands in every primary key of a big table, no global unique constraint and no
-- row trigger on a big table, exactly one level of partitions (time), small reference tables.
-- All times are timestamptz; a day is a Beijing calendar day (Asia/Shanghai).

CREATE EXTENSION IF NOT EXISTS postgis;

-- ---- the city -------------------------------------------------------------------------------

CREATE TABLE division (
  id         integer PRIMARY KEY,            -- GB/T 2260 code
  name       text NOT NULL,                  -- zh
  name_en    text NOT NULL,
  area       geometry(MultiPolygon, 4326) NOT NULL,
  is_sample  boolean NOT NULL DEFAULT false  -- drawn for tests, not surveyed
);

CREATE TABLE haul_route (
  id           integer PRIMARY KEY,
  name         text NOT NULL,
  name_en      text NOT NULL,
  commodity    text NOT NULL CHECK (commodity IN ('coal', 'coke', 'ore', 'mixed')),
  line         geometry(LineString, 4326) NOT NULL,
  half_width_m integer NOT NULL CHECK (half_width_m BETWEEN 10 AND 5000),
  corridor     geometry(MultiPolygon, 4326) NOT NULL,  -- the line buffered by half_width_m
  is_sample    boolean NOT NULL DEFAULT false
);

-- ---- the registry ---------------------------------------------------------------------------

CREATE TABLE fleet (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name   text NOT NULL UNIQUE,
  grade  text CHECK (grade IN ('A', 'B', 'B-', 'C', 'D', 'leading'))
);

CREATE TABLE vehicle (
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  vin                  text NOT NULL UNIQUE CHECK (vin ~ '^[A-Za-z0-9]{1,17}$'),
  plate                text,
  category             text NOT NULL DEFAULT 'truck' CHECK (category IN ('truck', 'tractor', 'non_road')),
  stage                text CHECK (stage IN ('III', 'IV', 'V', 'VI-a', 'VI-b')),
  reference_torque_nm  real CHECK (reference_torque_nm > 0),
  rated_power_kw       real CHECK (rated_power_kw > 0),
  whtc_work_kwh        real CHECK (whtc_work_kwh > 0),
  fleet_id             bigint REFERENCES fleet,
  state                text NOT NULL DEFAULT 'registered'
                       CHECK (state IN ('registered', 'provisional', 'retired')),
  created_at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vehicle_plate ON vehicle (plate) WHERE plate IS NOT NULL;

-- The box in the truck, as last seen.
CREATE TABLE terminal (
  vehicle_id        bigint PRIMARY KEY REFERENCES vehicle,
  iccid             text,
  protocol          smallint NOT NULL DEFAULT 0,  -- proto/wire/frame.h
  layout            smallint NOT NULL DEFAULT 0,  -- proto/wire/unit.h
  software_version  smallint,
  last_at           timestamptz,                  -- youngest sample
  last_received_at  timestamptz
);

-- ---- data -----------------------------------------------------------------------------------

-- One frame.  Absent values are NULL.  samples: proto/record/pack.h, base time = at.
-- Each (vehicle, second, information type) stands in one row only; docs/store.md says how.
CREATE TABLE track (
  vehicle_id    bigint NOT NULL,
  at            timestamptz NOT NULL,  -- its first sample, as the terminal claims
  part          smallint NOT NULL DEFAULT 0,  -- 1, 2, ..: another frame with other types began in the same second; < 0: clock fault
  received_at   timestamptz NOT NULL,
  position      bigint NOT NULL,       -- in the spool of gateway_id
  gateway_id    smallint NOT NULL,
  sample_count  smallint NOT NULL,     -- seconds
  span_s        smallint NOT NULL,     -- last sample - first sample, at most 3600
  quirks        integer NOT NULL,      -- proto/wire/verdict.h
  lon_e6        integer,               -- last valid position in the frame, degrees * 1e6
  lat_e6        integer,
  speed_kmh     real,                  -- means over the frame's samples
  nox_ppm       real,                  -- downstream
  nox_mg        real,                  -- sum
  dpf_dp_kpa    real,
  reagent_pct   real,                  -- last
  samples       bytea NOT NULL,
  PRIMARY KEY (vehicle_id, at, part)
) PARTITION BY RANGE (at);
ALTER TABLE track ALTER COLUMN samples SET STORAGE MAIN;
CREATE INDEX track_at ON track USING brin (at);
-- Days without a partition go here: no partition is made for the times that a faulty clock claims.
CREATE TABLE track_odd PARTITION OF track DEFAULT;

-- A distinct OBD information of a vehicle-day: digest = SHA-256 of the body.
CREATE TABLE obd_state (
  vehicle_id      bigint NOT NULL,
  day             date NOT NULL,
  digest          bytea NOT NULL,
  first_at        timestamptz NOT NULL,
  last_at         timestamptz NOT NULL,
  obd_protocol    smallint,
  mil             boolean,
  support         integer NOT NULL,
  readiness       integer NOT NULL,
  vin             text,
  calibration_id  text,
  cvn             text,
  dtc             text[] NOT NULL,
  body            bytea NOT NULL,
  PRIMARY KEY (vehicle_id, day, digest)
);

-- Login, logout, tamper alarm, activation.
CREATE TABLE terminal_event (
  vehicle_id   bigint NOT NULL,
  at           timestamptz NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('login', 'logout', 'tamper_alarm', 'activation')),
  serial       integer,
  detail       jsonb,
  received_at  timestamptz NOT NULL,
  gateway_id   smallint NOT NULL,
  position     bigint NOT NULL,
  PRIMARY KEY (vehicle_id, at, kind, gateway_id, position)
);

-- Frames that are not data: refused on the wire, or refused by the database (sqlstate).
CREATE TABLE quarantine (
  gateway_id   smallint NOT NULL,
  position     bigint NOT NULL,
  reason       text NOT NULL,   -- proto/wire/verdict.h, or 'conflict', 'database'
  vin          text,            -- as claimed
  received_at  timestamptz NOT NULL,
  sqlstate     text,
  message      text,
  raw          bytea NOT NULL,
  PRIMARY KEY (gateway_id, position)
);

-- ---- assessment -----------------------------------------------------------------------------

CREATE TABLE rule (
  rule_id     text NOT NULL,
  version     integer NOT NULL CHECK (version > 0),
  label       text NOT NULL,
  doc         text NOT NULL,
  severity    smallint NOT NULL CHECK (severity BETWEEN 1 AND 4),
  enabled     boolean NOT NULL DEFAULT true,
  parameters  jsonb NOT NULL,   -- { "name": number }
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (rule_id, version)
);

CREATE TABLE vehicle_day (
  vehicle_id        bigint NOT NULL,
  day               date NOT NULL,
  revision          integer NOT NULL DEFAULT 1,  -- +1 each time late data replaced the result
  division_id       integer,
  samples           integer NOT NULL,
  engine_on_s       integer NOT NULL,
  nox_valid_s       integer NOT NULL,
  position_valid_s  integer NOT NULL,
  gap_s             integer NOT NULL,
  km                double precision NOT NULL,
  fuel_kg           double precision NOT NULL,
  nox_g             double precision NOT NULL,
  work_kwh          double precision,
  gateway_id        smallint NOT NULL,
  PRIMARY KEY (vehicle_id, day)
);
CREATE INDEX vehicle_day_day ON vehicle_day (day, division_id);

CREATE TABLE finding (
  vehicle_id    bigint NOT NULL,
  day           date NOT NULL,
  rule_id       text NOT NULL,
  revision      integer NOT NULL,
  rule_version  integer NOT NULL,
  severity      smallint NOT NULL,
  state         text NOT NULL CHECK (state IN ('open', 'closed', 'confirmed', 'dismissed', 'superseded')),
  from_at       timestamptz NOT NULL,
  to_at         timestamptz NOT NULL,
  division_id   integer,
  route_id      integer,
  place         geometry(Point, 4326),
  value         double precision NOT NULL,
  "limit"       double precision NOT NULL,
  measured      jsonb NOT NULL,
  digest        bigint NOT NULL DEFAULT 0,  -- of what the assessment said, to see whether it changed
  PRIMARY KEY (vehicle_id, day, rule_id, revision),
  FOREIGN KEY (rule_id, rule_version) REFERENCES rule
);
CREATE INDEX finding_page ON finding (from_at DESC, vehicle_id, rule_id, revision) WHERE state <> 'superseded';
CREATE INDEX finding_route ON finding (route_id, from_at DESC) WHERE state <> 'superseded';

-- The frames that prove a finding, as received.
CREATE TABLE evidence (
  vehicle_id   bigint NOT NULL,
  day          date NOT NULL,
  rule_id      text NOT NULL,
  at           timestamptz NOT NULL,
  gateway_id   smallint NOT NULL,
  position     bigint NOT NULL,
  received_at  timestamptz NOT NULL,
  raw          bytea NOT NULL,
  PRIMARY KEY (vehicle_id, day, rule_id, at, gateway_id, position)
);

CREATE TABLE passage (
  vehicle_id   bigint NOT NULL,
  day          date NOT NULL,
  route_id     integer NOT NULL,
  from_at      timestamptz NOT NULL,
  to_at        timestamptz NOT NULL,
  is_open      boolean NOT NULL,
  division_id  integer,
  km           double precision NOT NULL,
  nox_g        double precision NOT NULL,
  fuel_kg      double precision NOT NULL,
  samples      integer NOT NULL,
  PRIMARY KEY (vehicle_id, day, route_id, from_at)
);
CREATE INDEX passage_route ON passage (route_id, from_at);

-- ---- the gateway's own bookkeeping ------------------------------------------------------------

CREATE TABLE ingest_position (
  gateway_id         smallint PRIMARY KEY,
  position           bigint NOT NULL,  -- everything before it is stored
  snapshot_position  bigint NOT NULL,  -- assess_snapshot holds the state as of here; <= position
  updated_at         timestamptz NOT NULL DEFAULT now()
);

-- State of the vehicle-days in memory, so that a restart folds only the spool behind snapshot_position.
CREATE TABLE assess_snapshot (
  gateway_id  smallint NOT NULL,
  vehicle_id  bigint NOT NULL,
  day         date NOT NULL,
  version     integer NOT NULL,  -- ASSESS_STATE_VERSION; another one is ignored and the day rebuilt from track
  state       bytea NOT NULL,
  PRIMARY KEY (vehicle_id, day, gateway_id)
);

CREATE TABLE export_run (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL,
  period       text NOT NULL,       -- 2026-W47
  started_at   timestamptz NOT NULL DEFAULT now(),
  finished_at  timestamptz,
  files        integer,
  rows         bigint,
  manifest     text                 -- SHA-256 of the manifest
);
