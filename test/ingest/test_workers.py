"""Frames that wait for a worker: their order, and what happens to them when somebody leaves."""
import random
import signal
import socket
import ssl
import unittest

from gateway import await_that, make_certificate, wire
from registry import OK, RegistryTest, Terminal


class MemoryTls:
    """TLS whose records are sent when we want it."""

    def __init__(self, cert, plain):
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        self.socket, self.received, self.sent = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.received, self.sent)
        self.until_done(self.tls.do_handshake)

    def until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.sent.read())
                self.received.write(self.socket.recv(65536))
            finally:
                self.socket.sendall(self.sent.read())

    def send(self, data, and_end=False):
        self.tls.write(data)
        if and_end:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
        self.socket.sendall(self.sent.read())

    def rest(self):
        data = b""
        try:
            while more := self.until_done(lambda: self.tls.read(65536)):
                data += more
        except ssl.SSLError:
            pass
        return data


class Workers(RegistryTest):
    def setUp(self):
        super().setUp()
        self.chip = Terminal("chip")
        self.add_vehicle()
        self.add_signer(self.chip)

    def test_answers_keep_the_order_of_signed_and_plain_frames(self):
        g = self.start()
        signed = self.chip.report(self.now)
        choices = [(signed, (2, OK)), (wire.report_c(self.now, command=3), (3, OK)),
                   (wire.frame_p(wire.HEARTBEAT), (7, OK)), (wire.login_p(self.now), (1, OK))]
        chosen = random.Random(3).choices(choices, [3, 3, 3, 1], k=15) + [choices[0]] * 3
        chosen += random.Random(4).choices(choices[:3], k=300)
        c = self.log_in(g)
        c.send(*[frame for frame, _ in chosen])
        self.assertEqual([c.frame()[1:] for _ in chosen], [answer for _, answer in chosen])
        self.assertEqual([r.raw for r in self.stored(g)][1:],
                         [frame for frame, answer in chosen if answer[0] != 7])

    def test_the_end_of_the_peer_waits_for_its_frames(self):
        g = self.start()
        signed = self.chip.report(self.now)
        c = self.client(g).send(wire.login_p(self.now), *[signed] * 20)
        self.assertEqual(c.end().flags(), [(1, OK)] + [(2, OK)] * 20)

    def test_who_leaves_while_a_worker_is_busy_disturbs_nobody(self):
        g = self.start(crypto={"workers": 1})
        signed = self.chip.report(self.now)
        for _ in range(40):  # each takes over, so that sessions end under their jobs as well
            c = self.client(g).send(wire.login_p(self.now), *[signed] * 5)
            c.close()
        await_that("their end", lambda: g.metrics()["connections_open"] == 0)
        await_that("their jobs", lambda: g.metrics()["crypto_jobs_waiting"] == 0)
        c = self.log_in(g)
        self.assertEqual(c.send(signed).frame()[1:], (2, OK))
        c.close()
        await_that("the memory", lambda: g.metrics()["memory_bytes"] <= 4096 * 2)

    def test_the_end_of_the_peer_in_the_same_record_waits_too(self):
        cert, key = make_certificate(self.folder, "gateway")
        g = self.start(listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key})
        frames = wire.login_p(self.now) + self.chip.report(self.now) * 20
        c = MemoryTls(cert, socket.create_connection(g.address("tls")))
        self.addCleanup(c.socket.close)
        c.send(frames, and_end=True)
        self.assertEqual([f[1:] for f in wire.split(c.rest())], [(1, OK)] + [(2, OK)] * 20)

    def crowd(self, g, size):
        """Platform logins, which take a worker long: size connections with one each."""
        refreshes = g.metrics()["identity_refreshes_total"]
        self.keys("platform", "add", "Carrier", "--login", "carrier", "--no-tls", stdin="password")
        g.await_metric("identity_refreshes_total", refreshes + 1)
        login = wire.platform_login(self.now, "carrier", "password", vin="CARRIER")
        return [self.client(g).send(login) for _ in range(size)]

    def test_a_deadline_does_not_run_while_we_are_the_slow_ones(self):
        g = self.start(crypto={"workers": 1}, limit={"vin_logins": 0},
                       session={"login_s": 1, "frame_s": 1, "unknown_vehicle": "reject"})
        clients = self.crowd(g, 150)
        self.assertEqual([c.frame()[1:] for c in clients], [(5, OK)] * 150)
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 0)
        self.assertGreater(g.metrics()["crypto_busy_ns_total"], 1e9)  # or it was too easy

    def test_a_stop_waits_for_workers(self):
        g = self.start(crypto={"workers": 1}, limit={"vin_logins": 0})
        clients = self.crowd(g, 20)
        g.await_metric("crypto_jobs_waiting", 15)
        g.signal(signal.SIGTERM)
        self.assertEqual([c.flags() for c in clients], [[(5, OK)]] * 20)
        self.assertEqual(g.stop(), 0)

    def test_what_is_kept_at_a_stop_was_answered(self):
        g = self.start(crypto={"workers": 1})
        c = self.log_in(g)
        signed = self.chip.report(self.now)
        c.send(*[signed] * 400)
        g.await_metric("signatures_valid_total", 1)
        self.assertEqual(g.stop(), 0)
        self.assertEqual(len(c.rest()), len([r for r in g.whole_records() if r.raw == signed]))


if __name__ == "__main__":
    unittest.main()
