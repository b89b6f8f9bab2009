"""Attackers beside honest trucks: every kind is survived, and an attack that has success is seen."""
import os
import re
import subprocess
import unittest

from test_trust import FLEETSIM, FleetTest

HONEST = ("--trucks", "10", "--seconds", "8", "--drive", "0.5", "--violators", "0", "--verify", "--signed-share", "0.5")


class Attacks(FleetTest):
    def attack(self, kinds, *arguments, code=0, seconds="6"):
        """{kind: its line}."""
        out = self.simulate("--attack", kinds, "--seconds", seconds, *arguments, code=code)
        return {line.split()[0]: line for line in out.splitlines() if re.match(r"\w+ +\d+ attempts", line)}, out

    def in_company(self, kinds, *arguments, **sections):
        """Attackers and honest trucks at a time; the trucks are stored as they were sent."""
        g = self.begin(**sections)
        honest = subprocess.Popen([FLEETSIM, "--state", self.folder, "--quiet", *HONEST], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        try:
            lines, _ = self.attack(kinds, *arguments)
        finally:
            said = honest.communicate()[0]
        self.assertEqual(honest.returncode, 0, said)
        return g, lines

    def test_all_kinds_in_company(self):
        self.keys("init")
        g, lines = self.in_company("all", "--attackers", "110", "--gateway-keys", self.keys_dir)
        self.assertEqual(set(lines), {"replay", "wrong_vin", "wrong_key", "bit_flips", "padding_probes", "flood", "slow_reader",
                                      "drip_feeder", "half_open", "herd", "mass_disconnect"})
        for line in lines.values():
            self.assertGreater(int(line.split()[1]), 0, line)
        for kind in "wrong_vin", "bit_flips", "padding_probes":
            self.assertIn(" 0 success", lines[kind])
        self.assertIn("; 1 kinds of answers", lines["padding_probes"])
        self.assertGreater(g.metrics()["signatures_invalid_total"], 0)

    def test_required_signatures_stop_the_unsigned(self):
        self.begin(session={"signature": "required"})
        self.attack("unsigned_forgery,bit_flips", "--attackers", "4")

    def test_a_gateway_that_believes_the_unsigned_is_seen(self):
        self.begin(session={"signature": "optional"})
        _, out = self.attack("unsigned_forgery", "--attackers", "2", code=1)
        self.assertIn("BREACH", out)

    def test_only_this_machine_and_within_bounds(self):
        self.begin()
        for arguments in (("--tcp", "192.0.2.1:32960"), ("--attackers", "20001"), ("--seconds", "3601")):
            self.simulate("--attack", "all", *arguments, code=2)
        self.simulate("--attack", "bit_flips,no_such", code=2)


if __name__ == "__main__":
    unittest.main()
