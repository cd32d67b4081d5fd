"""cairn-fuzz and its nemesis: five faults of each kind while clients call; all answers fit one order, and
the copies are equal at the end.

SEED in the environment repeats a run's faults and calls.
"""
import os
import random
import re
import unittest

from cluster import BIN, CairnTest, program, run, timeout

CYCLES = 5


class Cycles(CairnTest):
    def cycles(self, kind):
        seed = os.environ.get("SEED") or random.randrange(1 << 32)
        print("kind", kind, "seed", seed)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
        done = run([program("cairn-fuzz"), "--nemesis", kind, "--cycles", str(CYCLES), "--seed", str(seed),
                    "--clients", "4", "--programs", BIN], seconds=150, environment=kept)
        self.assertEqual(0, done.code, done)
        said = done.text + done.err.decode()
        self.assertEqual(CYCLES, len(re.findall("whole again", said)), said)
        self.assertIn("all copies are equal", said)

    @timeout(160)
    def test_kill(self):
        self.cycles("kill")

    @timeout(160)
    def test_pause(self):
        self.cycles("pause")

    @unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
    @timeout(160)
    def test_partition(self):
        self.cycles("partition")

    @timeout(160)
    def test_slow_disk(self):
        self.cycles("slow-disk")

    @timeout(160)
    def test_disk_full(self):
        self.cycles("disk-full")

    @timeout(160)
    def test_clock(self):
        self.cycles("clock")

    @timeout(160)
    def test_restart_manager(self):
        self.cycles("restart-manager")

    @timeout(160)
    def test_move(self):
        self.cycles("move")


if __name__ == "__main__":
    unittest.main()
