"""A gateway with a registry: its database, its keys, and terminals that sign and encrypt.

Wants with_postgres; HAULGATE_MIGRATE, HAULGATE_SCHEMA and HAULGATE_KEYS name what meson built.
"""
import os
import subprocess

from gateway import GatewayTest, wire
import sm2  # of test/lib, as gateway has it on the path

MIGRATE = os.environ["HAULGATE_MIGRATE"]
SCHEMA = os.environ["HAULGATE_SCHEMA"]
KEYS = os.environ["HAULGATE_KEYS"]
OK, BAD = wire.SUCCESS, wire.ERROR
UNKNOWN_VIN = "LTEST000000000099"
DEFAULT_USER = "1234567812345678"


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, input=data).stdout


class Terminal:
    """The security chip of a terminal: an SM2 pair."""

    def __init__(self, name, chip="CHIP000000000001"):
        self.chip = chip
        self.private, self.public = sm2.keypair(name)

    def sign(self, data, user=None):
        """R and S, 32 bytes each."""
        return sm2.sign(self.private, user or self.chip, data)

    def signed(self, unit, user=None):
        """unit with R and S behind it, as HJ 1239 has it."""
        r, s = self.sign(unit, user)
        return unit + b"\x20" + r + b"\x20" + s

    def report(self, at, vin=wire.VIN, command=wire.REALTIME, user=None, **head):
        return wire.frame_p(command, self.signed(wire.unit_c(at), user), vin, **head)

    def activation_unit(self, at, vin=wire.VIN):
        unit = wire.time6(at) + self.chip.encode().ljust(16, b"\0") + self.public + vin.encode()
        return self.signed(unit)

    def activation(self, at, vin=wire.VIN):
        """Header V: its answer is the command 08."""
        return wire.frame_v(7, self.activation_unit(at, vin), vin)


def flip(frame, bit):
    """frame with one bit of its unit turned over, and a checksum that fits."""
    unit = bytearray(frame[24:-1])
    unit[bit // 8] ^= 1 << bit % 8
    return wire.seal(frame[:22], bytes(unit))


class RegistryTest(GatewayTest):
    number = 0

    def setUp(self):
        super().setUp()
        RegistryTest.number += 1
        self.database = f"ingest_{os.getpid()}_{RegistryTest.number}"
        subprocess.run(["createdb", self.database], check=True)
        subprocess.run([MIGRATE, "--conninfo", self.conninfo("postgres"), "--schema-dir", SCHEMA],
                       check=True, capture_output=True)
        self.keys_dir = os.path.join(self.folder, "keys")

    def conninfo(self, user):
        return f"host={os.environ['PGHOST']} port=5432 user={user} dbname={self.database}"

    def sql(self, text, **variables):
        """variables: psql's :'name', which quotes."""
        sets = [f"--set={name}={value}" for name, value in variables.items()]
        return subprocess.run(["psql", "-XAtq", *sets, "-d", self.database, "-f", "-"], check=True,
                              capture_output=True, text=True, input=text).stdout.strip()

    def keys(self, *arguments, stdin=""):
        """The program that an officer has."""
        done = subprocess.run([KEYS, *arguments, "--dir", self.keys_dir, "--conninfo",
                               self.conninfo("postgres")], capture_output=True, text=True, input=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def add_vehicle(self, vin=wire.VIN, **policy):
        """policy: columns of a fleet of its own, such as signature='required'."""
        fleet = "NULL"
        if policy:
            names = ", ".join(policy)
            values = ", ".join(f"'{value}'" for value in policy.values())
            fleet = self.sql(f"INSERT INTO fleet (name, {names}) VALUES ('{vin}', {values}) RETURNING id")
        self.sql(f"INSERT INTO vehicle (vin, fleet_id) VALUES ('{vin}', {fleet})")

    def add_signer(self, terminal, vin=wire.VIN):
        """Its id."""
        return int(self.sql(
            "INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, public_key) "
            "SELECT id, 'sign', 'sm2', :'chip', decode(:'key', 'hex') FROM vehicle WHERE vin = :'vin' "
            "RETURNING id", chip=terminal.chip, key=terminal.public.hex(), vin=vin))

    def start(self, **sections):
        """A gateway that has read the registry."""
        sections.setdefault("store", {}).setdefault("conninfo", self.conninfo("haulgate_gateway"))
        sections.setdefault("session", {}).setdefault("unknown_vehicle", "reject")
        if os.path.isdir(self.keys_dir):
            sections.setdefault("keys", {})["dir"] = self.keys_dir
        g = self.gateway(**sections)
        self.await_registry(g)
        return g

    def await_registry(self, g):
        """Until it is loaded nobody can be called unknown."""
        g.await_metric("identity_connected", 1)

    def log_in(self, g, vin=wire.VIN, **keywords):
        c = self.client(g, **keywords).send(wire.login_p(self.now, vin=vin))
        self.assertEqual(c.frame()[1:], (1, OK))
        return c

    def stored(self, g):
        for c in self.clients:
            c.close()  # else the gateway waits a second for each to go
        self.assertEqual(g.stop(), 0)
        return g.whole_records()

    def reports(self, g):
        """The records of reports, which are what most tests are about."""
        return [r for r in self.stored(g) if r.raw[2] in (wire.REALTIME, wire.SUPPLEMENT)]
