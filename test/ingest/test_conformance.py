"""How the gateway behaves on the wire: the cases that break others, by number.

Policy: unknown VINs are provisional.  "Silence" is no answer, so that the terminal keeps the data.
"""
import struct
import unittest

from gateway import GatewayTest, wire

OK, BAD = wire.SUCCESS, wire.ERROR
OTHER_VIN = "LTEST000000000002"


class Conformance(GatewayTest):
    def talk(self, *frames, **sections):
        """One connection sends everything and no more; its answers as (command, flag)."""
        g = self.gateway(**sections)
        return g, self.client(g).send(*frames).end().flags()

    def stored(self, gateway):
        self.assertEqual(gateway.stop(), 0)
        return gateway.records()

    def verdicts(self, gateway):
        return [verdict for verdict, _ in self.stored(gateway)]

    def test_01_a_whole_conversation_is_answered_and_logout_before_the_close(self):
        frames = [wire.login_p(self.now), wire.report_c(self.now),
                  wire.report_ev(self.now, wire.SUPPLEMENT), wire.frame_p(wire.HEARTBEAT),
                  wire.frame_p(wire.TIME), wire.logout_p(self.now)]
        g = self.gateway()
        c = self.client(g)
        answers = [c.send(f).frame() for f in frames]
        self.assertEqual([(command, flag) for _, command, flag in answers],
                         [(1, OK), (2, OK), (3, OK), (7, OK), (8, OK), (4, OK)])
        # Header and time as sent, the rest removed; 07 empty, 08 the current time.
        for i in (0, 1, 2, 5):
            self.assertEqual(answers[i][0],
                             wire.answer_p(answers[i][1], OK, wire.time6(self.now)))
        self.assertEqual(answers[3][0], wire.answer_p(7, OK))
        self.assertEqual(len(answers[4][0]), 31)
        # The gateway leaves the close to the terminal: the connection still serves.
        self.assertEqual(c.send(frames[0]).frame()[1:], (1, OK))
        c.close()
        self.assertEqual(self.stored(g), [("accepted", frames[i]) for i in (0, 1, 2, 5, 0)])

    def test_01_gb17691_is_not_answered_but_for_the_time(self):
        g, flags = self.talk(wire.login_v(self.now), wire.report_a(self.now),
                             wire.frame_v(wire.TIME_V), wire.logout_v(self.now))
        self.assertEqual(flags, [(5, None)])
        self.assertEqual(self.verdicts(g), ["accepted"] * 3)

    def test_01_gb17691_is_echoed_where_configured(self):
        _, flags = self.talk(wire.login_v(self.now), wire.report_a(self.now),
                             wire.logout_v(self.now), session={"answer_gb17691": "yes"})
        self.assertEqual(flags, [(1, None), (2, None), (4, None)])

    def test_01_hj1239_with_its_own_start_mark_is_echoed(self):
        g, flags = self.talk(wire.login_v(self.now, start=b"~~"),
                             wire.frame_v(2, wire.unit_c(self.now), start=b"~~"))
        self.assertEqual(flags, [(1, None), (2, None)])
        self.assertEqual(self.verdicts(g), ["accepted"] * 2)

    def test_01_hj1239_with_the_mark_of_gb17691_is_known_by_version_or_layout(self):
        g = self.gateway()
        c = self.client(g).send(wire.login_v(self.now, version=6))
        self.assertEqual(c.frame()[1:], (1, None))
        c = self.client(g).send(wire.login_v(self.now, vin=OTHER_VIN),
                                wire.frame_v(2, wire.unit_c(self.now), vin=OTHER_VIN))
        self.assertEqual(c.frame()[1:], (2, None))
        # The layout is remembered, so the next login is answered too.
        c = self.client(g).send(wire.login_v(self.now, vin=OTHER_VIN))
        self.assertEqual(c.frame()[1:], (1, None))

    def test_01_the_2025_edition_is_answered_in_its_own_start_mark(self):
        g = self.gateway()
        c = self.client(g).send(wire.frame_p(wire.HEARTBEAT, start=b"$$"))
        self.assertEqual(c.frame()[0], wire.answer_p(7, OK, start=b"$$"))

    def test_02_report_before_login_is_refused(self):
        g, flags = self.talk(wire.report_c(self.now), wire.login_p(self.now))
        self.assertEqual(flags, [(2, BAD), (1, OK)])
        self.assertEqual(self.verdicts(g), ["not_logged_in", "accepted"])

    def test_02_an_unknown_vehicle_is_rejected_by_default(self):
        g, flags = self.talk(wire.login_p(self.now), wire.report_c(self.now),
                             session={"unknown_vehicle": "reject"})
        self.assertEqual(flags, [(1, BAD), (2, BAD)])
        self.assertEqual(self.verdicts(g), ["vin_unknown", "not_logged_in"])

    def test_03_every_split_gives_the_same_answers(self):
        conversation = (wire.login_p(self.now) + wire.report_c(self.now, count=1) + b"noise"
                        + wire.frame_p(wire.HEARTBEAT) + wire.logout_p(self.now))
        g = self.gateway()
        whole = self.client(g).send(conversation).end().rest()
        self.assertEqual(len(whole), 4)
        for at in range(1, len(conversation)):
            c = self.client(g).send(conversation[:at])
            # What is complete is answered before the rest is sent, so the cut is a real one.
            first = [c.frame() for _ in range(self.complete(conversation[:at]))]
            self.assertEqual(first + c.send(conversation[at:]).end().rest(), whole, f"cut at {at}")
            c.close()

    def complete(self, data):
        """How many whole frames are in a prefix of the conversation."""
        count = 0
        while True:
            data = data[data.find(b"##"):] if b"##" in data else b""
            if len(data) < 25 or len(data) < 25 + int.from_bytes(data[22:24], "big"):
                return count
            data = data[25 + int.from_bytes(data[22:24], "big"):]
            count += 1

    def test_03_one_byte_at_a_time(self):
        g = self.gateway()
        c = self.client(g)
        for byte in wire.login_p(self.now) + wire.report_c(self.now) + wire.logout_p(self.now):
            c.send(bytes([byte]))
        self.assertEqual(c.end().flags(), [(1, OK), (2, OK), (4, OK)])

    def test_04_many_frames_in_one_segment_are_answered_in_order(self):
        reports = [wire.report_c(self.now + i, command=2 + i % 2) for i in range(400)]
        _, flags = self.talk(wire.login_p(self.now), *reports, wire.frame_p(wire.HEARTBEAT))
        self.assertEqual(flags, [(1, OK)] + [(2 + i % 2, OK) for i in range(400)] + [(7, OK)])

    def test_04_one_write_for_each_answer_where_configured(self):
        g = self.gateway(session={"one_write_per_answer": "yes"})
        c = self.client(g).send(wire.login_p(self.now), *[wire.report_c(self.now)] * 50)
        self.assertEqual(c.end().flags(), [(1, OK)] + [(2, OK)] * 50)

    def test_05_noise_before_a_frame_is_skipped_and_counted(self):
        noise = bytes(range(1, 0x23)) * 10
        g, flags = self.talk(noise, wire.login_p(self.now))
        self.assertEqual(flags, [(1, OK)])
        self.assertEqual(g.metrics()["noise_bytes_total"], len(noise))
        self.assertEqual(self.verdicts(g), ["accepted"])

    def test_06_a_stray_mark_costs_nothing_behind_it(self):
        _, flags = self.talk(b"#", wire.login_p(self.now), b"#", wire.report_c(self.now), b"##",
                             wire.frame_p(wire.HEARTBEAT), b"~", wire.logout_p(self.now))
        self.assertEqual(flags, [(1, OK), (2, OK), (7, OK), (4, OK)])

    def test_07_a_wrong_checksum_costs_its_own_frame(self):
        broken = wire.report_c(self.now)
        broken = broken[:-1] + bytes([broken[-1] ^ 1])
        g, flags = self.talk(wire.login_p(self.now), broken, wire.report_c(self.now))
        self.assertEqual(flags, [(1, OK), (2, BAD), (2, OK)])
        self.assertEqual(self.stored(g)[1], ("bad_checksum", broken))

    def test_07_too_many_bad_frames_end_the_connection(self):
        broken = wire.frame_p(wire.HEARTBEAT)[:-1] + b"\0"
        g = self.gateway(session={"bad_frames_max": 3})
        c = self.client(g)
        for _ in range(2):
            self.assertEqual(c.send(broken).frame()[1:], (7, BAD))
        c.send(broken)
        self.assertLessEqual(len(c.rest()), 1)  # returns when the gateway closes
        self.assertEqual(g.metrics()["connections_closed_bad_frames_total"], 1)

    def test_08_another_vin_is_refused(self):
        g, flags = self.talk(wire.login_p(self.now), wire.report_c(self.now, vin=OTHER_VIN),
                             wire.frame_p(wire.HEARTBEAT, vin=OTHER_VIN),
                             wire.login_p(self.now, vin=OTHER_VIN), wire.report_c(self.now))
        self.assertEqual(flags, [(1, OK), (2, BAD), (7, BAD), (1, BAD), (2, OK)])
        self.assertEqual(self.verdicts(g),
                         ["accepted", "vin_mismatch", "vin_mismatch", "vin_mismatch", "accepted"])

    def test_09_the_newer_login_takes_over(self):
        g = self.gateway()
        # Several newcomers, so that old and new meet on one loop and across loops.
        old = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(old.frame()[1:], (1, OK))
        for _ in range(8):
            new = self.client(g).send(wire.login_p(self.now))
            self.assertEqual(new.frame()[1:], (1, OK))
            self.assertIsNone(old.frame())  # closed
            old = new
        self.assertEqual(old.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        self.assertEqual(g.metrics()["sessions_taken_over_total"], 8)

    def test_09_or_the_newer_login_is_refused(self):
        g = self.gateway(session={"duplicate_vin": "refuse"})
        old = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(old.frame()[1:], (1, OK))
        new = self.client(g).send(wire.login_p(self.now), wire.report_c(self.now))
        self.assertEqual(new.end().flags(), [(1, wire.VIN_DUPLICATE), (2, BAD)])
        self.assertEqual(old.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        # After a logout the VIN is free.
        self.assertEqual(old.send(wire.logout_p(self.now)).frame()[1:], (4, OK))
        self.assertEqual(self.client(g).send(wire.login_p(self.now)).frame()[1:], (1, OK))

    def test_10_ciphertext_is_kept_and_never_answered_with_success(self):
        cipher = bytes((i * 197 + 31) % 256 for i in range(160))
        frame = wire.frame_p(wire.REALTIME, cipher, encryption=3)
        g, flags = self.talk(wire.login_p(self.now), frame)
        self.assertEqual(flags, [(1, OK), (2, BAD)])
        self.assertEqual(self.stored(g)[1], ("encrypted", frame))

    def test_10_plain_marked_as_encrypted_is_read(self):
        g, flags = self.talk(wire.login_p(self.now), wire.report_c(self.now, encryption=3))
        self.assertEqual(flags, [(1, OK), (2, OK)])
        self.assertEqual(self.verdicts(g), ["accepted"] * 2)

    def test_11_an_unknown_information_type_is_kept_with_the_rest(self):
        unit = (wire.unit_c(self.now, count=1) + b"\x85" + wire.time6(self.now)
                + struct.pack(">H", 5) + b"hello")
        g, flags = self.talk(wire.login_p(self.now), wire.frame_p(wire.REALTIME, unit),
                             wire.report_c(self.now))
        self.assertEqual(flags, [(1, OK), (2, OK), (2, OK)])
        self.assertEqual(self.stored(g)[1], ("accepted", wire.frame_p(wire.REALTIME, unit)))

    def test_11_an_unknown_command_is_kept_and_no_success(self):
        frame = wire.frame_p(0xC5, wire.time6(self.now) + b"custom")
        g, flags = self.talk(wire.login_p(self.now), frame, wire.report_c(self.now))
        self.assertEqual(flags, [(1, OK), (0xC5, BAD), (2, OK)])
        self.assertEqual(self.stored(g)[1], ("unknown_command", frame))

    def test_12_an_impossible_time_is_kept_and_no_success(self):
        unit = bytes([26, 99, 1, 1, 1, 1]) + wire.unit_c(self.now)[6:]
        frame = wire.frame_p(wire.REALTIME, unit)
        g, flags = self.talk(wire.login_p(self.now), frame)
        self.assertEqual(flags, [(1, OK), (2, BAD)])
        self.assertEqual(self.stored(g)[1], ("bad_time", frame))

    def test_13_a_platform_login_is_refused_and_its_password_kept_nowhere(self):
        login = wire.platform_login(self.now, password="secret-word")
        broken = login[:-1] + bytes([login[-1] ^ 1])
        g, flags = self.talk(login, broken, wire.login_p(self.now), login)
        self.assertEqual(flags[:3], [(5, BAD), (5, BAD), (1, OK)])
        self.assertEqual(g.metrics()["login_refused"], 1)
        self.assertEqual(self.verdicts(g), ["accepted"])
        self.assertNotIn("secret-word", g.log())
        for raw in (raw for _, raw in g.records()):
            self.assertNotIn(b"secret-word", raw)

    def test_14_a_length_of_65535_is_refused_at_its_header(self):
        head = wire.frame_p(wire.REALTIME)[:22] + b"\xff\xff"
        g = self.gateway(session={"login_s": 1})
        c = self.client(g).send(head + b"\0" * 1000)
        self.assertEqual(c.rest(), [])  # returns when the gateway closes
        self.assertEqual(g.metrics()["too_long"], 1)

    def test_14_who_sends_a_length_of_65535_has_the_time_of_a_frame(self):
        head = wire.frame_p(wire.REALTIME)[:22] + b"\xff\xff"
        g = self.gateway(session={"frame_s": 1})
        silent, sound = (self.client(g).send(wire.login_p(self.now, vin=f"LTEST00000000014{i}")) for i in "AB")
        for c in silent, sound:
            self.assertEqual(c.frame()[1:], (1, OK))
            c.send(head)
        sound.send(wire.frame_p(wire.HEARTBEAT, vin="LTEST00000000014B"))
        self.assertIsNotNone(sound.frame())
        self.assertIsNone(silent.frame())  # returns when the gateway closes
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_14_a_frame_that_is_never_completed_meets_its_deadline(self):
        head = wire.frame_p(wire.REALTIME)[:22] + b"\xff\x00"
        g = self.gateway(session={"frame_s": 1, "login_s": 3600})
        clients = [self.client(g).send(head + b"\0" * 100) for _ in range(50)]
        g.await_metric("received_bytes_total", 50 * 124)
        g.await_metric("memory_bytes", 1)
        self.assertLess(g.metrics()["memory_bytes"], 50 * 1024)  # not 50 * 65 KiB
        self.assertEqual([c.frame() for c in clients], [None] * 50)
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 50)

    def test_15_a_withheld_checksum_meets_the_frame_deadline(self):
        g = self.gateway(session={"frame_s": 1})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        c.send(wire.frame_p(wire.HEARTBEAT)[:24])
        self.assertIsNone(c.frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_16_an_answer_is_never_answered(self):
        answers = [wire.answer_p(command, flag, wire.time6(self.now))
                   for command in (1, 2, 3, 4, 5, 7, 8, 0x80) for flag in (1, 2, 3)]
        g, flags = self.talk(*answers, wire.login_p(self.now), *answers)
        self.assertEqual(flags, [(1, OK)])
        self.assertEqual(g.metrics()["not_a_command"], 2 * len(answers))

    def test_17_a_clock_far_from_ours_is_stored_as_claimed(self):
        past = wire.unit_c(self.now)
        past = bytes([0, 1, 1, 0, 0, 0]) + past[6:]
        future = wire.report_c(self.now + 5 * 365 * 86400)
        g, flags = self.talk(wire.login_p(self.now), wire.frame_p(wire.REALTIME, past), future)
        self.assertEqual(flags, [(1, OK), (2, OK), (2, OK)])
        self.assertEqual(self.stored(g)[1:], [("accepted", wire.frame_p(wire.REALTIME, past)),
                                             ("accepted", future)])

    def test_what_strangers_send_is_kept_at_a_bounded_rate(self):
        reports = [wire.report_c(self.now + i) for i in range(40)]
        g, flags = self.talk(*reports, session={"bad_frames_max": 5})
        self.assertEqual(flags, [(2, BAD)] * 40)
        self.assertEqual(g.metrics()["not_logged_in"], 40)
        # Two minutes at most, when the clock turned over in between.
        self.assertIn(len(self.stored(g)), (5, 10))


if __name__ == "__main__":
    unittest.main()
