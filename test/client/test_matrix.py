#!/usr/bin/python3
"""Protocol x encryption x signature: each cell by an independent terminal on a real socket.

Every cell is a vehicle of its own in the registry.  It logs in and reports, encrypted; then the
spool must hold what was inside, with the keys that opened and verified it, and PostgreSQL its samples.
The table of docs/protocol.md is written from the outcome: test_matrix.py --write PAGE; the test
compares it (HAULGATE_PAGE).
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ingest"))
from cryptography.hazmat.primitives import serialization  # noqa: E402
from gateway import await_that, wire  # noqa: E402
from registry import OK, RegistryTest, openssl  # noqa: E402
from terminal import CIPHERS, CHIP, PROTOCOLS, Gateway, Signer  # noqa: E402

BEGIN, END = "<!-- what is accepted: begin -->", "<!-- what is accepted: end -->"
PAGE = os.environ.get("HAULGATE_PAGE")
PLAIN = ("none", "", "")
COLUMNS = ("none", "rsa", "sm2", "sm4", "aes128")
UNDEFINED = {"B+sig"}


class Cell:
    def __init__(self, number, protocol, cipher, signature):
        self.number, self.protocol, self.cipher, self.signature = number, protocol, cipher, signature
        self.vin = f"MATRXX{number:011d}"
        self.key, self.iv = bytes(range(number % 200, number % 200 + 16)), bytes(range(number % 99, number % 99 + 16))
        self.byte = protocol.codes[cipher[0]] if cipher != PLAIN else 1
        self.unit = None

    def __str__(self):
        return f"{self.protocol.name} / {' '.join(self.cipher)} / {self.signature}"

    def seal(self, unit, gateway):
        if self.cipher == PLAIN:
            return unit
        return CIPHERS[self.cipher](unit, gateway, self.key, self.iv)


def cells():
    """Every combination that a protocol can say."""
    made = []
    for protocol in PROTOCOLS:
        for cipher in [PLAIN, *CIPHERS]:
            if cipher == PLAIN or cipher[0] in protocol.codes:
                made += [(protocol, cipher, s) for s in protocol.signatures]
    return [Cell(i + 1, *one) for i, one in enumerate(made)]


def table(done):
    """Markdown; a cell names how many ways of the cipher were taken, each with its own test."""
    rows = ["| protocol | signature | " + " | ".join(["plain", "RSA", "SM2", "SM4", "AES-128"]) + " |",
            "|---|---|" + "---|" * len(COLUMNS)]
    for protocol in PROTOCOLS:
        for signature in protocol.signatures:
            line = []
            for column in COLUMNS:
                found = [c for c in done if (c.protocol, c.signature, c.cipher[0]) == (protocol, signature, column)]
                line.append("no code" if not found else "taken" if column == "none" else f"taken, {len(found)} ways")
            shown = "bodies, not verifiable" if protocol.layout in UNDEFINED else signature
            rows.append(f"| {protocol.name} | {shown} | " + " | ".join(line) + " |")
    return "\n".join(rows)


def page_with(text, page):
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{text}\n\n{rest[rest.index(END):]}"


class MatrixTest(RegistryTest):
    def gateway_keys(self):
        """The gateway's pairs, made by the officer's tool, and their public halves."""
        self.keys("init")
        public = {}
        for name in os.listdir(self.keys_dir):
            if name.endswith(".pem"):
                pem = openssl("pkey", "-in", os.path.join(self.keys_dir, name), "-pubout")
                der = openssl("pkey", "-pubin", "-outform", "DER", data=pem)
                if b"rsa" in name.encode().lower():
                    public["rsa"] = serialization.load_der_public_key(der)
                else:
                    public["sm2"] = der[-64:]
        return Gateway(public["rsa"], public["sm2"])

    def symmetric(self, cell):
        """tools/keys wraps the secret: it never stands in the database as it is."""
        path = os.path.join(self.folder, "secret")
        with open(path, "w") as f:
            f.write(cell.key.hex() + ("\n" + cell.iv.hex() if cell.cipher[1] == "cbc-fixed" else ""))
        os.chmod(path, 0o600)
        self.keys("import", cell.vin, "--algorithm", cell.cipher[0], "--mode", cell.cipher[1], "--file", path)

    def register(self, some, signer):
        values = ", ".join(f"('{c.vin}')" for c in some)
        self.sql(f"INSERT INTO vehicle (vin) VALUES {values}")
        pairs = ", ".join(f"('{c.vin}', '{c.cipher[0]}', '{c.cipher[1]}')" for c in some
                          if c.cipher[0] in ("rsa", "sm2"))
        self.sql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, mode) SELECT v.id, 'encrypt', a, m "
                 f"FROM (VALUES {pairs}) AS k (vin, a, m) JOIN vehicle v USING (vin)")
        for c in some:
            if c.cipher[0] in ("sm4", "aes128"):
                self.symmetric(c)
        keys = []
        for c in some:
            if c.signature != "none":
                algorithm, public = signer.public(c.signature)
                chip = f"'{CHIP % c.number}'" if algorithm == "sm2" else "NULL"
                keys.append(f"('{c.vin}', '{algorithm}', {chip}, decode('{public.hex()}', 'hex'))")
        self.sql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, public_key) SELECT v.id, 'sign', "
                 f"k.a, k.c, k.p FROM (VALUES {', '.join(keys)}) AS k (vin, a, c, p) JOIN vehicle v USING (vin)")

    def start_matrix(self):
        """Patient: the tests forge more than a connection may."""
        return self.start(session={"answer_gb17691": "yes", "unknown_vehicle": "reject", "bad_frames_max": 100000},
                          limit={"source_logins": 0, "vin_frames": 0, "penalty_half_life_s": 0})

    def accepted(self, cell, client, command):
        answer = client.frame()
        self.assertIsNotNone(answer, f"{cell}: closed")
        self.assertEqual(answer[1], command, str(cell))
        if cell.protocol.header == "P":
            self.assertEqual(answer[2], OK, str(cell))


class Matrix(MatrixTest):
    def test_every_cell(self):
        gateway, signer, some = self.gateway_keys(), Signer(), cells()
        self.register(some, signer)
        g = self.start_matrix()
        at = self.now - len(some)
        for cell in some:
            signer.chip = CHIP % cell.number
            c, p = self.client(g), cell.protocol
            c.send(p.frame(wire.LOGIN, cell.seal(p.login_unit(at), gateway), cell.vin, cell.byte))
            self.accepted(cell, c, wire.LOGIN)
            cell.unit = signer.signed(p, cell.signature, p.report_unit(at))
            c.send(p.frame(wire.REALTIME, cell.seal(cell.unit, gateway), cell.vin, cell.byte))
            self.accepted(cell, c, wire.REALTIME)
            c.close()
        self.samples_arrive(some)
        self.spool_says_so(g, some)
        text = table(some)
        with open(PAGE, encoding="utf-8") as f:
            page = f.read()
        self.assertEqual(page_with(text, page), page, f"{PAGE} is stale: run with --write")

    def samples_arrive(self, some):
        ask = ("SELECT v.vin, t.sample_count, round(t.speed_kmh) FROM track t "
               "JOIN vehicle v ON v.id = t.vehicle_id")
        await_that("all tracks", lambda: self.sql("SELECT count(*) FROM track") == str(len(some)))
        stored = {row.split("|")[0]: row.split("|")[1:] for row in self.sql(ask).splitlines()}
        for c in some:
            self.assertEqual(stored[c.vin][0], str(c.protocol.samples), str(c))
            if c.protocol.layout not in ("EV", "EV-2025"):
                self.assertEqual(stored[c.vin][1], "41", str(c))  # of 40, 41 and 42 km/h

    def spool_says_so(self, g, some):
        keys = {}
        for row in self.sql("SELECT v.vin, purpose, k.id FROM terminal_key k JOIN vehicle v "
                            "ON v.id = vehicle_id").splitlines():
            vin, purpose, number = row.split("|")
            keys[vin, purpose] = int(number)
        records = {}
        for r in self.stored(g):
            at = 3 if r.raw[3] != wire.COMMAND else 4
            records[r.raw[at:at + 17].decode(), r.raw[2]] = r
        for c in some:
            for command in (wire.LOGIN, wire.REALTIME):
                r = records[c.vin, command]
                self.assertEqual(r.verdict, "accepted", str(c))
                if c.cipher == PLAIN:
                    self.assertIsNone(r.unit, str(c))
                elif command == wire.REALTIME:
                    self.assertEqual(r.unit, c.unit, str(c))
                    own = c.cipher[0] in ("sm4", "aes128")
                    self.assertIn(r.cipher_key, [keys[c.vin, "encrypt"]] + [0] * (not own), str(c))
            wanted = "undefined" if c.protocol.layout in UNDEFINED else \
                "none" if c.signature == "none" else "valid"
            self.assertEqual(r.signature, wanted, str(c))
            self.assertEqual(r.signature_key, keys[c.vin, "sign"] if wanted == "valid" else 0, str(c))
            users = {"sm2 (chip id)": 1, "sm2 (default id)": 2}
            self.assertEqual(r.signature_user, users.get(c.signature, 0), str(c))


def write(path):
    with open(path, encoding="utf-8") as f:
        page = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(page_with(table(cells()), page))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        write(sys.argv[2])
    else:
        unittest.main()
