"""Start, reload, stop, and several processes on one port."""
import os
import shutil
import signal
import socket
import subprocess
import unittest

from gateway import BINARY, Gateway, GatewayTest, await_that, wire

OK, BAD = wire.SUCCESS, wire.ERROR


class Life(GatewayTest):
    def vin(self, i):
        return f"LTEST{i:012}"

    def logged_in(self, g, i=1, **keywords):
        c = self.client(g, **keywords).send(wire.login_p(self.now, vin=self.vin(i)))
        self.assertEqual(c.frame()[1:], (1, OK))
        return c

    def test_arguments(self):
        def run(*arguments):
            return subprocess.run([BINARY, *arguments], capture_output=True, text=True)
        self.assertEqual(run("--help").returncode, 0)
        self.assertIn("usage", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^haulgate \d+\.\d+")
        self.assertEqual(run().returncode, 64)
        self.assertEqual(run("--nonsense").returncode, 64)
        self.assertEqual(run("--config", "/nowhere").returncode, 78)
        g = Gateway(self.folder)
        g.write_config()
        self.assertEqual(run("--config", g.config_path, "--check-config").returncode, 0)
        self.assertIn(f"run_dir = {g.run_dir}", run("--config", g.config_path,
                                                    "--print-config").stdout)
        g.write_config(session={"login_s": 0})
        bad = run("--config", g.config_path, "--check-config")
        self.assertEqual(bad.returncode, 78)
        self.assertIn("session.login_s", bad.stderr)
        self.assertFalse(os.path.exists(g.spool_dir))

    def test_what_is_printed_can_be_read_back(self):
        g = Gateway(self.folder)
        g.write_config()
        first = subprocess.run([BINARY, "--config", g.config_path, "--print-config"], check=True,
                               capture_output=True, text=True).stdout
        with open(g.config_path, "w") as f:
            f.write(first)
        again = subprocess.run([BINARY, "--config", g.config_path, "--print-config"], check=True,
                               capture_output=True, text=True).stdout
        self.assertEqual(first, again)

    def test_a_taken_spool_is_a_failed_start_that_says_so(self):
        self.gateway()
        second = Gateway(self.folder, 2, spool={"dir": os.path.join(self.folder, "spool-1")})
        with self.assertRaisesRegex(AssertionError, "spool-1"):
            second.start()
        self.assertEqual(second.process.returncode, 1)

    def test_a_good_reload_is_taken_over_by_living_connections(self):
        g = self.gateway(session={"unknown_vehicle": "reject"})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, BAD))
        g.write_config(session={"unknown_vehicle": "provisional"})
        g.signal(signal.SIGHUP)
        await_that("the reload", lambda: "configuration reloaded" in g.log())
        # The loop takes it over by a wake-up that no answer shows; so it is asked until it has.
        await_that("a login that is accepted",
                   lambda: c.send(wire.login_p(self.now)).frame()[1:] == (1, OK))

    def test_a_bad_reload_keeps_the_old_configuration_and_says_why(self):
        g = self.gateway()
        c = self.logged_in(g)
        g.write_config(session={"unknown_vehicle": "maybe", "login_s": "soon"})
        g.signal(signal.SIGHUP)
        await_that("the refusal", lambda: "reload refused" in g.log())
        self.assertIn('session.unknown_vehicle = "maybe" is not allowed', g.log())
        self.assertIn('session.login_s = "soon" is not allowed', g.log())
        self.assertEqual(c.send(wire.report_c(self.now, vin=self.vin(1))).frame()[1:], (2, OK))
        self.logged_in(g, 2)

    def test_a_reload_names_the_keys_that_need_a_restart(self):
        g = self.gateway()
        g.write_config(gateway={"loops": 1}, spool={"double_sync": "yes"})
        g.signal(signal.SIGHUP)
        await_that("the reload", lambda: "configuration reloaded" in g.log())
        self.assertIn("a restart is needed for gateway.loops spool.double_sync", g.log())

    def test_a_stop_drains_everything_that_is_answered(self):
        g = self.gateway()
        clients = [self.logged_in(g, i) for i in range(20)]
        for i, c in enumerate(clients):
            c.send(*[wire.report_c(self.now + n, vin=self.vin(i)) for n in range(50)])
        g.signal(signal.SIGTERM)
        answered = sum(len(c.rest()) for c in clients)
        self.assertEqual(g.stop(), 0)
        kept = [verdict for verdict, _ in g.records()]
        self.assertEqual(set(kept), {"accepted"})
        # What is answered is kept; what was read before the stop is answered.
        self.assertEqual(len(kept), 20 + answered)
        self.assertFalse(os.path.exists(os.path.join(g.run_dir, "gateway-1.ports")))
        self.assertEqual(g.metrics()["connections_open"], 0)
        self.assertEqual(g.metrics()["sessions_open"], 0)

    def test_a_stop_with_nobody_there(self):
        g = self.gateway()
        self.assertEqual(g.stop(), 0)
        self.assertIn("stopped", g.log())

    def test_a_kill_loses_nothing_that_was_answered(self):
        g = self.gateway()
        c = self.logged_in(g)
        c.send(*[wire.report_c(self.now + n, vin=self.vin(1)) for n in range(200)])
        answered = [c.frame() for _ in range(100)]
        g.kill()
        answered += c.rest()
        g.start()
        self.logged_in(g)
        self.assertEqual(g.stop(), 0)
        self.assertGreaterEqual(len(g.records()), 2 + len(answered))

    def injected(self, fault):
        """strace that does something to the spool's write of a batch."""
        if shutil.which("strace") is None:
            self.skipTest("strace: absent")
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwritev",
                "-e", f"inject=pwritev:{fault}"]

    def test_no_answer_leaves_before_the_spool_is_done(self):
        g = self.gateway(prefix=self.injected("delay_exit=1500000:when=2"))
        c = self.logged_in(g)
        c.send(wire.report_c(self.now, vin=self.vin(1)))
        self.assertTrue(c.silent(1))
        self.assertEqual(c.frame()[1:], (2, OK))

    def test_a_failed_spool_is_silence_and_exit_70(self):
        g = self.gateway(prefix=self.injected("error=EIO:when=3"))
        c = self.logged_in(g)
        self.assertEqual(c.send(wire.report_c(self.now, vin=self.vin(1))).frame()[1:], (2, OK))
        self.assertIsNone(c.send(wire.report_c(self.now, vin=self.vin(1))).frame())
        self.assertEqual(g.process.wait(20), 70)
        self.assertIn("spool failed", g.log())
        # The next start takes up what was answered.
        self.assertEqual(g.start().stop(), 0)
        self.assertEqual(len(g.records()), 2)

    def test_frames_on_the_way_when_the_peer_hangs_up_are_kept(self):
        g = self.gateway()
        c = self.logged_in(g)
        c.send(wire.report_c(self.now, vin=self.vin(1))).close()
        await_that("the frame", lambda: g.metrics()["frames_received_total"] == 2)
        self.assertEqual(g.stop(), 0)
        self.assertEqual(len(g.records()), 2)

    def test_two_processes_share_a_port(self):
        first = self.gateway()
        second = self.gateway(2, listen={"tcp": first.ports["tcp"]})
        self.assertEqual(first.ports, second.ports)
        clients = [self.logged_in(first, i) for i in range(60)]
        counts = [g.metrics()["sessions_open"] for g in (first, second)]
        self.assertEqual(sum(counts), 60)
        self.assertGreater(min(counts), 0)
        self.assertEqual(second.stop(), 0)
        for c in clients:
            c.close()
        for i in range(10):  # the one that is left takes all
            self.logged_in(first, i)

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        g = self.gateway(listen={"tcp": "[::1]:0"})
        self.logged_in(g)

    def test_a_supervisor_is_told(self):
        path = os.path.join(self.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="3000000")
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")
            self.addCleanup(os.environ.pop, "WATCHDOG_USEC")
            g = self.gateway()
            told = [s.recv(100) for _ in range(3)]
            self.assertIn(b"READY=1", told)
            self.assertIn(b"WATCHDOG=1", told)
            g.signal(signal.SIGTERM)
            while s.recv(100) != b"STOPPING=1":
                pass
            self.assertEqual(g.stop(), 0)

    def test_the_heart_beats(self):
        g = self.gateway()
        g.await_metric("heartbeat_ns", 1)
        first = g.metrics()["heartbeat_ns"]
        g.await_metric("heartbeat_ns", first + 1)


if __name__ == "__main__":
    unittest.main()
