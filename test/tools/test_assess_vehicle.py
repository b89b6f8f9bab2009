#!/usr/bin/env python3
"""tools/assess --vehicle: what the registry knows stands in for what is not told."""
import json
import os
import subprocess
import unittest

from operator_tools import TOP, BUILD, VINS, Case

START = 1795478400
HEADING = "at,net_torque_pct,friction_torque_pct,engine_rpm,fuel_flow_lph,air_flow_kgph,nox_downstream_ppm,coolant_c\n"
FACTS = ("--reference-torque", "1000", "--rated-power", "300", "--whtc-work", "5")


class Vehicle(Case):
    def setUp(self):
        super().setUp()
        self.add_vehicles()
        self.psql("UPDATE vehicle SET reference_torque_nm = 1000, rated_power_kw = 300, whtc_work_kwh = 5, stage = 'VI-b' "
                  f"WHERE vin = '{VINS[0]}'")
        self.trip = self.write("trip.csv", HEADING + "".join(f"{START + i},58,8,1900,20,600,{100 + i % 90},85\n" for i in range(900)))

    def assess(self, *words, code=0):
        done = subprocess.run([os.path.join(TOP, "tools", "assess"), self.trip, "--json", *words], capture_output=True, text=True,
                              env=dict(os.environ, HAULGATE_BUILD=BUILD))
        self.assertEqual(done.returncode, code, done.stderr)
        self.stderr = done.stderr
        return json.loads(done.stdout) if code == 0 else None

    def registry(self, vin):
        return ("--conninfo", self.conninfo("haulgate_operator"), "--vehicle", vin)

    def test_known(self):
        known = self.assess(*self.registry(VINS[0]))
        self.assertEqual(known, self.assess(*FACTS))
        self.assertGreater(known["work_window"][0]["valid"], 0)

    def test_told_goes_before_known(self):
        told = self.assess(*self.registry(VINS[0]), "--whtc-work", "10")
        self.assertEqual(told, self.assess(*FACTS[:4], "--whtc-work", "10"))

    def test_registered_without_facts(self):
        self.assertEqual(self.assess(*self.registry(VINS[1])), self.assess())

    def test_refused(self):
        self.assess(*self.registry("LTEST999999999999"), code=1)
        self.assertIn("LTEST999999999999 is not registered", self.stderr)
        self.psql(f"UPDATE vehicle SET rated_power_kw = 1e30 WHERE vin = '{VINS[2]}'")
        self.assess(*self.registry(VINS[2]), code=1)
        self.assertIn("the registry has 1e+30 for --rated-power", self.stderr)
        self.assess("--conninfo", "host=/nowhere", "--vehicle", VINS[0], code=1)
        self.assertIn("cannot connect", self.stderr)


if __name__ == "__main__":
    unittest.main()
