"""Runs the simulator against a peer and checks that every sample arrived."""
import asyncio
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peer import fnv, samples_of  # noqa: E402

PROGRAM = os.environ["HAULGATE_FLEETSIM"]


async def run(peer, folder, *arguments, trouble=None):
    await peer.start()
    report = os.path.join(folder, "fleet.json")
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "--tcp", f"127.0.0.1:{peer.port}", "--state", folder, "--report", report, "--quiet", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    troubles = asyncio.create_task(trouble(peer)) if trouble else None
    out, _ = await process.communicate()
    if troubles:
        troubles.cancel()
    await peer.stop()
    with open(report, encoding="utf-8") as f:
        return process.returncode, out.decode(), json.load(f)


class Delivery(unittest.TestCase):
    def drive(self, peer, *arguments, trouble=None):
        with tempfile.TemporaryDirectory() as folder:
            code, out, report = asyncio.run(run(peer, folder, *arguments, trouble=trouble))
        self.assertEqual(code, 0, out)
        return out, report

    def check(self, peer, report):
        """Every sample arrived, with the value that was sent.  Returns how many came more than once."""
        again = 0
        for truck in report["trucks"]:
            samples, twice = samples_of(truck["dialect"], peer.stored.get(truck["vin"], []))
            again += twice
            self.assertEqual(len(samples), truck["blocks"], truck)
            self.assertEqual(len({when for when, _ in samples}), truck["seconds"], truck)
            self.assertEqual((min(samples)[0], max(samples)[0]), (truck["first"], truck["last"]), truck)
            self.assertEqual(fnv(samples), truck["hash"], truck)
        return again
