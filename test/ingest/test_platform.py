"""Enterprise platforms: they log in by password and speak for their own vehicles alone."""
import unittest

from gateway import await_that, make_certificate, wire
from registry import BAD, OK, RegistryTest, Terminal
import ssl

PASSWORD = "correct-horse"
FLEET = [f"LTEST0000000000{i:02}" for i in range(10, 15)]
FOREIGN = "LTEST000000000088"
PLATFORM_KIND = 3


class Platform(RegistryTest):
    def setUp(self):
        super().setUp()
        for vin in [*FLEET, FOREIGN]:
            self.add_vehicle(vin)

    def account(self, *options):
        self.keys("platform", "add", "Carrier", "--login", "carrier", *options, stdin=PASSWORD)
        self.keys("platform", "vehicles", "carrier", "--add", *FLEET)

    def login(self, password=PASSWORD, user="carrier"):
        return wire.platform_login(self.now, user, password, vin="CARRIER")

    def logged_in(self, g):
        c = self.client(g).send(self.login())
        self.assertEqual(c.frame()[1:], (5, OK))
        return c

    def test_its_vehicles_over_one_connection(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g)
        frames = [frame for vin in FLEET for frame in (
            wire.login_p(self.now, vin=vin), wire.report_c(self.now, vin=vin),
            wire.report_ev(self.now, wire.SUPPLEMENT, vin=vin), wire.logout_p(self.now, vin=vin))]
        c.send(*frames, wire.frame_p(wire.HEARTBEAT, vin="CARRIER"))
        self.assertEqual([c.frame()[1:] for _ in frames], [(1, OK), (2, OK), (3, OK), (4, OK)] * len(FLEET))
        self.assertEqual(c.frame()[1:], (7, OK))
        account = int(self.sql("SELECT id FROM platform"))
        self.assertEqual([(r.verdict, r.raw, r.credential) for r in self.stored(g)],
                         [("accepted", f, account * 4 + PLATFORM_KIND) for f in frames])

    def test_a_vehicle_of_others_is_refused_and_the_rest_goes_on(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g)
        c.send(wire.report_c(self.now, vin=FOREIGN), wire.login_p(self.now, vin=FOREIGN),
               wire.report_c(self.now, vin="LTEST000000000099"), wire.report_c(self.now, vin=FLEET[0]))
        self.assertEqual([c.frame()[1:] for _ in range(4)], [(2, BAD), (1, BAD), (2, BAD), (2, OK)])
        self.assertEqual([r.verdict for r in self.stored(g)], ["not_theirs"] * 3 + ["accepted"])

    def test_its_vehicles_may_be_logged_in_themselves(self):
        self.account("--no-tls")
        g = self.start()
        truck = self.log_in(g, vin=FLEET[0])
        c = self.logged_in(g).send(wire.login_p(self.now, vin=FLEET[0]), wire.logout_p(self.now, vin=FLEET[0]))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(1, OK), (4, OK)])
        self.assertEqual(truck.send(wire.report_c(self.now, vin=FLEET[0])).frame()[1:], (2, OK))

    def test_wrong_names_and_passwords_look_alike_and_are_kept_nowhere(self):
        self.account("--no-tls")
        g = self.start()
        frames = [self.login("secret-word"), self.login("secret-word", user="nobody"), self.login("")]
        c = self.client(g).send(*frames)
        self.assertEqual([c.frame()[0] for _ in frames],
                         [wire.answer_p(5, BAD, wire.time6(self.now), vin="CARRIER")] * 3)
        self.assertEqual(c.send(wire.report_c(self.now, vin=FLEET[0])).frame()[1:], (2, BAD))
        self.assertEqual(g.metrics()["login_refused"], 3)
        self.assertEqual([r.verdict for r in self.stored(g)], ["not_logged_in"])
        self.assertNotIn("secret-word", g.log())

    def test_the_right_password_is_kept_nowhere_either(self):
        self.account("--no-tls")
        g = self.start()
        self.logged_in(g)
        self.assertEqual(self.stored(g), [])
        self.assertNotIn(PASSWORD, g.log())

    def test_from_a_foreign_address_and_without_tls(self):
        self.account("--sources", "192.0.2.0/24")
        g = self.start()
        self.assertEqual(self.client(g).send(self.login()).frame()[1:], (5, BAD))
        self.assertEqual(g.metrics()["login_refused"], 1)
        refreshes = g.metrics()["identity_refreshes_total"]
        self.sql("UPDATE platform SET sources = '{127.0.0.0/8}'")
        await_that("the change", lambda: g.metrics()["identity_refreshes_total"] > refreshes)
        self.assertEqual(self.client(g).send(self.login()).frame()[1:], (5, BAD))
        self.assertEqual(g.metrics()["transport_refused"], 1)

    def test_over_tls(self):
        self.account()
        cert, key = make_certificate(self.folder, "gateway")
        g = self.start(listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key})
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        c = self.client(g, "tls", context=context).send(self.login(), wire.report_c(self.now, vin=FLEET[0]))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(5, OK), (2, OK)])

    def test_after_its_logout_it_speaks_for_nobody(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g).send(
            wire.frame_p(wire.PLATFORM_LOGOUT, wire.time6(self.now) + b"\0\1", "CARRIER"),
            wire.report_c(self.now, vin=FLEET[0]))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(6, OK), (2, BAD)])

    def test_two_connections_of_one_platform(self):
        self.account("--no-tls")
        g = self.start()
        for c in [self.logged_in(g) for _ in range(2)]:
            self.assertEqual(c.send(wire.report_c(self.now, vin=FLEET[0])).frame()[1:], (2, OK))

    def test_a_blocked_platform_is_out(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g)
        self.keys("platform", "block", "carrier", "--reason", "test")
        self.assertIsNone(c.frame())
        g.await_metric("sessions_revoked_total", 1)
        self.assertEqual(self.client(g).send(self.login()).frame()[1:], (5, BAD))

    def test_a_new_password_ends_sessions_of_the_old(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g)
        self.keys("platform", "password", "carrier", stdin="another-word")
        self.assertIsNone(c.frame())

    def test_a_vehicle_taken_away_is_no_longer_theirs(self):
        self.account("--no-tls")
        g = self.start()
        c = self.logged_in(g)
        self.assertEqual(c.send(wire.report_c(self.now, vin=FLEET[0])).frame()[1:], (2, OK))
        refreshes = g.metrics()["identity_refreshes_total"]
        self.keys("platform", "vehicles", "carrier", "--remove", FLEET[0])
        await_that("the change", lambda: g.metrics()["identity_refreshes_total"] > refreshes)
        self.assertEqual(c.send(wire.report_c(self.now + 1, vin=FLEET[0])).frame()[1:], (2, BAD))
        self.assertEqual(c.send(wire.report_c(self.now + 1, vin=FLEET[1])).frame()[1:], (2, OK))

    def test_what_its_vehicles_sign_is_verified(self):
        self.account("--no-tls")
        chip = Terminal("chip")
        key = self.add_signer(chip, FLEET[0])
        g = self.start()
        c = self.logged_in(g)
        forged = bytearray(chip.report(self.now, vin=FLEET[0]))
        forged[60] ^= 1
        forged[-1] ^= 1
        c.send(chip.report(self.now, vin=FLEET[0]), bytes(forged))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(2, OK), (2, BAD)])
        self.assertEqual([(r.signature, r.credential) for r in self.stored(g)],
                         [("valid", key * 4 + 1), ("invalid", int(self.sql("SELECT id FROM platform")) * 4 + 3)])


if __name__ == "__main__":
    unittest.main()
