"""Trucks under orders: parameters are asked for and set, and a read-only one is not."""
import json
import os
import subprocess
import unittest

from test_trust import FLEETSIM, FleetTest
from gateway import await_that  # noqa: E402  test_trust says where it is


class Orders(FleetTest):
    def order(self, vin, kind, parameters):
        """What came of it."""
        ident = json.loads(self.sql(f"SELECT api.command_order('{vin}', '{kind}', '{json.dumps(parameters)}', 'test', "
                                    "'officer', 3600)"))["id"]
        await_that(f"order {ident}", lambda: self.look(ident)["state"] not in ("queued", "sent"))
        return self.look(ident)

    def look(self, ident):
        return json.loads(self.sql(f"SELECT api.command(NULL, {ident})"))

    def test_query_set_control(self):
        self.begin()
        fleet = ("--trucks", "1", "--dialect", "hj-p", "--tls-share", "0", "--speed", "1", "--seconds", "3600")
        truck = subprocess.Popen([FLEETSIM, "--state", self.folder, "--quiet", *fleet], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        try:
            await_that("the truck", lambda: self.sql("SELECT count(*) FROM vehicle") == "1")
            vin = self.sql("SELECT vin FROM vehicle")
            asked = self.order(vin, "query", ["heartbeat_s", "platform_domain", "firmware_version"])
            self.assertEqual(asked["answered"]["parameters"],
                             {"heartbeat_s": 1, "platform_domain": "platform.example", "firmware_version": "SIM01"})
            told = self.order(vin, "set", {"heartbeat_s": 60, "public_domain": "a.example"})
            self.assertEqual(told["state"], "answered", told)
            asked = self.order(vin, "query", ["heartbeat_s", "public_domain"])
            self.assertEqual(asked["answered"]["parameters"], {"heartbeat_s": 60, "public_domain": "a.example"})
            # The connection ends behind the answer, and the truck comes back.
            self.assertEqual(self.order(vin, "control", {"action": "disconnect"})["state"], "answered")
            self.assertEqual(self.order(vin, "query", ["heartbeat_s"])["answered"]["parameters"], {"heartbeat_s": 60})
        finally:
            truck.terminate()
            said = truck.communicate()[0]
        self.assertEqual(truck.returncode, 0, said)
        with open(os.path.join(self.folder, "fleet.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["totals"]["orders"], 5)


if __name__ == "__main__":
    unittest.main()
