"""Cached reads are linearizable, whatever is killed and stopped.

CACHE_MINUTES says for how long (a quarter unless set), CACHE_SEED repeats a run's faults.
"""
import json
import os
import random
import threading
import time
import unittest

from cache_load import CacheLoad, CacheTest
from cache_nemesis import CacheNemesis
from cluster import QUICK, timeout

MINUTES = float(os.environ.get("CACHE_MINUTES", "0.25"))
ROUND_SECONDS = 15


class Verdicts:
    """Checks the histories of rounds beside the rounds that follow."""

    def __init__(self):
        self.thread, self.failures = None, []
        self.reads = self.writes = self.recorded = 0

    def add(self, load):
        self.join()
        self.thread = threading.Thread(target=self._check, args=(load,))
        self.thread.start()

    def _check(self, load):
        try:
            counts = load.verify()
            self.reads += counts.reads
            self.writes += counts.writes
            self.recorded += counts.recorded
            load.forget()
        except Exception as error:  # told by join(), in the test's thread
            self.failures.append(str(error))

    def join(self):
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        if self.failures:
            raise AssertionError("\n".join(self.failures))


class Hits:
    """Reads served from the cache, over all segments: a new one begins at 0."""

    def __init__(self, cluster):
        self.cluster, self.total, self.last = cluster, 0, 0

    def look(self):
        told = self.cluster.cli("--json", "--timeout", "1000", "cache", "stat")
        if told.code != 0:
            return  # just removed, and the manager does not answer
        now = json.loads(told.out)["hits"]
        self.total += now - self.last if now >= self.last else now
        self.last = now


class CacheHistory(CacheTest):
    @timeout(120 + 100 * MINUTES)
    def test_cached_reads_are_linearizable_through_kills_and_stops(self):
        seed = int(os.environ.get("CACHE_SEED", random.randrange(1 << 32)))
        print("seed of the faults", seed)
        source = random.Random(seed)
        cluster = self.cluster(servers=3, partitions=8, times=QUICK)
        verdicts, end, number = Verdicts(), time.monotonic() + MINUTES * 60, 0
        kills = stops = unlinks = 0
        hits = Hits(cluster)
        while number == 0 or time.monotonic() < end:
            load = CacheLoad(self, cluster, prefix=f"round{number}k")
            nemesis = CacheNemesis(load, source)
            round_end = time.monotonic() + ROUND_SECONDS
            while time.monotonic() < min(end, round_end):
                self.step(nemesis.cycle() or "nothing")
                load.check_alive()
                hits.look()
            cluster.wait_ready()
            load.go_on(f"round {number}")
            load.end()
            verdicts.add(load)
            number, kills, stops = number + 1, kills + nemesis.kills, stops + nemesis.stops
            unlinks += nemesis.unlinks
        verdicts.join()
        print(f"{number} rounds: {verdicts.reads} reads, {verdicts.writes} writes, "
              f"{verdicts.recorded} operations checked; {hits.total} cached reads, {kills} kills, {stops} stops, "
              f"{unlinks} segments removed")
        self.assertGreater(hits.total, 0, "nothing was read from the cache")


if __name__ == "__main__":
    unittest.main()
