"""Trucks that report through an enterprise platform: one connection, many trucks, and nothing gets lost."""
import csv
import json
import os
import subprocess
import unittest

from test_trust import FLEETSIM, FleetTest
from gateway import await_that, make_certificate  # noqa: E402  test_trust says where it is

PASSWORD = "correct-horse"
DRIVE = ("--seconds", "6", "--drive", "0.4", "--violators", "0", "--protocol", "hj1239", "--trucks", "20",
         "--platform", "carrier", "--platform-share", "0.7")


class OverAPlatform(FleetTest):
    def password_file(self, password=PASSWORD, mode=0o600):
        path = os.path.join(self.folder, f"password-{len(password)}-{mode:o}")
        with open(path, "w", encoding="utf-8") as f:
            print(password, file=f)
        os.chmod(path, mode)
        return ("--platform-password-file", path)

    def account(self, *options, drive=DRIVE):
        """An account for the trucks of the fleet that report over it; their VINs."""
        listed = self.simulate(*drive, "--print-vins", "--tcp", "127.0.0.1:1")
        vins = [row["vin"] for row in csv.DictReader(listed.splitlines()) if row["platform"] == "carrier"]
        for vin in vins:
            self.add_vehicle(vin)
        self.keys("platform", "add", "Carrier", "--login", "carrier", *options, stdin=PASSWORD)
        self.keys("platform", "vehicles", "carrier", "--add", *vins)
        return vins

    def report(self):
        with open(os.path.join(self.folder, "fleet.json"), encoding="utf-8") as f:
            return json.load(f)

    def check(self, vins):
        """Who reported over the platform, and that the gateway counts it so, and no serial as lost."""
        report = self.report()
        self.assertEqual(sorted(t["vin"] for t in report["trucks"] if t["platform"]), sorted(vins))
        self.assertTrue(0 < len(vins) < 20)
        self.assertEqual({t["dialect"] for t in report["trucks"] if t["platform"]}, {"hj-p", "hj-p-tilde"})
        told = self.sql("SELECT v.vin || ' ' || q.lost FROM platform_vehicle_quality q JOIN vehicle v ON v.id = q.vehicle_id")
        self.assertEqual(sorted(told.splitlines()), sorted(f"{vin} 0" for vin in vins))
        return report["totals"]

    def test_many_trucks_over_one_connection(self):
        vins = self.account("--no-tls")
        self.begin()
        self.simulate(*DRIVE, *self.password_file(), "--verify", "--verify-wait", "20")
        totals = self.check(vins)
        self.assertEqual(totals["platform_logins"], 1)
        self.assertGreater(totals["platform_frames"], 0)
        self.assertGreater(totals["supplements"], 0, "dead zones make supplements")

    def test_what_is_unanswered_when_the_gateway_dies_comes_again(self):
        vins = self.account("--no-tls")
        g = self.begin(listen={"tcp": "127.0.0.1:0"})
        address = "%s:%d" % g.address()
        g.write_config(listen={"tcp": address})
        fleet = subprocess.Popen([FLEETSIM, "--state", self.folder, "--quiet", *DRIVE, *self.password_file(), "--verify",
                                  "--verify-wait", "20"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for _ in range(3):
                before = g.metrics().get("accepted", 0)
                await_that("frames", lambda: g.metrics().get("accepted", 0) > before + 300)
                g.kill()
                g.start()
                self.await_registry(g)
        finally:
            said = fleet.communicate()[0]
        self.assertEqual(fleet.returncode, 0, said)
        totals = self.check(vins)
        self.assertGreaterEqual(totals["platform_logins"], 4)
        self.assertGreater(totals["resent"], 0)

    def test_signed_over_tls(self):
        """A platform passes on what its trucks sign; TLS is what an account demands by default."""
        vins = self.account()
        cert, key = make_certificate(self.folder, "server")
        g = self.begin(listen={"tcp": "127.0.0.1:0", "tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key})
        self.simulate(*DRIVE, *self.password_file(), "--tcp", "%s:%d" % g.address(), "--tls", "%s:%d" % g.address("tls"),
                      "--tls-ca", cert, "--signed-share", "0.5", "--verify", "--verify-wait", "20")
        self.check(vins)
        signers = [t["vin"] for t in self.report()["trucks"] if t["platform"] and t["signs"]]
        self.assertGreater(len(signers), 0)

    def test_trucks_of_gbt32960_too(self):
        fleet = (*DRIVE, "--trucks", "6", "--protocol", "gbt32960")
        vins = self.account("--no-tls", drive=fleet)
        self.begin()
        self.simulate(*fleet, *self.password_file(), "--verify", "--verify-wait", "20")
        self.assertEqual(self.sql("SELECT count(DISTINCT platform_id) || ' ' || count(*) FROM platform_day"), f"1 {len(vins)}")

    def test_a_refused_login_is_said(self):
        self.account("--no-tls")
        self.begin()
        for password in "wrong-horse", PASSWORD:
            done = subprocess.run([FLEETSIM, "--state", self.folder, "--quiet", *DRIVE, *self.password_file(password)],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn("refuses the platform login 'carrier'", done.stderr)
            self.assertNotIn(password, done.stdout + done.stderr)
            self.keys("platform", "block", "carrier", "--reason", "test")
            await_that("the block", self.blocked)

    def blocked(self):
        return self.sql("SELECT state FROM platform") == "blocked"

    def test_what_is_wrong_before_anything_is_sent(self):
        for arguments, complaint in (
                ((), "--platform-password-file"),
                (self.password_file(mode=0o640), "chmod 600"),
                (("--platform-password-file", os.path.join(self.folder, "nothing")), "nothing"),
                (self.password_file("x" * 21), "1 to 20 bytes"),
                (self.password_file(""), "1 to 20 bytes"),
                ((*self.password_file(), "--protocol", "gb17691"), "no truck of this fleet"),
                ((*self.password_file(), "--platform", "thirteen-byte"), "1 to 12 bytes")):
            done = subprocess.run([FLEETSIM, "--tcp", "127.0.0.1:1", "--quiet", *DRIVE, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn(complaint, done.stderr)


if __name__ == "__main__":
    unittest.main()
