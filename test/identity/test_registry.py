#!/usr/bin/python3
"""The registry in the database: activation, notifications, history, what cannot be changed, the views.

Run through test/lib/with_postgres; HAULGATE_MIGRATE names the program."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'store'))
from test_schema import GATEWAY, OPERATOR, SERVER, Database  # noqa: E402

KEY = {name: (name * 128)[:128] for name in 'abcdef'}  # hex of 64 bytes


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.db = Database()
        cls.addClassCleanup(cls.db.drop)
        done = cls.db.migrate()
        assert done.returncode == 0, done.stderr

    def vehicle(self, vin):
        return int(self.db.sql(f"INSERT INTO vehicle (vin) VALUES ('{vin}') RETURNING id", OPERATOR))

    def heard(self, *statements, role=OPERATOR):
        """Payloads that a listener hears of the statements, each a transaction of its own."""
        script = 'LISTEN haulgate_registry;\n' + ''.join(s + ';\n' for s in statements) + 'SELECT 1;\n'
        done = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', f'{SERVER} dbname={self.db.name} user={role}'],
                              input=script, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.split('with payload "')[1].split('" received')[0]
                for line in done.stdout.split('\n') if 'with payload' in line]


class Activation(Case):
    def take(self, vehicle, chip, key, wanted='active', at='2026-11-20 08:00:00+08', role=GATEWAY):
        return self.db.sql(f"SELECT activation_take({vehicle}, '{chip}', '\\x{KEY[key]}', 'sm2', '{at}', '{wanted}')",
                           role)

    def keys(self, vehicle):
        return self.db.sql("SELECT coalesce(string_agg(left(encode(public_key, 'hex'), 1) || ' ' || state, ', ' "
                           f"ORDER BY id), '') FROM terminal_key WHERE vehicle_id = {vehicle} AND origin = 'activation'")

    def tearDown(self):
        self.db.sql('DELETE FROM activation; DELETE FROM terminal_key')

    def test_first_wins_and_the_same_again_is_known(self):
        v = self.vehicle('ACT1')
        self.assertEqual(self.take(v, 'chip1', 'a'), 'active')
        self.assertEqual(self.take(v, 'chip1', 'a', at='2026-11-20 09:00:00+08'), 'known')
        self.assertEqual(self.take(v, 'chip1', 'a', 'pending', at='2026-11-20 10:00:00+08'), 'known')
        self.assertEqual(self.keys(v), 'a active')

    def test_replay_gives_the_same_and_changes_nothing(self):
        v, w = self.vehicle('ACT2'), self.vehicle('ACT3')
        calls = [(v, 'chip2', 'a'), (v, 'chip2', 'a', 'active', '2026-11-20 09:00:00+08'), (v, 'chip9', 'b'),
                 (w, 'chip2', 'c'), (w, 'chip3', 'c', 'pending')]
        first = [self.take(*call) for call in calls]
        self.assertEqual(first, ['active', 'known', 'pending', 'chip_taken', 'pending'])
        before = self.db.sql('SELECT * FROM terminal_key ORDER BY id')
        self.assertEqual([self.take(*call) for call in calls], first)
        self.db.sql("UPDATE terminal_key SET state = 'revoked'")
        self.assertEqual([self.take(*call) for call in calls], first)
        self.assertEqual(self.db.sql('SELECT * FROM terminal_key ORDER BY id'),
                         before.replace('|active|', '|revoked|').replace('|pending|', '|revoked|'))

    def test_another_key_waits_for_a_person(self):
        v = self.vehicle('ACT4')
        self.take(v, 'chip4', 'a')
        for _ in range(2):
            self.assertEqual(self.take(v, 'chip5', 'b'), 'pending')
        self.assertEqual(self.take(v, 'chip5', 'b', at='2026-11-21 09:00:00+08'), 'pending')
        self.assertEqual(self.keys(v), 'a active, b pending')

    def test_after_a_revocation_nothing_is_automatic(self):
        v, w = self.vehicle('ACT5'), self.vehicle('ACT6')
        self.take(v, 'chip6', 'a')
        self.db.sql(f"UPDATE terminal_key SET state = 'revoked' WHERE vehicle_id = {v}", OPERATOR)
        self.assertEqual(self.take(v, 'chip6', 'a', at='2026-11-21 09:00:00+08'), 'pending')
        self.assertEqual(self.take(v, 'chip7', 'b'), 'pending')
        self.assertEqual(self.take(w, 'chip8', 'a'), 'pending', 'the key was revoked elsewhere')
        self.assertEqual(self.take(w, 'chip6', 'c'), 'pending', 'the chip was revoked elsewhere')

    def test_chip_or_key_of_another_vehicle(self):
        v, w = self.vehicle('ACT7'), self.vehicle('ACT8')
        self.take(v, 'chip10', 'a')
        self.assertEqual(self.take(w, 'chip10', 'b'), 'chip_taken')
        self.assertEqual(self.take(w, 'chip11', 'a'), 'chip_taken')
        self.assertEqual(self.take(w, 'chip10', 'b', 'pending'), 'chip_taken')
        self.assertEqual(self.keys(w), '')

    def test_approval_then_known(self):
        v = self.vehicle('ACT9')
        self.assertEqual(self.take(v, 'chip12', 'a', 'pending'), 'pending')
        self.db.sql("UPDATE terminal_key SET state = 'active', changed_by = 'li' WHERE state = 'pending'", OPERATOR)
        self.assertEqual(self.take(v, 'chip12', 'a', 'pending', at='2026-11-20 09:00:00+08'), 'known')

    def test_pending_becomes_active_when_the_policy_does(self):
        v = self.vehicle('ACT10')
        self.take(v, 'chip13', 'a', 'pending')
        self.assertEqual(self.take(v, 'chip13', 'a', 'active', at='2026-11-20 09:00:00+08'), 'active')
        self.assertEqual(self.keys(v), 'a active')

    def test_two_at_once_one_wins(self):
        """Method: one gateway's transaction is open while another takes the same chip for another vehicle."""
        v, w = self.vehicle('RACE1'), self.vehicle('RACE2')
        call = "SELECT activation_take({}, 'one', '\\x{}', 'sm2', now(), 'active');\n"
        command = ['psql', '-XqAt', f'{SERVER} dbname={self.db.name} user={GATEWAY} application_name=race']
        first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first.stdin.write('BEGIN;\n' + call.format(v, KEY['a']))
        first.stdin.flush()
        self.assertEqual(first.stdout.readline(), 'active\n')
        second = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        second.stdin.write(call.format(w, KEY['b']))
        second.stdin.close()
        while self.db.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'race' AND "
                          "wait_event_type = 'Lock'") == '0' and second.poll() is None:
            pass
        first.stdin.write('COMMIT;\n')
        first.stdin.close()
        self.assertEqual(second.stdout.read(), 'chip_taken\n')
        for process in (first, second):
            process.stdout.close()
            self.assertEqual(process.wait(60), 0)

    def good_from(self, vehicle, condition):
        """Whether the vehicle's only key is good from such a time."""
        return self.db.sql(f'SELECT valid_from {condition} FROM terminal_key WHERE vehicle_id = {vehicle}') == 't'

    def test_no_gateway_says_that_a_key_was_good_long_ago(self):
        v, w, x = (self.vehicle(f'TIME{i}') for i in range(3))
        self.assertEqual(self.take(v, 'chip20', 'a', at='1990-01-01'), 'active')
        self.assertTrue(self.good_from(v, "BETWEEN now() - interval '30 days 1 hour' AND now() - interval '29 days'"))
        self.assertEqual(self.take(v, 'chip20', 'a', at='1990-01-01'), 'active', 'the same again')
        self.assertEqual(self.take(w, 'chip21', 'b', at='2999-01-01'), 'active')
        self.assertTrue(self.good_from(w, "BETWEEN now() + interval '9 minutes' AND now() + interval '10 minutes'"))
        # Not from before what the vehicle asked last.
        day, earlier = (self.db.sql(f"SELECT now() - interval '{d} days'") for d in (1, 9))
        self.assertEqual(self.take(x, 'chip22', 'c', 'pending', at=day), 'pending')
        self.assertEqual(self.take(x, 'chip22', 'c', at=earlier), 'active')
        self.assertTrue(self.good_from(x, f"= '{day}'"))

    def test_the_policy_binds_whoever_has_a_gateways_login(self):
        self.addCleanup(self.db.sql, "UPDATE registry_policy SET activation = 'automatic'")
        v, w = self.vehicle('POL1'), self.vehicle('POL2')
        self.db.sql("UPDATE registry_policy SET activation = 'approval'", OPERATOR)
        self.assertEqual(self.take(v, 'chip30', 'a'), 'pending')
        self.db.sql("UPDATE registry_policy SET activation = 'off'", OPERATOR)
        self.assertEqual(self.take(w, 'chip31', 'b'), 'off')
        self.assertEqual(self.take(w, 'chip31', 'b', 'pending'), 'off')
        self.assertEqual((self.keys(v), self.keys(w)), ('a pending', ''))
        self.db.sql("UPDATE terminal_key SET state = 'active', changed_by = 'li'", OPERATOR)
        self.assertEqual(self.take(v, 'chip30', 'a', at='2026-11-20 09:00:00+08'), 'known')
        self.assertEqual(self.db.sql("SELECT string_agg(old ->> 'activation', ' ' ORDER BY id) FROM registry_history "
                                     "WHERE kind = 'registry_policy'"), 'automatic approval')

    def test_nonsense_is_refused(self):
        v = self.vehicle('ACT11')
        done = self.db.run(f"SELECT activation_take({v}, 'c', '\\x00', 'sm2', now(), 'active')", GATEWAY)
        self.assertIn('check constraint', done.stderr)
        done = self.db.run(f"SELECT activation_take({v}, 'c', '\\x{KEY['a']}', 'sm2', now(), 'revoked')", GATEWAY)
        self.assertIn('neither active nor pending', done.stderr)
        self.assertEqual(self.keys(v), '')


class Notifications(Case):
    def test_each_table_names_its_vehicles(self):
        fleet = self.db.sql("INSERT INTO fleet (name) VALUES ('f') RETURNING id", OPERATOR)
        v, w = self.vehicle('NOT1'), self.vehicle('NOT2')
        platform = self.db.sql("INSERT INTO platform (name, login, password) VALUES ('p', 'p', '$y$x') RETURNING 1", OPERATOR)
        self.assertEqual(platform, '1')
        say = f'vehicle:{v}'
        for statement, expected in (
                (f'UPDATE vehicle SET fleet_id = {fleet} WHERE id = {v}', [say]),
                ("UPDATE fleet SET signature = 'required'", [say]),
                ("UPDATE fleet SET signature = 'required'", []),
                (f"INSERT INTO terminal_identity (vehicle_id, serial) VALUES ({v}, 's')", [say]),
                (f"UPDATE terminal_identity SET state = 'removed' WHERE vehicle_id = {v}", [say]),
                (f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm) VALUES ({v}, 'encrypt', 'sm2')", [say]),
                ("UPDATE terminal_key SET state = 'revoked'", [say]),
                ("UPDATE terminal_key SET state = 'revoked'", []),
                (f"INSERT INTO certificate (vehicle_id, fingerprint, valid_from, valid_to) VALUES ({v}, "
                 "sha256('a'), now(), now() + interval '1 day')", [say]),
                ("UPDATE certificate SET state = 'revoked'", [say]),
                (f'INSERT INTO platform_vehicle VALUES ((SELECT id FROM platform WHERE login = \'p\'), {v})', [say]),
                (f'DELETE FROM platform_vehicle WHERE vehicle_id = {v}', [say]),
                ("UPDATE platform SET state = 'blocked'", ['platform']),
                (f"UPDATE vehicle SET state = 'blocked' WHERE id IN ({v}, {w})", [say, f'vehicle:{w}'])):
            self.assertEqual(sorted(self.heard(statement)), sorted(expected), statement)

    def test_many_are_one(self):
        many = "INSERT INTO vehicle (vin) SELECT 'MANY' || i FROM generate_series(1, {}) i"
        self.assertEqual(self.heard(many.format(101)), ['all'])
        # The same rows again: nothing changed, nobody is woken.
        self.assertEqual(self.heard(many.format(101) + ' ON CONFLICT (vin) DO UPDATE SET state = excluded.state'), [])
        self.assertEqual(len(self.heard("UPDATE vehicle SET plate = 'x' WHERE vin LIKE 'MANY__'")), 90)

    def test_of_the_terminal_only_the_layout_is_news(self):
        v = self.vehicle('LAY1')
        row = f'INSERT INTO terminal (vehicle_id, layout, last_at) VALUES ({v}, {{}}, now()) ' \
              'ON CONFLICT (vehicle_id) DO UPDATE SET layout = excluded.layout, last_at = excluded.last_at'
        listener = subprocess.run(
            ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', f'{SERVER} dbname={self.db.name} user={GATEWAY}'],
            input='LISTEN haulgate_registry;\n' + ''.join(f'{row.format(n)};\nSELECT \'{n}\';\n' for n in (0, 0, 5, 5, 6)),
            capture_output=True, text=True, timeout=60)
        self.assertEqual(listener.returncode, 0, listener.stderr)
        self.assertEqual(listener.stdout.count(f'"vehicle:{v}"'), 2)

    def test_of_commands_only_whether_some_wait(self):
        v = self.vehicle('COM1')
        said = self.heard(
            "INSERT INTO command (vehicle_id, kind, parameters, unit, ordered_by, reason, expires_at) VALUES "
            f"({v}, 'query', '{{}}', '\\x00', 'li', 'test', now() + interval '1 h')",
            "UPDATE command SET state = 'sent'", "UPDATE command SET state = 'cancelled'", role='postgres')
        self.assertEqual(said, [f'vehicle:{v}'] * 2)


class History(Case):
    def test_before_each_change_without_secrets(self):
        v = self.vehicle('HIS1')
        self.db.sql(f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, secret) VALUES ({v}, 'encrypt', 'sm4', "
                    "'\\x5ec2e7'); INSERT INTO platform (name, login, password) VALUES ('h', 'h', '$y$hash')", OPERATOR)
        self.db.sql("BEGIN; SET LOCAL haulgate.actor = 'li'; "
                    "UPDATE vehicle SET plate = 'B'; UPDATE vehicle SET plate = 'B'; UPDATE vehicle SET plate = 'C'; "
                    "UPDATE terminal_key SET secret = '\\x00', state = 'revoked'; UPDATE platform SET password = '$y$new'; "
                    "COMMIT", OPERATOR)
        self.assertEqual(
            self.db.sql("SELECT actor, role, kind, action, old ->> 'vin', old ->> 'plate' FROM registry_history "
                        f"WHERE kind = 'vehicle' AND row_id = {v} ORDER BY id"),
            f'li|{OPERATOR}|vehicle|UPDATE|HIS1|\nli|{OPERATOR}|vehicle|UPDATE|HIS1|B')
        self.assertEqual(self.db.sql("SELECT kind, old ? 'secret', old ? 'password', old ->> 'state' FROM registry_history "
                                     "WHERE kind <> 'vehicle' ORDER BY id"),
                         'terminal_key|f|f|active\nplatform|f|f|active')
        text = self.db.sql('SELECT * FROM registry_history')
        for secret in ('5ec2e7', '$y$'):
            self.assertNotIn(secret, text)

    def test_without_a_name_the_role_stands_there(self):
        self.vehicle('HIS2')
        self.db.sql("UPDATE vehicle SET plate = 'Z' WHERE vin = 'HIS2'", OPERATOR)
        self.assertEqual(self.db.sql("SELECT actor FROM registry_history WHERE old ->> 'vin' = 'HIS2'"), OPERATOR)

    def test_deletion(self):
        v = self.vehicle('HIS3')
        self.db.sql("INSERT INTO platform (name, login, password) VALUES ('d', 'd', '$y$d'); "
                    f"INSERT INTO platform_vehicle SELECT id, {v} FROM platform WHERE name = 'd'; "
                    f'DELETE FROM platform_vehicle WHERE vehicle_id = {v}', OPERATOR)
        self.assertEqual(self.db.sql("SELECT action, row_id FROM registry_history WHERE kind = 'platform_vehicle'"),
                         f'DELETE|{v}')

    def test_what_is_written_stays(self):
        self.db.sql("INSERT INTO audit_log (actor, action) VALUES ('li', 'key.revoke')", OPERATOR)
        for role in ('postgres', OPERATOR, GATEWAY):
            for table in ('audit_log', 'registry_history'):
                for change in (f"UPDATE {table} SET actor = 'x'", f'DELETE FROM {table}', f'TRUNCATE {table}'):
                    done = self.db.run(change, role)
                    self.assertNotEqual(done.returncode, 0, f'{role} may: {change}')
                    self.assertIn('append-only' if role == 'postgres' else 'permission denied', done.stderr)
        self.assertEqual(self.db.sql('SELECT actor, role FROM audit_log'), f'li|{OPERATOR}')


class Constraints(Case):
    def test_senseless_keys_are_refused(self):
        v = self.vehicle('CON1')
        for columns, values in (
                ('purpose, algorithm', "'encrypt', 'sm4'"),                       # no secret, and we have no such pair
                ('purpose, algorithm', "'sign', 'sm2'"),                          # no key
                ('purpose, algorithm, public_key', "'sign', 'sm2', '\\x00'"),     # no point
                ('purpose, algorithm, secret', "'encrypt', 'p256', '\\x00'"),     # signs only
                ('purpose, algorithm, public_key', "'sign', 'sm4', '\\x00'"),     # does not sign
                ('purpose, algorithm, secret, mode', "'encrypt', 'sm4', '\\x00', 'cbc-fixed'"),
                ('purpose, algorithm, valid_from, valid_to', "'encrypt', 'sm2', now(), now()")):
            done = self.db.run(f'INSERT INTO terminal_key (vehicle_id, {columns}) VALUES ({v}, {values})', OPERATOR)
            self.assertIn('violates', done.stderr, values)


class Views(Case):
    def test_flat_vehicle(self):
        v = self.vehicle('VIEW1')
        self.db.sql(f"INSERT INTO fleet (name) VALUES ('f'); UPDATE vehicle SET fleet_id = (SELECT id FROM fleet); "
                    f"INSERT INTO terminal_identity (vehicle_id, serial, iccid) VALUES ({v}, 's1', '89860000000000000001'); "
                    "INSERT INTO platform (name, login, password) VALUES ('b', 'b', '$y$'), ('a', 'a', '$y$'); "
                    f'INSERT INTO platform_vehicle SELECT id, {v} FROM platform; '
                    f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key) VALUES ({v}, 'sign', 'sm2', "
                    f"'\\x{KEY['a']}')", OPERATOR)
        self.assertEqual(self.db.sql('SELECT vin, fleet, serial, platforms, signers, ciphers FROM registry.vehicles', OPERATOR),
                         'VIEW1|f|s1|a b|1|0')
        self.assertEqual(self.db.sql("SELECT vin, length(fingerprint), has_secret FROM registry.keys", OPERATOR),
                         'VIEW1|64|f')

    def test_quality(self):
        self.db.sql("INSERT INTO platform (name, login, password) VALUES ('q', 'q', '$y$')", OPERATOR)
        columns = 'platform_id, vehicle_id, day, frames, supplements, duplicates, refused, first_serial, ' \
                  'last_serial, delay_ms_sum, delay_ms_max, delay_frames'
        for values in ('1, 90, 5, 1, 2, 1, 100, 9000, 300, 90', '2, 2, 0, 0, 0, 2000, 2049, 1000, 700, 10',
                       '3, 50, 0, 0, 0, NULL, NULL, 0, 0, 0'):
            vehicle, rest = values.split(', ', 1)
            self.db.sql(f"INSERT INTO platform_day ({columns}) SELECT id, {vehicle}, '2026-11-20', {rest} FROM platform "
                        "WHERE name = 'q'", GATEWAY)
        for vehicle, page, serials in (1, 0, [1, *range(12, 101)]), (2, 0, [2000, 2047]), (2, 1, [0, 1]):
            self.db.sql(f"INSERT INTO platform_serial SELECT p.id, {vehicle}, '2026-11-20', {page}, "
                        f"bit_or(set_bit(0::bit(2048), n, 1)) FROM platform p, unnest(ARRAY{serials}) n WHERE name = 'q' "
                        'GROUP BY p.id', GATEWAY)
        self.assertEqual(self.db.sql('SELECT vehicle_id, serials, expected, lost FROM platform_vehicle_quality '
                                     'ORDER BY vehicle_id', OPERATOR), '1|90|100|10\n2|4|50|46\n3|0||')
        self.assertEqual(self.db.sql("SELECT login, vehicles, frames, expected, lost, round(loss::numeric, 4), delay_ms_mean, "
                                     "delay_ms_max FROM platform_quality WHERE platform = 'q'", OPERATOR),
                         'q|3|142|150|56|0.3733|100|700')


if __name__ == '__main__':
    unittest.main()
