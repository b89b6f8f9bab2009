"""haulgate-link with a second haulgate on the other side."""
import subprocess
import unittest

from link_case import LINK_TOOL, Link, await_that
from pair import FAR, NEAR, PairTest


class Pair(PairTest):
    def test_all_layouts_arrive_as_they_are(self):
        self.set_up_pair(8, 0.01)
        for t in self.trucks:
            t.start()
        await_that("five frames of each", lambda: min(t.sent for t in self.trucks) >= 5)
        self.end_load()
        self.await_drained(30)
        self.assert_same_tracks()
        day = self.sql("SELECT sum(frames), sum(refused), sum(duplicates) FROM platform_day", self.far_database)
        self.assertEqual(day, f"{self.sent()}|0|0")
        days = subprocess.run([LINK_TOOL, "days", "city-a", "--conninfo", self.conninfo("haulgate_operator", self.far_database)],
                              check=True, capture_output=True, text=True).stdout
        self.assertRegex(days, rf"city-a +8 +{self.sent()} +0 +0 +0 +0 +0\.000 ")

    def test_a_vehicle_that_is_not_ours_there(self):
        self.set_up_pair(4, 0.01)
        self.keys("platform", "vehicles", "city-a", "--remove", self.trucks[0].vin)
        for t in self.trucks:
            t.start()
        await_that("five frames of each", lambda: min(t.sent for t in self.trucks) >= 5)
        self.end_load()
        theirs = str(self.trucks[0].sent + self.trucks[0].connections)
        await_that("its frames are refused", lambda: self.sql("SELECT refused FROM platform_link_position") == theirs)
        await_that("and kept", lambda: self.sql(
            "SELECT count(*) FROM platform_link_refused WHERE flag = 2 AND vin = '" + self.trucks[0].vin + "'") == theirs)
        rest = [t for t in self.tracks(self.database) if not t.startswith(self.trucks[0].vin)]
        await_that("the others arrive", lambda: self.tracks(self.far_database) == rest)

    def test_two_cities_that_report_to_each_other(self):
        """Each names the other's account in --not-from: nothing comes back, whoever signed it."""
        self.set_up_pair(4, 0.01, signing=(2, 3))
        # B reports to A in the same way, by an account that speaks for the same vehicles.
        for arguments in (("add", "City B", "--login", "city-b", "--file", self.password_file),
                          ("vehicles", "city-b", "--add", *[t.vin for t in self.trucks])):
            self.keys("platform", *arguments, database=self.database)
        self.a.stop()
        self.a.sections["listen"] = {**self.b.sections["listen"], "tls": "127.0.0.1:0", "tcp": "127.0.0.1:0"}
        self.a.start()
        self.b.sections["link"] = {"conninfo": self.conninfo("haulgate_link", self.far_database)}
        subprocess.run([LINK_TOOL, "add", "a", "--address", self.a.ports["tls"], "--ca", self.certificate, "--code", "CITY-B",
                        "--login", "city-b", "--password-file", self.password_file, "--not-from", "city-a",
                        "--conninfo", self.conninfo("haulgate_operator", self.far_database)], check=True, capture_output=True)
        self.tool("set", "b", "--not-from", "city-b")
        back = Link(self.b)
        self.links.append(back.start())
        for g in (self.a, self.b):
            await_that("the registry", lambda gateway=g: gateway.metrics().get("identity_vehicles") == 4)
        near, far = self.trucks[0::2], self.trucks[1::2]
        for t in far:
            t.gateway = self.b
        for t in self.trucks:
            t.start()
        await_that("five frames of each", lambda: min(t.sent for t in self.trucks) >= 5)
        self.end_load()
        total = self.sent()
        for database in (self.database, self.far_database):
            await_that("all in both", lambda d=database: self.sql("SELECT count(*) FROM track", d) == str(total))
        self.assertEqual(self.tracks(self.database), self.tracks(self.far_database))
        for name, database, own, gateway in (("A", self.database, near, NEAR), ("B", self.far_database, far, FAR)):
            await_that(f"{name}'s link settles all", lambda d=database, i=gateway: self.sql(
                "SELECT p.position >= i.position FROM platform_link_position p JOIN ingest_position i USING (gateway_id) "
                f"WHERE gateway_id = {i}", d) == "t")
            self.assertEqual(self.sql("SELECT forwarded FROM platform_link_position", database),
                             str(sum(t.sent + t.connections for t in own)), f"{name} forwards its own and nothing else")
            signed = self.sql("SELECT count(*) FROM track t JOIN vehicle v ON v.id = t.vehicle_id WHERE v.vin IN "
                              f"('{self.trucks[2].vin}', '{self.trucks[3].vin}') AND t.credential % 4 = 1", database)
            self.assertEqual(signed, str(sum(t.sent for t in self.trucks[2:])), f"{name} verified the signatures")


if __name__ == "__main__":
    unittest.main()
