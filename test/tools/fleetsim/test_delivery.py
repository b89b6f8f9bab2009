"""The simulator keeps what is not safe and sends it until it is: against a platform that dies."""
import asyncio
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from delivery import Delivery  # noqa: E402
from peer import Peer, samples_of  # noqa: E402


class AgainstAPeer(Delivery):
    def test_all_dialects(self):
        """Every dialect, cut and merged in all ways, with dead zones; login first, logout last."""
        peer = Peer()
        out, report = self.drive(peer, "--trucks", "32", "--seconds", "4", "--drive", "0.7", "--verify-wait", "1")
        self.check(peer, report)
        self.assertEqual({t["dialect"] for t in report["trucks"]},
                         {"gb-a", "gb-a-prime", "gb-b", "hj-v", "hj-v-tilde", "hj-p", "hj-p-tilde"})
        for vin, frames in peer.stored.items():
            self.assertEqual(frames[0][1][2], 1, vin)
            self.assertEqual(frames[-1][1][2], 4, vin)
        self.assertGreater(peer.commands.get(3, 0), 0, "dead zones make supplements")
        self.assertGreater(report["totals"]["dead_zones"], 0)

    def test_platform_that_dies(self):
        """Killed four times: what was in flight comes again."""
        async def trouble(peer):
            for _ in range(4):
                await asyncio.sleep(0.8)
                await peer.die(0.3)

        peer = Peer(sync_s=0.02)
        out, report = self.drive(peer, "--trucks", "14", "--seconds", "5", "--drive", "0.5", trouble=trouble)
        self.assertGreater(self.check(peer, report), 0)
        self.assertEqual(peer.deaths, 4)
        self.assertGreater(report["totals"]["reconnects"], 14)
        self.assertGreater(report["totals"]["connect_failures"], 0)

    def test_unanswered_frames_that_were_read_and_lost(self):
        """A platform that makes durable 0.8 s after reading, and dies: the last seconds come again."""
        async def trouble(peer):
            for _ in range(4):
                await asyncio.sleep(0.6)  # nothing that was read so far is durable
                await peer.die(0.2)

        peer = Peer(sync_s=0.8)
        out, report = self.drive(peer, "--trucks", "12", "--seconds", "5", "--drive", "0.5", "--protocol", "gb17691",
                                 "--no-dead-zones", trouble=trouble)
        self.check(peer, report)
        self.assertEqual(peer.deaths, 4)

    def test_same_seed_same_fleet(self):
        """What is reported depends on the seed alone, not on what happens on the wire."""
        a = self.drive(Peer(), "--trucks", "6", "--seconds", "2", "--drive", "0.3", "--protocol", "hj1239", "--seed", "9")[1]
        b = self.drive(Peer(), "--trucks", "6", "--seconds", "3", "--drive", "0.3", "--protocol", "hj1239", "--seed", "9", "--no-dead-zones")[1]
        c = self.drive(Peer(), "--trucks", "6", "--seconds", "2", "--drive", "0.3", "--protocol", "hj1239", "--seed", "10")[1]
        hashes = [[(t["vin"], t["hash"]) for t in r["trucks"]] for r in (a, b, c)]
        self.assertEqual(hashes[0], hashes[1])
        self.assertTrue(set(hashes[0]).isdisjoint(hashes[2]))

    def test_clock_faults_are_reported_apart(self):
        peer = Peer()
        out, report = self.drive(peer, "--trucks", "7", "--seconds", "3", "--drive", "1", "--clock-faults", "1")
        self.assertGreater(report["totals"]["clock_faults"], 0)
        for truck in report["trucks"]:
            samples, _ = samples_of(truck["dialect"], peer.stored[truck["vin"]])
            odd = [when for when, _ in samples if not truck["first"] <= when <= truck["last"]]
            self.assertEqual(len(samples), truck["blocks"], truck)
            self.assertGreater(len(odd), 0, truck)


if __name__ == "__main__":
    unittest.main()
