"""What the tests of the evidence log share: a real spool, a log over it, its keys, and the programs.

Each test's arguments are the paths of the programs: SEAL VERIFY SPOOL SPOOL_WRITER [KILL_AT].
"""
import glob
import json
import os
import shutil
import subprocess
import tempfile
import zlib

PARENT = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
ALGORITHMS = ("ed25519", "sm2")


class Programs:
    def __init__(self, paths):
        self.seal, self.verify, self.spool, self.writer = paths[:4]
        self.kill_at = paths[4] if len(paths) > 4 else None


def run(*arguments, **options):
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True, errors="replace", timeout=120, **options)


class World:
    """A folder with spool, log, key and key.pub; gone with close()."""

    def __init__(self, programs, algorithm="ed25519"):
        self.programs = programs
        self.parent = tempfile.mkdtemp(prefix="haulgate-evidence.", dir=PARENT)
        self.spool, self.log, self.key = (os.path.join(self.parent, n) for n in ("spool", "log", "key"))
        self.public = self.key + ".pub"
        made = run(programs.seal, "key", self.key, "--algorithm", algorithm)
        assert made.returncode == 0, made.stderr

    def close(self):
        shutil.rmtree(self.parent)

    def path(self, name):
        return os.path.join(self.parent, name)

    def write(self, batches=40):
        """More records; all segments but the last are archived."""
        subprocess.run([self.programs.writer, "write", self.spool, self.path("ack"), "--batches", str(batches), "--release"],
                       check=True, timeout=60)

    def archives(self):
        return sorted(glob.glob(os.path.join(self.spool, "archive", "*.segz")))

    def seal(self, *options):
        return run(self.programs.seal, "run", self.spool, self.log, "--key", self.key, *options)

    def positions(self):
        out = run(self.programs.spool, "print", self.spool, "--json")
        return [json.loads(line)["position"] for line in out.stdout.splitlines()]

    def prove(self, positions, name="package"):
        return run(self.programs.seal, "prove", *positions, "--spool", self.spool, "--log", self.log, "--out", self.path(name))

    def verify_package(self, name="package", key=None):
        return run(self.programs.verify, self.path(name), "--key", key or self.public)

    def verify_log(self, *options):
        return run(self.programs.verify, "--log", self.log, "--key", self.public, "--spool", self.spool, *options)


def load(path):
    with open(path, "rb") as f:
        return f.read()


def store(path, data):
    with open(path, "wb") as f:
        f.write(data)


# ---- archives, as docs/spool.md draws them: for somebody who mends what he changed ----

BLOCK = 256 * 1024


def archive_read(path):
    data = load(path)
    footer = data[-128:]
    offset, blocks = int.from_bytes(footer[24:32], "little"), int.from_bytes(footer[32:40], "little")
    out, at = b"", 0
    for i in range(blocks):
        size = int.from_bytes(data[offset + 4 * i:offset + 4 * i + 4], "little")
        out += zlib.decompress(data[at:at + size])
        at += size
    return out


def archive_write(path, segment, level=6):
    import hashlib
    blocks = [zlib.compress(segment[i:i + BLOCK], level) for i in range(0, len(segment), BLOCK)]
    body = b"".join(blocks)
    sizes = b"".join(len(b).to_bytes(4, "little") for b in blocks)
    footer = (b"HAULARC1" + (1).to_bytes(4, "little") + BLOCK.to_bytes(4, "little") + len(segment).to_bytes(8, "little")
              + len(body).to_bytes(8, "little") + len(blocks).to_bytes(8, "little") + hashlib.sha256(segment).digest())
    footer += bytes(124 - len(footer))
    store(path, body + sizes + footer + zlib.crc32(sizes + footer).to_bytes(4, "little"))


def forge(segment):
    """Another payload in the last record, with every checksum and the chain mended: as good as a real segment."""
    import hashlib
    b = bytearray(segment)
    salt = zlib.crc32(bytes(b[16:32]))
    chain, at, group, last = bytes(b[80:112]), 8192, [], None
    records = []
    while at + 64 <= len(b):
        if b[at:at + 4] == b"HGR1":
            size = 32 + (int.from_bytes(b[at + 4:at + 8], "little") + 7) // 8 * 8
            group.append((at, size))
            at += size
        elif b[at:at + 4] == b"HGM1" and int.from_bytes(b[at + 4:at + 8], "little") > 0:
            last = (chain, list(group), at)
            records += group
            chain, group = bytes(b[at + 24:at + 56]), []
            at = (at + 64 + 511) // 512 * 512
        else:
            break
    before, group, mark = last
    at, size = group[-1]
    b[at + 32 + 9] ^= 1
    b[at + 24:at + 28] = zlib.crc32(bytes(b[at + 8:at + 16] + b[at + 32:at + size]), salt).to_bytes(4, "little")
    b[at + 28:at + 32] = zlib.crc32(bytes(b[at:at + 28]), salt).to_bytes(4, "little")
    b[mark + 24:mark + 56] = hashlib.sha256(before + b"".join(bytes(b[o:o + n]) for o, n in group)).digest()
    b[mark + 60:mark + 64] = zlib.crc32(bytes(b[mark:mark + 60]), salt).to_bytes(4, "little")
    closing = (mark + 64 + 511) // 512 * 512
    if b[closing:closing + 4] == b"HGM1":
        b[closing + 24:closing + 56] = b[mark + 24:mark + 56]
        b[closing + 60:closing + 64] = zlib.crc32(bytes(b[closing:closing + 60]), salt).to_bytes(4, "little")
    return bytes(b)
