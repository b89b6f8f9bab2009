"""Commands from the queue to a terminal on a real socket, and back: docs/downlink.md."""
import signal
import unittest

from fixture import CONTROL, QUERY, SET, DownlinkTest, await_that, wire

REFUSED = 2


class Downlink(DownlinkTest):
    def patient(self, gateway):
        """From now on it waits for answers longer than a test takes."""
        before = gateway.log().count("configuration")
        gateway.write_config(downlink={"answer_s": 600})
        gateway.signal(signal.SIGHUP)
        await_that("the reload", lambda: gateway.log().count("configuration") > before)

    def test_a_query_is_answered(self):
        t = self.terminal(self.start())
        ident = self.order("query", ["heartbeat_s", "platform_domain", "hardware_version"])
        command, at, unit = t.told()
        self.assertEqual((command, unit), (QUERY, bytes([4, 0x09, 0x04, 0x05, 0x07])))
        t.answer(QUERY, at + bytes([4, 0x09, 60, 0x04, 5, 0x05]) + b"a.com" + b"\7V1.0\0")
        row = self.await_state(ident, "answered")
        self.assertEqual(row["answered"]["parameters"],
                         {"heartbeat_s": 60, "platform_domain": "a.com", "hardware_version": "V1.0"})
        self.assertEqual((row["attempts"], row["message"], row["answered"]["flag"]), (1, None, 1))
        self.assertEqual(row["answer"], (at + bytes([4, 9, 60, 4, 5, 5]) + b"a.com" + b"\7V1.0\0").hex())
        self.assertEqual(self.sql(f"SELECT encode(unit, 'hex') FROM command WHERE id = {ident}"), unit.hex())

    def test_what_waits_comes_behind_the_answer_to_the_login(self):
        idents = [self.order("query", [name]) for name in ("heartbeat_s", "public_port")]
        t = self.terminal(self.start())  # asserts that its first frame answers the login
        for ident, parameter in zip(idents, (0x09, 0x0F)):
            command, at, unit = t.told()
            self.assertEqual(unit, bytes([1, parameter]))
            t.answer(QUERY, at + bytes([0]))
            self.await_state(ident, "answered")

    def test_one_at_a_time_in_their_order(self):
        t = self.terminal(self.start())
        idents = [self.order("set", {"heartbeat_s": n}) for n in (1, 2, 3)]
        last = b""
        for n, ident in zip((1, 2, 3), idents):
            command, at, unit = t.told()
            self.assertGreater(at, last)  # no two of a session say the same time
            last = at
            self.assertEqual((command, unit), (SET, bytes([1, 9, n])))
            self.assertTrue(t.silent(0.2))
            t.answer(SET, at)
            self.await_state(ident, "answered")

    def test_a_refusal(self):
        t = self.terminal(self.start())
        ident = self.order("set", {"heartbeat_s": 30, "platform_port": 32960})
        _, at, unit = t.told()
        t.answer(SET, at, REFUSED)
        row = self.await_state(ident, "refused")
        self.assertEqual((row["answered"]["flag"], row["message"]), (2, "the terminal answered with flag 02"))

    def test_silence_is_met_with_repetition_and_then_given_up(self):
        t = self.terminal(self.start(downlink={"answer_s": 1}))
        ident = self.order("control", {"action": "alarm", "level": 2, "text": "检查SCR"})
        first, second = t.told(), t.told()
        self.assertEqual(first, second)
        self.assertEqual((first[0], first[2]), (CONTROL, b"\6\2" + "检查SCR".encode("gb18030")))
        row = self.await_state(ident, "silent")
        self.assertEqual((row["attempts"], row["message"]), (2, "sent 2 times, and no answer"))
        self.assertTrue(t.silent(0.3))

    def test_an_answer_to_the_repetition(self):
        t = self.terminal(self.start(downlink={"answer_s": 1}))
        ident = self.order("control", {"action": "sampling"})
        t.told()
        _, at, unit = t.told()
        self.assertEqual(unit, b"\7")
        t.answer(CONTROL, at)
        self.assertEqual(self.await_state(ident, "answered")["attempts"], 2)

    def test_a_late_answer_is_not_taken_for_that_to_the_next(self):
        g = self.start(downlink={"answer_s": 1})
        t = self.terminal(g)
        first = self.order("query", ["heartbeat_s"])
        _, at, _ = t.told()
        t.told()
        self.await_state(first, "silent")
        self.patient(g)
        second = self.order("query", ["public_port"])
        _, at_second, _ = t.told()
        self.assertNotEqual(at, at_second)
        t.answer(QUERY, at + bytes([1, 9, 60]))  # late, with the first one's time
        t.send(wire.frame_p(wire.HEARTBEAT, vin=t.vin))
        self.assertEqual(t.frame()[1:], (7, 1))  # so the late answer was read
        self.assertEqual(self.look(second)["state"], "sent")
        own = wire.time6(self.now + 1000)
        t.answer(QUERY, own + bytes([1, 9, 60]))  # late, with a time of its own: one is still owed
        t.answer(QUERY, own + bytes([1, 0x0F, 1, 0]))
        self.assertEqual(self.await_state(second, "answered")["answered"]["parameters"], {"public_port": 256})

    def test_a_time_of_its_own_is_believed_when_nothing_else_can_be_meant(self):
        t = self.terminal(self.start())
        ident = self.order("query", ["heartbeat_s"])
        t.told()
        t.answer(QUERY, wire.time6(self.now - 100) + bytes([1, 9, 255]))
        row = self.await_state(ident, "answered")
        self.assertEqual(row["answered"]["parameters"], {"heartbeat_s": None})

    def test_a_lost_session_sends_it_back_to_the_queue(self):
        g = self.start()
        t = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        t.told()
        t.close()
        row = self.await_state(ident, "queued")
        self.assertEqual(row["attempts"], 1)
        t = self.terminal(g)
        _, at, unit = t.told()
        self.assertEqual(unit, bytes([1, 9, 30]))
        t.answer(SET, at)
        self.assertEqual(self.await_state(ident, "answered")["attempts"], 2)

    def test_a_takeover_sends_it_to_the_new_connection(self):
        g = self.start()
        old = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        old.told()
        new = self.terminal(g)
        _, at, _ = new.told()
        new.answer(SET, at)
        self.await_state(ident, "answered")

    def test_a_reset_is_not_sent_to_the_next_session(self):
        g = self.start()
        t = self.terminal(g)
        ident = self.order("control", {"action": "reset"})
        self.assertEqual(t.told()[2], b"\3")
        t.close()
        row = self.await_state(ident, "silent")
        self.assertIn("may have been obeyed", row["message"])
        after = self.order("query", ["heartbeat_s"])
        t = self.terminal(g)
        self.assertEqual(t.told()[0], QUERY)
        t.close()
        self.await_state(after, "queued")

    def test_the_2025_edition_has_its_own_sizes_and_ranges(self):
        t = self.terminal(self.start(), start=b"$$")
        ident = self.order("set", {"report_period_s": 30, "alarm_report_period_ms": 1000})
        command, at, unit = t.told()
        self.assertEqual((command, sorted((unit[1:3], unit[3:5]))), (SET, [bytes([2, 30]), bytes([3, 1])]))
        t.answer(SET, at)
        self.await_state(ident, "answered")
        row = self.await_state(self.order("set", {"report_period_s": 300}), "impossible")
        self.assertEqual(row["message"], "report_period_s is 300; it must be 1 to 30 in the 2025 edition of "
                         "GB/T 32960.3, which this terminal speaks")
        self.assertEqual(row["attempts"], 0)

    def test_header_v_has_no_commands(self):
        g = self.start()
        c = self.client(g).send(wire.login_v(self.now, vin=self.vin, version=6))
        self.assertIsNotNone(c.frame())
        row = self.await_state(self.order("control", {"action": "reset"}), "impossible")
        self.assertIn("whose vehicle link has no commands", row["message"])
        self.assertTrue(c.silent(0.2))

    def test_what_the_table_does_not_know_is_impossible(self):
        self.terminal(self.start())
        row = self.await_state(self.order("set", {"nonsense": 1}), "impossible")
        self.assertIn("parameter 'nonsense' is unknown; allowed: local_storage_period_ms", row["message"])

    def test_other_frames_are_answered_while_a_command_is_in_flight(self):
        t = self.terminal(self.start())
        ident = self.order("query", ["heartbeat_s"])
        _, at, _ = t.told()
        t.send(wire.frame_p(wire.TIME, vin=t.vin), wire.report_c(self.now, vin=t.vin))
        self.assertEqual([t.frame()[1:] for _ in range(2)], [(8, 1), (2, 1)])
        t.answer(QUERY, at + b"\0")
        self.await_state(ident, "answered")

    def test_answers_that_nobody_asked_for_end_nothing(self):
        t = self.terminal(self.start())
        for command in (QUERY, SET, CONTROL):
            t.answer(command, wire.time6(self.now))
        t.answer(QUERY, b"")
        t.send(wire.frame_p(0x08, b"\1\0", t.vin))  # an activation answer, which only we may send
        ident = self.order("query", ["heartbeat_s"])
        _, at, _ = t.told()
        t.answer(SET, at)
        t.answer(QUERY, at + bytes([1, 9, 5]))
        self.assertEqual(self.await_state(ident, "answered")["answered"]["parameters"], {"heartbeat_s": 5})

    def test_nonsense_in_an_answer_is_kept(self):
        t = self.terminal(self.start())
        for rest in (b"", b"\xff" * 300, bytes([2, 9, 60, 0x80, 1, 2]), bytes([1, 7]) + b"\0\1\2\3\4"):
            ident = self.order("query", ["heartbeat_s"])
            _, at, _ = t.told()
            t.answer(QUERY, at + rest)
            row = self.await_state(ident, "answered")
            self.assertEqual(row["answer"], (at + rest).hex())

    def test_an_empty_answer(self):
        t = self.terminal(self.start())
        ident = self.order("control", {"action": "sampling"})
        t.told()
        t.answer(CONTROL, b"")
        self.assertEqual(self.await_state(ident, "answered")["answered"], {"flag": 1})


if __name__ == "__main__":
    unittest.main(verbosity=2)
