"""haulgate-link against a scripted platform: what it does with answers, without them, and when things end."""
import os
import signal
import unittest

from link_case import OTHER_VIN, VIN, LinkTest, await_that, wire

OK, BAD = wire.SUCCESS, wire.ERROR


def cpu_ticks(link):
    with open(f"/proc/{link.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Answers(LinkTest):
    def test_an_error_is_tried_twice_more_then_kept_and_counted(self):
        g, far = self.near_side(), self.far_side()
        bad = wire.time6(self.now - 86400 + 60)
        far.answer = lambda f: BAD if f.unit[:6] == bad else OK
        self.add_link(far)
        self.link(g)
        self.report(g, 10)
        self.await_row("refused", 1)
        self.await_position()
        self.assertEqual(self.row("forwarded"), "10")
        self.assertEqual(sum(f.unit[:6] == bad for f in far.frames), 3)
        self.assertEqual(self.sql("SELECT vin, flag FROM platform_link_refused"), f"{VIN}|2")
        self.assertIn("02", self.tool("refused", "province"))

    def test_an_error_that_passes(self):
        g, far = self.near_side(), self.far_side()
        seen = {}

        def twice(f):
            seen[f.unit[:6]] = seen.get(f.unit[:6], 0) + 1
            return BAD if seen[f.unit[:6]] < 3 else OK
        far.answer = twice
        self.add_link(far)
        self.link(g)
        self.report(g, 20)
        self.await_row("forwarded", 21)
        self.await_position()
        self.assertEqual(self.row("refused"), "0")

    def test_silence_for_one_frame_alone_is_no_reason_to_stop_for_ever(self):
        g, far = self.near_side(link={"answer_s": 1, "retry_max_s": 1}), self.far_side()
        dumb = wire.time6(self.now - 86400 + 60)
        far.answer = lambda f: None if f.unit[:6] == dumb else OK
        self.add_link(far)
        self.link(g)
        c = self.report(g, 3)
        for i in range(3, 40):  # others are answered around it on each connection
            self.report(g, 1, first=i, client=c)
            if self.row("refused") == "1":
                break
            count = len(far.frames)
            await_that("more frames, or that it is given up",
                       lambda n=count: len(far.frames) > n or self.row("refused") == "1")
            tries = sum(f.unit[:6] == dumb for f in far.frames)
            if tries < 3:
                far.await_that("another try of it",
                               lambda n=tries: sum(f.unit[:6] == dumb for f in far.frames) > n)
        self.await_row("refused", 1)
        self.assertEqual(self.sql("SELECT vin, flag FROM platform_link_refused"), f"{VIN}|0")
        # A connection on which nothing younger was answered does not count.
        self.assertGreaterEqual(sum(f.unit[:6] == dumb for f in far.frames), 3)
        self.await_position()

    def test_silence_for_all_gives_nothing_up(self):
        g, far = self.near_side(link={"answer_s": 1, "retry_max_s": 1}), self.far_side()
        far.answer = lambda f: None
        self.add_link(far)
        self.link(g)
        self.report(g, 5)
        far.await_that("four connections", lambda: len(far.logins) >= 4)
        self.assertEqual((self.row("refused"), self.row("forwarded")), ("0", "0"))
        self.assertIn("not answered", self.row("message") + self.links[0].log())
        await_that("a plain word", lambda: "logins are answered, reports never" in self.row("message"))
        await_that("the same while it is connected", lambda: self.row("message").startswith("logins are answered"))
        far.answer = lambda f: OK
        self.await_row("forwarded", 6)
        self.await_position()
        await_that("no message", lambda: self.row("message") == "")

    def test_a_far_side_that_closes_on_a_frame_gets_all_others(self):
        g, far = self.near_side(link={"retry_max_s": 1}), self.far_side()
        far.answer = lambda f: "close" if f.vin == VIN else OK
        self.add_link(far)
        link = self.link(g)
        self.report(g, 1)  # the first two frames of the backlog, and nothing else for two connections
        far.await_that("three connections", lambda: len(far.logins) >= 3)
        self.report(g, 20, OTHER_VIN)
        self.await_row("forwarded", 21)
        self.await_row("refused", 2)
        self.await_position()
        self.assertEqual(self.sql("SELECT DISTINCT vin, flag FROM platform_link_refused"), f"{VIN}|254")
        self.assertIn("closes the connection", self.tool("refused", "province"))
        self.assertIn("closes on a frame, given up", link.log())
        await_that("the metric", lambda: link.metrics().get("link_refused_total") == 2)

    def test_a_far_side_that_closes_on_everything_gives_nothing_up(self):
        g, far = self.near_side(link={"retry_max_s": 1}), self.far_side()
        far.answer = lambda f: "close"
        self.add_link(far)
        self.link(g)
        self.report(g, 5)
        far.await_that("ten connections", lambda: len(far.logins) >= 10)
        self.assertEqual((self.row("refused"), self.row("forwarded")), ("0", "0"))
        far.answer = lambda f: OK
        self.await_row("forwarded", 6)
        self.await_position()
        self.assertEqual(self.row("refused"), "0")

    def test_answers_without_a_time_and_of_other_frames(self):
        g, far = self.near_side(), self.far_side()
        far.time = False
        # An answer to nothing, one with a strange flag, a command to us.
        far.unsolicited = (wire.frame_p(2, wire.time6(self.now - 7 * 86400), VIN, answer=OK, start=b"~~")
                           + wire.frame_p(0x80, wire.time6(self.now), VIN, start=b"~~"))
        self.add_link(far)
        self.link(g)
        self.report(g, 30)
        self.await_row("forwarded", 31)
        self.await_position()

    def test_a_wrong_time_is_no_answer(self):
        g, far = self.near_side(link={"answer_s": 1, "retry_max_s": 1}), self.far_side()
        far.answer = lambda f: wire.frame_p(f.command, wire.time6(self.now - 7 * 86400), f.vin, answer=OK, start=f.start)
        self.add_link(far)
        self.link(g)
        self.report(g, 3)
        far.await_that("another connection", lambda: len(far.logins) >= 2)
        self.assertEqual(self.row("forwarded"), "0")

    def test_in_flight_is_a_bound(self):
        g, far = self.near_side(), self.far_side()
        far.answer = lambda f: None
        self.add_link(far, "--in-flight", "5")
        self.link(g)
        self.report(g, 50)
        far.await_that("five frames", lambda: len(far.frames) == 5)
        c = self.report(g, 50, OTHER_VIN)  # a round of the store, and of the link
        await_that("all stored", lambda: self.sql("SELECT count(*) FROM track") == "100")
        self.assertEqual(len(far.frames), 5)
        c.close()


class Trouble(LinkTest):
    def test_refused_logins_are_retried_by_the_rules(self):
        g, far = self.near_side(link={"login_retry_s": 1, "login_pause_s": 3600}), self.far_side()
        far.answer_login = lambda f: BAD
        self.add_link(far)
        link = self.link(g)
        far.await_that("three logins", lambda: len(far.logins) == 3)
        await_that("a pause", lambda: "login refused: answered with 02" in self.row("message"))
        self.assertRegex(link.log(), r"login refused: answered with 02 link=.* retry_ms=1\d\d\d\n")
        self.assertEqual([f.unit[6:8] for f in far.logins], [b"\0\1", b"\0\2", b"\0\3"])  # the day's serials
        far.answer_login = lambda f: OK
        self.tool("start", "province")  # somebody mended it: no need to wait for an hour
        far.await_that("the next login", lambda: len(far.logins) == 4)
        self.assertEqual(far.logins[3].unit[6:8], b"\0\4")
        await_that("no message", lambda: self.row("message") == "")

    def test_a_login_without_an_answer(self):
        g, far = self.near_side(link={"answer_s": 1, "login_retry_s": 1}), self.far_side()
        far.answer_login = lambda f: None
        self.add_link(far)
        self.link(g)
        far.await_that("two logins", lambda: len(far.logins) == 2)
        await_that("the reason", lambda: self.row("message") == "login refused: no answer")

    def test_garbage_ends_the_connection(self):
        g, far = self.near_side(link={"retry_max_s": 1}), self.far_side()
        far.greeting = b"GET / HTTP/1.1\r\n" * 8192
        self.add_link(far)
        self.link(g)
        await_that("the reason", lambda: "no frame" in self.row("message"))
        far.greeting = b"##" * 100  # some noise before the first answer is passed over
        self.report(g, 3)
        self.await_row("forwarded", 4)

    def test_closed_in_the_middle_of_everything(self):
        g, far = self.near_side(link={"retry_max_s": 1}), self.far_side()
        far.answer = lambda f: "close" if len(far.frames) % 7 == 0 else OK
        self.add_link(far)
        self.link(g)
        self.report(g, 40)
        self.await_row("forwarded", 41)
        self.await_position()
        self.assertEqual(self.row("refused"), "0")
        self.assertEqual({f.unit[:6] for f in far.frames},
                         {wire.time6(self.now)} | {wire.time6(self.now - 86400 + 60 * i) for i in range(40)})

    def test_a_far_side_that_reads_nothing_costs_no_memory(self):
        g, far = self.near_side(link={"answer_s": 600}), self.far_side()
        self.add_link(far, "--in-flight", "4096")
        link = self.link(g)
        self.report(g, 1)
        far.await_that("the first frames", lambda: len(far.frames) == 2)
        far.reading.clear()
        clients = [self.report(g, 200, f"LTEST0000000001{i:02d}") for i in range(10)]
        await_that("all stored", lambda: self.sql("SELECT count(*) FROM track") == "2001")
        self.assertLess(link.status("VmRSS"), 64 * 1024)
        ticks = cpu_ticks(link)
        self.assertTrue(clients[0].silent(1))
        self.assertLess(cpu_ticks(link) - ticks, 20)  # of a hundred a second
        far.reading.set()
        self.await_row("forwarded", 2012)
        self.await_position()

    def test_a_kill_at_any_moment_loses_nothing(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far, "--in-flight", "3")
        link = self.link(g)
        c = self.report(g, 1)
        for i in range(8):
            self.report(g, 30, first=1 + 30 * i, client=c)
            wanted = len(far.frames) + 10
            far.await_that("some frames", lambda n=wanted: len(far.frames) >= n)
            link.kill()
            link.start()
        self.await_position()
        self.assertEqual({f.unit[:6] for f in far.frames if f.command != 1},
                         {wire.time6(self.now - 86400 + 60 * i) for i in range(241)})

    def test_what_is_unanswered_at_a_kill_is_sent_again(self):
        g, far = self.near_side(), self.far_side()
        far.answer = lambda f: OK if f.command == 1 else None
        self.add_link(far)
        link = self.link(g)
        self.report(g, 5)
        far.await_that("the frames", lambda: len(far.frames) == 6)
        self.await_row("forwarded", 1)  # the login's position is written, and no later one
        link.kill()
        far.answer = lambda f: OK
        link.start()
        self.await_row("forwarded", 6)
        self.assertEqual(len(far.frames), 11)

    def test_the_gateway_may_restart_and_the_database_too(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        self.link(g)
        self.report(g, 10)
        self.assertEqual(g.stop(), 0)
        g.start()
        self.report(g, 10, OTHER_VIN)
        self.await_row("forwarded", 22)
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'haulgate_link'")
        self.report(g, 10, "LTEST000000000003")
        self.await_row("forwarded", 33)
        self.assertEqual(len(far.logins), 1)  # the link itself stayed

    def test_another_gateways_spool(self):
        """A wrong spool.dir must not look like an idle link."""
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        self.report(g, 3)
        await_that("stored", lambda: self.sql("SELECT count(*) FROM track") == "3")
        right = g.spool_dir
        g.sections["spool"]["dir"] = os.path.join(self.folder, "elsewhere")
        link = self.link(g)
        await_that("the complaint", lambda: "is spool.dir right" in self.row("message") and "is spool.dir right" in link.log())
        link.stop()
        g.sections["spool"]["dir"] = right
        link.start()
        self.await_row("forwarded", 4)

    def test_two_services_of_one_gateway(self):
        g, far = self.near_side(), self.far_side()
        self.add_link(far)
        self.link(g)
        far.await_that("the login", lambda: far.logins)
        second = self.link(g)
        await_that("the complaint", lambda: "another haulgate-link" in second.log())
        self.report(g, 3)
        self.await_row("forwarded", 4)
        self.assertEqual(len(far.logins), 1)
        self.links[0].kill()
        far.await_that("the second takes over", lambda: len(far.logins) == 2)

    def test_a_password_file_that_others_can_read(self):
        g, far = self.near_side(link={"retry_max_s": 1}), self.far_side()
        os.chmod(self.password_file, 0o644)
        self.add_link(far)
        link = self.link(g)
        await_that("the reason", lambda: "chmod 0600" in self.row("message"))
        self.assertEqual(far.logins, [])
        os.chmod(self.password_file, 0o600)
        link.process.send_signal(signal.SIGHUP)
        far.await_that("the login", lambda: far.logins)

    @staticmethod
    def archived(archive):
        return sorted(f for f in os.listdir(archive) if f.endswith(".segz")) if os.path.isdir(archive) else []

    def fill_archive(self, g):
        """Reports until two segments are in the archive; returns its folder, and how many."""
        archive = os.path.join(g.spool_dir, "archive")
        c, first = self.report(g, 1), 1
        while len(self.archived(archive)) < 2:  # a report of 300 s has some 13 KiB
            for i in range(first, first + 50):
                c.send(wire.report_c(self.now - 40 * 86400 + 300 * i, count=300, serial=i))
            for _ in range(50):
                self.assertEqual(c.frame()[2], OK)
            first += 50
        return archive, first

    def take_away(self, archive):
        """The folder and what is in it; again, when the gateway has archived one more and made it anew."""
        away = archive + ".away"
        os.makedirs(away, exist_ok=True)
        for name in self.archived(archive):
            os.rename(os.path.join(archive, name), os.path.join(away, name))
        try:
            os.rmdir(archive)
        except OSError:
            pass  # away already, or it is just being written to
        return True

    def test_an_archive_that_is_away_for_a_while(self):
        g, far = self.near_side(spool={"segment_mib": 2}, limit={"vin_frames": 0}), self.far_side()
        self.add_link(far)
        link = self.link(g)
        self.report(g, 1, OTHER_VIN)
        self.await_row("forwarded", 2)
        self.tool("stop", "province")
        await_that("its last word", lambda: self.row("connected_since") == "")
        archive, reports = self.fill_archive(g)
        self.take_away(archive)
        self.tool("start", "province")
        await_that("the complaint", lambda: self.take_away(archive) and "is it mounted?" in self.row("message") and
                   "is it mounted?" in link.log())
        os.makedirs(archive, exist_ok=True)  # as the empty mount point of a volume
        await_that("the complaint", lambda: "counts as missing if it stays so for 600 s" in self.row("message"))
        self.assertEqual((self.row("missing"), self.row("forwarded")), ("0", "2"))
        for name in self.archived(archive + ".away"):
            os.rename(os.path.join(archive + ".away", name), os.path.join(archive, name))
        self.await_row("forwarded", reports + 3)
        self.await_position()
        await_that("no message", lambda: self.row("message") == "")
        self.assertEqual(self.row("missing"), "0")

    def test_archived_segments_and_what_is_gone_from_them(self):
        g, far = self.near_side(spool={"segment_mib": 2}, limit={"vin_frames": 0}, link={"missing_s": 1}), self.far_side()
        self.add_link(far)
        self.tool("stop", "province")
        archive, first = self.fill_archive(g)
        link = self.link(g)
        self.tool("start", "province")
        self.await_position()
        self.assertEqual(int(self.row("forwarded")), first + 1)
        self.assertEqual(self.row("missing"), "0")
        # From the beginning again, and the oldest segment is gone.
        self.tool("stop", "province")
        await_that("the stop", lambda: "logged out" in link.log())
        await_that("its last word", lambda: self.row("connected_since") == "")
        records = int(self.row("sequence"))
        self.sql("UPDATE platform_link_position SET position = 8192, sequence = 0")
        link.stop()
        os.unlink(os.path.join(archive, self.archived(archive)[0]))
        count = len(far.frames)
        self.sql("UPDATE platform_link_position SET sequence = 1")  # it had read the first record
        self.tool("start", "province")
        link.start()
        self.await_position()
        missing, sent = int(self.row("missing")), len(far.frames) - count
        self.assertGreater(missing, 10)
        self.assertEqual(missing + sent + 1, records)
        self.assertIn("missing from the spool", link.log())
        self.assertIn("gone from the spool", self.row("message"))
        await_that("the metric", lambda: link.metrics().get("link_missing_total") == missing)


if __name__ == "__main__":
    unittest.main()
