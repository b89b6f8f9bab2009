"""Random edits of archive, log, checkpoint and package: every one is found.  test_tamper.py PROGRAM... [--edits N] [--seed N]

Method: one edit at a time on a sound world, tools/verify must say that it is not; then the world is mended.  An edit that leaves
all bytes as they were is not counted.  The second verifier judges each edited package, log and checkpoint too.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import time

import verify
import world
from world import ALGORITHMS, World, load, store


# ---- edits of bytes: (data, random) -> data ----

def span(data, r):
    a, b = sorted(r.sample(range(len(data) + 1), 2))
    return a, min(b, a + r.choice((1, 2, 8, 64, 4096)))


def flip(data, r):
    at = r.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << r.randrange(8)]) + data[at + 1:]


def byte(data, r):
    at = r.randrange(len(data))
    return data[:at] + bytes([r.choice(b"0123456789abcdef \n\0") if r.random() < 0.5 else r.randrange(256)]) + data[at + 1:]


def remove(data, r):
    a, b = span(data, r)
    return data[:a] + data[b:]


def cut(data, r):
    return data[:r.randrange(len(data))]


def append(data, r):
    a, b = span(data, r)
    return data + r.choice((b"\0", b"\n", data[a:b], r.randbytes(1 + r.randrange(600))))


def insert(data, r):
    at = r.randrange(len(data))
    return data[:at] + r.randbytes(1 + r.randrange(8)) + data[at:]


def zero(data, r):
    a, b = span(data, r)
    return data[:a] + bytes(b - a) + data[b:]


def repeat(data, r):
    a, b = span(data, r)
    return data[:b] + data[a:b] + data[b:]


def swap(data, r):
    a, b, c, d = sorted(r.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def lines(change):
    def edit(data, r):
        rows = data.split(b"\n")
        change(rows, r)
        return b"\n".join(rows)
    edit.__name__ = change.__name__
    return edit


@lines
def swap_lines(rows, r):
    i, j = r.randrange(len(rows)), r.randrange(len(rows))
    rows[i], rows[j] = rows[j], rows[i]


@lines
def remove_line(rows, r):
    del rows[r.randrange(len(rows))]


@lines
def repeat_line(rows, r):
    rows.insert(r.randrange(len(rows)), r.choice(rows))


@lines
def turn_lines(rows, r):
    rows.insert(0, rows.pop(r.randrange(len(rows))))


def number(data, r):
    """A number one more: what a liar would change."""
    m = r.choice(list(re.finditer(rb"(?<=[= ])\d{1,10}(?=[ \n])", data)))
    return data[:m.start()] + str(int(m.group()) + r.choice((1, -1, 8, 512))).encode() + data[m.end():]


def hash_swap(data, r):
    a, b = r.choice(list(re.finditer(rb"[0-9a-f]{64}", data))), r.choice(list(re.finditer(rb"[0-9a-f]{64}", data)))
    return data[:a.start()] + b.group() + data[a.end():]


BYTES = (flip, byte, remove, cut, append, insert, zero, repeat, swap)
TEXT = BYTES + (swap_lines, remove_line, repeat_line, turn_lines, number, hash_swap)


# ---- the world that is edited ----

class Rig:
    def __init__(self, programs, algorithm):
        self.world = w = World(programs, algorithm)
        w.write(25)
        assert w.seal("--export", w.path("export")).returncode == 0
        w.write(25)
        assert w.seal().returncode == 0
        positions = w.positions()
        assert w.prove(positions[:60:9]).returncode == 0
        assert world.run(programs.seal, "grow", w.path("export"), "--log", w.log, "--out", w.path("growth")).returncode == 0
        self.key = verify.Key(load(w.public))
        self.files = {p: load(p) for p in w.archives() + [w.log + "/log", w.log + "/checkpoint", w.path("export"), w.path("package"),
                                               w.path("growth")]}
        assert self.judge_log().returncode == 0 and self.judge_package().returncode == 0

    def judge_log(self):
        return self.world.verify_log("--checkpoint", self.world.path("export"))

    def judge_package(self, name="package"):
        return self.world.verify_package(name)

    def judge(self, what):
        name = what.split()[0]
        return self.judge_package(name) if name in ("package", "growth") else self.judge_log()

    def mend(self):
        for path in self.world.archives():
            if path not in self.files:
                os.unlink(path)
        for path, data in self.files.items():
            if not os.path.exists(path) or load(path) != data:
                store(path, data)

    def changed(self):
        return set(self.world.archives()) != {p for p in self.files if p.endswith(".segz")} or any(
            not os.path.exists(p) or load(p) != data for p, data in self.files.items())

    def edit(self, r):
        """One random edit; says what it was."""
        w, what = self.world, r.choice(("archive", "archive", "archives", "log", "checkpoint", "export", "package", "package", "growth"))
        if what == "archives":
            return self.edit_archives(r)
        path = {"archive": r.choice(w.archives()), "log": w.log + "/log", "checkpoint": w.log + "/checkpoint",
                **{name: w.path(name) for name in ("export", "package", "growth")}}[what]
        edit = r.choice(BYTES if what == "archive" else TEXT)
        store(path, edit(load(path), r))
        return f"{what} {edit.__name__}"

    def edit_archives(self, r):
        """Deletes, swaps, copies, renames and moves whole segments."""
        a, b = r.sample(self.world.archives(), 2)
        kind = r.choice(("delete", "swap", "copy", "rename", "turn", "tail"))
        if kind == "delete":
            os.unlink(a)
        elif kind == "swap":
            data = load(a), load(b)
            store(a, data[1])
            store(b, data[0])
        elif kind == "copy":
            store(a, load(b))
        elif kind == "rename":
            os.rename(a, os.path.join(os.path.dirname(a), f"{r.randrange(1 << 12) * 512:016x}.segz"))
        elif kind == "turn":
            paths = self.world.archives()
            data = [load(p) for p in paths]
            for path, content in zip(paths, data[1:] + data[:1]):
                store(path, content)
        else:
            for path in self.world.archives()[r.randrange(len(self.world.archives())):]:
                os.unlink(path)
        return f"archives {kind}"

    def second_opinion(self, what):
        """Problems that Python finds; None: it does not look at that."""
        w = self.world
        if what.startswith("package"):
            return verify.package(load(w.path("package")), self.key)
        if what.startswith("growth"):
            return verify.growth(load(w.path("growth")), self.key)
        if what.startswith(("log", "checkpoint")):
            return verify.log(load(w.log + "/log"), load(w.log + "/checkpoint"), self.key)
        return None


def found(out):
    """Said in words, by a program that ended in good order."""
    return out.returncode == 1 and "NOT SOUND" in out.stdout


def main():
    a = argparse.ArgumentParser()
    a.add_argument("programs", nargs="+")
    a.add_argument("--edits", type=int, default=int(os.environ.get("EVIDENCE_EDITS", "400")))
    a.add_argument("--seed", type=int, default=1)
    a = a.parse_args()
    r = random.Random(a.seed)
    programs = world.Programs(a.programs)
    rigs = [Rig(programs, algorithm) for algorithm in ALGORITHMS]
    made, missed, disagreed, kinds, started = 0, [], [], {}, time.monotonic()
    while made < a.edits:
        rig = rigs[made % len(rigs)]
        what = rig.edit(r)
        if rig.changed():
            made += 1
            kinds[what] = kinds.get(what, 0) + 1
            try:
                out = rig.judge(what)
            except subprocess.TimeoutExpired:
                out = subprocess.CompletedProcess([], -1, "", "no end")
            if not found(out):
                missed.append(f"{what} (edit {made}): exit {out.returncode}\n{out.stdout}{out.stderr}")
            if rig.second_opinion(what) == []:
                disagreed.append(f"{what} (edit {made})")
        rig.mend()
        if sys.stderr.isatty():
            print(f"\r{made}/{a.edits}", end="", file=sys.stderr)
    for rig in rigs:
        assert rig.judge_log().returncode == 0 and rig.judge_package().returncode == 0
        rig.world.close()
    print(f"{made - len(missed)} of {made} edits found by tools/verify, {len(kinds)} kinds, {time.monotonic() - started:.0f} s; "
          f"{len(disagreed)} that the second verifier took for sound")
    for line in (missed + disagreed)[:10]:
        print("missed:", line)
    return 1 if missed or disagreed else 0


if __name__ == "__main__":
    sys.exit(main())
