"""Bounds: time, connections, slow readers, a full spool.  A bad peer hurts itself alone."""
import os
import select
import signal
import socket
import unittest

from gateway import Client, GatewayTest, await_that, wire

OK, BAD = wire.SUCCESS, wire.ERROR


class Limits(GatewayTest):
    def assert_shed(self, g, **how):
        try:
            self.assertIsNone(self.client(g, **how).frame())
        except ConnectionResetError:
            pass  # before the connect was even seen to succeed

    def test_a_silent_connection_meets_the_login_deadline(self):
        g = self.gateway(session={"login_s": 1})
        self.assertIsNone(self.client(g).frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_a_crowd_meets_its_deadlines_too(self):
        g = self.gateway(session={"login_s": 1}, limit={"penalty_half_life_s": 0})
        crowd = [self.client(g) for _ in range(300)]  # more than end in one turn
        for c in crowd:
            self.assertIsNone(c.frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 300)

    def test_frames_that_are_refused_buy_no_time_before_login(self):
        g = self.gateway(session={"login_s": 1})
        c = self.client(g)
        # The conversation ends by the deadline, not by us.
        answers = 0
        while c.send(wire.report_c(self.now)).frame() is not None:
            answers += 1
        self.assertGreater(answers, 0)
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_a_logged_in_connection_meets_the_idle_deadline(self):
        g = self.gateway(session={"idle_s": 1, "login_s": 1})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        self.assertIsNone(c.frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)
        self.assertEqual(g.metrics()["sessions_open"], 0)

    def test_after_a_logout_the_login_deadline_counts(self):
        g = self.gateway(session={"login_s": 1, "idle_s": 3600})
        c = self.client(g).send(wire.login_p(self.now), wire.logout_p(self.now))
        self.assertEqual([f[1:] for f in (c.frame(), c.frame())], [(1, OK), (4, OK)])
        self.assertIsNone(c.frame())

    def test_bytes_alone_buy_no_time(self):
        g = self.gateway(session={"frame_s": 1, "login_s": 3600})
        c = self.client(g).send(wire.frame_p(wire.REALTIME)[:22] + b"\x10\x00")
        sent = 0
        while c.silent(0.05) and sent < 400:
            c.send(b"\0")
            sent += 1
        self.assertLess(sent, 400)  # closed while we still dripped
        self.assertIsNone(c.frame())
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)

    def test_the_newest_connections_are_shed_above_the_limit(self):
        g = self.gateway(limit={"connections": 10})
        old = []
        for i in range(10):
            c = self.client(g).send(wire.login_p(self.now, vin=f"LTEST{i:012}"))
            self.assertEqual(c.frame()[1:], (1, OK))
            old.append(c)
        for _ in range(5):
            self.assert_shed(g)
        self.assertEqual(g.metrics()["connections_shed_total"], 5)
        for i, c in enumerate(old):
            self.assertEqual(c.send(wire.report_c(self.now, vin=f"LTEST{i:012}")).frame()[1:],
                             (2, OK))
        old[0].close()
        g.await_metric("connections_open", 0)
        await_that("room for one more", lambda: g.metrics()["connections_open"] == 9)
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))

    def test_an_address_has_so_many_connections(self):
        g = self.gateway(limit={"source_connections": 3})
        own = [self.client(g).send(wire.login_p(self.now, vin=f"LTEST{i:012}")) for i in range(3)]
        for c in own:
            self.assertEqual(c.frame()[1:], (1, OK))
        self.assert_shed(g)
        other = self.client(g, source="127.0.0.2").send(wire.login_p(self.now, vin="LTEST000000000009"))
        self.assertEqual(other.frame()[1:], (1, OK))
        self.assertEqual(g.metrics()["sources_throttled_total"], 1)
        own[0].close()
        g.await_metric("connections_accepted_total", 5)
        await_that("the close", lambda: g.metrics()["connections_open"] == 3)
        c = self.client(g).send(wire.login_p(self.now, vin="LTEST000000000008"))
        self.assertEqual(c.frame()[1:], (1, OK))

    def test_a_penalty_keeps_new_connections_out_and_nobody_who_is_in(self):
        g = self.gateway(session={"bad_frames_max": 1}, limit={"penalty_half_life_s": 86400})
        bad = bytearray(wire.report_c(self.now))
        bad[-1] ^= 1
        inside = self.client(g, source="127.0.0.2").send(wire.login_p(self.now))
        self.assertEqual(inside.frame()[1:], (1, OK))
        for _ in range(11):  # of 20 points; 200 are allowed, for one of the address is good
            self.client(g, source="127.0.0.2").send(bytes(bad)).rest()
        self.assert_shed(g, source="127.0.0.2")
        self.assertEqual(inside.send(wire.report_c(self.now)).frame()[1:], (2, OK))
        other = self.client(g).send(wire.login_p(self.now, vin="LTEST000000000002"))
        self.assertEqual(other.frame()[1:], (1, OK))

    def test_who_goes_on_sending_behind_our_last_word_is_reset(self):
        g = self.gateway(session={"bad_frames_max": 1})
        bad = bytearray(wire.report_c(self.now))
        bad[-1] ^= 1
        c, sent, chunk = self.client(g), 0, bytes(bad) * 1000
        with self.assertRaises(ConnectionError):
            while sent < 400 << 20:  # a second of lingering would take all of it
                c.send(chunk)
                sent += len(chunk)
        self.assertLess(sent, 64 << 20)  # what was read, and the buffers of both sockets
        self.assertEqual(g.metrics()["connections_closed_bad_frames_total"], 1)

    def test_who_sends_more_than_his_share_waits_and_loses_nothing(self):
        g = self.gateway(limit={"vin_frames": 50})  # 500 at once, then 50 a second
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        c.send(*[wire.report_c(self.now)] * 600)
        for _ in range(600):
            self.assertEqual(c.frame()[1:], (2, OK))
        self.assertGreater(g.metrics()["sessions_throttled_total"], 0)

    def test_who_sends_much_in_one_go_waits_for_those_who_send_a_frame(self):
        g = self.gateway(gateway={"loops": 1})
        many, one = vins = "LTEST00000000MANY", "LTEST000000000ONE"
        clients = [self.client(g).send(wire.login_p(self.now, vin=vin)) for vin in vins]
        for c in clients:
            self.assertEqual(c.frame()[1:], (1, OK))
        g.signal(signal.SIGSTOP)  # both are there when the loop looks
        os.waitid(os.P_PID, g.process.pid, os.WSTOPPED | os.WNOWAIT)
        clients[0].send(wire.frame_p(wire.REALTIME, bytes(40), vin=many) * 200)
        clients[1].send(wire.frame_p(wire.REALTIME, bytes(40), vin=one))
        g.signal(signal.SIGCONT)
        for _ in range(200):
            self.assertIsNotNone(clients[0].frame())
        self.assertIsNotNone(clients[1].frame())
        self.assertEqual(g.stop(), 0)
        order = [raw for _, raw in g.records()][2:]
        self.assertEqual(len(order), 201)
        self.assertLessEqual([one.encode() in raw for raw in order].index(True), 16)

    def test_logins_of_a_vin_are_throttled(self):
        g = self.gateway(limit={"vin_logins": 2})
        flags = []
        for _ in range(3):
            c = self.client(g).send(wire.login_p(self.now))
            flags.append(c.frame()[2])
        self.assertEqual(flags, [OK, OK, BAD])
        self.assertEqual(g.metrics()["throttled"], 1)
        elsewhere = self.client(g, source="127.0.0.2").send(wire.login_p(self.now))
        self.assertEqual(elsewhere.frame()[1:], (1, OK))

    def test_strangers_make_room_and_who_is_in_stays(self):
        g = self.gateway(gateway={"loops": 1}, limit={"unauthenticated": 10},
                         session={"login_s": 3600})
        inside = [self.client(g).send(wire.login_p(self.now, vin=f"LTEST{i:012}")) for i in range(40)]
        for c in inside:
            self.assertEqual(c.frame()[1:], (1, OK))
        strangers = [self.client(g) for _ in range(60)]
        g.await_metric("unauthenticated_dropped_total", 40)
        # The oldest went, and a newcomer that logs in is served among the silent ones.
        for c in strangers[:40]:
            self.assertIsNone(c.frame())
        late = self.client(g).send(wire.login_p(self.now, vin="LTEST000000000099"))
        self.assertEqual(late.frame()[1:], (1, OK))
        for i, c in enumerate(inside):
            report = wire.report_c(self.now, vin=f"LTEST{i:012}")
            self.assertEqual(c.send(report).frame()[1:], (2, OK))
        self.assertLessEqual(g.metrics()["connections_open"], 41 + 20)

    def test_a_herd_that_logs_in_at_once_loses_nobody(self):
        g = self.gateway(gateway={"loops": 1}, limit={"unauthenticated": 5})
        for _ in range(10):  # as many as may be in without a login
            self.client(g)
        herd = [self.client(g).send(wire.login_p(self.now, vin=f"LTEST{i:012}")) for i in range(200)]
        for c in herd:  # they waited in the kernel, and nobody took them for silent
            self.assertEqual(c.frame()[1:], (1, OK))
        self.assertLessEqual(g.metrics()["unauthenticated_dropped_total"], 10)

    def test_a_peer_that_does_not_read_is_not_read_any_more(self):
        g = self.gateway(limit={"connection_kib": 66, "vin_frames": 0}, session={"idle_s": 5})
        slow = Client.__new__(Client)
        slow.left, slow.socket = b"", socket.socket()
        self.clients.append(slow)
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.socket.connect(g.address())
        slow.send(wire.login_p(self.now))
        self.assertEqual(slow.frame()[1:], (1, OK))
        slow.socket.settimeout(2)
        heartbeats = wire.frame_p(wire.HEARTBEAT) * 4000
        with self.assertRaises(TimeoutError):  # our side fills up too: nobody reads it
            while True:
                slow.socket.sendall(heartbeats)
        self.assertLess(g.metrics()["memory_bytes"], 1024 * 1024)
        # Others are served meanwhile.
        c = self.client(g).send(wire.login_p(self.now, vin="LTEST000000000002"))
        self.assertEqual(c.frame()[1:], (1, OK))
        # And its time runs out.
        g.await_metric("connections_shed_total", 1)

    def test_half_frames_meet_the_memory_bound_and_others_go_on(self):
        # 16 MiB for two loops: 300 half frames of 60 KiB do not fit.
        g = self.gateway(limit={"memory_mib": 16, "penalty_half_life_s": 0},
                         session={"frame_s": 2, "login_s": 3600})
        half = wire.frame_p(wire.REALTIME, bytes(65000))[:60000]
        flood = []
        for _ in range(300):
            c = self.client(g)
            c.socket.setblocking(False)
            flood.append(c)
        pending = {c: half for c in flood}
        for c in list(pending):
            try:
                while pending[c]:
                    pending[c] = pending[c][c.socket.send(pending[c]):]
            except OSError:
                pass
        g.await_metric("reading_paused_total", 1)
        self.assertLess(g.metrics()["memory_bytes"], 17 * 1024 * 1024)
        # The frame deadline frees the memory, so a newcomer gets through.
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))

    def test_memory_full_of_whole_frames_is_freed_by_hearing_them(self):
        # 16 MiB for two loops; 300 sessions have 64 KiB of frames each waiting for their quota.
        g = self.gateway(limit={"memory_mib": 16, "vin_frames": 20})
        flood = []
        for i in range(300):
            vin = f"LTEST{i:012}"
            c = self.client(g).send(wire.login_p(self.now, vin=vin))
            self.assertEqual(c.frame()[1:], (1, OK))
            c.socket.setblocking(False)
            flood.append([c, wire.frame_p(wire.REALTIME, bytes(600), vin=vin) * 1000])
        while g.metrics()["reading_paused_total"] == 0:
            for pair in flood:
                try:
                    pair[1] = pair[1][pair[0].socket.send(pair[1]):]
                except BlockingIOError:
                    pass
        for c, _ in flood:
            c.close()
        c = self.client(g).send(wire.login_p(self.now, vin="LTEST900000000000"))
        self.assertEqual(c.frame()[1:], (1, OK))

    def pump(self, c, data, expected):
        """Sends and receives until all is sent and expected answers came, or nothing moved for 2 s."""
        c.socket.setblocking(False)
        while True:
            writable = [c.socket] if data else []
            can_read, can_write, _ = select.select([c.socket], writable, [], 2)
            if can_write:
                data = data[c.socket.send(data):]
            if can_read:
                c.left += c.socket.recv(65536)
            if not can_read and not can_write or not data and len(c.left) == 31 * expected:
                break
        c.socket.setblocking(True)
        return data

    def reload(self, g, **sections):
        seen = g.log().count("configuration reloaded")
        g.write_config(**sections)
        g.signal(signal.SIGHUP)
        await_that("the reload", lambda: g.log().count("configuration reloaded") > seen)

    def test_a_full_disk_is_silence_and_room_brings_the_answers(self):
        # A reserve of a TiB is a disk that is full once the two segments at hand are used up.
        # One loop: another one might still have a small batch that fits.
        g = self.gateway(gateway={"loops": 1}, spool={"segment_mib": 2})
        c = self.client(g).send(wire.login_p(self.now))
        self.assertEqual(c.frame()[1:], (1, OK))
        self.reload(g, spool={"reserve_mib": 1048576})
        count = 1200
        reports = b"".join([wire.report_c(self.now, count=400)] * count)
        left = self.pump(c, reports, count)
        self.assertTrue(left, "the spool never got full")
        answered = len(wire.split(c.left))
        self.assertGreater(answered, 0)
        other = self.client(g).send(wire.login_p(self.now, vin="LTEST000000000002"))
        self.assertTrue(other.silent(1))
        self.assertLess(g.metrics()["memory_bytes"], 2 * 1024 * 1024)
        # Room again: nothing was lost, nothing is answered twice.
        self.reload(g, spool={"reserve_mib": 1})
        self.assertEqual(self.pump(c, left, count), b"")
        self.assertEqual(c.end().flags(), [(2, OK)] * count)
        self.assertEqual(other.frame()[1:], (1, OK))
        other.close()
        self.assertEqual(g.stop(), 0)
        self.assertEqual(len(g.records()), count + 2)


if __name__ == "__main__":
    unittest.main()
