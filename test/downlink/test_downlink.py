"""Commands from the queue to a terminal on a real socket, and back: docs/downlink.md."""
import signal
import subprocess
import unittest

from fixture import CONTROL, QUERY, SET, DownlinkTest, Refused, Terminal, await_that, wire

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


class Queue(DownlinkTest):
    def test_an_order_expires(self):
        ident = self.order("query", ["heartbeat_s"])
        self.sql(f"UPDATE command SET expires_at = now() WHERE id = {ident}")
        self.assertEqual(self.look(ident)["state"], "expired")  # with no gateway at all
        g = self.start()
        await_that("the row to say so", lambda: self.sql(f"SELECT state FROM command WHERE id = {ident}") == "expired")
        self.assertTrue(self.terminal(g).silent(0.3))
        self.assertIn("not logged in", self.look(ident)["message"])

    def test_what_a_lost_gateway_had_in_hand_may_have_been_obeyed(self):
        ident = self.order("control", {"action": "reset"})
        # Killed between sending and writing that down; its host never came back.
        self.sql("UPDATE command SET gateway_id = 999, taken_at = now() - interval '5 hours', "
                 f"expires_at = now() WHERE id = {ident}")
        self.assertEqual(self.look(ident)["state"], "silent")  # with no gateway at all
        self.start()
        await_that("the row to say so", lambda: self.sql(f"SELECT state FROM command WHERE id = {ident}") == "silent")
        row = self.await_state(ident, "silent")
        self.assertEqual(row["message"], "gateway 999 never said what became of it")

    def test_an_order_in_flight_is_not_repeated_after_its_expiry(self):
        t = self.terminal(self.start(downlink={"answer_s": 11, "attempts": 20}))
        ident = self.order("query", ["heartbeat_s"], expires_s=10)
        t.told()
        self.assertEqual(self.await_state(ident, "silent")["attempts"], 1)

    def test_cancel(self):
        ident, other = (self.order("query", [name]) for name in ("heartbeat_s", "public_port"))
        self.sql(f"SELECT api.command_cancel('{self.vin}', {ident}, 'chief', 'wrong truck')", "haulgate_query")
        self.assertEqual(self.look(ident)["message"], "cancelled by chief: wrong truck")
        t = self.terminal(self.start())
        _, at, unit = t.told()
        self.assertEqual(unit, bytes([1, 0x0F]))
        await_that("its state", lambda: self.look(other)["state"] == "sent")
        with self.assertRaisesRegex(Refused, "HG409.*is on its way by gateway"):
            self.sql(f"SELECT api.command_cancel(NULL, {other}, 'chief', 'x')", "haulgate_query")
        t.answer(QUERY, at + b"\0")
        self.await_state(other, "answered")
        with self.assertRaisesRegex(Refused, "HG409.*ended already: answered"):
            self.sql(f"SELECT api.command_cancel(NULL, {other}, 'chief', 'x')", "haulgate_query")
        with self.assertRaisesRegex(Refused, "HG404"):
            self.sql(f"SELECT api.command_cancel('{self.vehicle()}', {other}, 'chief', 'x')", "haulgate_query")

    def test_every_order_and_cancel_is_in_the_audit_log(self):
        ident = self.order("control", {"action": "upgrade", "url": "ftp://x/y", "dial_password": "secret"},
                           who="officer Li", reason="update 7")
        self.sql(f"SELECT api.command_cancel(NULL, {ident}, 'chief', 'too early')", "haulgate_query")
        self.assertEqual(self.sql("SELECT actor, role, action, detail->>'reason' FROM audit_log "
                                  f"WHERE subject = '{self.vin}' ORDER BY id").split("\n"),
                         ["officer Li|haulgate_query|command.order|update 7",
                          "chief|haulgate_query|command.cancel|too early"])
        self.assertNotIn("secret", self.sql("SELECT string_agg(detail::text, '') FROM audit_log"))
        self.assertEqual(self.look(ident)["parameters"]["dial_password"], "***")

    def test_refusals(self):
        for arguments, expected in (
                ("'LNOBODY0000000001', 'query', '[]', 'r', 'w', 60", "HG404"),
                ("'{vin}', 'erase', '[]', 'r', 'w', 60", "HG400.*kind must be query, set or control"),
                ("'{vin}', 'query', '{{}}', 'r', 'w', 60", "HG400.*JSON array"),
                ("'{vin}', 'set', '[]', 'r', 'w', 60", "HG400.*JSON object"),
                ("'{vin}', 'set', NULL, 'r', 'w', 60", "HG400.*JSON object"),
                ("'{vin}', 'query', '[]', ' ', 'w', 60", "HG400.*reason is needed"),
                ("'{vin}', 'query', '[]', 'r', NULL, 60", "HG400.*who orders"),
                ("'{vin}', 'query', '[]', 'r', 'w', 9", "HG400.*expires_s is 9"),
                ("'{vin}', 'query', '[]', 'r', 'w', 2592001", "HG400")):
            with self.assertRaisesRegex(Refused, expected):
                self.sql("SELECT api.command_order(" + arguments.format(vin=self.vin) + ")", "haulgate_query")
        self.sql(f"UPDATE vehicle SET state = 'blocked' WHERE vin = '{self.vin}'")
        with self.assertRaisesRegex(Refused, "HG409.*blocked"):
            self.order("query", ["heartbeat_s"])
        self.assertEqual(self.sql(f"SELECT count(*) FROM audit_log WHERE subject = '{self.vin}'"), "0")

    def test_the_queue_of_a_vehicle_is_bounded(self):
        self.sql(f"""SELECT api.command_order('{self.vin}', 'query', '["heartbeat_s"]', 'r', 'w', 60)
                     FROM generate_series(1, 100)""", "haulgate_query")
        with self.assertRaisesRegex(Refused, "HG409.*100 commands wait"):
            self.order("query", ["heartbeat_s"])

    def test_a_list_in_pages(self):
        idents = [self.order("query", ["heartbeat_s"]) for _ in range(5)]
        seen, before = [], "NULL"
        while before != "":
            page = f"api.commands('{self.vin}', NULL, {before}, 2)"
            seen += self.sql(f"SELECT jsonb_array_elements({page} -> 'commands') ->> 'id'").split()
            before = self.sql(f"SELECT {page} ->> 'next_before'")
        self.assertEqual(seen, [str(i) for i in reversed(idents)])
        self.assertEqual(self.sql("SELECT api.commands('LNOBODY0000000001', NULL, NULL, NULL) IS NULL"), "t")

    def test_two_gateways_send_each_order_once(self):
        gateways = [self.start() for _ in range(2)]
        vins = [self.vehicle() for _ in range(4)]
        terminals = [self.terminal(gateways[i % 2], vin) for i, vin in enumerate(vins)]
        idents = {(vin, n): self.order("set", {"heartbeat_s": n}, vin=vin) for n in range(1, 6) for vin in vins}
        for n in range(1, 6):
            for t in terminals:
                _, at, unit = t.told()
                self.assertEqual(unit, bytes([1, 9, n]))
                t.answer(SET, at)
        for ident in idents.values():
            self.assertEqual(self.await_state(ident, "answered")["attempts"], 1)
        self.assertTrue(all(t.silent(0.1) for t in terminals))

    def test_a_vehicle_that_moves_to_the_other_gateway(self):
        first, second = (self.start() for _ in range(2))
        t = self.terminal(first)
        ident = self.order("set", {"heartbeat_s": 30})
        t.told()
        moved = self.terminal(second)  # while the first one still holds the session and the order
        t.close()
        _, at, _ = moved.told()
        moved.answer(SET, at)
        self.assertEqual(self.await_state(ident, "answered")["gateway_id"], second.ident)

    def test_a_killed_gateway_takes_up_what_it_had_in_hand(self):
        g = self.start(downlink={"attempts": 3})
        t = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        t.told()
        self.await_state(ident, "sent")
        g.kill()
        g.start()
        row = self.await_state(ident, "queued")
        self.assertEqual(row["attempts"], 1)
        _, at, _ = (t := self.terminal(g)).told()
        t.answer(SET, at)
        self.assertEqual(self.await_state(ident, "answered")["attempts"], 2)

    def test_two_gateways_of_one_number(self):
        g = self.start()
        t = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        _, at, _ = t.told()
        self.await_state(ident, "sent")
        twin = self.twin(g)
        await_that("the complaint", lambda: "another haulgate with this gateway.id is connected" in twin.log())
        self.assertEqual(self.look(ident)["state"], "sent")
        t.answer(SET, at)
        self.await_state(ident, "answered")
        g.kill()
        await_that("the twin takes over", lambda: "downlink: database answers again" in twin.log())

    def test_an_order_that_somebody_took_away(self):
        g = self.start()
        t = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        _, at, _ = t.told()
        self.await_state(ident, "sent")
        self.sql(f"UPDATE command SET gateway_id = 999 WHERE id = {ident}")
        t.answer(SET, at)
        await_that("the error", lambda: "a command is not in our hand in the table" in g.log())
        self.assertIn(f"id={ident} vin={self.vin} state=answered", g.log())
        self.assertEqual(self.look(ident)["state"], "sent")

    def test_a_reset_survives_no_crash(self):
        g = self.start(downlink={"attempts": 3})
        t = self.terminal(g)
        ident = self.order("control", {"action": "factory_reset"})
        t.told()
        self.await_state(ident, "sent")
        g.kill()
        g.start()
        t = self.terminal(g)
        self.assertIn("may have been obeyed", self.await_state(ident, "silent")["message"])
        self.assertTrue(t.silent(0.2))

    def psql(self, *statements):
        """A session that stays; the last statement selects something."""
        p = subprocess.Popen(["psql", "-XAtq", self.conninfo("postgres")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (p.stdin.close(), p.stdout.close(), p.wait()))
        print(*statements, sep=";", end=";\n", file=p.stdin, flush=True)
        self.assertNotEqual(p.stdout.readline(), "")
        return p

    def stall(self, state):
        """From now on the update of a row to that state waits; returns what awaits and ends that, with the connection."""
        self.sql(f"""CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
                     CREATE TRIGGER stall BEFORE UPDATE ON command FOR EACH ROW WHEN (NEW.state = '{state}') EXECUTE FUNCTION stall()""")
        self.addCleanup(lambda: self.sql("DROP FUNCTION IF EXISTS stall() CASCADE"))
        lock = self.psql("SELECT pg_advisory_lock(42)", "SELECT 1")
        waits = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        def end(meanwhile=lambda: None):
            await_that("a row to be waited for", lambda: self.sql(f"SELECT count(*) {waits}") == "1")
            meanwhile()
            self.sql(f"SELECT pg_terminate_backend(pid) {waits}")
            print("SELECT pg_advisory_unlock(42);", file=lock.stdin, flush=True)
        return end

    def test_a_result_whose_statement_dies_is_written_again(self):
        t = self.terminal(self.start())
        ident = self.order("query", ["heartbeat_s"])
        _, at, _ = t.told()
        self.await_state(ident, "sent")
        end = self.stall("answered")
        t.answer(QUERY, at + bytes([1, 9, 60]))
        end()
        self.assertEqual(self.await_state(ident, "answered")["answered"]["parameters"], {"heartbeat_s": 60})

    def test_gateways_are_told_what_waits(self):
        """Not only by looking every 15 s."""
        ident = self.order("query", ["heartbeat_s"])
        p = self.psql("LISTEN haulgate_command", "SELECT 1")
        for change, told in (("taken_at = now(), gateway_id = 9", 0), ("state = 'sent'", 0), ("state = 'queued', taken_at = NULL", 1)):
            print(f"UPDATE command SET {change} WHERE id = {ident}; SELECT 'end';", file=p.stdin, flush=True)
            said = "".join(iter(p.stdout.readline, "end\n"))
            self.assertEqual(said.count(f'"haulgate_command" with payload "{self.vin}"'), told, said)

    def test_what_may_have_been_sent_counts_as_sent(self):
        """Killed between the frame and the row: a reset is not risked again."""
        end = self.stall("sent")
        g = self.start(downlink={"attempts": 3})
        t = self.terminal(g)
        reset = self.order("control", {"action": "reset"})
        t.told()
        end(meanwhile=g.kill)
        self.assertEqual(self.look(reset)["attempts"], 0)
        g.start()
        self.assertEqual(self.await_state(reset, "queued")["attempts"], 1)
        t = self.terminal(g)
        self.assertIn("may have been obeyed", self.await_state(reset, "silent")["message"])
        self.assertTrue(t.silent(0.2))

    def test_a_command_waits_for_the_answer_to_the_login(self):
        """It may take long where an answer means stored."""
        g = self.start(store={"ack": "store"})
        await_that("the registry", lambda: "registry loaded" in g.log())
        ident = self.order("query", ["heartbeat_s"])
        lock = self.psql("BEGIN", "LOCK TABLE ingest_position", "SELECT 1")
        t = Terminal(g, self.vin)
        self.clients.append(t)
        t.send(wire.login_p(self.now, vin=self.vin))
        await_that("the order to be taken", lambda: self.sql(f"SELECT taken_at IS NOT NULL FROM command WHERE id = {ident}") == "t")
        self.assertTrue(t.silent(0.6))
        print("COMMIT;", file=lock.stdin, flush=True)
        self.assertEqual(t.frame()[1:], (1, wire.SUCCESS))
        _, at, _ = t.told()
        t.answer(QUERY, at + b"\0")
        self.await_state(ident, "answered")

    def test_a_gateway_that_stops_gives_back(self):
        g = self.start()
        t = self.terminal(g)
        ident = self.order("set", {"heartbeat_s": 30})
        t.told()
        self.assertEqual(g.stop(), 0)
        self.assertEqual(self.look(ident)["state"], "queued")
        self.assertEqual(self.sql(f"SELECT taken_at IS NULL FROM command WHERE id = {ident}"), "t")

    def test_a_long_name_in_chinese_holds_nobody(self):
        g = self.start()
        self.terminal(g)
        other = self.terminal(g, self.vehicle())
        row = self.await_state(self.order("query", ["参" * 20]), "impossible")
        self.assertIn("parameter '" + "参" * 13 + "' is unknown", row["message"])
        ident = self.order("query", ["heartbeat_s"], vin=other.vin)
        _, at, _ = other.told()
        other.answer(QUERY, at + b"\0")
        self.await_state(ident, "answered")
        self.assertNotIn("cannot be used", g.log())

    def refuse(self, name, when):
        """The database finds a value that it cannot hold in rows of our vehicle."""
        self.sql(f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF {when} THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '22021'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER {name} BEFORE UPDATE ON command FOR EACH ROW
            WHEN (NEW.vehicle_id = {self.sql(f"SELECT id FROM vehicle WHERE vin = '{self.vin}'")}) EXECUTE FUNCTION {name}()""")

    def test_what_the_database_cannot_hold_is_left_out(self):
        g = self.start()
        t = self.terminal(g)
        self.refuse("not_kept", "NEW.answer IS NOT NULL OR NEW.message LIKE 'parameter%'")
        ident = self.order("query", ["heartbeat_s"])
        _, at, _ = t.told()
        t.answer(QUERY, at + bytes([1, 9, 60]))
        row = self.await_state(ident, "answered")
        self.assertEqual((row["answer"], row["message"]),
                         (None, "the database kept neither its message nor an answer (SQLSTATE 22021)"))
        self.await_state(self.order("query", ["nonsense"]), "impossible")
        self.assertNotIn("cannot be used", g.log())

    def test_a_row_that_cannot_be_written_holds_no_other(self):
        g = self.start()
        t = self.terminal(g)
        other = self.terminal(g, self.vehicle())
        ident = self.order("set", {"heartbeat_s": 30})
        _, at, _ = t.told()
        self.await_state(ident, "sent")
        self.refuse("not_taken", "true")
        t.answer(SET, at)
        await_that("the complaint", lambda: "what became of a command cannot be written" in g.log())
        second = self.order("query", ["heartbeat_s"], vin=other.vin)
        _, at, _ = other.told()
        other.answer(QUERY, at + b"\0")
        self.await_state(second, "answered")
        self.assertEqual(self.look(ident)["state"], "sent")
        self.sql("DROP TRIGGER not_taken ON command")
        self.await_state(ident, "answered")
        self.assertNotIn("cannot be used", g.log())

    def test_no_result_is_lost_while_the_database_is_away(self):
        g = self.start()
        vins = [self.vehicle() for _ in range(3)]
        terminals = [self.terminal(g, vin) for vin in vins]
        idents = [self.order("set", {"heartbeat_s": 30}, vin=vin) for vin in vins]
        told = [t.told() for t in terminals]
        for ident in idents:
            self.await_state(ident, "sent")
        self.sql(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false", database="postgres")
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'",
                 database="postgres")
        for t, (_, at, _) in zip(terminals, told):
            t.answer(SET, at)
            t.send(wire.frame_p(wire.HEARTBEAT, vin=t.vin))
            self.assertEqual(t.frame()[1:], (7, 1))
        terminals[0].close()
        await_that("the gateway to notice", lambda: "downlink: database cannot be used" in g.log())
        self.sql(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true", database="postgres")
        for ident in idents:
            self.assertEqual(self.await_state(ident, "answered")["attempts"], 1)

    def test_a_reload_changes_the_wait(self):
        g = self.start(downlink={"answer_s": 600})
        t = self.terminal(g)
        ident = self.order("query", ["heartbeat_s"])
        t.told()
        g.write_config(downlink={"answer_s": 1})
        g.signal(signal.SIGHUP)
        t.told()
        self.assertEqual(self.await_state(ident, "silent")["attempts"], 2)
        metrics = g.metrics()
        self.assertEqual([metrics[f"commands_{name}_total"] for name in ("sent", "answered", "failed")], [2, 0, 1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
