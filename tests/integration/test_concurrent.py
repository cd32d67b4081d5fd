"""Clients on the same keys while servers crash: every history is linearizable."""
import os
import random
import unittest

import history
from cluster import CairnTest, timeout, wait_until
from workload import Recorder

OPERATIONS = int(os.environ.get("OPERATIONS", "5000"))
CLIENTS, KEYS = 5, [f"key{n}" for n in range(5)]


def mixed(seed):
    """Unique values, so that a read tells which write it saw."""
    sources = [random.Random(f"{seed}-{client}") for client in range(CLIENTS)]

    def next_operation(client, n):
        source = sources[client]
        kind = source.choice(["GET", "GET", "PUT", "SWAP", "SWAP", "DELETE"])
        value = f"c{client}n{n}" if kind in ("PUT", "SWAP") else None
        return kind, source.choice(KEYS), value
    return next_operation


class Concurrent(CairnTest):
    @timeout(300)
    def test_two_of_five_servers_crash_half_way(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        c = self.cluster(servers=5)
        recorder = Recorder(c.manager_address, CLIENTS, mixed(seed), OPERATIONS)
        self.addCleanup(recorder.kill)
        wait_until(lambda: recorder.done() >= CLIENTS * OPERATIONS // 2 or recorder.failures,
                   "half of the operations are done", 120)
        self.step(f"{recorder.done()} operations; kill -9 of servers 1 and 2")
        c.servers[1].crash()
        c.servers[2].crash()
        # The others' work goes on until it needs one of the two.
        c.cli("--timeout", "1000", "scan", "!", "~")
        c.servers[1].start()
        c.servers[2].start()
        operations = recorder.finish(200)
        self.assertEqual(CLIENTS * OPERATIONS, len(operations))
        self.step(f"{len(operations)} operations, all answered; checking the history")
        history.check(operations)


if __name__ == "__main__":
    unittest.main()
