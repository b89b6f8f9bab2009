#!/usr/bin/python3
"""What is not the truth is refused, and kept out of the store: forged, damaged, foreign, too old."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_matrix import Cell, MatrixTest  # noqa: E402
from gateway import await_that, wire  # noqa: E402
from registry import BAD, OK  # noqa: E402
from terminal import CHIP, CIPHERS, PROTOCOLS, Signer  # noqa: E402

AT_ONCE = 50
HJ_V, HJ_P, EV_2025 = PROTOCOLS[3], PROTOCOLS[5], PROTOCOLS[7]
SM2, DEFAULT = "sm2 (chip id)", "sm2 (default id)"


def flipped(unit, bit):
    changed = bytearray(unit)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Refusals(MatrixTest):
    """Every vehicle is in a fleet that wants signatures."""

    def vehicle(self, protocol, cipher, signature, number=1):
        cell, signer = Cell(number, protocol, cipher, signature), Signer(number)
        self.register([cell], signer)
        self.sql("INSERT INTO fleet (name, signature) VALUES ('strict', 'required') ON CONFLICT DO NOTHING; "
                 "UPDATE vehicle SET fleet_id = (SELECT id FROM fleet)")
        return cell, signer

    def register(self, some, signer):
        """As for the matrix, for one vehicle without some of the keys."""
        for c in some:
            self.sql(f"INSERT INTO vehicle (vin) VALUES ('{c.vin}')")
            if c.cipher[0] in ("sm4", "aes128"):
                self.symmetric(c)
            elif c.cipher[0] != "none":
                self.sql("INSERT INTO terminal_key (vehicle_id, purpose, algorithm, mode) SELECT id, 'encrypt', "
                         f"'{c.cipher[0]}', '{c.cipher[1]}' FROM vehicle WHERE vin = '{c.vin}'")
            if c.signature != "none":
                self.sign_with(c, signer)

    def sign_with(self, cell, signer, **columns):
        algorithm, public = signer.public(cell.signature)
        columns = {"chip_id": f"'{signer.chip}'" if algorithm == "sm2" else "NULL", **columns}
        self.sql(f"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, public_key, {', '.join(columns)}) SELECT "
                 f"id, 'sign', '{algorithm}', decode('{public.hex()}', 'hex'), {', '.join(columns.values())} "
                 f"FROM vehicle WHERE vin = '{cell.vin}'")

    def open(self, g, cell):
        c, p = self.client(g), cell.protocol
        c.send(p.frame(wire.LOGIN, p.login_unit(self.now), cell.vin))
        self.assertEqual(c.frame()[1], wire.LOGIN)
        return c

    def refused(self, g, cell, client, units, good, byte=None):
        """All of them by an error answer, or by silence; then the good one is taken."""
        frames = [cell.protocol.frame(wire.REALTIME, u, cell.vin, byte or cell.byte) for u in units]
        good = cell.protocol.frame(wire.REALTIME, good, cell.vin, cell.byte)
        if cell.protocol.header == "V":
            client.send(*frames, good)
            self.assertEqual(client.frame()[1], wire.REALTIME)
            self.assertTrue(client.silent(0.2), "more than one frame was answered")
            return
        for i in range(0, len(frames), AT_ONCE):
            some = frames[i:i + AT_ONCE]
            client.send(*some)
            answers = [client.frame() for _ in some]
            self.assertEqual({a[2] for a in answers}, {BAD}, f"units {i}..: {[a[2] for a in answers]}")
        self.assertEqual(client.send(good).frame()[1:], (wire.REALTIME, OK))

    def only_one_was_stored(self, g):
        await_that("the good one", lambda: self.sql("SELECT count(*) FROM track") == "1")
        accepted = [r for r in self.reports(g) if r.verdict == "accepted"]
        self.assertEqual(len(accepted), 1)
        self.assertEqual(self.sql("SELECT count(*) FROM track"), "1")

    def every_bit(self, protocol, signature):
        cell, signer = self.vehicle(protocol, ("none", "", ""), signature)
        g = self.start_matrix()
        unit = signer.signed(protocol, signature, protocol.report_unit(self.now))
        changes = [flipped(unit, bit) for bit in range(8 * len(unit))]
        self.refused(g, cell, self.open(g, cell), changes, unit)
        self.only_one_was_stored(g)
        return len(changes)

    def test_every_bit_of_an_hj_1239_unit_header_p(self):
        self.assertEqual(self.every_bit(HJ_P, SM2), 8 * (8 + 3 * 44 + 66))

    def test_every_bit_of_an_hj_1239_unit_header_v(self):
        self.every_bit(HJ_V, DEFAULT)

    def test_every_bit_of_a_2025_unit_signed_with_sm2(self):
        self.every_bit(EV_2025, SM2)

    def test_every_bit_of_a_2025_unit_signed_with_p256(self):
        self.every_bit(EV_2025, "p256")

    def test_every_bit_of_a_2025_unit_signed_with_rsa(self):
        self.every_bit(EV_2025, "rsa")

    def test_ciphertext_of_each_way(self):
        """Forty bits of each, drawn with a fixed seed, the first and the last among them."""
        gateway, draw = self.gateway_keys(), random.Random(1)
        some = [Cell(i + 1, HJ_P, cipher, SM2) for i, cipher in enumerate(CIPHERS)]
        for cell in some:
            self.vehicle(HJ_P, cell.cipher, SM2, cell.number)
        g = self.start_matrix()
        failures = set()
        clients = [self.open(g, cell) for cell in some]
        for cell, client in zip(some, clients):
            signer = Signer(cell.number)
            unit = cell.seal(signer.signed(HJ_P, SM2, HJ_P.report_unit(self.now)), gateway)
            bits = {0, 8 * len(unit) - 1, *draw.sample(range(8 * len(unit)), 38)}
            frames = [HJ_P.frame(wire.REALTIME, flipped(unit, b), cell.vin, cell.byte) for b in bits]
            answers = [client.send(f).frame() for f in frames]
            failures |= {a[0].replace(cell.vin.encode(), b"V" * 17)[:24] for a in answers}
            self.assertEqual(client.send(HJ_P.frame(wire.REALTIME, unit, cell.vin, cell.byte)).frame()[2], OK,
                             str(cell))
        # One and the same head, whatever went wrong: nothing for an oracle to ask.
        self.assertEqual(len(failures), 1, failures)
        self.assertEqual(next(iter(failures))[3], BAD)
        accepted = [r for r in self.reports(g) if r.verdict == "accepted"]
        self.assertEqual(len(accepted), len(some))

    def verdict_of(self, cell, g, unit):
        c = self.open(g, cell)
        frame = cell.protocol.frame(wire.REALTIME, unit, cell.vin, cell.byte)
        self.assertEqual(c.send(frame).frame()[1:], (wire.REALTIME, BAD))
        return [r.verdict for r in self.reports(g)]

    def signed(self, signer):
        return signer.signed(HJ_P, SM2, HJ_P.report_unit(self.now))

    def test_the_key_of_another_vehicle(self):
        cell, _ = self.vehicle(HJ_P, ("none", "", ""), SM2)
        _, other = self.vehicle(HJ_P, ("none", "", ""), SM2, 2)
        self.assertEqual(self.verdict_of(cell, self.start_matrix(), self.signed(other)), ["signature_bad"])

    def test_no_signature(self):
        cell, _ = self.vehicle(HJ_P, ("none", "", ""), SM2)
        self.assertEqual(self.verdict_of(cell, self.start_matrix(), HJ_P.report_unit(self.now)),
                         ["signature_missing"])

    def test_no_key(self):
        cell, _ = self.vehicle(HJ_P, ("none", "", ""), "none")
        self.assertEqual(self.verdict_of(cell, self.start_matrix(), self.signed(Signer(1))), ["signature_key"])

    def test_a_key_that_is_over(self):
        cell, _ = self.vehicle(HJ_P, ("none", "", ""), "none")
        cell.signature = SM2
        self.sign_with(cell, Signer(1), valid_from="now() - interval '2 days'", valid_to="now() - interval '1 day'")
        self.assertEqual(self.verdict_of(cell, self.start_matrix(), self.signed(Signer(1))), ["signature_key"])

    def test_a_key_that_is_not_good_yet(self):
        cell, _ = self.vehicle(HJ_P, ("none", "", ""), "none")
        cell.signature = SM2
        self.sign_with(cell, Signer(1), valid_from="now() + interval '1 day'")
        self.assertEqual(self.verdict_of(cell, self.start_matrix(), self.signed(Signer(1))), ["signature_key"])

    def test_a_key_revoked_while_the_session_is_open(self):
        cell, signer = self.vehicle(HJ_P, ("none", "", ""), SM2)
        g = self.start_matrix()
        c = self.open(g, cell)
        good = HJ_P.frame(wire.REALTIME, self.signed(signer), cell.vin)
        self.assertEqual(c.send(good).frame()[2], OK)
        self.sql("UPDATE terminal_key SET state = 'revoked'")
        self.assertIsNone(c.frame())
        self.assertEqual(self.open(g, cell).send(good).frame()[2], BAD)

    def test_ciphertext_without_a_key(self):
        cell, signer = self.vehicle(HJ_P, ("none", "", ""), SM2)
        g = self.start_matrix()
        cell.byte = HJ_P.codes["sm4"]
        self.assertEqual(self.verdict_of(cell, g, os.urandom(208)), ["encrypted"])


if __name__ == "__main__":
    unittest.main()
