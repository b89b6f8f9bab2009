#!/usr/bin/env python3
"""Migrations and rights, on a real server.  Run through test/lib/with_postgres; HAULGATE_MIGRATE names the program."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

MIGRATE = os.environ['HAULGATE_MIGRATE']
SERVER = os.environ['HAULGATE_TEST_PG']
SCHEMA = pathlib.Path(__file__).resolve().parents[2] / 'schema'
GATEWAY, QUERY, EXPORT = 'haulgate_gateway', 'haulgate_query', 'haulgate_export'
LINK, OPERATOR = 'haulgate_link', 'haulgate_operator'


class Database:
    made = 0

    def __init__(self):
        Database.made += 1
        self.name = f'schema_{os.getpid()}_{Database.made}'
        self.sql(f'CREATE DATABASE {self.name}', database='postgres')

    def drop(self):
        self.sql(f'DROP DATABASE {self.name} WITH (FORCE)', database='postgres')

    def run(self, sql, role='postgres', database=None):
        """Return code and output of psql; the role connects itself, so that nothing is inherited."""
        return subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', sql,
                               f'{SERVER} dbname={database or self.name} user={role}'],
                              capture_output=True, text=True, timeout=60)

    def sql(self, sql, role='postgres', database=None):
        done = self.run(sql, role, database)
        if done.returncode != 0:
            raise AssertionError(f'{role}: {sql}: {done.stderr}')
        return done.stdout.strip()

    def migrate(self, *args):
        return subprocess.run([MIGRATE, '--conninfo', f'{SERVER} dbname={self.name}', *args],
                              capture_output=True, text=True, timeout=120)


class Migrations(unittest.TestCase):
    def setUp(self):
        self.db = Database()
        self.addCleanup(self.db.drop)
        self.folder = pathlib.Path(tempfile.mkdtemp()) / 'schema'
        self.addCleanup(shutil.rmtree, self.folder.parent)
        shutil.copytree(SCHEMA, self.folder)

    def migrate(self, *args):
        return self.db.migrate('--schema-dir', str(self.folder), *args)

    def test_empty_to_head_and_again(self):
        status = self.migrate('--status')
        self.assertEqual(status.returncode, 4, status.stderr)
        self.assertIn('pending  0001_base.sql', status.stdout)
        first = self.migrate()
        self.assertEqual(first.returncode, 0, first.stderr)
        files = sorted(p.name for p in self.folder.glob('[0-9]*.sql'))
        self.assertEqual(self.db.sql('SELECT name FROM schema_version ORDER BY version').split(), files)
        rules = self.db.sql('SELECT * FROM rule ORDER BY 1, 2')
        self.assertIn('nox_high', rules)
        # The operator's own version and edits stay.
        self.db.sql("UPDATE rule SET enabled = false, label = 'mine' WHERE rule_id = 'nox_high'")
        second = self.migrate()
        self.assertEqual((second.returncode, 'applied' in second.stdout), (0, False), second.stderr)
        self.assertEqual(self.db.sql("SELECT enabled, label FROM rule WHERE rule_id = 'nox_high'"), 'f|mine')
        self.assertEqual(self.migrate('--status').returncode, 0)

    def test_at_once_is_safe(self):
        command = [MIGRATE, '--conninfo', f'{SERVER} dbname={self.db.name}', '--schema-dir', str(self.folder)]
        several = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        outputs = [p.communicate(timeout=120) for p in several]
        self.assertEqual([p.returncode for p in several], [0, 0, 0], outputs)

    def test_seed_twice(self):
        for _ in range(2):
            done = self.migrate('--seed')
            self.assertEqual(done.returncode, 0, done.stderr)
            counts = self.db.sql('SELECT (SELECT count(*) FROM division), (SELECT count(*) FROM haul_route)')
        if any((SCHEMA / 'seed').glob('*.sql')):
            self.assertEqual(counts.split('|')[0], '7')

    def test_changed_file_is_refused(self):
        self.assertEqual(self.migrate().returncode, 0)
        changed = self.folder / '0002_partitions.sql'
        changed.write_text(changed.read_text() + '-- edited\n')
        for args in ((), ('--status',)):
            refused = self.migrate(*args)
            self.assertEqual(refused.returncode, 3)
            self.assertIn('0002_partitions.sql', refused.stderr)
            self.assertIn('next number', refused.stderr)

    def test_failed_migration_leaves_nothing(self):
        (self.folder / '9001_bad.sql').write_text('CREATE TABLE half (i integer);\nSELECT 1/0;\n')
        failed = self.migrate()
        self.assertEqual(failed.returncode, 1)
        self.assertIn('9001_bad.sql', failed.stderr)
        self.assertEqual(self.db.sql("SELECT to_regclass('half') IS NULL, count(*) FROM schema_version "
                                     "WHERE version = 9001"), 't|0')
        (self.folder / '9001_bad.sql').write_text('CREATE TABLE half (i integer);\n')
        self.assertEqual(self.migrate().returncode, 0)

    def test_older_program_and_skipped_number_are_refused(self):
        (self.folder / '9002_new.sql').write_text('SELECT 1;\n')
        self.assertEqual(self.migrate().returncode, 0)
        (self.folder / '9001_late.sql').write_text('SELECT 1;\n')
        self.assertEqual(self.migrate().returncode, 3)
        (self.folder / '9001_late.sql').unlink()
        (self.folder / '9002_new.sql').unlink()
        refused = self.migrate()
        self.assertEqual(refused.returncode, 3)
        self.assertIn('newer release', refused.stderr)

    def test_usage(self):
        self.assertEqual(self.db.migrate('--help').returncode, 0)
        self.assertEqual(self.db.migrate('--nonsense').returncode, 2)
        self.assertEqual(self.db.migrate('extra').returncode, 2)
        self.assertEqual(self.db.migrate('--schema-dir', '/nowhere').returncode, 5)
        self.assertEqual(subprocess.run([MIGRATE, '--conninfo', 'host=/nowhere'],
                                        capture_output=True).returncode, 1)


# What each role must be able to do; every other right on every table is an error.
RIGHTS = {
    GATEWAY: {
        'division': 'r', 'haul_route': 'r', 'rule': 'r', 'schema_version': 'r', 'vehicle': 'r',
        'terminal': 'raw', 'track': 'ra', 'obd_state': 'ra', 'terminal_event': 'a', 'evidence': 'a',
        'quarantine': 'a', 'vehicle_day': 'raw', 'finding': 'ra', 'passage': 'rad', 'assess_snapshot': 'rawd',
        'ingest_position': 'raw', 'platform_day': 'raw', 'platform_serial': 'raw', 'replay': 'ra', 'command': 'r', **{t: 'r' for t in (
            'fleet', 'terminal_identity', 'terminal_key', 'certificate', 'platform', 'platform_vehicle')}},
    QUERY: {t: 'r' for t in (
        'division', 'haul_route', 'fleet', 'vehicle', 'terminal', 'track', 'obd_state', 'terminal_event', 'rule',
        'vehicle_day', 'finding', 'evidence', 'passage', 'terminal_identity', 'certificate', 'platform_vehicle',
        'platform_day', 'platform_serial', 'platform_link_position', 'platform_link_refused', 'replay', 'activation')},
    LINK: {'platform_link_position': 'raw', 'platform_link_refused': 'ra', **{t: 'r' for t in (
        'division', 'haul_route', 'fleet', 'vehicle', 'passage', 'vehicle_day', 'platform_link', 'ingest_position',
        'schema_version')}},
    OPERATOR: {
        **{t: 'raw' for t in ('fleet', 'vehicle', 'terminal_identity', 'terminal_key', 'certificate', 'platform_link')},
        'platform': 'aw', 'platform_vehicle': 'rad', **{t: 'r' for t in (
            'division', 'haul_route', 'terminal', 'audit_log', 'registry_history', 'schema_version',
             'ingest_position', 'platform_day', 'platform_serial', 'platform_link_position', 'platform_link_refused', 'replay',
             'activation', 'registry_policy')}},
    EXPORT: {'export_run': 'raw', **{t: 'r' for t in (
        'division', 'haul_route', 'fleet', 'vehicle', 'rule', 'vehicle_day', 'finding', 'passage')}},
}
LETTERS = {'r': 'SELECT', 'a': 'INSERT', 'w': 'UPDATE', 'd': 'DELETE', 'D': 'TRUNCATE', 'x': 'REFERENCES',
           't': 'TRIGGER'}


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.db = Database()
        cls.addClassCleanup(cls.db.drop)
        done = cls.db.migrate()
        assert done.returncode == 0, done.stderr
        cls.db.sql("SELECT haulgate_make_partitions('2026-11-20', '2026-11-20')")

    def allowed(self, role, sql):
        self.db.sql(sql, role)

    def refused(self, role, sql):
        done = self.db.run(sql, role)
        self.assertNotEqual(done.returncode, 0, f'{role} may: {sql}')
        self.assertIn('permission denied', done.stderr)

    def test_table_rights_are_exactly_these(self):
        tables = self.db.sql("""SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND
            d.classid = 'pg_class'::regclass AND d.deptype = 'e')""").split()
        self.assertIn('track_20261120', tables)
        for role, rights in RIGHTS.items():
            self.assertEqual(set(rights) - set(tables), set())
            for table in tables:
                has = self.db.sql('SELECT ' + ', '.join(
                    f"has_table_privilege('{role}', '{table}', '{word}')" for word in LETTERS.values()))
                found = ''.join(letter for letter, yes in zip(LETTERS, has.split('|')) if yes == 't')
                self.assertEqual(set(found), set(rights.get(table, '')), f'{role} on {table}')

    def test_nobody_may_create_or_own(self):
        for role in RIGHTS:
            self.refused(role, 'CREATE TABLE mine (i integer)')
            self.assertEqual(self.db.sql("SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR "
                                         f"rolreplication FROM pg_roles WHERE rolname = '{role}'"), 'f')
            self.refused(role, "UPDATE rule SET enabled = false")

    def test_secrets_are_for_few(self):
        for role in (QUERY, EXPORT, LINK):
            for column in ('secret', 'iv'):
                self.refused(role, f'SELECT {column} FROM terminal_key')
        for role in (QUERY, EXPORT, LINK, OPERATOR):
            self.refused(role, 'SELECT password FROM platform')
        self.refused(QUERY, 'SELECT * FROM terminal_key')
        self.refused(QUERY, 'SELECT password_file FROM platform_link')
        self.allowed(QUERY, 'SELECT id, login, sources, state FROM platform')
        self.allowed(QUERY, 'SELECT id, vehicle_id, public_key, state FROM terminal_key')
        for view in ('registry.vehicles', 'registry.keys', 'platform_vehicle_quality', 'platform_quality'):
            for role in (QUERY, EXPORT, OPERATOR):
                columns = self.db.sql(f'SELECT * FROM {view} LIMIT 0', role)
                self.assertNotIn('secret', columns.replace('has_secret', ''))

    def test_operator(self):
        self.refused(OPERATOR, "INSERT INTO audit_log (at, actor, action) VALUES (now(), 'a', 'b')")
        self.refused(OPERATOR, "INSERT INTO audit_log (actor, role, action) VALUES ('a', 'somebody', 'b')")
        self.refused(OPERATOR, "INSERT INTO registry_history (kind, action, old) VALUES ('a', 'UPDATE', '{}')")
        self.refused(OPERATOR, 'DELETE FROM terminal_key')
        self.refused(OPERATOR, "UPDATE registry_policy SET activation_age = '1 year'")
        self.refused(OPERATOR, "UPDATE command SET answer = 'x'")
        self.refused(OPERATOR, "INSERT INTO command (vehicle_id, kind, parameters, ordered_by, reason, expires_at) "
                               "VALUES (1, 'query', '[]', 'a', 'b', now())")
        self.refused(OPERATOR, "SELECT activation_take(1, 'c', '', 'sm2', now(), 'active')")

    def test_gateway(self):
        self.allowed(GATEWAY, "INSERT INTO vehicle (vin, state) VALUES ('A1', 'provisional') ON CONFLICT DO NOTHING")
        self.refused(GATEWAY, "INSERT INTO vehicle (vin, plate) VALUES ('A2', 'X')")
        self.refused(GATEWAY, "UPDATE vehicle SET plate = 'X'")
        self.refused(GATEWAY, 'DELETE FROM track')
        self.refused(GATEWAY, 'UPDATE track SET quirks = 0')
        self.refused(GATEWAY, 'SELECT raw FROM evidence')
        self.refused(GATEWAY, 'SELECT raw FROM quarantine')
        self.refused(GATEWAY, 'DELETE FROM finding')
        self.refused(GATEWAY, 'UPDATE finding SET day = day')
        self.allowed(GATEWAY, "UPDATE finding SET state = 'superseded'")
        self.allowed(GATEWAY, "SELECT haulgate_make_partitions('2026-11-21', '2026-11-22')")
        self.allowed(GATEWAY, 'CREATE TEMPORARY TABLE stage (LIKE track)')
        self.refused(GATEWAY, "UPDATE terminal_key SET state = 'active'")
        self.refused(GATEWAY, "UPDATE registry_policy SET activation = 'automatic'")
        self.refused(GATEWAY, "INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key) "
                              "VALUES (1, 'sign', 'sm2', '')")
        self.refused(GATEWAY, "INSERT INTO command (vehicle_id, kind, parameters, ordered_by, reason, expires_at) "
                              "VALUES (1, 'query', '[]', 'a', 'b', now())")
        self.refused(GATEWAY, "UPDATE command SET parameters = '[]'")
        self.refused(GATEWAY, 'SELECT * FROM audit_log')
        self.allowed(GATEWAY, "UPDATE command SET state = 'sent', sent_at = now(), attempts = attempts + 1")

    def test_commands_go_through_functions(self):
        self.db.sql("INSERT INTO vehicle (vin) VALUES ('LCOMMAND000000001') ON CONFLICT DO NOTHING")
        calls = ("SELECT api.command_order('LCOMMAND000000001', 'query', '[\"heartbeat_s\"]', 'test', 'somebody', 60)",
                 "SELECT api.commands('LCOMMAND000000001', NULL, NULL, NULL)", "SELECT api.command(NULL, 1)")
        for call in calls:
            for role in (QUERY, OPERATOR):
                self.allowed(role, call)
            for role in (GATEWAY, EXPORT, LINK):
                self.refused(role, call)
        for role in (QUERY, OPERATOR):
            self.refused(role, "UPDATE command SET state = 'cancelled'")
            self.refused(role, 'SELECT * FROM command')
        self.assertEqual(self.db.sql("SELECT DISTINCT actor, role FROM audit_log WHERE action = 'command.order' ORDER BY 2"),
                         'somebody|haulgate_operator\nsomebody|haulgate_query')

    def test_readers(self):
        for role in (QUERY, EXPORT):
            self.refused(role, "SELECT haulgate_make_partitions('2026-11-21', '2026-11-22')")
            self.refused(role, 'SELECT * FROM assess_snapshot')
            self.refused(role, 'INSERT INTO vehicle (vin) VALUES (\'A3\')')
        self.allowed(QUERY, 'SELECT * FROM track')
        self.refused(QUERY, "INSERT INTO export_run (kind, period) VALUES ('a', 'b')")
        self.allowed(EXPORT, "INSERT INTO export_run (kind, period) VALUES ('a', 'b')")
        self.refused(EXPORT, 'SELECT * FROM evidence')


class Partitions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.db = Database()
        cls.addClassCleanup(cls.db.drop)
        done = cls.db.migrate()
        assert done.returncode == 0, done.stderr

    def insert(self, at):
        self.db.sql('INSERT INTO track (vehicle_id, at, received_at, position, gateway_id, sample_count, span_s, '
                    f"quirks, samples) VALUES (1, '{at}', now(), 0, 1, 1, 0, 0, 'x')", GATEWAY)

    def test_rows_of_the_default_move(self):
        for at in ('2026-10-01 00:00:00+08', '2026-10-01 23:59:59+08', '2026-10-02 00:00:00+08'):
            self.insert(at)
        self.assertEqual(self.db.sql("SELECT haulgate_make_partitions('2026-09-30', '2026-10-01')", GATEWAY), '2')
        self.assertEqual(self.db.sql('SELECT tableoid::regclass, count(*) FROM track GROUP BY tableoid '
                                     'ORDER BY tableoid::regclass::text'),
                         'track_20261001|2\ntrack_odd|1')
        self.assertEqual(self.db.sql("SELECT haulgate_make_partitions('2026-09-30', '2026-10-01')", GATEWAY), '0')

    def test_senseless_ranges_are_refused(self):
        for span in ("'2026-10-02', '2026-10-01'", "'2026-01-01', '2028-01-01'", "NULL, '2026-01-01'",
                     "'1999-01-01', '1999-01-02'"):
            done = self.db.run(f'SELECT haulgate_make_partitions({span})', GATEWAY)
            self.assertIn('is not a range', done.stderr)

    def test_a_search_path_does_not_change_its_tables(self):
        self.db.sql("CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO haulgate_gateway")
        self.db.sql("SET search_path = trap, public; CREATE TABLE trap.track (at timestamptz); "
                    "SELECT haulgate_make_partitions('2026-08-01', '2026-08-01')", GATEWAY)
        self.assertEqual(self.db.sql("SELECT count(*) FROM pg_inherits WHERE inhrelid = "
                                     "'public.track_20260801'::regclass AND inhparent = 'public.track'::regclass"), '1')


if __name__ == '__main__':
    unittest.main()
