"""A database with the schema, and a running haulgate-query, for the tests of this folder."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("HAULGATE_BUILD") or os.path.join(TOP, "build", "release")
SANITIZED = os.environ.get("HAULGATE_SANITIZED", "none") != "none"
TOKEN = "0123456789abcdef-test-token"
DAY = 1794758400  # 2026-11-16T00:00:00+08:00
PROGRAM = os.path.join(BUILD, "gateway", "query", "haulgate-query")
MAKE_TRACK = os.path.join(BUILD, "test", "query", "make_track")


def instant(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S+08:00", time.gmtime(at + 8 * 3600))


def expected_sample(t):
    """What make_track.c put into the sample of second t."""
    fix = t % 11 != 0
    row = dict.fromkeys("nox_upstream_ppm air_flow_kgph scr_out_c coolant_c fuel_level_pct friction_torque_pct "
                        "baro_kpa".split())
    row.update(at=instant(t), speed_kmh=t % 90, engine_rpm=800 + t % 1000, fuel_flow_lph=t % 40,
               nox_downstream_ppm=None if t % 7 == 0 else t % 500, reagent_pct=60, scr_in_c=250, dpf_dp_kpa=0,
               net_torque_pct=-5, odometer_km=1000, lon=round(120 + t % 1000 * 1e-6, 6) if fix else None,
               lat=41.5 if fix else None)
    return row


def await_true(what, condition, seconds=20):
    """Waits for an event that has no descriptor; fails loudly when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Database:
    """A database of its own in the server of test/lib/with_postgres."""

    count = 0

    def __init__(self, seed=True):
        Database.count += 1
        self.name = f"query_{os.getpid()}_{Database.count}"
        self.psql("CREATE DATABASE " + self.name, database="postgres")
        # Separate files: haulgate-migrate is another part's work, but what it makes is what we run on.
        args = [os.path.join(BUILD, "tools", "cli", "haulgate-migrate"), "--schema-dir", os.path.join(TOP, "schema"),
                "--conninfo", self.conninfo("postgres")]
        subprocess.run(args + (["--seed"] if seed else []), check=True, capture_output=True)

    def conninfo(self, user):
        return f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={user} dbname={self.name}"

    def psql(self, sql, database=None, stdin=None):
        """Runs statements; returns unaligned rows."""
        args = ["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", database or self.name]
        done = subprocess.run(args + ["-c", sql], input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def add_vehicle(self, vin, plate=None):
        self.psql(f"INSERT INTO vehicle (vin, plate) VALUES ('{vin}', {quote(plate)})")
        return self.psql(f"SELECT id FROM vehicle WHERE vin = '{vin}'")

    def add_track(self, vehicle, start, frames, seconds, step=1):
        """Loads what make_track prints; its times are unix seconds behind an @."""
        rows = subprocess.run([MAKE_TRACK, "track", str(vehicle), str(start), str(frames), str(seconds), str(step)],
                              check=True, capture_output=True, text=True).stdout
        lines = []
        for row in rows.splitlines():
            cells = row.split("\t")
            for i in (1, 2):
                cells[i] = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(int(cells[i][1:])))
            lines.append("\t".join(cells))
        self.psql("COPY track (vehicle_id, at, received_at, position, gateway_id, sample_count, span_s, quirks, lon_e6, lat_e6, "
                  "speed_kmh, nox_ppm, nox_mg, dpf_dp_kpa, reagent_pct, samples) FROM STDIN", stdin="\n".join(lines) + "\n")

    def drop(self):
        self.psql(f"DROP DATABASE {self.name} WITH (FORCE)", database="postgres")


def quote(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


class Service:
    """haulgate-query in a process of its own."""

    def __init__(self, conninfo, connections=4, level="info"):
        self.folder = tempfile.TemporaryDirectory(prefix="haulgate-query-test.")
        self.dir = self.folder.name
        self.token_file = os.path.join(self.dir, "tokens")
        self.ports = os.path.join(self.dir, "query.ports")
        self.write_tokens(TOKEN)
        self.config = os.path.join(self.dir, "haulgate.conf")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"[gateway]\nrun_dir = {self.dir}\nlog_level = {level}\n[query]\nlisten = 127.0.0.1:0\n"
                    f"conninfo = {conninfo}\ntoken_file = {self.token_file}\nconnections = {connections}\n")
        self.log_path = os.path.join(self.dir, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([PROGRAM, "--config", self.config], stderr=log)
        await_true("query.ports", lambda: os.path.exists(self.ports) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError("haulgate-query did not start: " + self.log())
        with open(self.ports, encoding="ascii") as f:
            kind, address = f.read().split()
        assert kind == "http", kind
        self.host, self.port = address.rsplit(":", 1)[0], int(address.rsplit(":", 1)[1])

    def write_tokens(self, text, mode=0o600):
        with open(self.token_file, "w", encoding="ascii") as f:
            f.write(text + "\n")
        os.chmod(self.token_file, mode)

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def get(self, path, token=TOKEN, method="GET", headers=None, body=None):
        """Returns status, headers, body bytes."""
        c = self.connect()
        headers = dict(headers or {})
        if token is not None:
            headers.setdefault("Authorization", "Bearer " + token)
        try:
            c.request(method, path, body=body, headers=headers)
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def json(self, path, status=200, **more):
        got, headers, body = self.get(path, **more)
        if got != status:
            raise AssertionError(f"{path}: {got} instead of {status}: {body[:500]}")
        kind = "application/json" if status == 200 else "application/problem+json"
        if headers["Content-Type"] != kind:
            raise AssertionError(f"{path}: {headers['Content-Type']} instead of {kind}")
        return json.loads(body)

    def metric(self, name):
        for line in self.get("/metrics")[2].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError("no metric " + name)

    def heartbeat(self, age=0):
        subprocess.run([MAKE_TRACK, "heartbeat", self.dir, str(age)], check=True)

    def memory_peak_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))

    def stop(self):
        """Ends it as systemd would; a crash or a sanitizer report fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("did not end after SIGTERM: " + self.log()[-3000:])
        log = self.log()
        self.folder.cleanup()
        if self.process.returncode != 0:
            raise AssertionError(f"ended with {self.process.returncode}: {log[-3000:]}")


class ServiceTest(unittest.TestCase):
    """One database and one service for all tests of a class."""

    connections = 4

    @classmethod
    def setUpClass(cls):
        cls.database = Database()
        cls.addClassCleanup(cls.database.drop)
        cls.fill(cls.database)
        cls.service = Service(cls.database.conninfo("haulgate_query"), cls.connections)
        cls.addClassCleanup(cls.service.stop)

    @classmethod
    def fill(cls, database):
        pass


def raw_request(service, text, half_close=False):
    """Sends bytes as they are and returns all that comes back."""
    with socket.create_connection((service.host, service.port), timeout=30) as s:
        s.sendall(text)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        out = b""
        while True:
            part = s.recv(65536)
            if not part:
                return out
            out += part
