-- Roles with least privilege.  Run by tools/migrate before and after the migrations; safe to run twice.
-- None has a password here: a private cluster maps them by peer or socket, others get one from the operator.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['haulgate_gateway', 'haulgate_query', 'haulgate_export'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', r);
    END IF;
  END LOOP;
END $$;
