"""Against a platform that falls silent: long, since a terminal waits 3 s for each answer."""
import os
import sys
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


if __name__ == "__main__":
    unittest.main()
