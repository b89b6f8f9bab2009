"""A second verifier of evidence packages and logs, written from docs/evidence.md alone; nothing of the C code is here.

  package(data, key)            data: bytes of the package; key: a Key.  The problems found, [] when it is sound.
  growth(data, key)             the same of a proof of growth
  log(lines, checkpoint, key)   the same of the files <folder>/log and <folder>/checkpoint

As a program: verify.py PACKAGE --key PUBLIC.pem
"""
import base64
import datetime
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sm2  # noqa: E402

KINDS = ("sha256", "sm3")
HASH, NUMBER, NAME = r"([0-9a-f]{64})", r"(0|[1-9][0-9]{0,19})", r"([A-Za-z0-9._/-]{1,64})"
PATH = r"((?:[0-9a-f]{64}(?:,[0-9a-f]{64})*)?)"
CHECKPOINT = re.compile(
    rf"haulgate checkpoint 1\norigin {NAME}\nsize {NUMBER}\nsha256 {HASH}\nsm3 {HASH}\n"
    r"time ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\nclock (synchronised|unsynchronised|unknown)\n"
    rf"key (ed25519|sm2) {HASH}\nsignature ([0-9a-f]{{128}})\n")
SEGMENT = re.compile(rf"segment gateway={NUMBER} base={NUMBER} end={NUMBER} first={NUMBER} records={NUMBER} flaws={NUMBER} "
                     rf"chain={HASH} sha256={HASH} sm3={HASH} file-sha256={HASH} file-sm3={HASH}")
PLACE = re.compile(rf"log index={NUMBER} sha256={PATH} sm3={PATH}")
RECORD = re.compile(rf"record index={NUMBER} position={NUMBER} sha256={PATH} sm3={PATH} bytes=((?:[0-9a-f]{{2}})*)")
SM2_USER = "1234567812345678"


class Unreadable(Exception):
    pass


def number(text):
    if int(text) >= 1 << 64:
        raise Unreadable(f"the number {text}")
    return int(text)


# ---- the tree ----

def digest(kind, data):
    if kind == "sm3" and "sm3" not in hashlib.algorithms_available:
        return sm2.sm3(data)
    return hashlib.new(kind, data).digest()


def leaf_hash(kind, data):
    return digest(kind, b"\0" + data)


def node_hash(kind, left, right):
    return digest(kind, b"\1" + left + right)


def root_of(kind, leaves):
    if not leaves:
        return digest(kind, b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(kind, root_of(kind, leaves[:k]), root_of(kind, leaves[k:]))


def climb(kind, at, index, size, path):
    """The root that the path leads to; None: it is no path of this place.

    Told as in the definition: which neighbour stands where is found from the top, and used from the leaf up.
    """
    if index >= size:
        return None
    sides = []
    while size > 1:
        k = 1
        while 2 * k < size:
            k *= 2
        sides.append("right" if index < k else "left")
        index, size = (index, k) if index < k else (index - k, size - k)
    if len(path) != len(sides):
        return None
    for neighbour, side in zip(path, reversed(sides)):
        at = node_hash(kind, at, neighbour) if side == "right" else node_hash(kind, neighbour, at)
    return at


def hashes(text):
    return [bytes.fromhex(h) for h in text.split(",")] if text else []


# ---- keys and checkpoints ----

class Key:
    def __init__(self, pem):
        body = re.search(rb"-----BEGIN PUBLIC KEY-----(.*)-----END PUBLIC KEY-----", pem, re.S).group(1)
        self.der = base64.b64decode(body)
        self.id = hashlib.sha256(self.der).hexdigest()
        self.kind = "ed25519" if len(self.der) == 44 else "sm2"

    def signed(self, text, signature):
        if self.kind == "sm2":
            return sm2.verify(self.der[-64:], SM2_USER, text, signature[:32], signature[32:])
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        try:
            Ed25519PublicKey.from_public_bytes(self.der[-32:]).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Checkpoint:
    """Of the text at the front; end: where it ends."""

    def __init__(self, text):
        m = CHECKPOINT.match(text)
        if m is None:
            raise Unreadable("the checkpoint")
        self.origin, size, sha256, sm3, time, self.clock, self.kind, self.key, signature = m.groups()
        try:
            datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError as e:
            raise Unreadable("the checkpoint's time") from e
        self.size, self.end = number(size), m.end()
        self.root = {"sha256": bytes.fromhex(sha256), "sm3": bytes.fromhex(sm3)}
        self.text = text[:text.index("signature ")].encode()
        self.signature = bytes.fromhex(signature)

    def problems(self, key):
        if (self.kind, self.key) != (key.kind, key.id):
            return ["the checkpoint names another key"]
        return [] if key.signed(self.text, self.signature) else ["the checkpoint's signature is wrong"]


# ---- packages ----

class Package:
    def __init__(self, data, key):
        self.problems = []
        if any(b > 127 for b in data):
            raise Unreadable("a byte that is not ASCII")
        text = data.decode("ascii")
        first = "haulgate evidence 1\n"
        if not text.startswith(first):
            raise Unreadable("the first line")
        self.checkpoint = Checkpoint(text[len(first):])
        self.problems += self.checkpoint.problems(key)
        *self.lines, last = text[len(first) + self.checkpoint.end:].split("\n")
        if last:
            raise Unreadable("the last line, which does not end")
        if self.take(re.compile(r"public ([0-9a-f]+)"))[0] != key.der.hex():
            self.problems.append("the package brings another key")
        self.body()

    def take(self, form):
        if not self.lines:
            raise Unreadable("the end: something is missing")
        m = form.fullmatch(self.lines.pop(0))
        if m is None:
            raise Unreadable("a line")
        return m.groups()

    def body(self):
        last, count = -1, 0
        while self.lines and self.lines[0].startswith("segment "):
            last = self.segment(last)
            row = -1
            while row < 0 or (self.lines and self.lines[0].startswith("record ")):
                row = self.record(row)
                count += 1
        stated = number(self.take(re.compile(rf"end records={NUMBER}"))[0])
        if self.lines:
            raise Unreadable("something behind the end")
        if stated != count or count == 0:
            self.problems.append("another number of records than the package says")

    def segment(self, last):
        line = self.lines[0].encode() if self.lines else b""
        fields = self.take(SEGMENT)
        gateway, self.base, self.end, self.first, self.records, self.flaws = map(number, fields[:6])
        del gateway
        self.root = dict(zip(KINDS, map(bytes.fromhex, fields[7:9])))
        index, *paths = self.take(PLACE)
        index = number(index)
        if index <= last:
            raise Unreadable("segments out of order")
        for kind, path in zip(KINDS, paths):
            if climb(kind, leaf_hash(kind, line), index, self.checkpoint.size, hashes(path)) != self.checkpoint.root[kind]:
                self.problems.append(f"segment {self.base:016x} is not in the log ({kind})")
        return index

    def record(self, last):
        index, position, *paths, content = self.take(RECORD)
        index, position, content = number(index), number(position), bytes.fromhex(content)
        if index <= last:
            raise Unreadable("records out of order")
        for kind, path in zip(KINDS, paths):
            at = leaf_hash(kind, position.to_bytes(8, "little") + content)
            if climb(kind, at, index, self.records, hashes(path)) != self.root[kind]:
                self.problems.append(f"record at {position} is not in its segment ({kind})")
        length, sequence = int.from_bytes(content[4:8], "little"), int.from_bytes(content[8:16], "little")
        if (content[:4] != b"HGR1" or len(content) != 32 + (length + 7) // 8 * 8 or not self.base <= position < self.end
                or (self.flaws == 0 and sequence != self.first + index)):
            self.problems.append(f"record at {position} is none of its segment")
        return index


def package(data, key):
    try:
        return Package(data, key).problems
    except Unreadable as e:
        return [f"cannot be read: {e}"]


# ---- growth ----

def rebuild(kind, m, n, path, old_root, whole=True):
    """(root of the first m leaves, root of all n), by taking the path apart from its end as the definition put it together."""
    if m == n:
        return (old_root, old_root) if whole else (path[-1], path.pop())
    k = 1
    while 2 * k < n:
        k *= 2
    side = path.pop()
    if m <= k:
        was, left = rebuild(kind, m, k, path, old_root, whole)
        return was, node_hash(kind, left, side)
    was, right = rebuild(kind, m - k, n - k, path, old_root, False)
    return node_hash(kind, side, was), node_hash(kind, side, right)


def grew(kind, was, new, path):
    if was.size == 0:
        return not path and was.root[kind] == digest(kind, b"")
    try:
        roots = rebuild(kind, was.size, new.size, path, was.root[kind]) if was.size <= new.size else None
        return roots == (was.root[kind], new.root[kind]) and not path
    except IndexError:
        return False


def growth(data, key):
    first = "haulgate growth 1\n"
    try:
        text = data.decode("ascii", "replace")
        if not text.startswith(first):
            raise Unreadable("the first line")
        was = Checkpoint(text[len(first):])
        new = Checkpoint(text[len(first) + was.end:])
        paths = re.fullmatch(rf"path sha256={PATH} sm3={PATH}\n", text[len(first) + was.end + new.end:])
        if paths is None:
            raise Unreadable("the path")
    except Unreadable as e:
        return [f"cannot be read: {e}"]
    problems = was.problems(key) + new.problems(key) + ([] if was.origin == new.origin else ["two logs"])
    return problems + [f"the log did not only grow ({kind})" for kind, path in zip(KINDS, paths.groups())
                       if not grew(kind, was, new, hashes(path))]


def log(lines, checkpoint, key):
    try:
        c = Checkpoint(checkpoint.decode("ascii", "replace"))
        if c.end != len(checkpoint):
            raise Unreadable("something behind the checkpoint")
        *leaves, last = lines.split(b"\n")
        if last or len(leaves) != c.size or not all(SEGMENT.fullmatch(x.decode("ascii", "replace")) for x in leaves):
            raise Unreadable("the log's lines")
    except Unreadable as e:
        return [f"cannot be read: {e}"]
    return c.problems(key) + [f"the log does not have the checkpoint's root ({kind})" for kind in KINDS
                              if root_of(kind, [leaf_hash(kind, x) for x in leaves]) != c.root[kind]]


def main():
    if len(sys.argv) != 4 or sys.argv[2] != "--key":
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], "rb") as f, open(sys.argv[3], "rb") as k:
        problems = package(f.read(), Key(k.read()))
    print("\n".join(problems) if problems else "sound")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
