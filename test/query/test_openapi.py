"""docs/openapi.yaml against the table of routes, and against what the running service answers.

Debian's python3-yaml and python3-jsonschema: run with /usr/bin/python3.
"""
import json
import os
import signal
import subprocess
import unittest

import jsonschema
import yaml

from service import DAY, PROGRAM, TOP, ServiceTest, await_true
from test_api import RULE, finding

VIN, BLOCKED = "LTEST000000000001", "LBLOCKED000000001"
COMMANDER, READER, ORDERER = ("0123456789abcdef-" + name for name in ("commander", "reader", "orderer"))


def load():
    with open(os.path.join(TOP, "docs", "openapi.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


class OpenApi(ServiceTest):
    @classmethod
    def fill(cls, database):
        vehicle = database.add_vehicle(VIN, "辽N12345")
        database.add_track(vehicle, DAY, 400, 10)
        database.psql(f"INSERT INTO vehicle (vin, state) VALUES ('{BLOCKED}', 'blocked')")
        database.psql(RULE + finding(VIN, DAY + 600, route=2, division=211302) + finding(VIN, DAY - 86000) + f"""
            INSERT INTO passage VALUES ({vehicle}, '2026-11-16', 2, to_timestamp({DAY}), to_timestamp({DAY + 900}), true,
              NULL, 5.5, 12.25, 3.5, 600);
            INSERT INTO evidence VALUES ({vehicle}, '2026-11-16', 'test_rule', to_timestamp({DAY + 600}), 1, 4096,
              to_timestamp({DAY + 601}), '\\x2323fe');
            INSERT INTO terminal VALUES ({vehicle}, NULL, 1, 3, NULL, to_timestamp({DAY + 3999}), to_timestamp({DAY + 4000}));
            INSERT INTO obd_state VALUES ({vehicle}, '2026-11-16', '\\x01', to_timestamp({DAY}), to_timestamp({DAY}), 2, true,
              255, 3, '{VIN}', NULL, NULL, '{{}}', '\\x00');""")

    weak = {"GET": ORDERER, "POST": READER, "DELETE": READER}
    command = "0"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.write_tokens(f"{COMMANDER} commander read,command\n{READER} reader read\n{ORDERER} orderer command")
        cls.service.process.send_signal(signal.SIGHUP)
        await_true("the tokens", lambda: cls.service.get("/api/v1/rules", token=READER)[0] == 200)

    def setUp(self):
        self.file = load()
        self.routes = json.loads(subprocess.run([PROGRAM, "--routes"], check=True, capture_output=True).stdout)

    def resolve(self, node):
        while "$ref" in node:
            target = self.file
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            node = target
        return node

    def operation(self, path, method="GET"):
        return self.file["paths"][path][method.lower()]

    def validate(self, schema, value):
        resolver = jsonschema.RefResolver("", self.file)
        jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)

    def test_schemas_are_well_formed(self):
        for name, schema in self.file["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

    def test_same_paths(self):
        self.assertEqual([(path, method.upper()) for path, item in self.file["paths"].items() for method in item],
                         [(r["path"], r["method"]) for r in self.routes])

    def test_same_parameters(self):
        for route in self.routes:
            documented = [self.resolve(p) for p in self.operation(route["path"], route["method"]).get("parameters", [])]
            self.assertEqual([(p["name"], p["in"], p.get("required", False)) for p in documented],
                             [(p["name"], p["in"], p["required"]) for p in route["parameters"]], route["path"])
            for p, q in zip(documented, route["parameters"]):
                schema = self.resolve(p["schema"])
                for bound in ("minimum", "maximum"):
                    self.assertEqual(schema.get(bound), q.get(bound), (route["path"], p["name"]))
                self.assertEqual("|".join(schema.get("enum", [])), q.get("choices", ""), (route["path"], p["name"]))

    def test_same_answers(self):
        for route in self.routes:
            operation = self.operation(route["path"], route["method"])
            self.assertEqual(operation["summary"], route["doc"])
            self.assertEqual("security" in operation, route["open"], route["path"])
            self.assertEqual("requestBody" in operation, route["body"], route["path"])
            responses = operation["responses"]
            self.assertEqual([s for s in responses if s != "default"], [str(s) for s in route["statuses"]], route["path"])
            self.assertEqual(list(responses["201" if route["body"] else "200"]["content"]), route["types"])

    def answer(self, path, status=200, method="GET", body=None, content="application/json", token=None):
        """Asks the service and checks the answer against what the file says of it; marks it as seen."""
        template = path.split("?")[0].replace(VIN + ".20261116.test_rule.1", "{id}").replace(VIN, "{vin}").replace(BLOCKED, "{vin}")
        template = template.replace("NOBODY.20261116.none.1", "{id}").replace("NOBODY", "{vin}").replace("BAD-VIN", "{vin}")
        template = template.replace("findings/BAD", "findings/{id}")
        template = template.replace(f"commands/{self.command}", "commands/{id}").replace("commands/999999", "commands/{id}")
        template = template.replace("commands/BAD", "commands/{id}")
        given = {"Accept": "text/html"} if status == 406 else {}
        if body is not None:
            given["Content-Type"] = content
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = {401: None, 403: self.weak[method]}.get(status, token or COMMANDER)
        got, headers, body = self.service.get(path, headers=given, token=token, method=method, body=body)
        self.assertEqual(got, status, (path, body[:300]))
        response = self.resolve(self.operation(template, method)["responses"][str(status)])
        self.assertIn(headers["Content-Type"], response["content"])
        value = body.decode() if headers["Content-Type"].startswith("text/") else json.loads(body)
        self.validate(response["content"][headers["Content-Type"]]["schema"], value)
        for name in response.get("headers", {}):
            if name != "Content-Disposition":
                self.assertIn(name, headers)
        return template, method, status

    def test_answers_are_as_the_file_says(self):
        self.service.heartbeat()
        commands = f"/api/v1/vehicles/{VIN}/commands"
        order = {"kind": "set", "parameters": {"heartbeat_s": 60}, "reason": "test"}
        self.database.psql(f"SELECT api.command_order('{VIN}', 'query', '[\"heartbeat_s\"]', 'r', 'w', 60)")
        self.database.psql(f"""UPDATE command SET state = 'answered', attempts = 1, sent_at = now(), ended_at = now(),
            answer = '\\x1a', gateway_id = 1, answered = '{{"flag": 1, "at": null, "parameters": {{"heartbeat_s": null}}}}'""")
        self.command = self.database.psql(f"SELECT api.command_order('{VIN}', 'control', '{{\"action\": \"reset\"}}', 'r', 'w', 60) "
                                          "->> 'id'")
        cancel = f"{commands}/{self.command}?reason=test"
        seen = {self.answer(*a, **k) for a, k in (
            ((commands, 201, "POST", order), {}), ((commands, 400, "POST", {**order, "kind": "x"}), {}),
            ((commands, 401, "POST", order), {}), ((commands, 403, "POST", order), {}),
            (("/api/v1/vehicles/NOBODY/commands", 404, "POST", order), {}),
            ((f"/api/v1/vehicles/{BLOCKED}/commands", 409, "POST", order), {}),
            ((commands, 413, "POST", b"[" * 9000), {}), ((commands, 415, "POST", order, "text/plain"), {}),
            ((cancel, 403, "DELETE"), {}), ((cancel, 401, "DELETE"), {}), ((cancel, 200, "DELETE"), {}),
            ((cancel, 409, "DELETE"), {}), ((f"{commands}/999999?reason=x", 404, "DELETE"), {}),
            ((f"{commands}/{self.command}", 400, "DELETE"), {}))}
        seen |= {self.answer(path, 403) for path in (
            f"/api/v1/vehicles/{VIN}", f"/api/v1/vehicles/{VIN}/samples", commands, f"{commands}/{self.command}",
            "/api/v1/findings", f"/api/v1/findings/{VIN}.20261116.test_rule.1", "/api/v1/routes", "/api/v1/divisions",
            "/api/v1/rules")}
        seen |= {self.answer(*a) for a in (
            (commands,), (f"{commands}?state=open&limit=1",), (f"{commands}?limit=0", 400), (commands, 401),
            ("/api/v1/vehicles/NOBODY/commands", 404), (f"{commands}/{self.command}",), (f"{commands}/{self.command}", 401),
            (f"{commands}/999999", 404), (f"{commands}/BAD", 400),
            ("/healthz",), ("/readyz",), ("/metrics",), (f"/api/v1/vehicles/{VIN}",), ("/api/v1/vehicles/NOBODY", 404),
            ("/api/v1/vehicles/BAD-VIN", 400), (f"/api/v1/vehicles/{VIN}", 401), (f"/api/v1/vehicles/{VIN}/samples",),
            (f"/api/v1/vehicles/{VIN}/samples?from=x", 400), (f"/api/v1/vehicles/{VIN}/samples", 401),
            ("/api/v1/vehicles/NOBODY/samples", 404), (f"/api/v1/vehicles/{VIN}/samples", 406),
            ("/api/v1/findings",), ("/api/v1/findings?limit=1",), ("/api/v1/findings?x=1", 400), ("/api/v1/findings", 401),
            (f"/api/v1/findings/{VIN}.20261116.test_rule.1",), ("/api/v1/findings/BAD", 400),
            (f"/api/v1/findings/{VIN}.20261116.test_rule.1", 401), ("/api/v1/findings/NOBODY.20261116.none.1", 404),
            ("/api/v1/routes",), ("/api/v1/divisions",), ("/api/v1/rules",), ("/api/v1/routes", 401),
            ("/api/v1/divisions", 401), ("/api/v1/rules", 401), ("/api/v1/routes?x=1", 400), ("/api/v1/divisions?x=1", 400),
            ("/api/v1/rules?x=1", 400))}
        self.service.heartbeat(100)
        seen.add(self.answer("/readyz", 503))
        # 503 of the others needs an outage: test_life.py.
        expected = {(r["path"], r["method"], s) for r in self.routes for s in r["statuses"] if s != 503 or r["open"]}
        self.assertEqual(seen, expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
