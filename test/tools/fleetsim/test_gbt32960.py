"""Trucks of GB/T 32960: stored as sent, on the map, and judged by no rule."""
import threading
import unittest

from test_trust import FleetTest
from gateway import await_that  # noqa: E402  test_trust says where it is


class Hybrids(FleetTest):
    fleet = ("--trucks", "6", "--protocol", "gbt32960", "--drive", "1", "--violators", "0.5")

    def check(self, report):
        self.assertEqual({(t["dialect"], t["protocol"]) for t in report["trucks"]}, {("gbt-p", "GB/T 32960.3-2016")})
        for truck in report["trucks"]:
            # A frame each ten seconds: vehicle, engine, position, alarm.
            self.assertGreaterEqual(truck["blocks"], 4 * truck["seconds"], truck)
            self.assertAlmostEqual(truck["seconds"], 360, delta=30)
        self.assertGreater(int(self.sql("SELECT count(*) FROM track WHERE lon_e6 > 0 AND speed_kmh > 0")), 0)
        self.assertEqual(self.sql("SELECT count(*) FROM finding"), "0")
        return report["totals"]

    def test_stored_as_sent(self):
        self.begin()
        totals = self.check(self.drive(*self.fleet, "--clock-faults", "0.5"))
        self.assertGreater(totals["clock_faults"], 0)
        self.assertGreater(totals["supplements"], 0, "dead zones make supplements")

    def test_what_is_unanswered_when_the_gateway_dies_comes_again(self):
        g = self.begin()
        g.write_config(listen={"tcp": "%s:%d" % g.address()})

        def die():
            await_that("frames", lambda: g.metrics().get("accepted", 0) > 400)
            g.kill()
            g.start()

        death = threading.Thread(target=die)
        death.start()
        totals = self.check(self.drive(*self.fleet))
        death.join()
        self.assertGreater(totals["lost"], 0)


if __name__ == "__main__":
    unittest.main()
