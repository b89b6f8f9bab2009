"""tools/seal run, killed: the next run goes on, and the log is that of a run that nobody disturbed.  test_kill.py PROGRAM... [--all]

Method: kill_at stops it before its N-th system call, for a first run and one that goes on: every fifth N while the
program starts, every one from where it first changed something (--all: every N);
then at random moments, several times in a row, while the spool grows.  Between: no checkpoint without its lines.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import time
import unittest

import verify
import world
from world import World, load, run

ALL = "--all" in sys.argv
PROGRAMS = world.Programs([a for a in sys.argv[1:] if a != "--all"])


class Kill(unittest.TestCase):
    def setUp(self):
        self.world = World(PROGRAMS)
        self.addCleanup(self.world.close)
        self.world.write(25)
        self.key = verify.Key(load(self.world.public))

    def lines(self):
        return load(self.world.log + "/log") if os.path.exists(self.world.log + "/log") else b""

    def state(self):
        """The bytes of log and checkpoint; None: there is no checkpoint."""
        path = self.world.log + "/checkpoint"
        return self.lines(), load(path) if os.path.exists(path) else None

    def check_between(self, before):
        """What a checkpoint covers is there, and what was covered before still is."""
        path = self.world.log + "/checkpoint"
        if not os.path.exists(path):
            self.assertEqual(self.lines(), b"")
            return
        checkpoint = load(path)
        size = verify.Checkpoint(checkpoint.decode()).size
        covered = b"".join(line + b"\n" for line in self.lines().split(b"\n")[:size])
        self.assertEqual(verify.log(covered, checkpoint, self.key), [])
        self.assertTrue(self.lines().startswith(before))

    def undisturbed(self):
        out = run(PROGRAMS.seal, "run", self.world.spool, self.world.path("reference"), "--key", self.world.key)
        self.assertEqual(out.returncode, 0, out.stderr)
        return load(self.world.path("reference") + "/log")

    def sweep(self, start):
        """Kills before each call, from the state start (None: no log yet)."""
        reference, index, kills, fine = self.undisturbed(), 1, 0, ALL
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # it needs ptrace itself
        while True:
            shutil.rmtree(self.world.log, ignore_errors=True)
            before = b""
            if start is not None:
                shutil.copytree(start, self.world.log)
                before = self.lines()
            # dash asks for its parent when it begins, which is what kill_at counts from.
            out = run(PROGRAMS.kill_at, index, "sh", "-c", 'exec "$@"', "sh", PROGRAMS.seal, "run", self.world.spool, self.world.log,
                      "--key", self.world.key, env=environment)
            if out.returncode == 9:
                return kills
            if "killed before" not in out.stdout:
                self.skipTest("ptrace is not allowed here")
            kills += 1
            if not fine and self.state() != (before, start and load(start + "/checkpoint")):
                fine, index = True, max(index - 5, 1)
            self.check_between(before)
            again = self.world.seal()
            self.assertEqual(again.returncode, 0, f"call {index}: {again.stderr}")
            self.assertEqual(self.lines(), reference, f"call {index}")
            self.assertEqual(self.world.verify_log().returncode, 0, f"call {index}")
            index += 1 if fine else 5

    def test_first_run(self):
        print(f"{self.sweep(None)} kills of a first run")

    def test_going_on(self):
        self.assertEqual(self.world.seal().returncode, 0)
        start = self.world.path("start")
        shutil.copytree(self.world.log, start)
        self.world.write(25)
        print(f"{self.sweep(start)} kills of a run that goes on")

    def test_order_of_syncs(self):
        """What a kill does not show and a power cut would: each thing is synced before what rests on it is written."""
        self.assertEqual(self.world.seal().returncode, 0)
        self.world.write(25)
        trace = self.world.path("trace")
        out = run("strace", "-y", "-o", trace, "-e", "trace=pwrite64,fsync,rename", PROGRAMS.seal, "run", self.world.spool,
                  self.world.log, "--key", self.world.key, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
        if "PTRACE" in out.stderr or "ptrace" in out.stderr:
            self.skipTest("ptrace is not allowed here")
        self.assertEqual(out.returncode, 0, out.stderr)
        folder, calls = os.path.realpath(self.world.log), []
        for line in load(trace).decode("ascii", "replace").split("\n"):
            m = re.match(r'(pwrite64|fsync)\(\d+<([^>]*)>|(rename)\("([^"]*)"', line)
            if m and (m.group(2) or m.group(4)).startswith(folder):
                calls.append(f"{m.group(1) or m.group(3)} {(m.group(2) or m.group(4))[len(folder):]}")
        lines = [c for c in calls if c == "pwrite64 /log"]
        self.assertGreater(len(lines), 1)
        self.assertEqual(calls[:len(lines) + 5], lines + ["fsync /log", "pwrite64 /checkpoint.tmp", "fsync /checkpoint.tmp",
                                                          "rename /checkpoint.tmp", "fsync "])

    def test_random_moments(self):
        r = random.Random(5)
        kills, ended, started = 0, 0, time.monotonic()
        self.undisturbed()
        takes = time.monotonic() - started  # a sanitizer's run takes ten times as long
        shutil.rmtree(self.world.path("reference"))
        for _ in range(40):
            self.world.write(3)
            for _ in range(3):
                before = self.lines() if os.path.exists(self.world.log + "/checkpoint") else b""
                size = verify.Checkpoint(load(self.world.log + "/checkpoint").decode()).size if before else 0
                covered = b"".join(line + b"\n" for line in before.split(b"\n")[:size])
                p = subprocess.Popen([PROGRAMS.seal, "run", self.world.spool, self.world.log, "--key", self.world.key],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    p.wait(timeout=r.random() * takes)
                    self.assertEqual(p.returncode, 0)
                    ended += 1
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
                    kills += 1
                self.check_between(covered)
        self.assertEqual(self.world.seal().returncode, 0)
        self.assertEqual(self.lines(), self.undisturbed())
        self.assertEqual(self.world.verify_log().returncode, 0)
        print(f"{kills} kills at random moments, {ended} runs that ended first")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
