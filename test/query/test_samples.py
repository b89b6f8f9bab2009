"""The 1 Hz samples of a vehicle over HTTP: values, order, CSV, and that memory does not grow with them."""
import csv
import io
import json
import socket
import unittest
import urllib.parse

from service import DAY, SANITIZED, TOKEN, ServiceTest, await_true, expected_sample, instant

VIN, LARGE, OVERLAP, EMPTY, SKEWED = (f"LTEST00000000000{i}" for i in range(1, 6))
LARGE_FRAMES = 20000  # of 10 s: 200,000 samples
STREAM = ("at speed_kmh baro_kpa net_torque_pct friction_torque_pct engine_rpm fuel_flow_lph nox_upstream_ppm "
          "nox_downstream_ppm reagent_pct air_flow_kgph scr_in_c scr_out_c dpf_dp_kpa coolant_c fuel_level_pct lon lat "
          "odometer_km").split()


class Samples(ServiceTest):
    connections = 2

    @classmethod
    def fill(cls, database):
        ids = {vin: database.add_vehicle(vin) for vin in (VIN, LARGE, OVERLAP, EMPTY, SKEWED)}
        database.add_track(ids[VIN], DAY, 360, 10)
        database.add_track(ids[LARGE], DAY - LARGE_FRAMES * 10, LARGE_FRAMES, 10)
        # Every other second, and supplements that begin within: seconds 0..199 of DAY once each.
        database.add_track(ids[OVERLAP], DAY, 1, 100, 2)
        database.add_track(ids[OVERLAP], DAY + 1, 1, 100, 2)
        database.add_track(ids[SKEWED], DAY, 3, 10)
        database.psql(f"UPDATE track SET part = -1 WHERE vehicle_id = {ids[SKEWED]} AND at >= to_timestamp({DAY + 20})")
        database.psql(f"UPDATE track SET part = 1 WHERE vehicle_id = {ids[SKEWED]} AND at = to_timestamp({DAY + 10})")

    def path(self, vin, start=None, end=None):
        at = lambda t: urllib.parse.quote(instant(t))
        query = [f"{name}={at(t)}" for name, t in (("from", start), ("to", end)) if t is not None]
        return f"/api/v1/vehicles/{vin}/samples" + ("?" + "&".join(query) if query else "")

    def samples(self, vin, start=None, end=None):
        return self.service.json(self.path(vin, start, end))["samples"]

    def csv(self, vin, start=None, end=None):
        status, headers, body = self.service.get(self.path(vin, start, end), headers={"Accept": "text/csv"})
        self.assertEqual(status, 200)
        return headers, list(csv.DictReader(io.StringIO(body.decode())))

    def assert_sample(self, row, t):
        expected = expected_sample(t)
        if t % 5 == 0:
            self.assertEqual(row["reagent_tank_c"], 21)
            self.assertIsNone(row["accelerator_pct"])
        else:
            self.assertNotIn("reagent_tank_c", row)
        for name, value in expected.items():
            if isinstance(value, float):
                self.assertAlmostEqual(row[name], value, 6, (name, t))
            else:
                self.assertEqual(row[name], value, (name, t))

    def test_values_are_physical_and_absent_ones_null(self):
        answer = self.service.json(self.path(VIN, DAY, DAY + 3600))
        self.assertEqual((answer["vin"], answer["from"], answer["to"]), (VIN, instant(DAY), instant(DAY + 3600)))
        self.assertEqual(len(answer["samples"]), 3600)
        for i, row in enumerate(answer["samples"]):
            self.assertTrue(set(STREAM) <= set(row))
            self.assert_sample(row, DAY + i)

    def test_bounds(self):
        ats = [r["at"] for r in self.samples(VIN, DAY + 15, DAY + 35)]
        self.assertEqual(ats, [instant(DAY + t) for t in range(15, 35)])
        self.assertEqual(self.samples(VIN, DAY + 15, DAY + 15), [])
        self.assertEqual(self.samples(VIN, DAY + 3600, DAY + 7200), [])
        self.assertEqual(len(self.service.json(f"/api/v1/vehicles/{VIN}/samples?from=2026-11-16&to=2026-11-16")["samples"]),
                         3600)
        # One bound: 24 hours from or to it.
        self.assertEqual(len(self.samples(VIN, start=DAY + 3590)), 10)
        self.assertEqual(len(self.samples(VIN, end=DAY + 5)), 5)

    def test_default_is_the_last_day_of_data(self):
        answer = self.service.json(self.path(LARGE))
        self.assertEqual((answer["from"], answer["to"]), (instant(DAY - 86400), instant(DAY)))
        self.assertEqual([r["at"] for r in answer["samples"]], [instant(DAY - 86400 + i) for i in range(86400)])
        self.assertEqual(self.service.json(self.path(EMPTY)), {"vin": EMPTY, "from": None, "to": None, "samples": []})

    def test_overlapping_frames_give_each_second_once(self):
        rows = self.samples(OVERLAP, DAY, DAY + 86400)
        self.assertEqual([r["at"] for r in rows], [instant(DAY + i) for i in range(200)])
        for i, row in enumerate(rows):
            self.assert_sample(row, DAY + i)
        # From the middle of both frames.
        self.assertEqual([r["at"] for r in self.samples(OVERLAP, DAY + 77, DAY + 80)], [instant(DAY + i) for i in (77, 78, 79)])

    def test_frames_with_a_faulty_clock_are_left_out(self):
        self.assertEqual([r["at"] for r in self.samples(SKEWED, DAY, DAY + 3600)], [instant(DAY + i) for i in range(20)])

    def test_csv(self):
        headers, rows = self.csv(VIN, DAY, DAY + 100)
        self.assertEqual(headers["Content-Type"], "text/csv; charset=utf-8; header=present")
        self.assertEqual(headers["Content-Disposition"], f'attachment; filename="{VIN}-20261116T000000.csv"')
        self.assertEqual(headers["Vary"], "Accept")
        self.assertEqual(list(rows[0])[:len(STREAM)], STREAM)
        self.assertEqual(len(rows), 100)
        for i, row in enumerate(rows):
            for name, value in expected_sample(DAY + i).items():
                if value is None:
                    self.assertEqual(row[name], "", (name, i))
                elif name == "at":
                    self.assertEqual(row[name], value)
                else:
                    self.assertAlmostEqual(float(row[name]), value, 6, (name, i))
            self.assertEqual(row["reagent_tank_c"], "21" if (DAY + i) % 5 == 0 else "")

    def test_json_and_csv_agree(self):
        numbers = lambda row, names: [None if row.get(n) in ("", None) else float(row[n]) for n in names]
        _, table = self.csv(OVERLAP, DAY, DAY + 86400)
        for a, b in zip(table, self.samples(OVERLAP, DAY, DAY + 86400), strict=True):
            self.assertEqual(a["at"], b["at"])
            names = [n for n in a if n != "at"]
            self.assertEqual(numbers(a, names), numbers(b, names))

    def test_memory_stays_bounded(self):
        """Method: 200,000 samples, 90 MB of JSON; the service's peak may grow by a few MB only."""
        self.service.json(self.path(VIN, DAY, DAY + 3600))
        before = self.service.memory_peak_kib()
        status, _, body = self.service.get(self.path(LARGE, DAY - LARGE_FRAMES * 10, DAY))
        self.assertEqual((status, body.count(b'"at":')), (200, LARGE_FRAMES * 10))
        self.assertEqual(len(json.loads(body)["samples"]), LARGE_FRAMES * 10)
        grown = self.service.memory_peak_kib() - before
        print(f"200,000 samples, {len(body) >> 20} MiB of JSON: peak {before >> 10} MiB before, grown by {grown} KiB", flush=True)
        if not SANITIZED:
            self.assertLess(grown, 8 * 1024)

    def slow_reader(self, vin):
        """Asks for much and reads nothing: buffers of both sides are full soon."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect((self.service.host, self.service.port))
        s.sendall(f"GET {self.path(vin, DAY - LARGE_FRAMES * 10, DAY)} HTTP/1.1\r\nHost: x\r\n"
                  f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 200 "))
        return s

    def test_slow_readers_hold_no_database_connection(self):
        """Method: ten times as many stalled downloads as connections; others are answered as before."""
        slow = [self.slow_reader(LARGE) for _ in range(20)]
        try:
            await_true("idle connections", lambda: self.service.metric("haulgate_query_database_busy") == 0)
            self.assertEqual(len(self.samples(VIN, DAY, DAY + 3600)), 3600)
            self.assertEqual(self.service.metric("haulgate_query_requests_open"), 21)
        finally:
            for s in slow:
                s.close()
        # Ends of abandoned downloads are seen, and free what they held.
        await_true("the end of the downloads", lambda: self.service.metric("haulgate_query_requests_open") == 1)

    def test_a_slow_reader_gets_everything(self):
        s = self.slow_reader(VIN)
        s.close()
        with socket.create_connection((self.service.host, self.service.port), timeout=30) as s:
            s.sendall(f"GET {self.path(VIN, DAY, DAY + 3600)} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            out = bytearray()
            while part := s.recv(777):
                out += part
        self.assertEqual(len(json.loads(out.split(b"\r\n\r\n", 1)[1])["samples"]), 3600)

    def test_a_corrupt_row_ends_the_body_visibly(self):
        """A cut answer must not look whole: the chunked body lacks its end."""
        vehicle = self.database.add_vehicle("LCORRUPT")
        self.database.add_track(vehicle, DAY, 1000, 10)
        self.database.psql(f"UPDATE track SET samples = '\\xff00' WHERE vehicle_id = {vehicle} "
                           f"AND at = to_timestamp({DAY + 9000})")
        with self.assertRaises(Exception) as raised:
            self.service.get(self.path("LCORRUPT", DAY, DAY + 86400))
        self.assertIn(type(raised.exception).__name__, ("IncompleteRead", "ConnectionResetError"))
        self.assertIn("track row cannot be unpacked", self.service.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
