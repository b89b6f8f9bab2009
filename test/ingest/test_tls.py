"""The same frames through TLS 1.2 and 1.3, with certificates of the test's own."""
import os
import signal
import socket
import ssl
import unittest
import warnings

from gateway import GatewayTest, await_that, make_certificate, wire

OK = wire.SUCCESS


class Tls(GatewayTest):
    def tls_gateway(self, **sections):
        self.cert, self.key = make_certificate(self.folder, "first")
        sections.setdefault("listen", {}).update(
            {"tcp": "", "tls": "127.0.0.1:0", "tls_certificate": self.cert, "tls_key": self.key})
        return self.gateway(**sections)

    def context(self, version=ssl.TLSVersion.TLSv1_3, cert=None):
        context = ssl.create_default_context(cafile=cert or self.cert)
        context.check_hostname = False
        context.minimum_version = context.maximum_version = version
        return context

    def connect(self, g, context, session=None):
        return self.client(g, "tls", context, session)

    def conversation(self, g, context):
        c = self.connect(g, context)
        c.send(wire.login_p(self.now), wire.report_c(self.now, count=500),
               wire.frame_p(wire.HEARTBEAT), wire.logout_p(self.now))
        self.assertEqual([c.frame()[1:] for _ in range(4)], [(1, OK), (2, OK), (7, OK), (4, OK)])
        return c

    def test_both_versions(self):
        g = self.tls_gateway()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = self.conversation(g, self.context(version))
            c.socket.unwrap().close()  # an orderly end, from our side and theirs
        self.assertEqual(g.metrics()["tls_handshakes_total"], 2)
        self.assertEqual(g.stop(), 0)
        self.assertEqual(len(g.records()), 6)

    def test_older_versions_are_refused(self):
        g = self.tls_gateway()
        context = self.context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.connect(g, context)
        g.await_metric("tls_handshakes_failed_total", 1)

    def test_plain_bytes_on_the_tls_port_are_refused(self):
        g = self.tls_gateway()
        c = self.client(g, "tls").send(wire.login_p(self.now))
        while c.socket.recv(100):  # an alert perhaps, then the end
            pass
        self.assertEqual(g.metrics()["tls_handshakes_failed_total"], 1)
        await_that("the close", lambda: g.metrics()["connections_open"] == 0)

    def test_a_ticket_resumes_a_session_in_both_versions(self):
        g = self.tls_gateway()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(version)
            first = self.conversation(g, context)
            session = first.socket.session
            self.assertTrue(session.has_ticket)
            first.close()
            again = self.connect(g, context, session)
            self.assertTrue(again.socket.session_reused)
            again.send(wire.login_p(self.now))
            self.assertEqual(again.frame()[1:], (1, OK))

    def test_a_handshake_meets_the_login_deadline(self):
        g = self.tls_gateway(session={"login_s": 1})
        c = self.client(g, "tls")
        c.socket.sendall(b"\x16\x03\x01")
        self.assertEqual(c.socket.recv(100), b"")
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_handshakes_in_flight_are_bounded_and_the_rest_waits(self):
        g = self.tls_gateway(gateway={"loops": 1}, limit={"handshakes": 3},
                             session={"login_s": 4})
        silent = [self.client(g, "tls") for _ in range(3)]
        g.await_metric("connections_open", 3)
        late = self.client(g, "tls")  # connected by the kernel, not accepted yet
        self.assertEqual(g.metrics()["connections_open"], 3)
        # The oldest that says nothing makes room, and the one that waited is served.
        late.socket = self.context().wrap_socket(late.socket)
        late.send(wire.login_p(self.now))
        self.assertEqual(late.frame()[1:], (1, OK))
        self.assertEqual(g.metrics()["unauthenticated_dropped_total"], 1)
        self.assertIsNone(silent[0].frame())
        for c in silent[1:]:
            self.assertIsNone(c.frame())  # the deadline
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 2)

    def test_a_herd_of_handshakes_is_served_turn_by_turn(self):
        g = self.tls_gateway(gateway={"loops": 1})  # far more than one turn of it computes
        herd = [self.client(g, "tls") for _ in range(200)]
        context = self.context()
        sessions = []
        for c in herd:  # all have said hello before the first is answered
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            with self.assertRaises(ssl.SSLWantReadError):
                tls.do_handshake()
            c.socket.sendall(outgoing.read())
            sessions.append((c, tls, incoming, outgoing))
        for i, (c, tls, incoming, outgoing) in enumerate(sessions):
            while True:
                incoming.write(c.socket.recv(65536))
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            tls.write(wire.login_p(self.now, vin=f"LTEST{i:012}"))
            c.socket.sendall(outgoing.read())
        g.await_metric("sessions_open", 200)
        self.assertEqual(g.metrics()["unauthenticated_dropped_total"], 0)

    def test_a_reload_brings_the_new_certificate_and_old_tickets_stay_good(self):
        g = self.tls_gateway()
        context = self.context()
        old = self.conversation(g, context)
        cert, key = make_certificate(self.folder, "second")
        g.write_config(listen={"tls_certificate": cert, "tls_key": key})
        g.signal(signal.SIGHUP)
        await_that("the reload", lambda: "configuration reloaded" in g.log())
        fresh = self.context(cert=cert)
        with self.assertRaises(ssl.SSLError):
            self.connect(g, self.context(cert=self.cert))
        self.conversation(g, fresh)
        # Who is connected is not disturbed, and its ticket still resumes.
        self.assertEqual(old.send(wire.login_p(self.now)).frame()[1:], (1, OK))
        again = self.connect(g, context, old.socket.session)
        self.assertTrue(again.socket.session_reused)

    def test_a_reload_that_is_refused_for_its_keys_changes_no_certificate(self):
        g = self.tls_gateway()
        shown = ssl.get_server_certificate(g.address("tls"))
        other, key = make_certificate(self.folder, "other")
        g.write_config(listen={"tls_certificate": other, "tls_key": key}, keys={"dir": "/nonexistent"})
        g.signal(signal.SIGHUP)
        await_that("the refusal", lambda: "reload refused" in g.log())
        self.assertEqual(ssl.get_server_certificate(g.address("tls")), shown)

    def test_a_reload_with_a_key_of_another_certificate_is_refused(self):
        g = self.tls_gateway()
        _, other_key = make_certificate(self.folder, "other")
        g.write_config(listen={"tls_key": other_key})
        g.signal(signal.SIGHUP)
        await_that("the refusal", lambda: "reload refused" in g.log())
        self.assertIn("other.key", g.log())
        self.conversation(g, self.context())

    def test_a_key_that_everybody_can_read_is_refused(self):
        g = self.tls_gateway()
        self.assertEqual(g.stop(), 0)
        os.chmod(self.key, 0o644)
        with self.assertRaisesRegex(AssertionError, "lets everybody in"):
            g.start()

    def test_every_byte_of_the_ciphertext_may_come_alone(self):
        g = self.tls_gateway()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing)
        s = socket.create_connection(g.address("tls"), 20)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(s.close)

        def step(operation):
            while True:
                try:
                    return operation()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        s.sendall(bytes([byte]))
                    incoming.write(s.recv(65536))

        step(tls.do_handshake)
        tls.write(wire.login_p(self.now) + wire.report_c(self.now))
        data = b""
        while len(data) < 62:
            data += step(lambda: tls.read(65536))
        self.assertEqual([f[1:] for f in wire.split(data)], [(1, OK), (2, OK)])

    def test_plain_and_tls_together(self):
        cert, key = make_certificate(self.folder, "first")
        g = self.gateway(listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key})
        plain = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(plain.frame()[1:], (1, OK))
        tls = self.connect(g, self.context(cert=cert)).send(wire.login_p(self.now))
        self.assertEqual(tls.frame()[1:], (1, OK))
        self.assertIsNone(plain.frame())  # the same VIN: taken over, whatever the stream


if __name__ == "__main__":
    unittest.main()
