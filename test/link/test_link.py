"""haulgate-link against a scripted platform: what is sent, and for whom."""
import subprocess
import unittest

from link_case import OTHER_VIN, PASSWORD, VIN, LinkTest, await_that, make_certificate, server_context, wire

OK, BAD = wire.SUCCESS, wire.ERROR


class Wire(LinkTest):
    """What goes over the link."""

    def test_login_frames_and_logout_of_hj1239(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        link = self.link(g)
        far.await_that("the login", lambda: far.logins)
        login = far.logins[0]
        self.assertEqual((login.start, login.command, login.vin, login.encryption), (b"~~", 7, "CITY-A", 1))
        self.assertEqual(login.unit[6:], b"\0\1" + b"city-a".ljust(12, b"\0") + PASSWORD.encode().ljust(20, b"\0") + b"\1")
        self.assertEqual(login.unit[:5], wire.time6(self.now)[:5])
        self.report(g, 3)
        far.await_that("the frames", lambda: len(far.frames) == 4)
        self.assertEqual([(f.start, f.command, f.vin, f.encryption) for f in far.frames],
                         [(b"~~", 1, VIN, 1)] + [(b"~~", 2, VIN, 1)] * 3)
        self.assertEqual([f.unit for f in far.frames[1:]],
                         [wire.unit_c(self.now - 86400 + 60 * i, serial=i + 1) for i in range(3)])
        self.await_row("forwarded", 4)
        self.await_position()
        self.assertEqual(link.stop(), 0)
        self.assertEqual([f.command for f in far.logouts], [8])
        self.assertEqual(far.logouts[0].unit[6:], b"\0\1")
        self.assertEqual(self.row("connected_since"), "")

    def test_gbt32960_has_its_own_commands(self):
        g, far = self.near_side(link={"heartbeat_s": 1}), self.far_side()
        self.add_link(far, "--protocol", "gbt32960")
        link = self.link(g)
        far.await_that("a heartbeat", lambda: far.beats)
        self.assertEqual((far.logins[0].start, far.logins[0].command), (b"##", 5))
        self.assertEqual((far.beats[0].start, far.beats[0].command, far.beats[0].unit), (b"##", 7, b""))
        link.stop()
        self.assertEqual([f.command for f in far.logouts], [6])

    def test_gbt32960_has_no_tamper_alarm(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far, "--protocol", "gbt32960")
        link = self.link(g)
        alarm = wire.time6(self.now) + b"\0\1\0" + (120450000).to_bytes(4, "big") + (41570000).to_bytes(4, "big")
        self.client(g).send(wire.login_v(self.now), wire.frame_v(6, alarm), wire.logout_v(self.now))
        self.await_row("forwarded", 2)
        self.await_position()
        self.assertEqual([(f.start, f.command) for f in far.frames], [(b"##", 1), (b"##", 4)])
        self.assertEqual(link.metrics()["link_withheld_total"], 1)
        self.assertIn(f"a tamper alarm cannot be said over ## link=\"province\" vin={VIN}", link.log())

    def test_hj1239_asks_for_the_time_as_a_sign_of_life(self):
        g, far = self.near_side(link={"heartbeat_s": 1}), self.far_side()
        self.add_link(far)
        self.link(g)
        far.await_that("a sign of life", lambda: far.beats)
        self.assertEqual((far.beats[0].command, far.beats[0].unit), (5, b""))

    def test_what_each_kind_of_frame_becomes(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        self.link(g)
        signed = wire.unit_c(self.now) + b"\x20" + b"R" * 32 + b"\x20" + b"S" * 32
        alarm = wire.time6(self.now) + b"\0\1\0" + (120450000).to_bytes(4, "big") + (41570000).to_bytes(4, "big")
        sent = [wire.login_v(self.now), wire.report_a(self.now), wire.frame_v(2, signed),
                wire.frame_v(2, wire.unit_c(self.now + 9), encryption=3),  # marked encrypted, reads as plain
                wire.frame_v(6, alarm), wire.logout_v(self.now)]
        self.client(g).send(*sent)
        ev = self.client(g).send(wire.login_p(self.now, vin=OTHER_VIN, start=b"$$"), wire.frame_p(wire.HEARTBEAT, vin=OTHER_VIN),
                                 wire.frame_p(2, b"nonsense", vin=OTHER_VIN))
        self.assertEqual([ev.frame()[2] for _ in range(3)], [OK, OK, BAD])
        far.await_that("the frames", lambda: len(far.frames) == 7)
        mine = [f for f in far.frames if f.vin == VIN]
        self.assertEqual([f.command for f in mine], [1, 2, 2, 2, 6, 4])
        for f, original in zip(mine, sent):
            self.assertEqual((f.start, f.encryption, f.unit), (b"~~", 1, original[24:-1]))
        edition = next(f for f in far.frames if f.vin == OTHER_VIN)
        self.assertEqual((edition.start, edition.command), (b"$$", 1))

    def test_what_is_late_goes_as_supplement(self):
        g, far = self.near_side(link={"late_s": 10, "answer_s": 1, "retry_max_s": 1}), self.far_side()
        far.answer = lambda f: None
        self.add_link(far)
        self.link(g)
        c = self.report(g, 1)
        far.await_that("the frames", lambda: len(far.frames) >= 2)
        self.assertEqual([f.command for f in far.frames[:2]], [1, 2])
        far.await_that("the same as supplement, when it is old", lambda: far.frames[-1].command == 3)
        self.assertEqual(far.frames[-1].unit, far.frames[1].unit)
        self.assertEqual(self.sql("SELECT max(received_at) < now() - interval '9 s' FROM track"), "t")
        far.answer = lambda f: OK
        self.await_row("forwarded", 2)
        self.report(g, 1, first=1, client=c)
        self.await_row("forwarded", 3)
        self.assertEqual(far.frames[-1].command, 2)

    def test_only_what_is_stored_leaves(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        self.link(g)
        c = self.report(g, 1)
        self.await_row("forwarded", 2)
        lock = subprocess.Popen(["psql", "-XAtq", "-d", self.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (lock.stdin.close(), lock.stdout.close(), lock.wait()))
        print("BEGIN; LOCK TABLE ingest_position IN EXCLUSIVE MODE; SELECT 'locked';", file=lock.stdin, flush=True)
        self.assertEqual(lock.stdout.readline(), "locked\n")
        self.report(g, 3, first=1, client=c)  # answered: durable in the spool, and the store cannot commit
        self.assertTrue(c.silent(1))  # time for the link to look several times
        self.assertEqual(len(far.frames), 2)
        print("COMMIT;", file=lock.stdin, flush=True)
        self.await_row("forwarded", 5)

    def test_tls_with_the_authority_checked(self):
        cert, key = make_certificate(self.folder, "far")
        g, far = self.near_side(), self.far_side(server_context(cert, key))
        self.add_link(far, "--ca", cert)
        self.link(g)
        self.report(g, 5)
        far.await_that("the frames", lambda: len(far.frames) == 6)

    def test_tls_of_a_stranger_gets_no_password(self):
        cert, key = make_certificate(self.folder, "far")
        other, _ = make_certificate(self.folder, "other")
        g, far = self.near_side(), self.far_side(server_context(cert, key))
        self.add_link(far, "--ca", other)
        self.link(g)
        await_that("the reason", lambda: "certificate is refused" in self.row("message"))
        self.assertEqual(far.logins, [])
        self.tool("set", "province", "--ca", cert)
        far.await_that("the login", lambda: far.logins)

    def test_tls_certificate_of_another_host(self):
        cert, key = make_certificate(self.folder, "far")  # 127.0.0.1, not localhost
        g, far = self.near_side(), self.far_side(server_context(cert, key))
        self.add_link(f"localhost:{far.port}", "--ca", cert)
        self.link(g)
        await_that("the reason", lambda: "certificate is refused" in self.row("message"))
        self.assertEqual(far.logins, [])


class Selection(LinkTest):
    def reports_of(self, g, vin, lon, lat):
        unit = wire.time6(self.now) + b"\0\1" + b"\2" + wire.time6(self.now) + wire.stream_body(50, lon, lat)
        c = self.client(g).send(wire.login_p(self.now, vin=vin), wire.frame_p(2, unit, vin))
        self.assertEqual([c.frame()[2] for _ in range(2)], [OK, OK])

    def test_by_fleet_and_a_vehicle_that_changes_it(self):
        self.sql(f"INSERT INTO fleet (name) VALUES ('north'), ('south'); INSERT INTO vehicle (vin, fleet_id) VALUES "
                 f"('{VIN}', 1), ('{OTHER_VIN}', 2)")
        g, far = self.near_side(), self.far_side()
        self.add_link(far, "--fleet", "north")
        self.link(g)
        self.report(g, 1, OTHER_VIN)
        self.report(g, 1)
        self.await_position()
        self.assertEqual({f.vin for f in far.frames}, {VIN})
        self.sql(f"UPDATE vehicle SET fleet_id = 1 WHERE vin = '{OTHER_VIN}'")
        vins = iter(range(10, 10 ** 6))

        def arrives():
            self.report(g, 1, OTHER_VIN, first=next(vins))
            return any(f.vin == OTHER_VIN for f in far.frames)
        await_that("the other vehicle", arrives)

    def test_by_division_and_route(self):
        inside = self.sql("SELECT id, ST_X(p), ST_Y(p) FROM (SELECT id, ST_PointOnSurface(area) p FROM division ORDER BY id LIMIT 1) d")
        division, lon, lat = inside.split("|")
        line = self.sql("SELECT id, ST_X(p), ST_Y(p) FROM (SELECT id, ST_LineInterpolatePoint(line, 0.5) p FROM haul_route "
                        "ORDER BY id LIMIT 1) r")
        route, line_lon, line_lat = line.split("|")
        g, far, other = self.near_side(), self.far_side(), self.far_side()
        self.add_link(far, "--division", division)
        self.add_link(other, "--route", route, name="neighbour")
        self.link(g)
        self.reports_of(g, VIN, float(lon), float(lat))
        self.reports_of(g, OTHER_VIN, float(line_lon), float(line_lat))
        self.reports_of(g, "LTEST000000000003", 1.0, 1.0)
        self.await_position()
        self.await_position(name="neighbour")
        self.assertIn(VIN, {f.vin for f in far.frames})
        self.assertIn(OTHER_VIN, {f.vin for f in other.frames})
        for f in far.frames + other.frames:
            self.assertNotEqual(f.vin, "LTEST000000000003")
            self.assertEqual(f.command, 2)  # a login has no position


class Operator(LinkTest):
    def test_the_tool_does_it_all(self):
        g, far = self.near_side(), self.far_side()
        self.link(g)
        self.report(g, 3)
        await_that("stored", lambda: self.sql("SELECT count(*) FROM track") == "3")
        self.add_link(far)
        far.await_that("the login, by notification", lambda: far.logins)
        self.report(g, 2, OTHER_VIN)
        self.await_row("forwarded", 3)  # nothing from before
        self.assertEqual({f.vin for f in far.frames}, {OTHER_VIN})
        self.assertIn("province", self.tool("list"))
        self.assertRegex(self.tool("status", "province"), r"province +1 +since .* 3 +0 +0 ")
        self.tool("stop", "province", "--reason", "their request")
        far.await_that("the logout", lambda: far.logouts)
        self.report(g, 2, "LTEST000000000003")
        self.assertIn("stopped", self.tool("status", "province"))
        self.tool("start", "province")
        self.await_row("forwarded", 6)
        self.assertEqual(self.sql("SELECT actor, action, subject FROM audit_log ORDER BY id"),
                         "tester|link.add|province\ntester|link.stop|province\ntester|link.start|province")
        self.assertNotIn(PASSWORD, self.sql("SELECT * FROM audit_log"))
        self.assertIn("no link", self.tool("start", "nowhere", code=1))
        self.assertIn("no 'west'", self.tool("set", "province", "--fleet", "west", code=1))
        self.tool("add", "x", "--address", "nowhere", code=2)

    def test_history_is_sent_when_asked_for(self):
        g, far = self.near_side(), self.far_side()
        self.report(g, 5)
        await_that("stored", lambda: self.sql("SELECT count(*) FROM track") == "5")
        self.add_link(far, "--history")
        self.link(g)
        self.await_row("forwarded", 6)

    def test_metrics(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        link = self.link(g)
        self.report(g, 5)
        await_that("forwarded", lambda: link.metrics().get("link_forwarded_total") == 6)
        self.assertEqual(link.metrics()["link_connected"], 1)
        await_that("no backlog", lambda: link.metrics()["link_backlog_bytes"] == 0)
        far.stop()
        await_that("not connected", lambda: link.metrics()["link_connected"] == 0)
        self.report(g, 5, OTHER_VIN)
        await_that("a backlog", lambda: link.metrics()["link_backlog_bytes"] > 0)


if __name__ == "__main__":
    unittest.main()
