"""Who may speak for a VIN: credentials, revocation of live sessions, activation."""
import os
import ssl
import unittest

from gateway import await_that, make_certificate, wire
from pki import Authority
from registry import BAD, OK, RegistryTest, Terminal

ACTIVATED, CHIP_USED, VIN_WRONG, FAILED = b"\1\0", b"\2\1", b"\2\2", b"\2\xff"
ACTIVATION_PENDING = 1 << 11
OTHER_VIN = "LTEST000000000002"


class Identity(RegistryTest):
    def setUp(self):
        super().setUp()
        self.chip = Terminal("chip")

    def signed_in(self, g, **keywords):
        """A session that has shown its key, by a report that nobody has seen yet."""
        self.now += 1
        c = self.log_in(g, **keywords)
        self.assertEqual(c.send(self.chip.report(self.now)).frame()[1:], (2, OK))
        return c


class Credentials(Identity):
    def setUp(self):
        super().setUp()
        self.add_vehicle()
        self.key = self.add_signer(self.chip)

    def test_who_shows_nothing_does_not_take_over_who_has_shown_a_key(self):
        g = self.start()
        owner = self.signed_in(g)
        forger = self.log_in(g)  # as far as its first report: it may be the owner's new connection
        self.assertEqual(forger.send(wire.report_c(self.now + 1)).frame()[1:], (2, wire.VIN_DUPLICATE))
        stranger = Terminal("stranger")
        self.assertEqual(forger.send(stranger.report(self.now + 2)).frame()[1:], (2, BAD))
        self.assertEqual(owner.send(self.chip.report(self.now + 3)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["sessions_taken_over_total"], 0)
        self.assertEqual([r.verdict for r in self.reports(g)],
                         ["accepted", "vin_taken", "signature_bad", "accepted"])
        self.assertIn("alarm: somebody with nothing wants a VIN whose holder has shown a key", g.log())

    def test_the_same_key_takes_over(self):
        g = self.start()
        old = self.signed_in(g)
        new = self.signed_in(g)
        self.assertIsNone(old.frame())
        self.assertEqual(new.send(self.chip.report(self.now + 1)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["sessions_taken_over_total"], 1)
        self.assertEqual(g.metrics()["sessions_open"], 1)

    def test_an_old_signed_report_proves_nothing_about_who_speaks_now(self):
        g = self.start()
        recorded = self.chip.report(self.now - 3600)
        owner = self.signed_in(g)
        forger = self.log_in(g)
        self.assertEqual(forger.send(recorded).frame()[1:], (2, wire.VIN_DUPLICATE))
        self.assertEqual(owner.send(self.chip.report(self.now + 1)).frame()[1:], (2, OK))

    def test_a_key_takes_over_from_who_has_shown_nothing(self):
        g = self.start(session={"duplicate_vin": "refuse", "unknown_vehicle": "reject"})
        plain = self.log_in(g)
        self.assertEqual(plain.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        # Nobody proved anything at the login, so first come is first served.
        again = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(again.frame()[1:], (1, wire.VIN_DUPLICATE))

    def test_when_the_holder_leaves_the_contender_gets_in(self):
        g = self.start()
        owner = self.signed_in(g)
        other = self.log_in(g)
        owner.send(wire.logout_p(self.now)).frame()
        owner.close()
        self.assertEqual(other.send(wire.report_c(self.now + 1)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["sessions_open"], 1)

    def test_a_contender_has_the_time_of_a_login_to_prove_itself(self):
        g = self.start(session={"login_s": 1, "unknown_vehicle": "reject"})
        owner = self.signed_in(g)
        forger = self.log_in(g)
        self.assertIsNone(forger.frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)
        self.assertEqual(owner.send(self.chip.report(self.now + 1)).frame()[1:], (2, OK))


class Certificates(Identity):
    KIND = 2

    def setUp(self):
        super().setUp()
        self.ca = Authority(self.folder, "ca")
        self.add_vehicle(transport="certificate")
        self.add_signer(self.chip)
        self.truck = self.ca.of_vin(wire.VIN)
        self.keys("certificate", "add", wire.VIN, "--file", self.truck.file)
        self.id = int(self.sql("SELECT id FROM certificate"))

    def start(self, **sections):
        self.cert, key = make_certificate(self.folder, "server")
        ca, crl = (os.path.join(self.folder, n) for n in ("ca-file.pem", "crl.pem"))
        for path, pem in ((ca, self.ca.pem), (crl, self.ca.crl())):
            with open(path, "wb") as f:
                f.write(pem)
        return super().start(listen={
            "tls": "127.0.0.1:0", "tls_certificate": self.cert, "tls_key": key,
            "tls_client": "optional", "tls_client_ca": ca, "tls_crl": crl}, **sections)

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(certificate.file, certificate.key_file)
        return context

    def greet(self, g, certificate=None):
        """Over TLS: the client, and the flag of the answer to its login."""
        c = self.client(g, "tls", context=self.context(certificate)).send(wire.login_p(self.now))
        return c, c.frame()[2]

    def test_where_one_is_wanted_nothing_else_will_do(self):
        g = self.start()
        self.assertEqual(self.client(g).send(wire.login_p(self.now)).frame()[1:], (1, BAD))
        self.assertEqual(self.greet(g)[1], BAD)
        c, flag = self.greet(g, self.truck)
        self.assertEqual(flag, OK)
        self.assertEqual(c.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        self.assertEqual([(r.verdict, r.credential) for r in self.stored(g)],
                         [("transport_refused", 0)] * 2 + [("accepted", self.id * 4 + self.KIND)] * 2)

    def test_one_that_the_registry_revokes_is_out(self):
        g = self.start()
        c, flag = self.greet(g, self.truck)
        self.assertEqual(flag, OK)
        self.keys("certificate", "revoke", str(self.id), "--reason", "test")
        self.assertIsNone(c.frame())
        g.await_metric("sessions_revoked_total", 1)
        self.assertEqual(self.greet(g, self.truck)[1], BAD)
        self.assertEqual(self.stored(g)[-1].verdict, "certificate_vin")

    def test_it_is_not_taken_over_by_a_key_and_takes_over_from_one(self):
        self.sql("UPDATE fleet SET transport = 'any'")
        g = self.start()
        signer = self.signed_in(g)
        owner, flag = self.greet(g, self.truck)
        self.assertEqual(flag, OK)
        self.assertIsNone(signer.frame())
        # A key is less, and nothing is less still: no use to wait for their first report.
        self.assertEqual(self.client(g).send(wire.login_p(self.now)).frame()[1:], (1, wire.VIN_DUPLICATE))
        self.assertEqual(owner.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        again, flag = self.greet(g, self.truck)
        self.assertEqual(flag, OK)
        self.assertIsNone(owner.frame())
        self.assertIn("whose holder has shown a certificate", g.log())


class Revocation(Identity):
    def setUp(self):
        super().setUp()
        self.add_vehicle()
        self.key = self.add_signer(self.chip)

    def ends(self, change):
        g = self.start()
        c = self.signed_in(g)
        self.sql(change)
        self.assertIsNone(c.frame())  # returns when the gateway closes
        g.await_metric("sessions_revoked_total", 1)
        return g

    def test_a_blocked_vehicle_is_out_and_stays_out(self):
        g = self.ends("UPDATE vehicle SET state = 'blocked'")
        self.assertEqual(self.client(g).send(wire.login_p(self.now)).frame()[1:], (1, BAD))
        self.assertEqual(self.stored(g)[-1].verdict, "revoked")

    def test_a_revoked_key_ends_the_session_that_used_it(self):
        self.ends(f"UPDATE terminal_key SET state = 'revoked' WHERE id = {self.key}")

    def test_a_stricter_transport_ends_plain_sessions(self):
        g = self.ends("INSERT INTO fleet (name, transport) VALUES ('f', 'tls');"
                      "UPDATE vehicle SET fleet_id = (SELECT id FROM fleet)")
        self.assertEqual(self.client(g).send(wire.login_p(self.now)).frame()[1:], (1, BAD))
        self.assertEqual(self.stored(g)[-1].verdict, "transport_refused")

    def test_others_are_not_disturbed(self):
        self.add_vehicle(OTHER_VIN)
        g = self.start()
        other = self.log_in(g, vin=OTHER_VIN)
        c = self.signed_in(g)
        self.sql("UPDATE vehicle SET state = 'blocked' WHERE vin = :'vin'", vin=wire.VIN)
        self.assertIsNone(c.frame())
        self.assertEqual(other.send(wire.report_c(self.now, vin=OTHER_VIN)).frame()[1:], (2, OK))

    def test_a_new_key_counts_in_a_session_that_is_open(self):
        g = self.start()
        c = self.signed_in(g)
        new = Terminal("new", chip="CHIP000000000002")
        self.assertEqual(c.send(new.report(self.now + 1)).frame()[1:], (2, BAD))
        refreshes = g.metrics()["identity_refreshes_total"]
        self.add_signer(new)
        await_that("the new key", lambda: g.metrics()["identity_refreshes_total"] > refreshes)
        self.assertEqual(c.send(new.report(self.now + 2)).frame()[1:], (2, OK))


class Activation(Identity):
    def setUp(self):
        super().setUp()
        self.add_vehicle()

    def activate(self, g, terminal, vin=wire.VIN, at=None):
        """The unit of the answer."""
        c = self.client(g).send(terminal.activation(at or self.now, vin))
        answer = c.frame()
        c.close()
        self.assertEqual(answer[1], 8)
        return answer[0][24:-1]

    def await_key(self, state="active"):
        await_that("the key's row", lambda: self.sql(
            "SELECT 1 FROM terminal_key WHERE public_key = decode(:'key', 'hex') AND state = :'state'",
            key=self.chip.public.hex(), state=state))

    def await_activated(self, g):
        """The store has made the row, and the loops know it."""
        refreshes = g.metrics()["identity_refreshes_total"]
        self.assertEqual(self.activate(g, self.chip), ACTIVATED)
        self.await_key()
        await_that("the key in the gateway", lambda: g.metrics()["identity_refreshes_total"] > refreshes)

    def test_the_first_activation_wins_and_signs_from_then_on(self):
        g = self.start()
        self.await_activated(g)
        self.assertEqual(self.activate(g, self.chip, at=self.now + 1), ACTIVATED)
        c = self.log_in(g)
        self.assertEqual(c.send(self.chip.report(self.now)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["signatures_valid_total"], 3)

    def test_a_second_key_waits_for_a_person(self):
        g = self.start()
        self.await_activated(g)
        other = Terminal("other", chip="CHIP000000000002")
        self.assertEqual(self.activate(g, other), VIN_WRONG)
        r = self.stored(g)[-1]
        self.assertEqual((r.verdict, r.quirks, r.signature), ("accepted", ACTIVATION_PENDING, "valid"))

    def test_a_chip_of_another_vehicle_is_taken(self):
        self.add_vehicle(OTHER_VIN)
        g = self.start()
        self.await_activated(g)
        self.assertEqual(self.activate(g, self.chip, OTHER_VIN), CHIP_USED)
        self.assertEqual(self.stored(g)[-1].verdict, "chip_taken")

    def test_an_unknown_vin_and_one_that_the_head_does_not_name(self):
        g = self.start()
        self.assertEqual(self.activate(g, self.chip, "LTEST000000000099"), VIN_WRONG)
        unit = self.chip.activation_unit(self.now, OTHER_VIN)
        answer = self.client(g).send(wire.frame_v(7, unit)).frame()
        self.assertEqual(answer[0][24:-1], VIN_WRONG)
        self.assertEqual([r.verdict for r in self.stored(g)], ["vin_unknown", "vin_mismatch"])

    def test_a_wrong_signature_makes_nothing(self):
        g = self.start()
        frame = self.chip.activation(self.now)
        unit = bytearray(frame[24:-1])
        unit[-1] ^= 1
        answer = self.client(g).send(wire.frame_v(7, bytes(unit))).frame()
        self.assertEqual(answer[0][24:-1], FAILED)
        self.assertEqual([r.verdict for r in self.stored(g)], ["signature_bad"])
        self.assertEqual(self.sql("SELECT count(*) FROM terminal_key"), "0")

    def test_where_a_person_approves_there_is_no_answer_until_he_has(self):
        g = self.start(session={"activation": "approval", "unknown_vehicle": "reject"})
        c = self.client(g).send(self.chip.activation(self.now), wire.frame_v(wire.TIME_V))
        self.assertEqual(c.frame()[1], wire.TIME_V)  # and nothing came before it
        self.await_key("pending")
        refreshes = g.metrics()["identity_refreshes_total"]
        self.keys("approve", self.sql("SELECT id FROM terminal_key"))
        await_that("the approval", lambda: g.metrics()["identity_refreshes_total"] > refreshes)
        self.assertEqual(self.activate(g, self.chip, at=self.now + 1), ACTIVATED)
        self.assertEqual([r.quirks for r in self.stored(g)], [ACTIVATION_PENDING, 0])

    def test_switched_off_it_is_refused(self):
        g = self.start(session={"activation": "off", "unknown_vehicle": "reject"})
        self.assertEqual(self.activate(g, self.chip), FAILED)
        self.assertEqual([r.verdict for r in self.stored(g)], ["not_activated"])


if __name__ == "__main__":
    unittest.main()
