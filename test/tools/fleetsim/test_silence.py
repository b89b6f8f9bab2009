"""Against a platform that falls silent: long, since a terminal waits 3 s for each answer."""
import asyncio
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from delivery import Delivery  # noqa: E402
from peer import Peer  # noqa: E402


class Silence(Delivery):
    def test_platform_that_falls_silent(self):
        """One frame in 97 is neither kept nor answered: it is sent again, and no other is taken for it."""
        peer = Peer(silent_every=97)
        out, report = self.drive(peer, "--trucks", "12", "--seconds", "4", "--drive", "0.5", "--protocol", "hj1239",
                                 "--no-dead-zones")
        self.check(peer, report)
        self.assertGreater(peer.silences, 0)
        self.assertGreaterEqual(report["totals"]["resent"], peer.silences)

    def drive_over_a_platform(self, peer, *arguments, **more):
        with tempfile.NamedTemporaryFile("w") as password:  # of mode 0600
            print("correct-horse", file=password, flush=True)
            out, report = self.drive(
                peer, "--trucks", "12", "--seconds", "4", "--drive", "0.5", "--dialect", "hj-p,hj-p-tilde", "--platform",
                "carrier", "--platform-password-file", password.name, "--platform-share", "1", *arguments, **more)
        self.check(peer, report)
        self.assertEqual(report["totals"]["frames"], report["totals"]["platform_frames"])
        return report["totals"]

    def test_frames_of_trucks_on_one_connection_that_are_passed_over(self):
        """One in 97 is neither kept nor answered: its truck alone sends again, over the connection that stands."""
        peer = Peer(silent_every=97)
        totals = self.drive_over_a_platform(peer)
        self.assertGreater(peer.silences, 0)
        self.assertGreaterEqual(totals["resent"], peer.silences)

    def test_connection_of_many_trucks_that_falls_silent(self):
        """It stands and nothing comes: given up for all of them, once each time, and made anew."""
        async def trouble(peer):
            await asyncio.sleep(2)
            peer.mute = True
            await asyncio.sleep(8)
            peer.mute = False

        totals = self.drive_over_a_platform(Peer(), "--no-dead-zones", trouble=trouble)
        self.assertEqual((totals["given_up"], totals["platform_logins"], totals["lost"]), (1, 2, 0))
        self.assertGreater(totals["resent"], 0)


if __name__ == "__main__":
    unittest.main()
