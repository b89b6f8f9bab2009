"""The shipped unit lets the gateway do what it does, or it would die at its first forbidden system call; and no core holds its keys."""
import os
import re
import shutil
import signal
import subprocess
import unittest

from gateway import make_certificate, wire
from registry import OK, RegistryTest, Terminal

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/systemd/haulgate.service")


def group(name):
    """All system calls of a group of systemd's, other groups in it included."""
    lines = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True,
                           text=True).stdout.split("\n")[1:]
    names = {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}
    return set().union(*(group(n) if n.startswith("@") else {n} for n in names))


def allowed_by(unit):
    allowed = set()
    with open(unit) as f:
        text = f.read()
    for words in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        takes_away = words.startswith("~")
        for word in words.lstrip("~").split():
            calls = group(word) if word.startswith("@") else {word}
            allowed = allowed - calls if takes_away else allowed | calls
    # Whatever else is allowed: systemd.exec(5).
    return allowed - group("@clock") if re.search("^ProtectClock=yes", text, re.M) else allowed


@unittest.skipUnless(shutil.which("systemd-analyze") and shutil.which("strace"), "systemd-analyze or strace is not here")
class Sandbox(RegistryTest):
    def test_the_unit_allows_each_system_call(self):
        self.keys("init")
        self.add_vehicle()
        chip = Terminal("chip")
        self.add_signer(chip)
        cert, key = make_certificate(self.folder, "server")
        summary = os.path.join(self.folder, "calls")
        g = self.gateway(
            prefix=("env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-f", "-c", "-S", "name", "-o", summary),
            store={"conninfo": self.conninfo("haulgate_gateway")}, keys={"dir": self.keys_dir},
            listen={"tls": "127.0.0.1:0", "tls_certificate": cert, "tls_key": key}, spool={"segment_mib": 2})
        self.await_registry(g)
        c = self.log_in(g)
        self.assertEqual(c.send(chip.report(self.now)).frame()[1:], (2, OK))
        for i in range(8):  # another segment, and an archive
            c.send(wire.frame_p(wire.REALTIME, os.urandom(60000)) * 5)
            self.assertEqual(len([c.frame() for _ in range(5)]), 5)
        with open(f"/proc/{g.process.pid}/task/{g.process.pid}/children") as f:
            gateway = int(f.read())
        with open(f"/proc/{gateway}/limits") as f:
            self.assertRegex(f.read(), r"Max core file size +0 +0 ")
        os.kill(gateway, signal.SIGHUP)
        self.assertEqual(c.send(wire.frame_p(wire.HEARTBEAT)).frame()[1:], (7, OK))
        os.kill(gateway, signal.SIGTERM)
        g.process.wait()
        with open(summary) as f:
            used = set(re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +\d+ +(?:\d+ +)?(\w+)$", f.read(), re.M)) - {"total"}
        self.assertIn("fdatasync", used)
        self.assertEqual(used - allowed_by(UNIT), set())


if __name__ == "__main__":
    unittest.main()
