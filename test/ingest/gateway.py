"""A real gateway for a test: the program, its folder, clients, and what it kept.

HAULGATE_BINARY and HAULGATE_PEEK name the programs (meson sets them).  No database: conninfo is empty.
"""
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import haulgate_wire as wire  # noqa: E402

BINARY = os.environ["HAULGATE_BINARY"]
PEEK = os.environ["HAULGATE_PEEK"]
PATIENCE_S = 20  # far more than any awaited event takes; reaching it is a failure


def await_that(what, condition):
    """Waits for an event that only the gateway's files or figures show."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(0.01)


def make_certificate(folder, name):
    """A self-signed certificate; returns (certificate file, key file)."""
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


class Record:
    """One line of peek."""

    def __init__(self, verdict, quirks, layout, protocol, tls, raw, signature, signature_key,
                 signature_user, credential, cipher_key, unit):
        self.verdict, self.raw, self.signature = verdict, bytes.fromhex(raw), signature
        self.quirks, self.layout, self.protocol = int(quirks), int(layout), int(protocol)
        self.tls, self.signature_user = int(tls), int(signature_user)
        self.signature_key, self.cipher_key = int(signature_key), int(cipher_key)
        self.credential = int(credential)
        self.unit = None if unit == "-" else bytes.fromhex(unit)


class Gateway:
    """sections: {"session": {"login_s": 2}}; several gateways may share folder's spools by id."""

    def __init__(self, folder, ident=1, **sections):
        self.folder, self.ident = folder, ident
        self.run_dir = os.path.join(folder, "run")
        self.spool_dir = os.path.join(folder, f"spool-{ident}")
        self.log_path = os.path.join(folder, f"log-{ident}")
        self.config_path = os.path.join(folder, f"haulgate-{ident}.conf")
        self.sections = {
            "gateway": {"id": ident, "loops": 2, "run_dir": self.run_dir, "log_level": "debug"},
            "listen": {"tcp": "127.0.0.1:0"},
            "session": {"unknown_vehicle": "provisional"},
            "limit": {"vin_logins": 0},  # a test's one VIN logs in again and again
            "spool": {"dir": self.spool_dir, "segment_mib": 8, "size_gib": 1, "reserve_mib": 1},
        }
        for section, keys in sections.items():
            self.sections.setdefault(section, {}).update(keys)
        self.process = None

    def write_config(self, **sections):
        for section, keys in sections.items():
            self.sections.setdefault(section, {}).update(keys)
        with open(self.config_path, "w") as f:
            for section, keys in self.sections.items():
                print(f"[{section}]", file=f)
                for key, value in keys.items():
                    print(f"{key} = {value}", file=f)

    def start(self, *prefix):
        """prefix: a program that runs ours, such as strace."""
        self.write_config()
        ports = os.path.join(self.run_dir, f"gateway-{self.ident}.ports")
        if os.path.exists(ports):
            os.unlink(ports)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*prefix, BINARY, "--config", self.config_path],
                                            stderr=log, start_new_session=True)
        await_that("the ports file, or the end",
                   lambda: os.path.exists(ports) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError("gateway did not start: " + self.log())
        with open(ports) as f:
            self.ports = dict(line.split() for line in f)
        return self

    def address(self, kind="tcp"):
        host, port = self.ports[kind].rsplit(":", 1)
        return host.strip("[]"), int(port)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """All of it, a program in front of ours too."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def stop(self):
        """Ends it in order; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def records(self):
        """(verdict, raw) of each record in the spool; after stop()."""
        return [(r.verdict, r.raw) for r in self.whole_records()]

    def whole_records(self):
        assert self.process.poll() is not None
        lines = subprocess.run([PEEK, "spool", self.spool_dir], check=True, capture_output=True,
                               text=True).stdout.splitlines()
        return [Record(*line.split()) for line in lines]

    def metrics(self):
        text = subprocess.run([PEEK, "metrics", self.run_dir], check=True, capture_output=True,
                              text=True).stdout
        found = re.findall(rf'^haulgate_(\w+)\{{gateway="{self.ident}"(?:,verdict="(\w+)")?\}} (\d+)',
                           text, re.M)
        return {verdict or name: int(value) for name, verdict, value in found}

    def await_metric(self, name, value):
        await_that(f"{name} = {value}, is {self.metrics().get(name)}",
                   lambda: self.metrics().get(name, 0) >= value)


class Client:
    """A terminal's socket; receives whole frames."""

    def __init__(self, gateway, kind="tcp", context=None, session=None, source=None):
        self.socket = socket.create_connection(gateway.address(kind), PATIENCE_S,
                                               source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, session=session)
        self.left = b""

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))
        return self

    def end(self):
        """Nothing more from us."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def _more(self):
        try:
            return self.socket.recv(65536)
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def frame(self):
        """The next answer: (bytes, command, flag); None when the gateway closed instead."""
        while len(self.left) < 25 or len(self.left) < 25 + int.from_bytes(self.left[22:24], "big"):
            data = self._more()
            if not data:
                assert not self.left, "closed within an answer: " + self.left.hex()
                return None
            self.left += data
        size = 25 + int.from_bytes(self.left[22:24], "big")
        one, self.left = self.left[:size], self.left[size:]
        return wire.split(one)[0]

    def rest(self):
        """All answers until the gateway closes."""
        while data := self._more():
            self.left += data
        frames, self.left = wire.split(self.left), b""
        return frames

    def flags(self):
        """(command, flag) of all answers until the gateway closes."""
        return [(command, flag) for _, command, flag in self.rest()]

    def silent(self, seconds):
        """True when no byte comes for so long: the one event that cannot be awaited."""
        return not self.left and not select.select([self.socket], [], [], seconds)[0]

    def close(self):
        self.socket.close()


class GatewayTest(unittest.TestCase):
    """gateway(section={key: value}) starts one; all end with the test, and none may have crashed."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="haulgate-ingest-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.gateways, self.clients = [], []
        self.addCleanup(self._end)
        self.now = int(time.time())

    def gateway(self, ident=1, prefix=(), **sections):
        g = Gateway(self.folder, ident, **sections)
        self.gateways.append(g)
        return g.start(*prefix)

    def client(self, gateway, *arguments, **keywords):
        c = Client(gateway, *arguments, **keywords)
        self.clients.append(c)
        return c

    def _end(self):
        for c in self.clients:
            c.close()
        for g in self.gateways:
            if g.process is not None:
                g.kill()
        for g in self.gateways:
            if os.path.exists(g.log_path):
                log = g.log()
                for trace in ("Assertion", "Sanitizer", "runtime error"):
                    self.assertNotIn(trace, log)
