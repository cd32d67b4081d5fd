"""kill -9 again and again under load: nothing acknowledged is lost, nothing is executed twice.

KILLS says how often (20 unless set). Every write is a SWAP of a value never used before, so each
value must be returned by at most one SWAP: a duplicate execution breaks the chain (S3), a lost
acknowledged write too (W1).
"""
import os
import random
import time
import unittest

import history
from cluster import CairnTest, timeout, wait_until
from workload import Recorder

KILLS = int(os.environ.get("KILLS", "20"))
CLIENTS, KEYS = 4, [f"key{n}" for n in range(8)]


def swaps(seed):
    sources = [random.Random(f"{seed}-{client}") for client in range(CLIENTS)]

    def next_operation(client, n):
        key = sources[client].choice(KEYS)
        return ("GET", key, None) if n % 5 == 4 else ("SWAP", key, f"c{client}n{n}")
    return next_operation


def chain_of(operations, key, last):
    """Walks back from the last value through what each SWAP returned; all SWAPs must be met."""
    before = {o.value: o.result for o in operations if o.key == key and o.kind == "SWAP"}
    met, value = 0, last
    while value is not None:
        if value not in before:
            raise AssertionError(f"key {key}: {value} was never written, or returned twice")
        value = before.pop(value)
        met += 1
    if before:
        raise AssertionError(f"key {key}: acknowledged and lost: {sorted(before)[:5]}")
    return met


class Kills(CairnTest):
    @timeout(60 + 10 * KILLS)
    def test_no_acknowledged_swap_is_lost_or_executed_twice(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        c = self.cluster(servers=3)
        recorder = Recorder(c.manager_address, CLIENTS, swaps(seed))
        self.addCleanup(recorder.kill)
        for number in range(KILLS):
            # One in five is the manager; sometimes two die together.
            victims = source.sample(c.servers, source.choice([1, 1, 2]))
            if source.random() < 0.2:
                victims = [c.manager]
            before = recorder.done()
            wait_until(lambda: recorder.done() > before + 20 or recorder.failures,
                       "clients go on", 60)
            time.sleep(source.random() * 0.05)
            for node in victims:
                node.crash()
            self.step(f"kill {number + 1} of {KILLS}: " + ", ".join(n.name for n in victims))
            time.sleep(source.random() * 0.2)
            for node in victims:
                node.start()
        c.wait_ready()
        operations = recorder.finish()
        met = 0
        for key in KEYS:
            result = c.cli("get", key)
            last = result.text.rstrip("\n") if result.code == 0 else None
            met += chain_of(operations, key, last)
        self.step(f"{len(operations)} operations, {met} SWAPs in {len(KEYS)} unbroken chains")
        history.check(operations)


if __name__ == "__main__":
    unittest.main()
