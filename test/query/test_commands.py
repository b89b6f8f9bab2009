"""Commands over HTTP: who may, what is refused and why, and what is written down.  Real service, real PostgreSQL."""
import json
import signal
import subprocess
import unittest

from service import ServiceTest, await_true

VIN = "LTEST000000000001"
PATH = f"/api/v1/vehicles/{VIN}/commands"
COMMANDER, READER, ORDERER = ("0123456789abcdef-" + name for name in ("commander", "reader", "orderer"))
ORDER = {"kind": "set", "parameters": {"heartbeat_s": 60}, "reason": "a reason"}


class Commands(ServiceTest):
    connections = 1  # so that what one request leaves in the session meets the next

    @classmethod
    def fill(cls, database):
        database.add_vehicle(VIN)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.write_tokens(f"{COMMANDER} officer.li read,command\n{READER} clerk read\n{ORDERER} machine command")
        cls.service.process.send_signal(signal.SIGHUP)
        await_true("the tokens", lambda: cls.service.get("/api/v1/rules", token=READER)[0] == 200)

    def tearDown(self):
        self.database.psql("UPDATE command SET state = 'cancelled' WHERE state = 'queued'")

    def ask(self, method, path, body=None, token=COMMANDER, content="application/json"):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": content} if body is not None and content else {}
        status, headers, body = self.service.get(path, token=token, method=method, body=body, headers=headers)
        return status, json.loads(body), headers

    def detail(self, body, status=400, **more):
        got, answer, headers = self.ask("POST", PATH, body, **more)
        self.assertEqual((got, headers["Content-Type"]), (status, "application/problem+json"), answer)
        return answer["detail"]

    def test_an_order(self):
        status, command, headers = self.ask("POST", PATH, {**ORDER, "expires_s": 3600})
        self.assertEqual((status, command["state"], command["ordered_by"], command["reason"], command["parameters"]),
                         (201, "queued", "officer.li", "a reason", {"heartbeat_s": 60}))
        self.assertEqual(headers["Location"], f"{PATH}/{command['id']}")
        self.assertEqual(self.ask("GET", headers["Location"], token=READER)[1], command)
        self.assertEqual(self.ask("GET", PATH + "?limit=1", token=READER)[1]["commands"], [command])
        self.assertEqual(self.database.psql("SELECT actor, role, action, subject, detail->>'id' FROM audit_log ORDER BY id DESC LIMIT 1"),
                         f"officer.li|haulgate_query|command.order|{VIN}|{command['id']}")
        self.assertEqual(self.database.psql(f"SELECT expires_at - ordered_at FROM command WHERE id = {command['id']}"), "01:00:00")

    def test_rights(self):
        self.assertEqual(self.detail(ORDER, 403, token=READER), "this token lacks the right to command")
        self.detail(ORDER, 401, token="nobody-has-this-token")
        status, command, _ = self.ask("POST", PATH, ORDER, token=ORDERER)
        self.assertEqual((status, command["ordered_by"]), (201, "machine"))
        one = f"{PATH}/{command['id']}"
        self.assertEqual(self.ask("GET", one, token=ORDERER)[0], 403)
        self.assertEqual(self.ask("DELETE", one + "?reason=x", token=READER)[0], 403)
        before = self.database.psql("SELECT count(*) FROM command")
        self.assertEqual(self.ask("POST", PATH, ORDER, token=READER)[0], 403)
        self.assertEqual(self.database.psql("SELECT count(*) FROM command"), before)

    def test_the_body_is_checked_and_the_complaint_says_what_is_allowed(self):
        for change, says in (
                ({"kind": "erase"}, "kind 'erase' is unknown; allowed: query, set, control"),
                ({"kind": 5}, "kind '' is unknown"),
                ({"parameters": {"heartbeat_s": 0}}, "heartbeat_s is 0; it must be 1 to 240"),
                ({"parameters": {"heartbeat_s": "60"}}, "heartbeat_s is not a whole number; it must be 1 to 240"),
                ({"parameters": {"report_period_s": 601}}, "it must be 1 to 600 (GB/T 32960.3-2016), or 1 to 30 (2025)"),
                ({"parameters": {"speed": 1}}, "parameter 'speed' is unknown; allowed: local_storage_period_ms, "),
                ({"parameters": {"firmware_version": "12345"}}, "firmware_version can be queried only, not set"),
                ({"parameters": {}}, "a set names at least one parameter"),
                ({"parameters": ["heartbeat_s"]}, "parameters of a set must be an object"),
                ({"parameters": None}, "parameters of a set must be an object"),
                ({"kind": "control", "parameters": {"action": "alarm"}}, "alarm needs level: 0 to 3"),
                ({"reason": ""}, "reason is needed: 1 to 500 characters"),
                ({"reason": "x" * 501}, "reason is needed: 1 to 500 characters"),
                ({"reason": "line\nline"}, "reason is needed: a text"),
                ({"reason": 7}, "reason is needed: a text"),
                ({"expires_s": 5}, "expires_s is 5; it must be 10 to 2592000"),
                ({"expires_s": "5"}, "expires_s is not a whole number"),
                ({"expires_s": 10 ** 12}, "expires_s"),
                ({"priority": 1}, "'priority' is unknown; allowed: kind, parameters, reason, expires_s")):
            self.assertIn(says, self.detail({**ORDER, **change}), change)
        for missing in ORDER:
            self.assertIn(missing, self.detail({k: v for k, v in ORDER.items() if k != missing}))
        for body, says in ((b"", "not JSON"), (b"{", "not JSON"), (b"[]", "must be a JSON object"), (b'{"kind":1,"kind":2}', "duplicate"),
                           (b"\xff\xfe", "not JSON"), (b"[" * 3000, "not JSON"), (b'{"reason":"\\u0000"}', "not JSON")):
            self.assertIn(says, self.detail(body), body[:20])

    def test_size_and_type(self):
        self.assertIn("longer than 8192 bytes", self.detail(b" " * 8193, 413))
        self.assertIn("longer than 8192 bytes", self.detail(b" " * 30000, 413))
        self.assertEqual(self.detail(json.dumps(ORDER).encode(), 415, content="text/plain"), "the body must be application/json")
        self.detail(json.dumps(ORDER).encode(), 415, content="application/jsonx")
        status, _, _ = self.ask("POST", PATH, json.dumps(ORDER).encode().ljust(8192), content="Application/JSON; charset=utf-8")
        self.assertEqual(status, 201)
        self.assertEqual(self.ask("POST", PATH + "?x=1", ORDER)[0], 400)

    def test_not_found_and_not_now(self):
        status, answer, _ = self.ask("POST", "/api/v1/vehicles/LNOBODY/commands", ORDER)
        self.assertEqual((status, answer["detail"]), (404, "no vehicle with this VIN is registered"))
        _, command, _ = self.ask("POST", PATH, ORDER)
        one = f"{PATH}/{command['id']}"
        self.assertEqual(self.ask("DELETE", one)[1]["detail"], "reason is needed; it must be 1 to 500 bytes of UTF-8")
        other = self.database.add_vehicle("LTEST000000000002")
        self.assertIsNotNone(other)
        self.assertEqual(self.ask("GET", one.replace(VIN, "LTEST000000000002"))[0], 404)
        self.assertEqual(self.ask("DELETE", one.replace(VIN, "LTEST000000000002") + "?reason=x")[0], 404)
        status, command, _ = self.ask("DELETE", one + "?reason=wrong%20truck")
        self.assertEqual((status, command["state"], command["message"]), (200, "cancelled", "cancelled by officer.li: wrong truck"))
        status, answer, _ = self.ask("DELETE", one + "?reason=again")
        self.assertEqual((status, answer["detail"]), (409, f"command {command['id']} has ended already: cancelled"))
        self.assertEqual(self.database.psql("SELECT actor, action FROM audit_log ORDER BY id DESC LIMIT 1"),
                         "officer.li|command.cancel")

    def test_methods(self):
        for method, path, allowed in (("PUT", PATH, "GET, HEAD, POST"), ("DELETE", PATH, "GET, HEAD, POST"),
                                      ("POST", PATH + "/1", "GET, HEAD, DELETE"), ("POST", "/api/v1/rules", "GET, HEAD")):
            status, _, headers = self.ask(method, path, ORDER)
            self.assertEqual((status, headers["Allow"]), (405, allowed))

    def test_only_an_order_may_write(self):
        self.database.psql("""CREATE OR REPLACE FUNCTION api.finding(p_id text) RETURNS json LANGUAGE plpgsql SECURITY DEFINER AS
            $$ BEGIN INSERT INTO public.audit_log (actor, action) VALUES ('a', 'written by a read'); RETURN '{}'; END $$""")
        for _ in range(3):
            self.assertEqual(self.ask("POST", PATH, ORDER)[0], 201)
            # of the same statement_timeout, so that nothing else is set between the two
            status, answer, _ = self.ask("GET", f"/api/v1/findings/{VIN}.20261116.rule.1")
            self.assertEqual(status, 500)
            self.assertIn("SQLSTATE 25006", answer["detail"])
        self.assertEqual(self.database.psql("SELECT count(*) FROM audit_log WHERE action = 'written by a read'"), "0")

    def backends(self, condition="true"):
        return self.database.psql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'haulgate_query' "
                                  f"AND datname = current_database() AND {condition}")

    def test_a_dead_connection_costs_no_order(self):
        self.assertEqual(self.ask("POST", PATH, ORDER)[0], 201)
        for _ in range(3):
            self.backends()
            before = int(self.database.psql("SELECT count(*) FROM command"))
            self.assertEqual(self.ask("POST", PATH, ORDER)[0], 201)
            self.assertEqual(int(self.database.psql("SELECT count(*) FROM command")), before + 1)

    def test_an_order_is_never_given_twice(self):
        """The connection dies while the statement runs: not tried again, and said so."""
        lock = subprocess.Popen(["psql", "-XAtq", "-d", self.database.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (lock.stdin.close(), lock.stdout.close(), lock.wait()))
        print("BEGIN; LOCK TABLE audit_log; SELECT 'locked';", file=lock.stdin, flush=True)
        self.assertEqual(lock.stdout.readline(), "locked\n")
        before = int(self.database.psql("SELECT count(*) FROM command"))
        waits = "wait_event_type = 'Lock'"
        with subprocess.Popen(["curl", "-s", "-X", "POST", "-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {COMMANDER}",
                               "-d", json.dumps(ORDER), f"http://{self.service.host}:{self.service.port}{PATH}"], stdout=subprocess.PIPE) as curl:
            await_true("the order to wait for the lock", lambda: self.backends(waits) == "1")
            answer = json.loads(curl.stdout.read())
        self.assertEqual(answer["status"], 503)
        self.assertIn("it is not known whether this was done", answer["detail"])
        print("ROLLBACK;", file=lock.stdin, flush=True)
        self.assertEqual(self.ask("GET", PATH)[0], 200)  # the only connection is back
        self.assertEqual(int(self.database.psql("SELECT count(*) FROM command")), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
