"""What the tests of tools/keys and tools/registry share: a database with the schema, and the programs run as an operator."""
import json
import os
import subprocess
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HAULGATE_BUILD") or os.path.join(TOP, "build", "dev")
VINS = [f"LTEST{i:012d}" for i in range(1, 6)]


def await_true(what, condition, seconds=20):
    """Waits for an event that has no descriptor; fails loudly when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Case(unittest.TestCase):
    """Each test has a database and a folder of its own."""

    count = 0

    def setUp(self):
        Case.count += 1
        self.name = f"tools_{os.getpid()}_{Case.count}"
        self.psql("CREATE DATABASE " + self.name, database="postgres")
        self.addCleanup(self.psql, f"DROP DATABASE {self.name} WITH (FORCE)", database="postgres")
        subprocess.run([os.path.join(BUILD, "tools", "cli", "haulgate-migrate"), "--schema-dir", os.path.join(TOP, "schema"),
                        "--conninfo", self.conninfo("postgres")], check=True, capture_output=True)
        folder = tempfile.TemporaryDirectory(prefix="haulgate-tools-test.")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def conninfo(self, user):
        return f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={user} dbname={self.name}"

    def psql(self, sql, database=None, user="postgres"):
        done = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database or self.name, "-c", sql],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def add_vehicles(self):
        self.psql("INSERT INTO vehicle (vin) VALUES " + ", ".join(f"('{v}')" for v in VINS))

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def run_tool(self, tool, *args, code=0, stdin=b"", database=True):
        """Runs it as the role of operators, with the launcher; returns stdout, and stderr in self.stderr."""
        environment = dict(os.environ, HAULGATE_BUILD=BUILD, TZ="America/New_York")
        more = ["--conninfo", self.conninfo("haulgate_operator"), "--actor", "tester"] if database else []
        done = subprocess.run([os.path.join(TOP, "tools", tool), *args, *more], input=stdin, capture_output=True,
                              env=environment, cwd=self.dir)
        self.stdout, self.stderr = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{args}\n{self.stdout}{self.stderr}")
        self.assertNotIn("\x1b", self.stdout + self.stderr, args)  # whatever was in a list, it steers no terminal
        return self.stdout

    def start(self, name, *program):
        """Runs beside the test; its connection is called by this name."""
        return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.dir,
                                env=dict(os.environ, HAULGATE_BUILD=BUILD, PGAPPNAME=name))

    def start_tool(self, tool, *args):
        """As run_tool, beside the test; its connection is called as its command."""
        return self.start(args[0], os.path.join(TOP, "tools", tool), *args, "--conninfo", self.conninfo("haulgate_operator"))

    def start_sql(self, name, sql):
        return self.start(name, "psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", self.name, "-c", sql)

    def open_transaction(self, sql):
        """A connection that has done this and keeps what it locked; close_transaction() ends it."""
        other = subprocess.Popen(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", self.name],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        other.stdin.write(f"BEGIN;\n{sql};\n\\echo done\n")
        other.stdin.flush()
        self.assertEqual(other.stdout.readline(), "done\n")
        return other

    def close_transaction(self, other, how):
        other.stdin.write(how + ";\n")
        other.communicate()
        self.assertEqual(other.returncode, 0)

    def is_waiting(self, name):
        return self.psql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.name}' AND application_name = '{name}'"
                         " AND wait_event_type = 'Lock'") != "0"

    def audit(self):
        """(actor, action, subject, detail) of every line, in order."""
        rows = self.psql("SELECT json_build_array(actor, action, subject, detail) FROM audit_log ORDER BY id")
        return [tuple(json.loads(r)) for r in rows.splitlines()]

    def whole_database(self):
        """Everything that a dump would hold of tables that people and backups see."""
        tables = ["audit_log", "registry_history", "terminal_key", "platform", "certificate", "vehicle"]
        return "\n".join(self.psql(f"SELECT to_jsonb(t) FROM {t} t") for t in tables)
