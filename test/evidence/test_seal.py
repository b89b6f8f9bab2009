"""tools/seal and tools/verify end to end on real segments, with a second verifier.  test_seal.py PROGRAM..."""
import fcntl
import os
import re
import shutil
import sys
import unittest

import verify
import world
from world import ALGORITHMS, World, load, run, store

PROGRAMS = world.Programs(sys.argv[1:])


class Case(unittest.TestCase):
    algorithm = "ed25519"

    def setUp(self):
        self.world = World(PROGRAMS, self.algorithm)
        self.addCleanup(self.world.close)
        self.world.write()

    def good(self, out):
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        return out.stdout

    def bad(self, out, *words, code=1):
        self.assertEqual(out.returncode, code, out.stdout + out.stderr)
        for word in words:
            self.assertIn(word, out.stdout + out.stderr)

    def second_opinion(self, name="package"):
        return verify.package(load(self.world.path(name)), verify.Key(load(self.world.public)))


class EndToEnd(Case):
    def test_every_algorithm(self):
        for algorithm in ALGORITHMS:
            with self.subTest(algorithm):
                w = World(PROGRAMS, algorithm)
                self.addCleanup(w.close)
                w.write()
                self.assertRegex(self.good(w.seal()), r"^sealed [6-9] segments")
                positions = w.positions()[:60:7]
                self.good(w.prove(positions))
                out = self.good(w.verify_package())
                self.assertEqual(out.count("ok  record at"), len(positions))
                key = verify.Key(load(w.public))
                self.assertEqual(key.kind, algorithm)
                self.assertEqual(verify.package(load(w.path("package")), key), [])
                self.assertEqual(verify.log(load(w.log + "/log"), load(w.log + "/checkpoint"), key), [])
                self.assertEqual(load(w.log + "/public.pem"), load(w.public))
                self.good(w.verify_log())
                self.assertIn("vouches for itself", self.good(run(PROGRAMS.verify, "--log", w.log)))
                # Somebody else's key.
                run(PROGRAMS.seal, "key", w.path("other"), "--algorithm", algorithm)
                self.bad(w.verify_package(key=w.path("other.pub")), "brings another one than yours")

    def test_every_record(self):
        self.good(self.world.seal())
        sealed = max(int(m) for m in re.findall(r" end=(\d+)", load(self.world.log + "/log").decode()))
        positions = [p for p in self.world.positions() if p < sealed]
        self.good(self.world.prove(positions))
        self.good(self.world.verify_package())
        self.assertEqual(self.second_opinion(), [])
        self.bad(self.world.prove([positions[0] + 8]), "no record begins at position")
        self.bad(self.world.prove([sealed + 8192]), "in no segment that was sealed")

    def test_log_grows(self):
        w = self.world
        exports = []
        for i in range(4):
            exports += ["--checkpoint", w.path(f"export{i}")]
            self.good(w.seal("--export", w.path(f"export{i}")))
            w.write(15)
        self.good(w.seal())
        self.assertEqual(self.good(w.verify_log(*exports)).count("are those it was made for"), 4)
        key = verify.Key(load(w.public))
        for i in range(4):
            self.good(run(PROGRAMS.seal, "grow", w.path(f"export{i}"), "--log", w.log, "--out", w.path(f"growth{i}")))
            self.assertEqual(self.good(w.verify_package(f"growth{i}")).count("ok  growth"), 2)
            self.assertEqual(verify.growth(load(w.path(f"growth{i}")), key), [])
        # One checkpoint's path for another, and no path at all.
        a, b = (load(w.path(f"growth{i}")).decode() for i in (0, 2))
        path = lambda text: text[text.index("path sha256="):]  # noqa: E731
        for forged in (a.replace(path(a), path(b)), a.replace(path(a), "path sha256= sm3=\n"), a + "\n"):
            store(w.path("forged"), forged.encode())
            self.bad(w.verify_package("forged"), "BAD")
            self.assertNotEqual(verify.growth(forged.encode(), key), [])
        before = load(w.log + "/checkpoint")
        self.assertRegex(self.good(w.seal()), "^sealed 0 segments")
        self.assertEqual(load(w.log + "/checkpoint"), before)
        # A log that was made anew is honest in itself; only the exports show it.
        shutil.rmtree(w.log)
        os.unlink(w.archives()[0])
        self.good(w.seal())
        self.good(w.verify_log())
        self.bad(w.verify_log(*exports), "are others than it was made for")
        self.bad(run(PROGRAMS.seal, "grow", w.path("export1"), "--log", w.log, "--out", w.path("growth")), "does not begin as")

    def test_long_log(self):
        """More than a run seals at once; and a kill that left them all without a checkpoint."""
        w = self.world
        empty = w.path("empty")
        os.mkdir(empty)
        self.good(run(PROGRAMS.seal, "run", empty, w.log, "--key", w.key))
        begun = load(w.log + "/checkpoint")
        self.assertIn(b"\nsize 0\n", begun)
        w.write(800)
        self.good(w.seal())
        lines = load(w.log + "/log")
        self.assertGreater(lines.count(b"\n"), 110)
        store(w.log + "/checkpoint", begun)
        self.good(w.seal())
        self.assertEqual(load(w.log + "/log"), lines)
        self.good(w.verify_log())

    def test_busy(self):
        self.good(self.world.seal())
        with open(self.world.log + "/log", "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.bad(self.world.seal(), "another process seals", code=2)
            self.bad(self.world.verify_log(), "seals into", code=2)

    def test_wrong_arguments(self):
        w = self.world
        self.good(w.seal())
        self.assertEqual(run(PROGRAMS.seal, "--help").returncode, 0)
        self.assertEqual(run(PROGRAMS.verify, "--help").returncode, 0)
        for out in (run(PROGRAMS.seal), run(PROGRAMS.seal, "run", w.spool, w.log), run(PROGRAMS.verify),
                    run(PROGRAMS.verify, "--log", w.path("nowhere"), "--key", w.public), w.verify_package("nowhere"),
                    w.seal("--gateway", "0"), w.seal("--gateway", "2"), w.seal("--origin", "two words"),
                    w.prove(["x"]), w.prove([8192, 8192]), run(PROGRAMS.seal, "key", w.key),
                    run(PROGRAMS.verify, "--log", w.log, "--key", w.key)):
            self.assertEqual(out.returncode, 2, out.stdout + out.stderr)

    def test_key_file(self):
        for mode in (0o644, 0o640, 0o604):
            os.chmod(self.world.key, mode)
            self.bad(self.world.seal(), "key", code=2)
            self.assertFalse(os.path.exists(self.world.log))
        os.chmod(self.world.key, 0o600)
        self.assertEqual(os.stat(self.world.key).st_mode & 0o777, 0o600)
        self.good(self.world.seal())

    def test_spool_is_only_read(self):
        before = {p: (load(p), os.stat(p).st_mtime_ns) for p in self.world.archives()}
        names = sorted(os.listdir(self.world.spool))
        self.good(self.world.seal())
        self.assertEqual({p: (load(p), os.stat(p).st_mtime_ns) for p in self.world.archives()}, before)
        self.assertEqual(sorted(os.listdir(self.world.spool)), names)


class Refusals(Case):
    """What does not agree is refused, and nothing is written."""

    def setUp(self):
        super().setUp()
        self.good(self.world.seal())
        self.log, self.checkpoint = load(self.world.log + "/log"), load(self.world.log + "/checkpoint")
        self.world.write(15)

    def refused(self, *words, options=()):
        names = ("log", "checkpoint")
        before = [load(os.path.join(self.world.log, n)) if os.path.exists(os.path.join(self.world.log, n)) else None for n in names]
        self.bad(self.world.seal(*options), *words)
        after = [load(os.path.join(self.world.log, n)) if os.path.exists(os.path.join(self.world.log, n)) else None for n in names]
        self.assertEqual(after, before)

    def test_changed_line(self):
        store(self.world.log + "/log", self.log.replace(b"records=1", b"records=2", 1))
        self.refused("do not have the checkpoint's SHA-256 root")

    def test_lost_line(self):
        store(self.world.log + "/log", self.log[self.log.index(b"\n") + 1:])
        self.refused("the checkpoint covers")

    def test_no_checkpoint(self):
        os.unlink(self.world.log + "/checkpoint")
        self.refused("somebody removed it")

    def test_other_key(self):
        os.unlink(self.world.key)
        os.unlink(self.world.public)
        run(PROGRAMS.seal, "key", self.world.key)
        self.refused("was not signed with this key")

    def test_changed_checkpoint(self):
        store(self.world.log + "/checkpoint", self.checkpoint.replace(b"origin haulgate", b"origin haulgatf"))
        self.refused("was not signed with this key")

    def test_older_checkpoint(self):
        """Put back to hide segments: their lines are still there, and the spool does not have them any more."""
        self.good(self.world.seal())
        store(self.world.log + "/checkpoint", self.checkpoint)
        sealed = len(load(self.world.log + "/log").splitlines())
        for path in self.world.archives()[len(self.log.splitlines()):sealed]:
            os.unlink(path)
        self.refused("lines behind the checkpoint are of segments that the spool does not have")

    def test_line_that_no_checkpoint_covers(self):
        forged = self.log.splitlines()[-1].replace(b"records=1", b"records=2")
        store(self.world.log + "/log", self.log + forged + b"\n")
        self.refused("says something else of segment")

    def test_half_a_line(self):
        store(self.world.log + "/log", self.log + self.log[:100])
        self.bad(self.world.verify_log(), "100 bytes stand behind the last line")
        self.good(self.world.seal())
        self.good(self.world.verify_log())
        # And where nothing new comes to stand over it.
        with open(self.world.log + "/log", "ab") as f:
            f.write(self.log[:100])
        self.good(self.world.seal())
        self.good(self.world.verify_log())

    def test_damaged_segment(self):
        new = self.world.archives()[len(self.log.splitlines())]
        world.archive_write(new, self.flipped(world.archive_read(new)))
        self.bad(self.world.seal(), "flaw: segment " + os.path.basename(new)[:16], "is not sealed")
        self.assertEqual(load(self.world.log + "/log"), self.log)
        self.good(self.world.seal("--damaged"))
        self.assertRegex(load(self.world.log + "/log").decode(), r"flaws=[1-9]")
        self.good(self.world.verify_log())

    @staticmethod
    def flipped(segment):
        return segment[:8192 + 50] + bytes([segment[8192 + 50] ^ 1]) + segment[8192 + 51:]

    def test_gap(self):
        os.unlink(self.world.archives()[len(self.log.splitlines())])
        self.bad(self.world.seal(), "the segment before it is missing")
        self.good(self.world.seal("--damaged"))
        self.good(self.world.verify_log())


class Forgeries(Case):
    """Somebody who knows the formats and mends what he changed."""

    def setUp(self):
        super().setUp()
        self.good(self.world.seal("--export", self.world.path("export")))
        self.victim = self.world.archives()[2]

    def test_mended_segment(self):
        world.archive_write(self.victim, world.forge(world.archive_read(self.victim)))
        # He was good: the segment itself shows nothing (its successor's link does).
        shutil.copytree(self.world.spool, self.world.path("alone"))
        for path in self.world.archives()[3:]:
            os.unlink(path.replace("/spool/", "/alone/"))
        out = run(PROGRAMS.spool, "check", self.world.path("alone"))
        self.assertNotIn(os.path.basename(self.victim)[:16] + ", positions", out.stdout)
        self.bad(self.world.verify_log(), "its records are not those that were sealed")
        self.bad(self.world.prove([int(os.path.basename(self.victim)[:16], 16) + 8192]), "is not what was sealed")

    def test_other_compression(self):
        world.archive_write(self.victim, world.archive_read(self.victim), level=9)
        self.bad(self.world.verify_log(), "its file is not, byte for byte")

    def test_header(self):
        segment = bytearray(world.archive_read(self.victim))
        for copy in (0, 4096):
            segment[copy + 72] ^= 1  # made at
            segment[copy + 4092:copy + 4096] = world.zlib.crc32(bytes(segment[copy:copy + 4092])).to_bytes(4, "little")
        world.archive_write(self.victim, bytes(segment))
        self.bad(self.world.verify_log(), "its file is not, byte for byte")

    def test_gone_and_strange(self):
        os.rename(self.victim, self.world.path("away"))
        self.bad(self.world.verify_log(), "it is gone")
        self.good(self.world.verify_log("--from", str(1 << 40)))
        strange = os.path.join(os.path.dirname(self.victim), f"{int(os.path.basename(self.victim)[:16], 16) + 512:016x}.segz")
        shutil.copy(self.world.path("away"), strange)
        os.rename(self.world.path("away"), self.victim)
        self.bad(self.world.verify_log(), "the log does not know it")

    def test_new_key_over_all(self):
        """The whole log signed again with a key of his own, and his public key in the folder."""
        shutil.rmtree(self.world.log)
        theirs = World(PROGRAMS)
        self.addCleanup(theirs.close)
        run(PROGRAMS.seal, "run", self.world.spool, self.world.log, "--key", theirs.key)
        self.bad(self.world.verify_log(), "it was not signed with this key")
        self.bad(self.world.verify_log("--checkpoint", theirs.public), "is no checkpoint")

    def test_record_of_another_place(self):
        """A sound record with another's number, position or path; a package of another log's checkpoint."""
        first, second = self.world.positions()[:2]
        self.good(self.world.prove([first, second]))
        text = load(self.world.path("package")).decode()
        a, b = (line for line in text.split("\n") if line.startswith("record "))
        body = lambda line: line[line.index(" bytes="):]  # noqa: E731
        for name, forged in (
                ("swapped bytes", text.replace(body(a), "@").replace(body(b), body(a)).replace("@", body(b))),
                ("position", text.replace(f"position={first} ", f"position={first + 8} ")),
                ("index", text.replace("record index=1 ", "record index=2 ")),
                ("twice", text.replace(a, a + "\n" + a).replace("records=2", "records=3")),
                ("order", text.replace(a + "\n" + b, b + "\n" + a)),
                ("fewer", text.replace(a + "\n", "")),
                ("other case", text.replace(body(a), body(a).upper().replace("BYTES", "bytes"))),
                ("no end", text[:text.index("end records")]),
                ("behind", text + "\n")):
            with self.subTest(name):
                self.assertNotEqual(forged, text)
                store(self.world.path("forged"), forged.encode())
                self.bad(self.world.verify_package("forged"), "BAD")
                self.assertNotEqual(self.second_opinion("forged"), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
