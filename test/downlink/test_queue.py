"""The queue of commands: expiry, cancel, lost gateways and databases, two gateways, rows that cannot be written."""
import signal
import subprocess
import unittest

from fixture import QUERY, SET, DownlinkTest, Refused, Terminal, await_that, wire

REFUSED = 2


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
