"""A gateway with a database, and haulgate-link beside it, for the tests of this folder."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ingest"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway import PATIENCE_S, Client, GatewayTest, await_that, make_certificate, wire  # noqa: E402,F401
from far_side import FarSide, server_context  # noqa: E402,F401

LINK = os.environ["HAULGATE_LINK"]
LINK_TOOL = os.environ["HAULGATE_LINK_TOOL"]
MIGRATE = os.environ["HAULGATE_MIGRATE"]
SCHEMA = os.environ["HAULGATE_SCHEMA"]
PASSWORD = "far-side-secret"
VIN = wire.VIN
OTHER_VIN = "LTEST000000000002"


class Link:
    """haulgate-link on the configuration of a gateway."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.log_path = gateway.log_path + ".link"
        self.process = None

    def start(self):
        self.gateway.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([LINK, "--config", self.gateway.config_path], stderr=log)
        return self

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def metrics(self):
        return {name: value for name, value in self.gateway.metrics().items() if name.startswith("link_")}

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))


class LinkTest(GatewayTest):
    number = 0

    def setUp(self):
        super().setUp()
        self.links, self.far_sides = [], []
        self.addCleanup(self._end_links)
        self.password_file = os.path.join(self.folder, "password")
        with open(self.password_file, "w", encoding="ascii") as f:
            print(PASSWORD, file=f)
        os.chmod(self.password_file, 0o600)
        self.database = self.new_database()

    def new_database(self):
        LinkTest.number += 1
        name = f"link_{os.getpid()}_{LinkTest.number}"
        subprocess.run(["createdb", name], check=True)
        subprocess.run([MIGRATE, "--conninfo", self.conninfo("postgres", name), "--schema-dir", SCHEMA, "--seed"],
                       check=True, capture_output=True)
        return name

    def conninfo(self, user, database=None):
        return f"host={os.environ['PGHOST']} port=5432 user={user} dbname={database or self.database}"

    def sql(self, text, database=None):
        return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database or self.database, "-c", text],
                              check=True, capture_output=True, text=True).stdout.strip()

    def tool(self, *arguments, code=0):
        done = subprocess.run([LINK_TOOL, *arguments, "--conninfo", self.conninfo("haulgate_operator"), "--actor", "tester"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stdout + done.stderr

    def far_side(self, context=None):
        far = FarSide(context).start()
        self.far_sides.append(far)
        return far

    def near_side(self, ident=1, **sections):
        """A gateway that stores, with all vehicles allowed."""
        sections.setdefault("store", {})["conninfo"] = self.conninfo("haulgate_gateway")
        sections["store"].setdefault("batch_ms", 1)
        sections.setdefault("link", {})["conninfo"] = self.conninfo("haulgate_link")
        g = self.gateway(ident, **sections)
        await_that("the store", lambda: "store: connected" in g.log())
        return g

    def add_link(self, far, *options, name="province"):
        tls = () if any(o in options for o in ("--tls", "--ca")) else ("--no-tls",)
        return self.tool("add", name, "--address", far if isinstance(far, str) else far.address, "--code", "CITY-A",
                         "--login", "city-a", "--password-file", self.password_file, *tls, *options)

    def link(self, gateway):
        link = Link(gateway)
        self.links.append(link)
        return link.start()

    def report(self, gateway, count, vin=VIN, first=0, client=None):
        """Logs a terminal in and sends that many reports, each a minute of its own; all are answered."""
        c = client or self.client(gateway)
        frames = [wire.login_p(self.now, vin=vin)] if client is None else []
        frames += [wire.report_c(self.now - 86400 + 60 * (first + i), vin=vin, serial=first + i + 1) for i in range(count)]
        for frame in frames:
            c.send(frame)
        for _ in frames:
            self.assertEqual(c.frame()[2], wire.SUCCESS)
        return c

    def row(self, column, name="province"):
        return self.sql(f"SELECT p.{column} FROM platform_link_position p JOIN platform_link l ON l.id = p.link_id "
                        f"WHERE l.name = '{name}'")

    def await_row(self, column, value, name="province"):
        await_that(f"{column} = {value}", lambda: self.row(column, name) == str(value))

    def await_position(self, ident=1, name="province"):
        """Until everything that is stored is settled."""
        await_that("the whole spool settled", lambda: self.sql(
            "SELECT p.position >= i.position FROM platform_link_position p JOIN ingest_position i USING (gateway_id) "
            f"JOIN platform_link l ON l.id = p.link_id WHERE l.name = '{name}' AND gateway_id = {ident}") == "t")

    def _end_links(self):
        for link in self.links:
            if link.process is not None:
                link.kill()
        for far in self.far_sides:
            far.stop()
            self.assertEqual(far.faults, [])
        for link in self.links:
            log = link.log()
            for trace in ("Assertion", "Sanitizer", "runtime error", PASSWORD):
                self.assertNotIn(trace, log)
