-- 0006: what haulgate-link needs beside 0004: where its own log of work stands, and that it hears of changes.

ALTER TABLE platform_link
  -- Frames that came from these platforms are not sent to this one: two gateways that forward to each other name
  -- each other here, or a frame would travel between them for ever.
  ADD COLUMN not_from integer[] NOT NULL DEFAULT '{}';

ALTER TABLE platform_link_position
  ADD COLUMN sequence         bigint NOT NULL DEFAULT 0,  -- of the last record before position; 0: none was read
  ADD COLUMN missing          bigint NOT NULL DEFAULT 0,  -- records that were gone from the spool before they were read
  ADD COLUMN connected_since  timestamptz,                -- logged in; NULL: not
  ADD COLUMN login_day        date,                       -- that login_serial counts on
  ADD COLUMN login_serial     integer NOT NULL DEFAULT 0;

-- Tells the link services that a row of platform_link is another one now.
CREATE FUNCTION link_changed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  PERFORM pg_notify('haulgate_link', '');
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON platform_link
  FOR EACH STATEMENT EXECUTE FUNCTION link_changed();
