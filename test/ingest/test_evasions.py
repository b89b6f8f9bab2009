"""Ways around who may speak for a VIN: proofs sent again, changes while a worker has a frame, a registry that is not there yet."""
import os
import subprocess
import time
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from gateway import await_that, wire
from registry import BAD, OK, RegistryTest, Terminal, flip

RSA = 4  # encryption byte of HJ 1239
ACTIVATED, FAILED = b"\1\0", b"\2\xff"
PASSWORD = "correct-horse"


class Evasions(RegistryTest):
    def setUp(self):
        super().setUp()
        self.chip = Terminal("chip")

    def sealed(self, unit, oaep=False):
        """For the gateway's RSA pair."""
        name, = (n for n in os.listdir(self.keys_dir) if n.startswith("rsa") and n.endswith(".pem"))
        with open(os.path.join(self.keys_dir, name), "rb") as f:
            key = serialization.load_pem_private_key(f.read(), None).public_key()
        how = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None) if oaep else padding.PKCS1v15()
        room = key.key_size // 8 - (42 if oaep else 11)
        return b"".join(key.encrypt(unit[i:i + room], how) for i in range(0, len(unit), room))

    def sealed_activation(self, terminal, at, start):
        return wire.frame_p(7, self.sealed(terminal.activation_unit(at)), encryption=RSA, start=start)

    def account(self, vin):
        self.keys("platform", "add", "Carrier", "--login", "carrier", "--no-tls", stdin=PASSWORD)
        self.keys("platform", "vehicles", "carrier", "--add", vin)

    def platform_login(self, user="carrier", password=PASSWORD):
        return wire.platform_login(self.now, user, password, vin="CARRIER")

    def keep_worker_busy(self, g):
        """With passwords that nobody has, for a second or more; returns what they wait with."""
        crowd = [self.client(g, source="127.0.0.3") for _ in range(100)]
        for c in crowd:
            c.send(self.platform_login("nobody", "x"))
        g.await_metric("crypto_jobs_waiting", 20)
        return crowd

    def change(self, g, sql):
        """And wait until the gateway has it."""
        before = g.metrics()["identity_refreshes_total"]
        self.sql(sql)
        await_that("the change", lambda: g.metrics()["identity_refreshes_total"] > before)


class Proofs(Evasions):
    def setUp(self):
        super().setUp()
        self.add_vehicle()
        self.key = self.add_signer(self.chip)

    def test_a_fresh_report_sent_again_displaces_nobody(self):
        g = self.start()
        owner = self.log_in(g)
        recorded = self.chip.report(self.now)
        self.assertEqual(owner.send(recorded).frame()[1:], (2, OK))
        thief = self.log_in(g, source="127.0.0.9")
        self.assertEqual(thief.send(recorded).frame()[1:], (2, wire.VIN_DUPLICATE))
        self.assertEqual(owner.send(self.chip.report(self.now + 1)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["sessions_taken_over_total"], 0)

    def test_nor_is_the_thief_believed_when_the_owner_has_left(self):
        self.sql("UPDATE vehicle SET fleet_id = (SELECT id FROM fleet WHERE name = 'few')")
        self.sql("INSERT INTO fleet (name, signature_share) VALUES ('few', 0.000001)")
        self.sql("UPDATE vehicle SET fleet_id = (SELECT id FROM fleet WHERE name = 'few')")
        g = self.start()
        owner = self.log_in(g)
        recorded = self.chip.report(self.now)
        self.assertEqual(owner.send(recorded).frame()[1:], (2, OK))
        owner.send(wire.logout_p(self.now)).frame()
        thief = self.log_in(g, source="127.0.0.9")
        self.assertEqual(thief.send(recorded).frame()[1:], (2, OK))  # the store knows it already
        forged = flip(self.chip.report(self.now + 10), 8 * 50)
        self.assertEqual(thief.send(forged).frame()[1:], (2, BAD))

    def test_a_key_that_is_good_no_more_is_looked_at_again(self):
        self.sql("INSERT INTO fleet (name, signature, signature_share) VALUES ('few', 'required', 0.000001)")
        self.sql("UPDATE vehicle SET fleet_id = (SELECT id FROM fleet WHERE name = 'few')")
        end = time.time() + 3
        self.sql(f"UPDATE terminal_key SET valid_to = to_timestamp({end})")
        g = self.start()
        c = self.log_in(g)
        self.assertEqual(c.send(self.chip.report(self.now)).frame()[1:], (2, OK))
        await_that("the end of the key", lambda: time.time() > end + 1)
        forged = flip(self.chip.report(self.now + 10), 8 * 50)
        self.assertEqual(c.send(forged).frame()[1:], (2, BAD))

    def test_a_key_revoked_while_a_worker_has_its_frame(self):
        other = Terminal("other", chip="CHIP000000000002")
        self.add_signer(other)
        g = self.start(crypto={"workers": 1}, limit={"penalty_half_life_s": 0, "vin_logins": 0})
        c = self.log_in(g)
        self.keep_worker_busy(g)
        c.send(self.chip.report(self.now))
        self.change(g, f"UPDATE terminal_key SET state = 'revoked' WHERE id = {self.key}")
        self.assertGreater(g.metrics()["crypto_jobs_waiting"], 0)
        self.assertEqual(c.frame()[1:], (2, BAD))
        self.assertEqual(self.log_in(g).send(other.report(self.now + 1)).frame()[1:], (2, OK))

    def test_where_reports_come_without_a_login_the_same_key_takes_over(self):
        g = self.start(session={"report_before_login": "registered", "unknown_vehicle": "reject"})
        old, new, stranger = self.client(g), self.client(g), self.client(g)
        self.assertEqual(old.send(self.chip.report(self.now)).frame()[1:], (2, OK))
        self.assertEqual(stranger.send(wire.report_c(self.now + 1)).frame()[1:], (2, wire.VIN_DUPLICATE))
        self.assertEqual(new.send(self.chip.report(self.now + 2)).frame()[1:], (2, OK))
        self.assertIsNone(old.frame())

    def test_who_contends_is_not_dropped_as_silent(self):
        g = self.start(gateway={"loops": 1}, limit={"unauthenticated": 10})
        self.assertEqual(self.log_in(g).send(self.chip.report(self.now)).frame()[1:], (2, OK))
        new = self.log_in(g)  # the same truck's; its old connection still seems to live
        crowd = []
        while g.metrics()["unauthenticated_dropped_total"] < 20:
            crowd.append(self.client(g))
        self.assertEqual(new.send(self.chip.report(self.now + 5)).frame()[1:], (2, OK))


class Activations(Evasions):
    def setUp(self):
        super().setUp()
        self.keys("init")
        self.add_vehicle()

    def test_an_encrypted_one_is_kept_before_it_is_answered(self):
        g = self.start()
        # Behind "~~" and header P the length alone tells it from a platform's login, which is kept nowhere.
        answer = self.client(g).send(self.sealed_activation(self.chip, self.now, b"~~")).frame()
        self.assertEqual(answer[0][24:-1], ACTIVATED)
        await_that("its row", lambda: self.sql("SELECT count(*) FROM terminal_key") == "1")
        self.assertEqual([r.verdict for r in self.stored(g)], ["accepted"])

    def test_encrypted_ones_are_counted_as_logins_too(self):
        g = self.start(limit={"vin_logins": 3})
        c = self.log_in(g)
        answers = [c.send(self.sealed_activation(Terminal(f"k{i}", f"CHIP{i:012}"), self.now + i, b"~~")).frame()[0][24:-1]
                   for i in range(6)]
        self.assertEqual([a == FAILED for a in answers], [False] * 2 + [True] * 4)

    def test_the_chip_of_another_activates_no_unknown_vehicle(self):
        self.add_signer(self.chip)
        g = self.start(session={"unknown_vehicle": "provisional"})
        answer = self.client(g).send(self.chip.activation(self.now, "LTEST000000000077")).frame()
        self.assertEqual(answer[0][24:-1], b"\2\1")


class Platforms(Evasions):
    VIN = "LTEST000000000010"

    def setUp(self):
        super().setUp()
        self.add_vehicle(self.VIN)
        self.account(self.VIN)

    def test_an_account_blocked_while_its_password_is_compared(self):
        g = self.start(crypto={"workers": 1}, limit={"penalty_half_life_s": 0, "vin_logins": 0})
        self.keep_worker_busy(g)
        c = self.client(g).send(self.platform_login())
        self.change(g, "UPDATE platform SET state = 'blocked'")
        self.assertGreater(g.metrics()["crypto_jobs_waiting"], 0)
        self.assertEqual(c.frame()[1:], (5, BAD))


class NotLoaded(Evasions):
    """The registry is there, and this gateway has not read it yet: silence, so that nothing is given up."""

    def locked_gateway(self):
        """Which waits for the vehicles; the lock ends with the returned process."""
        lock = subprocess.Popen(["psql", "-Xq", "-d", self.database], stdin=subprocess.PIPE, text=True)
        self.addCleanup(lock.wait)
        self.addCleanup(lock.stdin.close)
        lock.stdin.write("BEGIN; LOCK TABLE vehicle IN ACCESS EXCLUSIVE MODE;\n")
        lock.stdin.flush()
        await_that("the lock", lambda: self.sql(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'vehicle'::regclass") == "1")
        sections = {"keys": {"dir": self.keys_dir}} if os.path.isdir(self.keys_dir) else {}
        return lock, self.gateway(store={"conninfo": self.conninfo("haulgate_gateway")},
                                  session={"unknown_vehicle": "reject"}, **sections)

    def unlock(self, lock, g):
        lock.stdin.write("COMMIT;\n")
        lock.stdin.flush()
        self.await_registry(g)

    def test_a_platform_is_not_refused(self):
        vin = "LTEST000000000010"
        self.add_vehicle(vin)
        self.account(vin)
        lock, g = self.locked_gateway()
        c = self.client(g).send(self.platform_login())
        self.assertTrue(c.silent(1))
        self.unlock(lock, g)
        self.assertEqual(c.send(self.platform_login()).frame()[1:], (5, OK))
        self.assertEqual(c.send(wire.report_c(self.now, vin=vin)).frame()[1:], (2, OK))

    def test_a_unit_in_a_mode_of_the_registry_is_not_refused(self):
        self.keys("init")
        self.add_vehicle()
        self.keys("mode", wire.VIN, "--algorithm", "rsa", "--mode", "rsa-oaep")
        lock, g = self.locked_gateway()
        login = wire.frame_p(1, self.sealed(wire.login_p(self.now)[24:-1], oaep=True), encryption=RSA, start=b"~~")
        c = self.client(g)
        for _ in range(25):  # more than bad_frames_max
            c.send(login)
        self.assertTrue(c.silent(1))
        self.unlock(lock, g)
        self.assertEqual(c.send(login).frame()[1:], (1, OK))


if __name__ == "__main__":
    unittest.main()
