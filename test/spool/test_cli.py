#!/usr/bin/env python3
"""tools/spool as an operator uses it: list, check, print, exit codes.  test_cli.py HAULGATE_SPOOL SPOOL_WRITER"""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest
import zlib

PROGRAM, WRITER = sys.argv[1:3]
HEADER_SIZE = 8192


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


class Spool(unittest.TestCase):
    def setUp(self):
        self.parent = tempfile.TemporaryDirectory()
        self.dir = os.path.join(self.parent.name, "spool")
        # 40 batches: several segments, all but the last archived.
        subprocess.run([WRITER, "write", self.dir, os.path.join(self.parent.name, "ack"), "--batches", "40", "--release"],
                       check=True, timeout=60)

    def tearDown(self):
        self.parent.cleanup()

    def newest(self, pattern):
        return sorted(glob.glob(os.path.join(self.dir, pattern)))[-1]

    def flip(self, path, offset):
        with open(path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 1]))

    def test_list(self):
        out = run("list", self.dir)
        self.assertEqual(out.returncode, 0, out.stderr)
        rows = out.stdout.splitlines()[1:]
        self.assertGreater(len(rows), 3)
        self.assertEqual([r.split()[1] for r in rows], ["archived"] * (len(rows) - 1) + ["live"])
        self.assertEqual(rows[0].split()[3], "1")

    def test_check_good(self):
        out = run("check", self.dir)
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        self.assertIn("0 damaged places, 0 records lost", out.stdout)

    def test_check_names_the_place(self):
        path = self.newest("*.seg")
        self.flip(path, HEADER_SIZE + 200)
        out = run("check", self.dir)
        self.assertEqual(out.returncode, 1)
        self.assertIn("damaged: segment " + os.path.basename(path)[:16], out.stdout)
        out = run("print", self.dir)
        self.assertEqual(out.returncode, 1)
        self.assertIn("checksum", out.stderr)

    def test_check_archive(self):
        self.flip(self.newest("archive/*.segz"), 300)
        self.assertEqual(run("check", self.dir).returncode, 1)

    def test_check_missing_segment(self):
        os.unlink(sorted(glob.glob(os.path.join(self.dir, "archive/*.segz")))[1])
        out = run("check", self.dir)
        self.assertEqual(out.returncode, 1)
        self.assertIn("the segment before it is missing", out.stdout)

    def test_check_forged_record(self):
        """A record changed by somebody who mends its checksums: only the chain tells."""
        path = self.newest("*.seg")
        with open(path, "rb") as f:
            b = bytearray(f.read())
        at, salt = HEADER_SIZE, zlib.crc32(b[16:32])
        size = (int.from_bytes(b[at + 4:at + 8], "little") + 7) // 8 * 8
        b[at + 32 + 9] ^= 1
        b[at + 24:at + 28] = zlib.crc32(b[at + 8:at + 16] + b[at + 32:at + 32 + size], salt).to_bytes(4, "little")
        b[at + 28:at + 32] = zlib.crc32(b[at:at + 28], salt).to_bytes(4, "little")
        with open(path, "wb") as f:
            f.write(b)
        self.assertEqual(run("print", self.dir).returncode, 0)
        out = run("check", self.dir)
        self.assertEqual(out.returncode, 1)
        self.assertIn("chain does not fit", out.stdout)

    def test_print(self):
        out = run("print", self.dir, "--json", "--count", "5")
        rows = [json.loads(line) for line in out.stdout.splitlines()]
        self.assertEqual([r["sequence"] for r in rows], [1, 2, 3, 4, 5])
        self.assertEqual(int.from_bytes(bytes.fromhex(rows[2]["payload"])[:8], "little"), 3)
        out = run("print", self.dir, "--from", str(rows[3]["position"]), "--count", "1", "--json")
        self.assertEqual(json.loads(out.stdout)["sequence"], 4)
        everything = run("print", self.dir).stdout.splitlines()
        self.assertEqual(len(everything), int(run("check", self.dir).stdout.split(" records")[0].split()[-1]))

    def test_arguments(self):
        self.assertEqual(run("--help").returncode, 0)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("bogus", self.dir).returncode, 2)
        self.assertEqual(run("list", self.dir + "/nowhere").returncode, 2)
        self.assertEqual(run("print", self.dir, "--count", "x").returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
