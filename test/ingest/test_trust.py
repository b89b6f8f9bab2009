"""Signatures and encryption: what a vehicle's keys and its fleet's policy make of a frame."""
import os
import signal
import unittest

from gateway import await_that, wire
from registry import BAD, DEFAULT_USER, OK, RegistryTest, Terminal, flip, openssl

KEY_KIND = 1
SIGNATURE_UNCHECKED, UNSIGNED, SIGNATURE_SKIPPED, ICCID_DIFFERS = 1 << 7, 1 << 4, 1 << 9, 1 << 10
PADDING_WRONG = 1 << 12
SM4_KEY = bytes(range(16))
SM2, SM4, RSA, AES = 2, 3, 4, 5  # the encryption byte of HJ 1239


class Trust(RegistryTest):
    def setUp(self):
        super().setUp()
        self.chip = Terminal("chip")

    def vehicle(self, **policy):
        self.add_vehicle(**policy)
        return self.add_signer(self.chip)

    def answers(self, client, *frames):
        client.send(*frames)
        return [client.frame()[1:] for _ in frames]


class Signatures(Trust):
    def test_a_valid_signature_is_kept_with_who_made_it(self):
        key = self.vehicle()
        g = self.start()
        c = self.log_in(g)
        reports = [self.chip.report(self.now), self.chip.report(self.now + 60, user=DEFAULT_USER),
                   wire.report_c(self.now + 120)]
        self.assertEqual(self.answers(c, *reports), [(2, OK)] * 3)
        self.assertEqual(g.metrics()["signatures_valid_total"], 2)
        by_chip, by_default, unsigned = self.reports(g)
        for r in by_chip, by_default:
            self.assertEqual((r.verdict, r.signature, r.signature_key, r.credential, r.quirks),
                             ("accepted", "valid", key, key * 4 + KEY_KIND, 0))
        self.assertEqual((by_chip.signature_user, by_default.signature_user), (1, 2))
        # Whoever can write into the connection is not the owner of the key.
        self.assertEqual((unsigned.signature, unsigned.credential, unsigned.quirks & UNSIGNED),
                         ("none", 0, UNSIGNED))

    def test_a_changed_unit_is_refused_under_any_policy(self):
        self.vehicle(signature="optional")
        g = self.start()
        good = self.chip.report(self.now)
        size = len(good) - 25
        c = self.log_in(g)
        # A coordinate, the serial, R, S; not the lengths, without which nothing is signed.
        for bit in (8 * 7, 8 * 50, 8 * (size - 40), 8 * (size - 1) + 7):
            self.assertEqual(self.answers(c, flip(good, bit)), [(2, BAD)], f"bit {bit}")
        self.assertEqual(self.answers(c, good), [(2, OK)])
        self.assertEqual(g.metrics()["signatures_invalid_total"], 4)
        self.assertEqual([(r.verdict, r.signature, r.credential) for r in self.reports(g)[:-1]],
                         [("signature_bad", "invalid", 0)] * 4)

    def test_who_forges_on_and_on_is_shown_out(self):
        self.vehicle()
        g = self.start(session={"bad_frames_max": 3, "unknown_vehicle": "reject"})
        forged = flip(self.chip.report(self.now), 8 * 50)
        c = self.log_in(g).send(*[forged] * 6)
        c.rest()  # returns when the gateway closes
        self.assertEqual(g.metrics()["connections_closed_bad_frames_total"], 1)
        # Three in one minute: up to two more when another minute begins in between.
        self.assertIn(g.metrics()["signatures_invalid_total"], (3, 4, 5))

    def test_the_key_of_another_is_no_key(self):
        self.vehicle()
        g = self.start()
        stranger = Terminal("stranger")
        self.assertEqual(self.answers(self.log_in(g), stranger.report(self.now)), [(2, BAD)])
        self.assertEqual([r.verdict for r in self.reports(g)], ["signature_bad"])

    def test_where_it_is_required_each_lack_has_its_name(self):
        self.vehicle(signature="required")
        other = "LTEST000000000002"
        self.add_vehicle(other, signature="required")
        g = self.start()
        c = self.log_in(g)
        self.assertEqual(self.answers(c, wire.report_c(self.now), self.chip.report(self.now)),
                         [(2, BAD), (2, OK)])
        keyless = self.log_in(g, vin=other)
        self.assertEqual(self.answers(keyless, self.chip.report(self.now, vin=other)), [(2, BAD)])
        self.assertEqual([r.verdict for r in self.reports(g)],
                         ["signature_missing", "accepted", "signature_key"])

    def test_gb17691_defines_none_so_none_is_required(self):
        self.vehicle(signature="required")
        g = self.start(session={"answer_gb17691": "yes"})
        c = self.client(g)
        self.assertEqual(self.answers(c, wire.login_v(self.now), wire.report_a(self.now)),
                         [(1, None), (2, None)])
        self.assertEqual([r.verdict for r in self.reports(g)], ["accepted"])

    def test_who_is_known_to_sign_does_not_get_by_with_gb17691(self):
        self.vehicle(signature="required")
        self.sql("INSERT INTO terminal (vehicle_id, layout) SELECT id, 5 FROM vehicle")  # C
        g = self.start()
        self.client(g).send(wire.login_v(self.now), wire.report_a(self.now)).end().flags()
        self.assertEqual([r.verdict for r in self.reports(g)], ["signature_missing"])

    def test_a_refusal_in_header_v_is_silence(self):
        self.vehicle(signature="required")
        g = self.start()
        c = self.client(g).send(wire.login_v(self.now, version=6),
                                wire.frame_v(2, wire.unit_c(self.now)),
                                wire.frame_v(2, self.chip.signed(wire.unit_c(self.now + 60))))
        self.assertEqual(c.end().flags(), [(1, None), (2, None)])
        self.assertEqual([r.verdict for r in self.reports(g)], ["signature_missing", "accepted"])

    def test_without_a_key_a_signature_is_noted_and_not_believed(self):
        self.add_vehicle()
        g = self.start()
        self.assertEqual(self.answers(self.log_in(g), self.chip.report(self.now)), [(2, OK)])
        self.assertEqual(g.metrics()["signatures_no_key_total"], 1)
        r, = self.reports(g)
        self.assertEqual((r.verdict, r.signature, r.credential, r.quirks),
                         ("accepted", "no_key", 0, SIGNATURE_UNCHECKED))

    def test_outside_the_share_nothing_is_checked_and_that_is_recorded(self):
        self.vehicle(signature="required", signature_share=0)
        g = self.start()
        frames = [flip(self.chip.report(self.now + i), 8 * 50) for i in range(3)]
        self.assertEqual(self.answers(self.log_in(g), *frames), [(2, OK)] * 3)
        self.assertEqual(g.metrics()["signatures_skipped_total"], 3)
        self.assertEqual([(r.signature, r.quirks, r.credential) for r in self.reports(g)],
                         [("skipped", SIGNATURE_SKIPPED, 0)] * 3)

    def test_a_session_shows_itself_once_even_where_the_share_is_small(self):
        key = self.vehicle(signature_share=0.000001)
        g = self.start()
        frames = [self.chip.report(self.now + i) for i in range(5)]
        self.assertEqual(self.answers(self.log_in(g), *frames), [(2, OK)] * 5)
        records = self.reports(g)
        self.assertEqual([r.signature for r in records], ["valid"] + ["skipped"] * 4)
        self.assertEqual({r.credential for r in records}, {key * 4 + KEY_KIND})

    def test_another_sim_card_is_noted(self):
        self.vehicle()
        self.sql("INSERT INTO terminal_identity (vehicle_id, iccid) "
                 "SELECT id, '89860000000000000777' FROM vehicle")
        g = self.start()
        self.log_in(g)
        self.assertEqual([r.quirks for r in self.stored(g)], [ICCID_DIFFERS])


class Encryption(Trust):
    """The units of each algorithm, made by the openssl program."""

    def setUp(self):
        super().setUp()
        self.keys("init")
        self.add_vehicle()

    def public(self, kind):
        """The public half of the gateway's pair, as a file."""
        path = os.path.join(self.folder, kind + ".public")
        name, = (n for n in os.listdir(self.keys_dir) if kind in n and n.endswith(".pem"))
        openssl("pkey", "-in", os.path.join(self.keys_dir, name), "-pubout", "-out", path)
        return path

    def seal_symmetric(self, cipher, unit):
        return openssl("enc", "-" + cipher, "-K", SM4_KEY.hex(), data=unit)

    def seal_sm2(self, unit):
        plain = os.path.join(self.folder, "plain")
        with open(plain, "wb") as f:
            f.write(unit)
        return openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", self.public("sm2"), "-in", plain)

    def seal_rsa(self, unit):
        public = self.public("rsa")
        size = (int(openssl("rsa", "-pubin", "-in", public, "-noout", "-modulus").strip()[8:], 16)
                .bit_length() + 7) // 8
        return b"".join(openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public,
                                data=unit[at:at + size - 11])
                        for at in range(0, len(unit), size - 11))

    def converse(self, g, code, seal):
        """Login, report, logout, all of them encrypted; the clear units."""
        login, report, logout = (f[24:-1] for f in (wire.login_p(self.now), wire.report_c(self.now),
                                                    wire.logout_p(self.now)))
        frames = [wire.frame_p(command, seal(unit), encryption=code, start=b"~~")
                  for command, unit in ((1, login), (2, report), (4, logout))]
        c = self.client(g).send(*frames)
        answers = [c.frame() for _ in frames]
        self.assertEqual([a[1:] for a in answers], [(1, OK), (2, OK), (4, OK)])
        # The time of the unit, as the answer has to repeat it, was inside.
        self.assertEqual(answers[1][0], wire.answer_p(2, OK, wire.time6(self.now), start=b"~~"))
        self.assertEqual(g.metrics()["units_opened_total"], 3)
        records = self.stored(g)
        self.assertEqual([(r.verdict, r.raw, r.unit) for r in records],
                         [("accepted", f, u) for f, u in zip(frames, (login, report, logout))])
        return records

    def test_sm4_of_the_terminal(self):
        self.keys("import", wire.VIN, "--algorithm", "sm4", "--mode", "ecb", stdin=SM4_KEY.hex())
        key = int(self.sql("SELECT id FROM terminal_key"))
        records = self.converse(self.start(), SM4, lambda u: self.seal_symmetric("sm4-ecb", u))
        self.assertEqual({r.cipher_key for r in records}, {key})

    def test_aes_of_the_terminal(self):
        self.keys("import", wire.VIN, "--algorithm", "aes128", "--mode", "ecb", stdin=SM4_KEY.hex())
        self.converse(self.start(), AES, lambda u: self.seal_symmetric("aes-128-ecb", u))

    def test_sm2_to_the_gateway(self):
        records = self.converse(self.start(), SM2, self.seal_sm2)
        self.assertEqual({r.cipher_key for r in records}, {0})

    def test_rsa_to_the_gateway(self):
        self.converse(self.start(), RSA, self.seal_rsa)

    def test_without_a_database_from_a_reload_on(self):
        g = self.gateway(session={"unknown_vehicle": "provisional"})
        sealed = wire.frame_p(1, self.seal_sm2(wire.login_p(self.now)[24:-1]), encryption=SM2, start=b"~~")
        self.assertEqual(self.client(g).send(sealed).frame()[1:], (1, BAD))
        g.write_config(keys={"dir": self.keys_dir})
        g.signal(signal.SIGHUP)
        await_that("the reload", lambda: "configuration reloaded" in g.log())
        self.assertEqual(self.client(g).send(sealed).frame()[1:], (1, OK))

    def test_signed_then_encrypted(self):
        key = self.add_signer(self.chip)
        self.keys("import", wire.VIN, "--algorithm", "sm4", "--mode", "ecb", stdin=SM4_KEY.hex())
        g = self.start()
        unit = self.chip.signed(wire.unit_c(self.now))
        sealed = self.seal_symmetric("sm4-ecb", unit)
        c = self.log_in(g)
        self.assertEqual(self.answers(c, wire.frame_p(2, sealed, encryption=SM4, start=b"~~")), [(2, OK)])
        r, = self.reports(g)
        self.assertEqual((r.unit, r.signature, r.signature_key), (unit, "valid", key))

    def test_what_does_not_open_is_answered_alike_and_counted_apart(self):
        self.keys("import", wire.VIN, "--algorithm", "sm4", "--mode", "ecb", stdin=SM4_KEY.hex())
        g = self.start()
        c = self.log_in(g)
        sealed = self.seal_symmetric("sm4-ecb", wire.unit_c(self.now))
        nonsense = self.seal_symmetric("sm4-ecb", b"this is no unit, however one reads it")
        bad = [sealed[:-1], nonsense[:-1] + bytes([nonsense[-1] ^ 1]), nonsense]  # size, padding, content
        frames = [wire.frame_p(2, unit, encryption=SM4, start=b"~~") for unit in bad]
        c.send(*frames)
        answers = [c.frame()[0] for _ in frames]
        # All but the time, which is ours where none could be read.
        self.assertEqual({a[:24] for a in answers}, {answers[0][:24]})
        self.assertEqual(answers[0][3], BAD)
        m = g.metrics()
        self.assertEqual([m[f"open_failed_{why}_total"] for why in ("size", "padding", "content")],
                         [1, 0, 2])
        self.assertEqual([(r.verdict, r.raw, r.unit) for r in self.reports(g)],
                         [("decrypt_failed", f, None) for f in frames])

    def test_a_wrong_padding_is_kept_in_mind_and_not_told(self):
        self.keys("import", wire.VIN, "--algorithm", "sm4", "--mode", "ecb", stdin=SM4_KEY.hex())
        g = self.start()
        unit = wire.unit_c(self.now)
        zeros = unit + bytes(16 - len(unit) % 16)
        c = self.log_in(g)
        for plain in (unit, zeros):
            sealed = self.seal_symmetric("sm4-ecb", plain)[:len(zeros)]
            self.assertEqual(self.answers(c, wire.frame_p(2, sealed, encryption=SM4, start=b"~~")), [(2, OK)])
        first, second = self.reports(g)
        self.assertEqual([(r.unit, r.quirks & PADDING_WRONG) for r in (first, second)], [(unit, 0), (unit, PADDING_WRONG)])

    def test_a_stranger_costs_no_worker(self):
        g = self.start()
        sealed = self.seal_sm2(wire.unit_c(self.now))
        c = self.client(g).send(wire.frame_p(2, sealed, encryption=SM2, start=b"~~"),
                                wire.frame_p(1, sealed, vin="LTEST000000000099", encryption=SM2, start=b"~~"))
        self.assertEqual([c.frame()[1:] for _ in range(2)], [(2, BAD), (1, BAD)])
        self.assertEqual(g.metrics()["crypto_busy_ns_total"], 0)
        self.assertEqual([r.verdict for r in self.stored(g)], ["not_logged_in", "vin_unknown"])

    def test_plain_is_refused_where_the_fleet_encrypts(self):
        self.sql("INSERT INTO fleet (name, encryption) VALUES ('f', 'required');"
                 "UPDATE vehicle SET fleet_id = (SELECT id FROM fleet)")
        g = self.start()
        c = self.log_in(g)
        marked = wire.report_c(self.now, encryption=SM2)
        sealed = wire.frame_p(2, self.seal_sm2(wire.unit_c(self.now)), encryption=SM2, start=b"~~")
        self.assertEqual(self.answers(c, wire.report_c(self.now), marked, sealed),
                         [(2, BAD), (2, BAD), (2, OK)])
        self.assertEqual([r.verdict for r in self.reports(g)],
                         ["plain_refused", "plain_refused", "accepted"])


if __name__ == "__main__":
    unittest.main()
