"""Terminals that show certificates: who is let in, as what, and what a revocation does to whom."""
import os
import re
import signal
import ssl
import subprocess
import unittest

from gateway import GatewayTest, await_that, make_certificate, wire
from pki import Authority, ExtendedKeyUsageOID

OK, BAD = wire.SUCCESS, wire.ERROR
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class MutualTls(GatewayTest):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.folder, "first-ca")
        self.ca_file, self.crl_file = (os.path.join(self.folder, n) for n in ("ca.pem", "crl.pem"))
        self.write(self.ca_file, self.ca.pem)
        self.write_crls(self.ca.crl())

    def write(self, path, *pems):
        """Moved into place whole, as an operator does it."""
        with open(path + ".new", "wb") as f:
            f.write(b"".join(pems))
        os.rename(path + ".new", path)

    def write_crls(self, *pems):
        self.write(self.crl_file, *pems)

    def start(self, mode="required", **sections):
        self.cert, self.key = make_certificate(self.folder, "server")
        sections.setdefault("listen", {}).update({
            "tcp": "", "tls": "127.0.0.1:0", "tls_certificate": self.cert, "tls_key": self.key,
            "tls_client": mode, "tls_client_ca": self.ca_file, "tls_crl": self.crl_file})
        sections.setdefault("limit", {}).update({"vin_logins": 0, "penalty_half_life_s": 0})
        return self.gateway(**sections)

    def context(self, certificate=None, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = False
        context.minimum_version = context.maximum_version = version
        if certificate is not None:
            context.load_cert_chain(certificate.file, certificate.key_file)
        return context

    def log_in(self, g, certificate=None, version=ssl.TLSVersion.TLSv1_3, vin=wire.VIN,
               context=None, session=None):
        """The client and the flag of the answer; flag None: the gateway hung up."""
        c = self.client(g, "tls", context or self.context(certificate, version), session)
        try:
            c.send(wire.login_p(self.now, vin=vin))
            answer = c.frame()
        except ssl.SSLError:  # of TLS 1.3: the alert comes after our end of the handshake
            answer = None
        return c, answer and answer[2]

    def assert_in(self, g, *arguments, **keywords):
        c, flag = self.log_in(g, *arguments, **keywords)
        self.assertEqual(flag, OK)
        return c

    def assert_refused(self, g, certificate=None, reason=None, **keywords):
        """In both versions; counted, and the reason is in the log."""
        for version in VERSIONS:
            before = g.metrics()["tls_handshakes_failed_total"]
            try:
                _, flag = self.log_in(g, certificate, version, **keywords)
            except (ssl.SSLError, ConnectionError):
                flag = None
            self.assertIsNone(flag)
            g.await_metric("tls_handshakes_failed_total", before + 1)
        if reason is not None:
            await_that(reason, lambda: reason in g.log())

    def await_reading(self, g, *crls):
        """The file changes; the gateway is to see it by itself."""
        seen = g.log().count("was read again")
        self.write_crls(*crls)
        await_that("the new CRLs", lambda: g.log().count("was read again") > seen)

    # ---- who is let in, as what ----

    def test_a_certificate_speaks_for_its_vin_and_no_other(self):
        g = self.start()
        truck = self.ca.of_vin(wire.VIN)
        for version in VERSIONS:
            self.assert_in(g, truck, version)
            self.assertEqual(self.log_in(g, truck, version, vin="LTEST000000000002")[1], BAD)
        self.assertEqual(g.metrics()["certificate_vin"], 2)

    def test_one_that_is_not_registered_holds_its_vin_too(self):
        g = self.start("optional")
        truck = self.ca.of_vin(wire.VIN)
        owner = self.assert_in(g, truck)
        self.assertEqual(self.log_in(g)[1], wire.VIN_DUPLICATE)
        self.assertEqual(owner.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        self.assert_in(g, truck)  # who shows it again takes over
        self.assertIsNone(owner.frame())

    def test_required_means_that_nobody_comes_without(self):
        g = self.start()
        self.assert_refused(g)
        self.assert_refused(g, Authority(self.folder, "stranger").of_vin(wire.VIN),
                            "unable to get local issuer certificate")
        # The name of our CA and a key of somebody else.
        self.assert_refused(g, Authority(self.folder, "first-ca").of_vin(wire.VIN))
        self.assertEqual(g.metrics()["sessions_open"], 0)
        self.assertEqual(g.metrics()["tls_certificates_refused_total"], 4)

    def test_optional_lets_in_without_but_not_with_a_bad_one(self):
        g = self.start("optional")
        self.assert_in(g)
        self.assert_in(g, vin="LTEST000000000002")
        self.assert_in(g, self.ca.of_vin(wire.VIN))
        self.assert_refused(g, Authority(self.folder, "stranger").of_vin(wire.VIN))

    def test_none_asks_for_nothing(self):
        g = self.start("none")
        self.assert_in(g, Authority(self.folder, "stranger").of_vin("LTEST000000000009"))

    def test_times_and_purposes_count(self):
        g = self.start()
        self.assert_refused(g, self.ca.of_vin(wire.VIN, since=-9, days=-1), "certificate has expired")
        self.assert_refused(g, self.ca.of_vin(wire.VIN, since=1), "certificate is not yet valid")
        self.assert_refused(g, self.ca.of_vin(wire.VIN, usage=ExtendedKeyUsageOID.SERVER_AUTH),
                            "unsuitable certificate purpose")
        # A terminal is no CA.
        truck = self.ca.of_vin(wire.VIN)
        forged = Authority(self.folder, "forged")
        forged.key, forged.name = truck.key, truck.certificate.subject.rfc4514_string()[3:]
        self.assert_refused(g, forged.of_vin("LTEST000000000002", chain=(truck.certificate,)))

    def test_what_is_no_vin_and_what_are_two_is_no_vin(self):
        g = self.start()
        other = "LTEST000000000002"
        for uris in ([], ["urn:vin:" + wire.VIN, "urn:vin:" + wire.VIN], ["urn:vin:" + wire.VIN[1:]],
                     ["urn:vin:" + wire.VIN + "0"], ["urn:vin:LTEST0000000000-1"],
                     ["urn:vin:"], ["urn:vin:" + wire.VIN, "urn:vin:"]):
            # It proves a VIN no more than no certificate does; so it may not contradict one either.
            self.assert_in(g, self.ca.issue(uris), vin=other)
        # Names of other kinds and other spaces do not disturb.
        for uris in (["urn:vin:" + wire.VIN, "https://example.org/"], ["URN:VIN:" + wire.VIN],
                     ["urn:uuid:1", "urn:vin:" + wire.VIN]):
            self.assertEqual(self.log_in(g, self.ca.issue(uris), vin=other)[1], BAD)
            self.assert_in(g, self.ca.issue(uris))

    def test_several_cas(self):
        second = Authority(self.folder, "second-ca")
        self.write(self.ca_file, self.ca.pem, second.pem)
        self.write_crls(second.crl(), self.ca.crl())
        g = self.start()
        a, b = self.ca.of_vin(wire.VIN), second.of_vin("LTEST000000000002")
        self.assert_in(g, a)
        self.assert_in(g, b, vin="LTEST000000000002")
        # The CRL of one stands for that one alone.
        second.revoke(b)
        self.await_reading(g, self.ca.crl(), second.crl())
        self.assert_in(g, a)
        self.assert_refused(g, b, "certificate revoked", vin="LTEST000000000002")

    def test_an_intermediate_ca_needs_a_crl_too_and_may_be_revoked(self):
        middle = Authority(self.folder, "middle-ca", parent=self.ca)
        truck = middle.of_vin(wire.VIN, chain=(middle.certificate,))
        g = self.start()
        self.assert_refused(g, truck, "unable to get certificate CRL")
        self.await_reading(g, self.ca.crl(), middle.crl())
        live = self.assert_in(g, truck)
        self.ca.revoke(middle)
        self.await_reading(g, self.ca.crl(), middle.crl())
        self.assertIsNone(live.frame())
        self.assert_refused(g, truck, "certificate revoked")

    def test_long_and_large_chains_are_refused(self):
        chain, crls, ca, trucks = [], [self.ca.crl()], self.ca, []
        for depth in range(5):
            ca = Authority(self.folder, f"deep-{depth}", parent=ca)
            chain.insert(0, ca.certificate)
            crls.append(ca.crl())
            trucks.append(ca.of_vin(wire.VIN, chain=list(chain)))
        self.write_crls(*crls)
        g = self.start()
        self.assert_in(g, trucks[3])  # four between the terminal and the root
        self.assert_refused(g, trucks[4], "certificate chain too long")
        many = [Authority(self.folder, "x" * 60).certificate] * 60
        self.assert_refused(g, self.ca.of_vin(wire.VIN, chain=many))
        self.assert_in(g, self.ca.of_vin(wire.VIN))

    # ---- revocation ----

    def test_a_revocation_ends_the_live_session_and_no_other(self):
        g = self.start("optional")
        bad, good = self.ca.of_vin(wire.VIN), self.ca.of_vin("LTEST000000000002")
        live = self.assert_in(g, bad)
        kept = self.assert_in(g, good, vin="LTEST000000000002")
        plain = self.assert_in(g, vin="LTEST000000000003")
        self.ca.revoke(bad)
        self.await_reading(g, self.ca.crl())
        self.assertIsNone(live.frame())
        g.await_metric("sessions_revoked_total", 1)
        self.assertIn("a CRL ends a session vin=" + wire.VIN, g.log())
        for c, vin in ((kept, "LTEST000000000002"), (plain, "LTEST000000000003")):
            self.assertEqual(c.send(wire.report_c(self.now, vin=vin)).frame()[1:], (2, OK))
        self.assert_refused(g, bad, "certificate revoked")
        self.assert_in(g, good, vin="LTEST000000000002")

    def test_sighup_reads_the_crl_too(self):
        g = self.start()
        bad = self.ca.of_vin(wire.VIN)
        live = self.assert_in(g, bad)
        self.ca.revoke(bad)
        self.write_crls(self.ca.crl())
        g.signal(signal.SIGHUP)
        self.assertIsNone(live.frame())
        self.assert_refused(g, bad, "certificate revoked")

    def test_a_handshake_under_way_does_not_slip_past_a_revocation(self):
        g = self.start()
        truck = self.ca.of_vin(wire.VIN)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context(truck, ssl.TLSVersion.TLSv1_2).wrap_bio(incoming, outgoing)
        c = self.client(g, "tls")

        def step():
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            return outgoing.read()

        c.socket.sendall(step())
        while not (answer := step()):  # the gateway's flight may come in parts
            incoming.write(c.socket.recv(65536))
        self.ca.revoke(truck)
        self.await_reading(g, self.ca.crl())
        c.socket.sendall(answer)  # the certificate and all that proves it
        g.await_metric("tls_handshakes_failed_total", 1)
        self.assertEqual(g.metrics()["tls_handshakes_total"], 0)

    def test_no_ticket_stands_for_a_certificate(self):
        g = self.start("optional")
        truck = self.ca.of_vin(wire.VIN)
        for version in VERSIONS:
            context = self.context(truck, version)
            first = self.assert_in(g, context=context)
            session = first.socket.session
            first.close()
            again = self.assert_in(g, context=context, session=session)
            self.assertFalse(again.socket.session_reused)
            # It was shown again, and speaks for its VIN.
            _, flag = self.log_in(g, context=context, session=session, vin="LTEST000000000002")
            self.assertEqual(flag, BAD)
        # Without one, tickets are good as ever.
        for version in VERSIONS:
            context = self.context(version=version)
            first = self.assert_in(g, context=context, vin="LTEST000000000003")
            again = self.assert_in(g, context=context, session=first.socket.session,
                                   vin="LTEST000000000003")
            self.assertTrue(again.socket.session_reused)

    def test_a_ticket_from_before_certificates_were_required_is_no_way_in(self):
        g = self.start("optional")
        for version in VERSIONS:
            context = self.context(version=version)
            session = self.assert_in(g, context=context).socket.session
            self.assertTrue(session.has_ticket)
            g.write_config(listen={"tls_client": "required"})
            seen = g.log().count("configuration reloaded")
            g.signal(signal.SIGHUP)
            await_that("the reload", lambda: g.log().count("configuration reloaded") > seen)
            try:
                _, flag = self.log_in(g, context=context, session=session)
            except (ssl.SSLError, ConnectionError):
                flag = None
            self.assertIsNone(flag)
            g.write_config(listen={"tls_client": "optional"})
            g.signal(signal.SIGHUP)
            await_that("the way back", lambda: g.log().count("configuration reloaded") > seen + 1)

    # ---- CRLs that are no good ----

    def check_fails_closed(self, g, damage, text):
        """After damage() nobody with a certificate comes in; who is in stays; mended, all goes on."""
        truck = self.ca.of_vin(wire.VIN)
        live = self.assert_in(g, truck)
        failures = g.metrics()["tls_crl_failures_total"]
        damage()
        await_that(text, lambda: g.metrics()["tls_crl_failures_total"] > failures)
        self.assertIn(text, g.log())
        self.assertEqual(g.metrics()["tls_crl_failed"], 1)
        self.assert_refused(g, truck)
        self.assert_in(g, vin="LTEST000000000003")  # without a certificate, where that may be
        self.assertEqual(live.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        live.close()
        self.await_reading(g, self.ca.crl())
        self.assertEqual(g.metrics()["tls_crl_failed"], 0)
        self.assert_in(g, truck)

    def test_crls_that_are_no_good_let_nobody_in(self):
        g = self.start("optional")
        unreadable = "cannot be read"
        self.check_fails_closed(g, lambda: os.unlink(self.crl_file), unreadable)
        self.check_fails_closed(g, lambda: self.write_crls(b""), unreadable)
        self.check_fails_closed(g, lambda: self.write_crls(self.ca.crl(), self.ca.crl()[:200]), unreadable)
        self.check_fails_closed(g, lambda: self.write_crls(b"\x00\xff" * 5000), unreadable)
        self.check_fails_closed(g, lambda: self.write_crls(self.ca.crl(days=-1)), "is valid today")
        self.check_fails_closed(g, lambda: self.write_crls(self.ca.crl(since=0.5)), "is valid today")
        stranger = Authority(self.folder, "stranger")
        self.check_fails_closed(g, lambda: self.write_crls(stranger.crl()), "no CRL of CN=first-ca")
        self.check_fails_closed(g, lambda: self.write_crls(self.ca.crl(key=stranger.key)),
                                "is not signed by it")

    def test_a_crl_grows_too_old_while_we_look(self):
        self.write_crls(self.ca.crl(days=8 / 24 / 3600))  # far longer than a start takes
        g = self.start("optional")
        truck = self.ca.of_vin(wire.VIN)
        live = self.assert_in(g, truck)
        g.await_metric("tls_crl_failed", 1)
        self.assert_refused(g, truck, "CRL has expired")
        self.assertEqual(live.send(wire.report_c(self.now)).frame()[1:], (2, OK))

    def test_a_gateway_starts_without_a_crl_and_says_so(self):
        os.unlink(self.crl_file)
        g = self.start(mode="required")
        self.assertIn("cannot be read", g.log())
        truck = self.ca.of_vin(wire.VIN)
        self.assert_refused(g, truck)
        self.await_reading(g, self.ca.crl())
        self.assert_in(g, truck)

    def test_the_commands_of_the_operations_page(self):
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/operations.md")
        with open(page) as f:
            section = f.read().split("## Certificates of terminals\n")[1].split("\n## ")[0]
        make, issue, revoke = re.findall(r"```sh\n(.*?)```", section, re.S)
        folder = os.path.join(self.folder, "ca")

        def run(commands, where):
            subprocess.run(["bash", "-e", "-c", commands], cwd=where, check=True, capture_output=True,
                           env={**os.environ, "VIN": wire.VIN})

        run(make, self.folder)
        run(issue, folder)
        self.ca_file, self.crl_file = (os.path.join(folder, name) for name in ("ca.pem", "crl.pem"))
        g = self.start()
        context = self.context()
        context.load_cert_chain(*(os.path.join(folder, wire.VIN + end) for end in (".pem", ".key")))
        live = self.assert_in(g, context=context)
        run(revoke, folder)
        self.assertIsNone(live.frame())

    def test_cas_that_cannot_be_read_are_refused(self):
        g = self.start()
        with open(self.ca.of_vin(wire.VIN).file, "rb") as f:
            terminal = f.read()
        for pem, text in ((b"", "after 0 certificates"), (terminal, "is not one of a CA"),
                          (self.ca.pem + self.ca.pem[:90], "after 1 certificates")):
            self.write(self.ca_file, pem)
            g.signal(signal.SIGHUP)
            await_that(text, lambda: text in g.log())
        self.assertEqual(g.log().count("reload refused"), 3)
        self.assert_in(g, self.ca.of_vin(wire.VIN))  # what was there holds


if __name__ == "__main__":
    unittest.main()
