"""With a database: who is registered, and answers that wait for the store (store.ack = store)."""
import subprocess
import unittest

from gateway import wire
from registry import BAD, OK, UNKNOWN_VIN, RegistryTest


class Registry(RegistryTest):
    def store_gateway(self, **sections):
        sections.setdefault("store", {})["conninfo"] = self.conninfo("haulgate_gateway")
        sections.setdefault("session", {}).setdefault("unknown_vehicle", "reject")
        self.sql(f"INSERT INTO vehicle (vin) VALUES ('{wire.VIN}')")
        return self.gateway(**sections)

    def test_only_registered_vehicles_log_in(self):
        g = self.store_gateway()
        self.await_registry(g)
        c = self.client(g).send(wire.login_p(self.now), wire.report_c(self.now))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(1, OK), (2, OK)])
        start = self.client(g).send(wire.login_p(self.now, vin=UNKNOWN_VIN, start=b"$$"))
        self.assertEqual(start.frame()[1:], (1, wire.VIN_UNKNOWN))  # the 2025 edition has a code

    def test_a_registered_vehicle_may_report_without_login_where_configured(self):
        g = self.store_gateway(session={"report_before_login": "registered"})
        self.await_registry(g)
        c = self.client(g).send(wire.report_c(self.now))
        self.assertEqual(c.frame()[1:], (2, OK))
        c = self.client(g).send(wire.report_c(self.now, vin=UNKNOWN_VIN))
        self.assertEqual(c.frame()[1:], (2, BAD))

    def test_an_answer_means_stored_where_configured(self):
        g = self.store_gateway(store={"ack": "store", "batch_ms": 1})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        for i in range(1, 6):
            self.assertEqual(c.send(wire.report_c(self.now + 60 * i)).frame()[1:], (2, OK))
            self.assertEqual(self.sql("SELECT count(*) FROM track"), str(i))

    def test_a_store_that_waits_is_silence(self):
        g = self.store_gateway(store={"ack": "store", "batch_ms": 1})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        lock = subprocess.Popen(["psql", "-XAtq", "-d", self.database], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (lock.stdin.close(), lock.stdout.close(), lock.wait()))
        print("BEGIN; LOCK TABLE ingest_position; SELECT 'locked';", file=lock.stdin, flush=True)
        self.assertEqual(lock.stdout.readline(), "locked\n")
        c.send(wire.report_c(self.now), wire.frame_p(wire.HEARTBEAT))
        self.assertTrue(c.silent(1))
        # A heartbeat promises nothing, but it may not overtake: another connection gets its own.
        other = self.client(g).send(wire.frame_p(wire.HEARTBEAT))
        self.assertEqual(other.frame()[1:], (7, OK))
        print("COMMIT;", file=lock.stdin, flush=True)
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(2, OK), (7, OK)])

    def test_a_stop_stores_what_the_spool_holds(self):
        g = self.store_gateway(session={"unknown_vehicle": "provisional"})
        c = self.client(g).send(wire.login_p(self.now),
                                *[wire.report_c(self.now + 60 * i) for i in range(20)])
        self.assertEqual([c.frame()[2] for _ in range(21)], [OK] * 21)
        self.assertEqual(g.stop(), 0)
        self.assertEqual(self.sql("SELECT count(*) FROM track"), "20")

    def test_layouts_are_remembered_over_a_restart(self):
        g = self.store_gateway()
        frames = [wire.login_v(self.now), wire.frame_v(2, wire.unit_c(self.now))]
        c = self.client(g).send(*frames)
        self.assertEqual(c.frame()[1:], (2, None))  # HJ 1239 by its layout; the login told nothing
        self.assertEqual(g.stop(), 0)
        g.start()
        self.await_registry(g)
        c = self.client(g).send(wire.login_v(self.now))
        self.assertEqual(c.frame()[1:], (1, None))


if __name__ == "__main__":
    unittest.main()
