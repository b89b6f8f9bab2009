"""The routes, the token, the checks of parameters, the pages of findings.  Real service, real PostgreSQL."""
import hashlib
import json
import re
import threading
import unittest
import urllib.parse

from service import DAY, TOKEN, ServiceTest, instant, raw_request

VIN, OTHER, CLEAN = "LTEST000000000001", "LTEST000000000002", "LTEST000000000003"
PLATE = "辽N12345"
FINDINGS = 130

RULE = """
INSERT INTO rule (rule_id, version, label, doc, severity, parameters)
VALUES ('test_rule', 7, '测试', 'a rule of this test', 3, '{"limit_ppm": 500}') ON CONFLICT DO NOTHING;
INSERT INTO rule (rule_id, version, label, doc, severity, parameters)
VALUES ('test_rule', 8, '测试', 'its next version', 3, '{"limit_ppm": 400}') ON CONFLICT DO NOTHING;
"""
FINDING = """
INSERT INTO finding (vehicle_id, day, rule_id, revision, rule_version, severity, state, from_at, to_at, division_id,
                     route_id, place, value, "limit", measured)
SELECT id, day, 'test_rule', {revision}, 7, {severity}, '{state}', to_timestamp({at}), to_timestamp({at} + 600),
       {division}, {route}, ST_SetSRID(ST_Point(120.45, 41.57), 4326), 612.5, 500, '{{"nox_ppm": 612.5}}'
FROM vehicle, (SELECT (to_timestamp({at}) AT TIME ZONE 'Asia/Shanghai')::date AS day) d WHERE vin = '{vin}';
"""


def finding(vin, at, revision=1, severity=3, state="open", division="NULL", route="NULL"):
    return FINDING.format(**locals())


class Api(ServiceTest):
    @classmethod
    def fill(cls, database):
        for vin, plate in ((VIN, PLATE), (OTHER, "辽N-OTHER"), (CLEAN, None)):
            database.add_vehicle(vin, plate)
        vehicle = database.psql(f"SELECT id FROM vehicle WHERE vin = '{VIN}'")
        other = database.psql(f"SELECT id FROM vehicle WHERE vin = '{OTHER}'")
        sql = [RULE]
        # One a day backwards, alternating vehicles; the newest of VIN lies on DAY.
        for i in range(FINDINGS):
            sql.append(finding(VIN if i % 2 == 0 else OTHER, DAY + 3600 - i * 86400, severity=1 + i % 4,
                               division=211302 if i % 5 == 0 else "NULL", route=2 if i % 10 == 0 else "NULL",
                               state="closed" if i == 4 else "open"))
        sql.append(finding(VIN, DAY + 3600, revision=2, state="superseded"))
        # OTHER passed route 3 while its finding of the day before held.
        at = DAY + 3600 - 86400
        sql.append(f"""INSERT INTO passage VALUES ({other}, (to_timestamp({at}) AT TIME ZONE 'Asia/Shanghai')::date, 3,
                   to_timestamp({at} + 300), to_timestamp({at} + 900), false, 211303, 5.5, 12.25, 3.5, 600);
                   INSERT INTO evidence VALUES ({vehicle}, '2026-11-16', 'test_rule', to_timestamp({DAY + 3600}), 1, 4096,
                   to_timestamp({DAY + 3601}) + interval '1 microsecond', '\\x2323fe');
                   INSERT INTO terminal VALUES ({vehicle}, '89860000000000000001', 1, 3, 2, to_timestamp({DAY + 7199}),
                   to_timestamp({DAY + 7200}));
                   INSERT INTO obd_state VALUES ({vehicle}, '2026-11-16', '\\x01', to_timestamp({DAY}), to_timestamp({DAY}),
                   2, true, 255, 3, '{VIN}', 'CAL', 'CVN', '{{SPN 4364 FMI 18}}', '\\x00');""")
        database.psql("".join(sql))
        database.add_track(vehicle, DAY, 720, 10)

    # ---- token ----

    def test_without_a_token_nothing_is_told(self):
        for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x"):
            for path in ("/api/v1/rules", "/api/v1/nothing", f"/api/v1/vehicles/{VIN}"):
                status, headers, body = self.service.get(path, token=token)
                self.assertEqual(status, 401, (path, token))
                self.assertEqual(headers["WWW-Authenticate"], 'Bearer realm="haulgate"')
                self.assertEqual(headers["Content-Type"], "application/problem+json")
                self.assertIn("Authorization: Bearer", json.loads(body)["detail"])
        status, _, _ = self.service.get("/api/v1/rules", token=None, headers={"Authorization": "Basic " + TOKEN})
        self.assertEqual(status, 401)

    def test_open_routes_need_no_token(self):
        self.assertEqual(self.service.json("/healthz", token=None), {"status": "ok"})
        self.assertIn(b"haulgate_query_requests_total", self.service.get("/metrics", token=None)[2])

    # ---- routes ----

    def test_vehicle(self):
        v = self.service.json(f"/api/v1/vehicles/{VIN}")
        self.assertEqual((v["vin"], v["plate"], v["category"], v["state"]), (VIN, PLATE, "truck", "registered"))
        self.assertEqual(v["terminal"]["iccid"], "89860000000000000001")
        self.assertEqual(v["last"]["at"], instant(DAY + 7199))
        self.assertEqual((v["last"]["lon"], v["last"]["lat"]), (120, 41.5))
        self.assertEqual(v["obd"]["dtc"], ["SPN 4364 FMI 18"])
        self.assertEqual(v["open_findings"], FINDINGS // 2 - 1)
        clean = self.service.json(f"/api/v1/vehicles/{CLEAN}")
        self.assertEqual((clean["terminal"], clean["last"], clean["obd"], clean["open_findings"]), (None, None, None, 0))

    def test_lists(self):
        self.assertEqual([d["id"] for d in self.service.json("/api/v1/divisions")["divisions"]],
                         [211302, 211303, 211321, 211322, 211324, 211381, 211382])
        routes = self.service.json("/api/v1/routes")["routes"]
        self.assertEqual([r["id"] for r in routes], [1, 2, 3, 4, 5, 6])
        self.assertEqual(routes[0]["line"]["type"], "LineString")
        rule = [r for r in self.service.json("/api/v1/rules")["rules"] if r["id"] == "test_rule"]
        self.assertEqual([(r["version"], r["parameters"]) for r in rule], [(8, {"limit_ppm": 400})])

    def test_one_finding(self):
        f = self.service.json(f"/api/v1/findings/{VIN}.20261116.test_rule.1")
        self.assertEqual((f["vin"], f["plate"], f["rule"], f["rule_version"], f["day"]),
                         (VIN, PLATE, "test_rule", 7, "2026-11-16"))
        self.assertEqual((f["from"], f["to"], f["value"], f["limit"]),
                         (instant(DAY + 3600), instant(DAY + 4200), 612.5, 500))
        self.assertEqual(f["division"]["id"], 211302)
        self.assertEqual(f["route"]["id"], 2)
        self.assertEqual(f["rule_detail"]["parameters"], {"limit_ppm": 500})
        self.assertEqual(f["evidence"], [{
            "at": instant(DAY + 3600), "received_at": instant(DAY + 3601).replace("+", ".000001+"), "gateway_id": 1,
            "position": 4096, "raw": "2323fe",
            "sha256": hashlib.sha256(b"\x23\x23\xfe").hexdigest()}])
        self.assertEqual(len(f["track"]), 61)  # 3600 .. 4200, frames of 10 s
        self.assertEqual(f["track"][0]["at"], instant(DAY + 3600))
        other = self.service.json(f"/api/v1/findings/{OTHER}.20261115.test_rule.1")
        self.assertEqual([(p["route"]["id"], p["division"]["id"], p["nox_g"]) for p in other["passages"]],
                         [(3, 211303, 12.25)])

    def test_unknown_things_are_404(self):
        for path in ("/api/v1/vehicles/NOBODY", "/api/v1/vehicles/NOBODY/samples",
                     f"/api/v1/findings/{VIN}.20261116.test_rule.9", f"/api/v1/findings/{VIN}.20260101.none.1",
                     "/api/v1/nothing", "/api/v1/vehicles", "/api/v1/vehicles/", f"/api/v1/vehicles/{VIN}/", "/",
                     "/api/v1/vehicles/LTEST%00X"):
            problem = self.service.json(path, status=404)
            self.assertEqual(problem["status"], 404, path)

    # ---- protocol ----

    def test_other_methods_are_405(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, _ = self.service.get("/api/v1/rules", method=method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))

    def test_head_is_get_without_body(self):
        for path in ("/healthz", "/api/v1/rules", f"/api/v1/vehicles/{VIN}", f"/api/v1/vehicles/{VIN}/samples"):
            status, headers, body = self.service.get(path, method="HEAD")
            self.assertEqual((status, body), (200, b""), path)
            self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(self.service.get("/api/v1/vehicles/NOBODY", method="HEAD")[0], 404)

    def test_headers(self):
        _, headers, _ = self.service.get("/api/v1/rules", headers={"X-Request-Id": "abc-1"})
        self.assertEqual(headers["X-Request-Id"], "abc-1")
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        _, headers, _ = self.service.get("/api/v1/rules", headers={"X-Request-Id": "a b\tc"})
        self.assertNotEqual(headers["X-Request-Id"], "a b\tc")

    def test_a_body_is_refused(self):
        self.assertEqual(self.service.get("/api/v1/rules", body=b"x" * 1000)[0], 413)

    def test_not_acceptable(self):
        self.assertEqual(self.service.get(f"/api/v1/vehicles/{VIN}/samples", headers={"Accept": "text/html"})[0], 406)

    def test_large_and_broken_heads_cost_their_connection_only(self):
        for text in (b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 200000 + b"\r\n\r\n",
                     b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            try:
                answer = raw_request(self.service, text, half_close=True)
            except OSError:  # it was closed on us already
                answer = b""
            self.assertTrue(answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:100])
        self.assertEqual(self.service.json("/healthz"), {"status": "ok"})

    # ---- parameters ----

    def test_complaints_say_what_is_allowed(self):
        for path, says in ((f"/api/v1/vehicles/{VIN}/samples?from=yesterday", "2026-11-16T08:00:00+08:00"),
                           (f"/api/v1/vehicles/{VIN}/samples?from=2026-01-01&to=2026-03-01", "31 days"),
                           (f"/api/v1/vehicles/{VIN}/samples?from=2026-03-01&to=2026-01-01", "from must not be later"),
                           ("/api/v1/vehicles/LTEST-1", "letters and digits"),
                           ("/api/v1/findings?limit=501", "1 to 500"), ("/api/v1/findings?limit=0", "1 to 500"),
                           ("/api/v1/findings?limit=1.5", "1 to 500"), ("/api/v1/findings?limit=-1", "1 to 500"),
                           ("/api/v1/findings?state=new", "open|closed"), ("/api/v1/findings?severity=5", "1 to 4"),
                           ("/api/v1/findings?route=99999999999999999999", "whole number"),
                           ("/api/v1/findings?plates=1", "allowed: route, division, rule"),
                           ("/api/v1/rules?x=1", "unknown parameter 'x'"), ("/api/v1/findings?rule=a&rule=b", "twice"),
                           ("/api/v1/findings?plate=%FF%FE", "UTF-8"), ("/api/v1/findings?plate=a%00b", "UTF-8"),
                           ("/api/v1/findings?cursor=AAAA", "cursor"), ("/api/v1/findings?cursor=%25", "cursor"),
                           ("/api/v1/findings/x", "VIN.YYYYMMDD.RULE.REVISION"),
                           (f"/api/v1/findings/{VIN}.20261332.test_rule.1", "VIN.YYYYMMDD.RULE.REVISION")):
            problem = self.service.json(path, status=400)
            self.assertIn(says, problem["detail"], path)
            self.assertEqual((problem["title"], problem["status"]), ("Bad Request", 400))

    def test_empty_parameters_count_as_absent(self):
        self.assertEqual(len(self.service.json("/api/v1/findings?route=&plate=&limit=3&from=")["findings"]), 3)

    def test_injected_sql_is_text(self):
        evil = ("' OR 1=1 --", "'; DROP TABLE finding; --", "\\'; SELECT pg_sleep(10); --", "$1", "%s%n", "a\"b", "${jndi}",
                "1); DELETE FROM vehicle; --")
        for text in evil:
            escaped = urllib.parse.quote(text)
            self.assertEqual(self.service.json(f"/api/v1/findings?plate={escaped}")["findings"], [])
            for path in (f"/api/v1/vehicles/{escaped}", f"/api/v1/findings?vin={escaped}", f"/api/v1/findings?rule={escaped}",
                         f"/api/v1/findings/{escaped}", f"/api/v1/findings?route={escaped}"):
                status, _, body = self.service.get(path)
                self.assertIn(status, (400, 404), path)
                self.assertIn(b'"detail"', body)
        self.assertEqual(self.database.psql("SELECT count(*) FROM finding"), str(FINDINGS + 1))

    def test_log_names_nobody(self):
        self.service.get(f"/api/v1/vehicles/{VIN}")
        self.service.get("/api/v1/findings?plate=" + urllib.parse.quote(PLATE))
        self.service.get("/api/v1/findings?plate=SECRETPLATE&x=" + OTHER)
        log = self.service.log()
        self.assertIn("route=/api/v1/vehicles/{vin} status=200", log)
        for secret in (VIN, OTHER, PLATE, "SECRETPLATE", TOKEN):
            self.assertNotIn(secret, log)

    # ---- findings ----

    def ids(self, query):
        return [f["id"] for f in self.service.json("/api/v1/findings?" + query)["findings"]]

    def pages(self, query):
        path, rows = "/api/v1/findings?" + query, []
        while path:
            page = self.service.json(path)
            rows += page["findings"]
            self.assertEqual(page["next"] is None, page["next_cursor"] is None)
            path = page["next"]
        return rows

    def test_filters(self):
        vins = lambda query: {f["vin"] for f in self.pages(query)}
        self.assertEqual(len(self.pages("limit=500")), FINDINGS)
        self.assertEqual(len(self.pages("limit=500&state=all")), FINDINGS + 1)
        self.assertEqual([f["revision"] for f in self.pages("state=superseded")], [2])
        self.assertEqual(len(self.pages("state=closed")), 1)
        self.assertEqual(vins("vin=" + VIN), {VIN})
        self.assertEqual(vins("plate=" + urllib.parse.quote(PLATE)), {VIN})
        self.assertEqual(self.pages(f"vin={OTHER}&plate=" + urllib.parse.quote(PLATE)), [])
        self.assertEqual({f["severity"] for f in self.pages("severity=4")}, {4})
        self.assertEqual({f["division"]["id"] for f in self.pages("division=211302")}, {211302})
        self.assertEqual(len(self.pages("division=211302")), FINDINGS // 5)
        self.assertEqual(len(self.pages("division=0&limit=500")), FINDINGS - FINDINGS // 5)
        self.assertEqual(self.pages("rule=other_rule"), [])
        self.assertEqual(len(self.pages("route=2")), FINDINGS // 10)
        # By its passage, not by where it was found.
        self.assertEqual(self.ids("route=3"), [f"{OTHER}.20261115.test_rule.1"])

    def test_periods(self):
        self.assertEqual(self.ids("from=2026-11-16&to=2026-11-16"), [f"{VIN}.20261116.test_rule.1"])
        self.assertEqual(len(self.ids("from=2026-11-10&to=2026-11-16")), 7)
        at = lambda t: urllib.parse.quote(instant(t))
        begin, end = DAY + 3600, DAY + 4200
        self.assertEqual(len(self.ids(f"from={at(end)}")), 1)  # the last second of the finding
        self.assertEqual(self.ids(f"from={at(end + 1)}"), [])
        self.assertEqual(self.ids(f"from={at(DAY)}&to={at(begin)}"), [])  # to is not included
        self.assertEqual(len(self.ids(f"from={at(DAY)}&to={at(begin + 1)}")), 1)

    def test_order_is_newest_first(self):
        rows = self.pages("limit=7")
        self.assertEqual(len(rows), FINDINGS)
        self.assertEqual([r["from"] for r in rows], sorted((r["from"] for r in rows), reverse=True))

    def test_next_keeps_the_filters(self):
        page = self.service.json("/api/v1/findings?plate=" + urllib.parse.quote(PLATE) + "&limit=2&severity=1")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(page["next"]).query)
        self.assertEqual((query["plate"], query["limit"], query["severity"]), ([PLATE], ["2"], ["1"]))
        self.assertEqual(query["cursor"], [page["next_cursor"]])

    def test_pages_stay_whole_while_rows_come(self):
        """Rows that come while one pages may or may not show; those that were there show exactly once."""
        before = {f["id"] for f in self.pages("limit=500&vin=" + VIN)}
        stop = threading.Event()

        def insert():
            for i in range(60):
                if stop.is_set():
                    return
                # New ones in front of, between and behind the others, among them equal times.
                self.database.psql(finding(OTHER, DAY + 3600 - i * 86400 + (i % 3 - 1) * 1800, revision=100 + i))

        thread = threading.Thread(target=insert)
        thread.start()
        try:
            seen = []
            for _ in range(3):
                seen = [f["id"] for f in self.pages("limit=3")]
                self.assertEqual(len(seen), len(set(seen)), "a finding was shown twice")
                self.assertTrue(before <= set(seen), "a finding was left out")
        finally:
            stop.set()
            thread.join()
            self.database.psql("DELETE FROM finding WHERE revision >= 100")

    def test_equal_times_are_paged_completely(self):
        vins = [f"LSAME{i:012d}" for i in range(40)]
        self.database.psql("".join(f"INSERT INTO vehicle (vin) VALUES ('{v}');" + finding(v, DAY + 50000) for v in vins))
        try:
            at = urllib.parse.quote(instant(DAY + 50000))
            rows = [f["vin"] for f in self.pages(f"limit=7&from={at}")]
            self.assertEqual(sorted(rows), vins)
        finally:
            self.database.psql("DELETE FROM finding WHERE vehicle_id IN (SELECT id FROM vehicle WHERE vin LIKE 'LSAME%')")


if __name__ == "__main__":
    unittest.main(verbosity=2)
