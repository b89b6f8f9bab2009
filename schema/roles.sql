-- Roles with least privilege.  Run by tools/migrate before the migrations; grants.sql, run after them, says what
-- each may do.  Safe to run twice, and at once in two databases of one server.
-- None has a password here: a private cluster maps them by peer or socket, others get one from the operator.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['haulgate_gateway', 'haulgate_query', 'haulgate_export', 'haulgate_link',
                           'haulgate_operator'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', r);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- the migration of another database was quicker
      END;
    END IF;
  END LOOP;
END $$;
