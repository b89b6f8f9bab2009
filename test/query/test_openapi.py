"""docs/openapi.yaml against the table of routes, and against what the running service answers.

Debian's python3-yaml and python3-jsonschema: run with /usr/bin/python3.
"""
import json
import os
import subprocess
import unittest

import jsonschema
import yaml

from service import DAY, PROGRAM, TOP, ServiceTest
from test_api import RULE, finding

VIN = "LTEST000000000001"


def load():
    with open(os.path.join(TOP, "docs", "openapi.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


class OpenApi(ServiceTest):
    @classmethod
    def fill(cls, database):
        vehicle = database.add_vehicle(VIN, "辽N12345")
        database.add_track(vehicle, DAY, 400, 10)
        database.psql(RULE + finding(VIN, DAY + 600, route=2, division=211302) + finding(VIN, DAY - 86000) + f"""
            INSERT INTO passage VALUES ({vehicle}, '2026-11-16', 2, to_timestamp({DAY}), to_timestamp({DAY + 900}), true,
              NULL, 5.5, 12.25, 3.5, 600);
            INSERT INTO evidence VALUES ({vehicle}, '2026-11-16', 'test_rule', to_timestamp({DAY + 600}), 1, 4096,
              to_timestamp({DAY + 601}), '\\x2323fe');
            INSERT INTO terminal VALUES ({vehicle}, NULL, 1, 3, NULL, to_timestamp({DAY + 3999}), to_timestamp({DAY + 4000}));
            INSERT INTO obd_state VALUES ({vehicle}, '2026-11-16', '\\x01', to_timestamp({DAY}), to_timestamp({DAY}), 2, true,
              255, 3, '{VIN}', NULL, NULL, '{{}}', '\\x00');""")

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

    def operation(self, path):
        return self.file["paths"][path]["get"]

    def validate(self, schema, value):
        resolver = jsonschema.RefResolver("", self.file)
        jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)

    def test_schemas_are_well_formed(self):
        for name, schema in self.file["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

    def test_same_paths(self):
        self.assertEqual(list(self.file["paths"]), [r["path"] for r in self.routes])
        for path, item in self.file["paths"].items():
            self.assertEqual(list(item), ["get"], path)

    def test_same_parameters(self):
        for route in self.routes:
            documented = [self.resolve(p) for p in self.operation(route["path"]).get("parameters", [])]
            self.assertEqual([(p["name"], p["in"], p.get("required", False)) for p in documented],
                             [(p["name"], p["in"], p["required"]) for p in route["parameters"]], route["path"])
            for p, q in zip(documented, route["parameters"]):
                schema = self.resolve(p["schema"])
                for bound in ("minimum", "maximum"):
                    self.assertEqual(schema.get(bound), q.get(bound), (route["path"], p["name"]))
                self.assertEqual("|".join(schema.get("enum", [])), q.get("choices", ""), (route["path"], p["name"]))

    def test_same_answers(self):
        for route in self.routes:
            operation = self.operation(route["path"])
            self.assertEqual(operation["summary"], route["doc"])
            self.assertEqual("security" in operation, route["open"], route["path"])
            responses = operation["responses"]
            self.assertEqual([s for s in responses if s != "default"], [str(s) for s in route["statuses"]], route["path"])
            self.assertEqual(list(responses["200"]["content"]), route["types"])

    def answer(self, path, status=200):
        """Asks the service and checks the answer against what the file says of it; marks it as seen."""
        template = path.split("?")[0].replace(VIN + ".20261116.test_rule.1", "{id}").replace(VIN, "{vin}")
        template = template.replace("NOBODY.20261116.none.1", "{id}").replace("NOBODY", "{vin}").replace("BAD-VIN", "{vin}")
        template = template.replace("findings/BAD", "findings/{id}")
        accept = {"Accept": "text/html"} if status == 406 else {}
        got, headers, body = self.service.get(path, headers=accept, token=None if status == 401 else "0123456789abcdef-test-token")
        self.assertEqual(got, status, (path, body[:300]))
        response = self.resolve(self.operation(template)["responses"][str(status)])
        self.assertIn(headers["Content-Type"], response["content"])
        value = body.decode() if headers["Content-Type"].startswith("text/") else json.loads(body)
        self.validate(response["content"][headers["Content-Type"]]["schema"], value)
        for name in response.get("headers", {}):
            if name != "Content-Disposition":
                self.assertIn(name, headers)
        return template, status

    def test_answers_are_as_the_file_says(self):
        self.service.heartbeat()
        seen = {self.answer(*a) for a in (
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
        expected = {(r["path"], s) for r in self.routes for s in r["statuses"] if s != 503 or r["open"]}
        self.assertEqual(seen, expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
