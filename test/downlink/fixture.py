"""A database, gateways on it, and terminals that are told something.  Run through test/lib/with_postgres."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ingest"))
from gateway import Client, Gateway, GatewayTest, await_that, wire  # noqa: E402,F401

MIGRATE = os.environ["HAULGATE_MIGRATE"]
SCHEMA = os.environ["HAULGATE_SCHEMA"]
QUERY, SET, CONTROL = 0x80, 0x81, 0x82


class Refused(Exception):
    pass


class DownlinkTest(GatewayTest):
    """One database for a class; a vehicle and a gateway number of its own for each test."""

    made = 0

    @classmethod
    def setUpClass(cls):
        cls.database = f"downlink_{os.getpid()}_{cls.__name__.lower()}"
        subprocess.run(["createdb", cls.database], check=True)
        subprocess.run([MIGRATE, "--conninfo", cls.conninfo("postgres"), "--schema-dir", SCHEMA],
                       check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["dropdb", "--force", cls.database], check=True)

    @classmethod
    def conninfo(cls, user):
        return f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={user} dbname={cls.database}"

    @classmethod
    def sql(cls, text, user="postgres", database=None):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-c", text,
                               cls.conninfo(user) if database is None else f"dbname={database}"],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout.strip()

    def setUp(self):
        super().setUp()
        DownlinkTest.made += 1
        self.vin = self.vehicle()

    count = 0

    def vehicle(self):
        DownlinkTest.count += 1
        vin = f"LDOWN{DownlinkTest.count:012}"
        self.sql(f"INSERT INTO vehicle (vin) VALUES ('{vin}')")
        return vin

    def start(self, ident=None, **sections):
        """A gateway on the database; it sends twice, and waits for an answer longer than any test takes."""
        sections.setdefault("store", {}).update(conninfo=self.conninfo("haulgate_gateway"), batch_ms=1)
        sections.setdefault("downlink", {})
        sections["downlink"] = {"answer_s": 60, "attempts": 2, **sections["downlink"]}
        return self.gateway(ident or 10 * DownlinkTest.made + len(self.gateways), **sections)

    def twin(self, gateway):
        """Another gateway with the number of this one, on a host of its own."""
        folder = os.path.join(self.folder, "twin")
        os.makedirs(folder)
        twin = Gateway(folder, gateway.ident, store={"conninfo": self.conninfo("haulgate_gateway")})
        self.gateways.append(twin)
        return twin.start()

    def terminal(self, gateway, vin=None, start=b"##"):
        """Logged in."""
        t = Terminal(gateway, vin or self.vin, start)
        self.clients.append(t)
        t.send(wire.login_p(self.now, vin=t.vin, start=start))
        assert t.frame()[1:] == (1, wire.SUCCESS)
        return t

    def order(self, kind, parameters, vin=None, expires_s=3600, who="officer", reason="test"):
        text = json.dumps(parameters).replace("'", "''")
        return json.loads(self.sql(f"SELECT api.command_order('{vin or self.vin}', '{kind}', '{text}', '{reason}', "
                                   f"'{who}', {expires_s})", "haulgate_query"))["id"]

    def look(self, ident):
        return json.loads(self.sql(f"SELECT api.command(NULL, {ident})", "haulgate_query"))

    def await_state(self, ident, state):
        await_that(f"command {ident} to be {state}, it is {self.look(ident)}",
                   lambda: self.look(ident)["state"] == state)
        return self.look(ident)


class Terminal(Client):
    def __init__(self, gateway, vin, start=b"##"):
        super().__init__(gateway)
        self.vin, self.start = vin, start

    def told(self):
        """The next command: (kind, time, what stands behind it)."""
        frame, command, flag = self.frame()
        assert flag == wire.COMMAND, frame.hex()
        assert frame[:2] == self.start and frame[4:21].decode() == self.vin and frame[21] == 1, frame.hex()
        return command, frame[24:30], frame[30:-1]

    def answer(self, command, unit, flag=wire.SUCCESS):
        self.send(wire.frame_p(command, unit, self.vin, flag, start=self.start))
