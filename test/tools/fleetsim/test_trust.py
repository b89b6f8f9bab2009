"""Terminals that prove who they are: the simulator against a real gateway and its store, compared value by value."""
import csv
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "ingest"))
from registry import RegistryTest  # noqa: E402
from gateway import make_certificate  # noqa: E402
from pki import Authority  # noqa: E402

FLEETSIM = os.environ["HAULGATE_FLEETSIM"]


class FleetTest(RegistryTest):
    """A gateway with a store, and the simulator in front of it."""

    def begin(self, **sections):
        sections.setdefault("session", {}).setdefault("unknown_vehicle", "provisional")
        sections.setdefault("store", {}).setdefault("checkpoint_s", 1)
        g = self.start(**sections)
        with open(os.path.join(self.folder, "endpoints.env"), "w") as f:
            if "tcp" in g.ports:
                print("HAULGATE_TCP=%s:%d" % g.address(), file=f)
            print(f"PGHOST={os.environ['PGHOST']}\nPGPORT=5432\nPGDATABASE={self.database}\nPGUSER=postgres", file=f)
        return g

    def simulate(self, *arguments, code=0):
        """Its output; code: what it must exit with."""
        done = subprocess.run([FLEETSIM, "--state", self.folder, "--quiet", *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def drive(self, *arguments, **more):
        """The report, of a drive that is verified."""
        self.simulate("--seconds", "4", "--drive", "0.4", "--violators", "0", "--verify", "--verify-wait", "10", "--end-wait", "30", *arguments, **more)
        with open(os.path.join(self.folder, "fleet.json"), encoding="utf-8") as f:
            return json.load(f)


class Signed(FleetTest):
    def test_signed_fleet_activates_and_is_stored_as_sent(self):
        g = self.begin()
        report = self.drive("--trucks", "16", "--protocol", "hj1239", "--signed-share", "0.7")
        signers = [t["vin"] for t in report["trucks"] if t["signs"]]
        self.assertTrue(0 < len(signers) < 16)
        self.assertGreaterEqual(report["totals"]["activations"], len(signers))
        self.assertEqual(self.sql("SELECT string_agg(vin, ',' ORDER BY vin) FROM vehicle v JOIN terminal_key k "
                                  "ON k.vehicle_id = v.id WHERE k.origin = 'activation' AND k.state = 'active'"),
                         ",".join(sorted(signers)))
        metrics = g.metrics()
        self.assertGreater(metrics["signatures_valid_total"], 0)
        self.assertEqual(metrics["signatures_invalid_total"], 0)
        # What came before the key did is stored as not proved; then everything is.
        self.assertGreater(int(self.sql("SELECT count(*) FROM track WHERE credential IS NOT NULL")), 0)

    def test_the_same_fleet_again_is_no_stranger(self):
        self.begin()
        for seconds in "4", "5":
            self.drive("--trucks", "4", "--protocol", "hj1239", "--signed-share", "1", "--seconds", seconds)
        self.assertEqual(self.sql("SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM terminal_key"), "4|4")

    def test_required_signatures(self):
        self.begin(session={"signature": "required"})
        self.drive("--trucks", "4", "--protocol", "hj1239", "--signed-share", "1")


class Encrypted(FleetTest):
    def opened(self, g, report):
        """What was encrypted was opened; nothing else was."""
        self.assertGreater(report["totals"]["encrypted_frames"], 0)
        self.assertGreater(g.metrics()["units_opened_total"], 0)
        return {t["encryption"] for t in report["trucks"]}

    def test_to_the_gateways_pairs_signed_or_not(self):
        self.keys("init")
        g = self.begin()
        report = self.drive("--trucks", "14", "--encrypted", "sm2,rsa", "--encrypted-share", "0.7", "--signed-share", "0.5",
                            "--gateway-keys", self.keys_dir)
        self.assertEqual(self.opened(g, report), {"none", "sm2", "rsa"})

    def test_with_keys_of_the_trucks(self):
        """Keys made by tools/keys for the VINs of a list."""
        self.keys("init")
        folder = os.path.join(self.folder, "trucks")
        os.mkdir(folder, 0o700)
        fleet = ("--trucks", "6", "--protocol", "hj1239", "--encrypted", "sm4,aes128", "--encrypted-share", "1",
                 "--signed-share", "0.5", "--keys", folder)
        listed = self.simulate("--seconds", "4", "--drive", "0.4", "--violators", "0", *fleet, "--print-vins",
                               "--tcp", "127.0.0.1:1")
        for row in csv.DictReader(listed.splitlines()):
            self.add_vehicle(row["vin"])
            for algorithm, ending in (row["signs"], "pem"), (row["encryption"], "key"):
                if algorithm:
                    self.keys("create", "terminal", row["vin"], "--algorithm", algorithm, "--out",
                              os.path.join(folder, f"{row['vin']}.{ending}"))
        g = self.begin(session={"unknown_vehicle": "reject", "signature": "optional"})
        report = self.drive(*fleet)
        self.assertEqual(self.opened(g, report), {"sm4", "aes128"})
        self.assertEqual(report["totals"]["activations"], 0)
        self.assertGreater(g.metrics()["signatures_valid_total"], 0)

    def test_keys_that_are_not_there_are_named(self):
        self.begin()
        for algorithm, missing in ("rsa", "--gateway-keys"), ("sm4", "--keys"), ("p256", "by comma"):
            done = subprocess.run([FLEETSIM, "--state", self.folder, "--encrypted", algorithm, "--encrypted-share", "1"],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(missing, done.stderr)


class Certified(FleetTest):
    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(data)
        return path

    def test_trucks_that_show_a_certificate(self):
        ca = Authority(self.folder, "ca")
        server, key = make_certificate(self.folder, "server")
        fleet = ("--trucks", "5", "--tls-share", "1", "--client-certificates", self.folder)
        listed = self.simulate(*fleet, "--seconds", "4", "--violators", "0", "--drive", "0.4", "--print-vins", "--tls", "127.0.0.1:1")
        for row in csv.DictReader(listed.splitlines()):
            made = ca.of_vin(row["vin"])
            os.rename(made.file, os.path.join(self.folder, row["vin"] + ".crt"))
            os.rename(made.key_file, os.path.join(self.folder, row["vin"] + ".key"))
        g = self.begin(listen={"tls": "127.0.0.1:0", "tls_certificate": server, "tls_key": key, "tls_client": "required",
                               "tls_client_ca": self.write("clients.pem", ca.pem), "tls_crl": self.write("crl.pem", ca.crl())})
        address = ("--tls", "%s:%d" % g.address("tls"))
        report = self.drive(*fleet, *address)
        self.assertTrue(all(truck["tls"] for truck in report["trucks"]))
        nobody = os.path.join(self.folder, "nobody")
        os.mkdir(nobody)
        self.simulate("--trucks", "5", "--tls-share", "1", *address, "--client-certificates", nobody, code=2)


if __name__ == "__main__":
    unittest.main()
