-- 0002: day partitions of track.
--
-- A partition is a Beijing calendar day: the same day that a vehicle is assessed by, so that a truck's day is read
-- from one partition (and the last hour of the one before).

-- Makes track_YYYYMMDD for each day of from_day .. to_day that has none; returns how many were made.
-- Rows of such a day that lie in track_odd are moved.  Readers are not blocked, except those that are reading
-- track_odd; after 5 s of waiting for them it gives up with 55P03, and is to be called again later.
-- Runs as the owner of the tables, so that the gateway needs no right to create anything.
CREATE FUNCTION haulgate_make_partitions(from_day date, to_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
  d      date := from_day;
  made   integer := 0;
  name   text;
  start  timestamptz;
  stop   timestamptz;
BEGIN
  IF from_day IS NULL OR to_day IS NULL OR to_day - from_day NOT BETWEEN 0 AND 400
     OR from_day < DATE '2000-01-01' OR to_day > DATE '2200-01-01' THEN
    RAISE EXCEPTION 'haulgate_make_partitions: % .. % is not a range of 1 to 401 days', from_day, to_day
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  WHILE d <= to_day LOOP
    name := 'track_' || to_char(d, 'YYYYMMDD');
    IF to_regclass('public.' || name) IS NULL THEN
      -- Two gateways may want the same day at once.
      PERFORM pg_advisory_xact_lock(hashtext('haulgate_make_partitions'));
      IF to_regclass('public.' || name) IS NULL THEN
        start := d::timestamp AT TIME ZONE 'Asia/Shanghai';
        stop := (d + 1)::timestamp AT TIME ZONE 'Asia/Shanghai';
        EXECUTE format('CREATE TABLE public.%I (LIKE public.track INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING CONSTRAINTS)', name);
        EXECUTE format('WITH moved AS (DELETE FROM public.track_odd WHERE at >= $1 AND at < $2 RETURNING *) '
                       'INSERT INTO public.%I SELECT * FROM moved', name) USING start, stop;
        EXECUTE format('ALTER TABLE public.track ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       name, start, stop);
        made := made + 1;
      END IF;
    END IF;
    d := d + 1;
  END LOOP;
  RETURN made;
END $$;

REVOKE ALL ON FUNCTION haulgate_make_partitions(date, date) FROM PUBLIC;

-- A state is mostly zeros, and is written every few seconds: the quicker compression, where the server has it.
DO $$
BEGIN
  ALTER TABLE assess_snapshot ALTER COLUMN state SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END $$;
