"""Frames that wait for a worker: their order, and what happens to them when somebody leaves."""
import random
import unittest

from gateway import await_that, wire
from registry import OK, RegistryTest, Terminal


class Workers(RegistryTest):
    def setUp(self):
        super().setUp()
        self.chip = Terminal(self.folder, "chip")
        self.add_vehicle()
        self.add_signer(self.chip)

    def test_answers_keep_the_order_of_signed_and_plain_frames(self):
        g = self.start()
        signed = self.chip.report(self.now)
        choices = [(signed, (2, OK)), (wire.report_c(self.now, command=3), (3, OK)),
                   (wire.frame_p(wire.HEARTBEAT), (7, OK)), (wire.login_p(self.now), (1, OK))]
        chosen = random.Random(3).choices(choices, [3, 3, 3, 1], k=15) + [choices[0]] * 3
        chosen += random.Random(4).choices(choices[:3], k=300)
        c = self.log_in(g)
        c.send(*[frame for frame, _ in chosen])
        self.assertEqual([c.frame()[1:] for _ in chosen], [answer for _, answer in chosen])
        self.assertEqual([r.raw for r in self.stored(g)][1:],
                         [frame for frame, answer in chosen if answer[0] != 7])

    def test_the_end_of_the_peer_waits_for_its_frames(self):
        g = self.start()
        signed = self.chip.report(self.now)
        c = self.client(g).send(wire.login_p(self.now), *[signed] * 20)
        self.assertEqual(c.end().flags(), [(1, OK)] + [(2, OK)] * 20)

    def test_who_leaves_while_a_worker_is_busy_disturbs_nobody(self):
        g = self.start(crypto={"workers": 1})
        signed = self.chip.report(self.now)
        for _ in range(40):  # each takes over, so that sessions end under their jobs as well
            c = self.client(g).send(wire.login_p(self.now), *[signed] * 5)
            c.close()
        await_that("their end", lambda: g.metrics()["connections_open"] == 0)
        await_that("their jobs", lambda: g.metrics()["crypto_jobs_waiting"] == 0)
        c = self.log_in(g)
        self.assertEqual(c.send(signed).frame()[1:], (2, OK))
        c.close()
        await_that("the memory", lambda: g.metrics()["memory_bytes"] <= 4096 * 2)

    def test_a_stop_waits_for_workers(self):
        g = self.start(crypto={"workers": 1})
        mine = self.log_in(g)
        signed = self.chip.report(self.now)
        mine.send(*[signed] * 400)
        g.await_metric("signatures_valid_total", 1)
        self.assertEqual(g.stop(), 0)
        answered = len(mine.rest())
        records = [r for r in g.whole_records() if r.raw == signed]
        # What is kept was answered, and what was answered is kept: nothing was cut in between.
        self.assertEqual(len(records), answered)

    def test_a_deadline_does_not_run_while_we_are_the_slow_ones(self):
        g = self.start(crypto={"workers": 1}, limit={"vin_frames": 0},
                       session={"frame_s": 1, "unknown_vehicle": "reject"})
        signed = self.chip.report(self.now)
        c = self.log_in(g)
        # Far more than a second's work, with half a frame behind it that never gets old meanwhile.
        c.send(*[signed] * 6000, signed[:100])
        self.assertEqual([c.frame()[1:] for _ in range(6000)], [(2, OK)] * 6000)
        self.assertIsNone(c.frame())  # then it does
        self.assertEqual(g.metrics()["connections_closed_deadline_total"], 1)


if __name__ == "__main__":
    unittest.main()
