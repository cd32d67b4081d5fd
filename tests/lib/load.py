"""Clients that write while a test breaks things, and the proof that nothing acknowledged was lost
and nothing executed twice.

Every write is a SWAP of a value never used before, so each value must be returned by at most one
SWAP: a duplicate execution breaks a key's chain (S3), a lost acknowledged write too (W1).
"""
import random
import time

import history
from cluster import SCALE
from workload import Recorder


def swaps(seed, clients, keys, reads=0.2, pace=0.0):
    """A next_operation for Recorder: SWAPs, and GETs in the given part."""
    sources = [random.Random(f"{seed}-{client}") for client in range(clients)]

    def next_operation(client, n):
        source = sources[client]
        if pace:
            time.sleep(source.random() * 2 * pace)
        key = source.choice(keys)
        return ("GET", key, None) if source.random() < reads else ("SWAP", key, f"c{client}n{n}")
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


class Load:
    """Clients at work on a cluster until verify()."""

    def __init__(self, test, cluster, clients=6, keys=16, reads=0.2, pace=0.01, prefix="key",
                 inside=None):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        self.test, self.cluster = test, cluster
        self.keys = [f"{prefix}{n}" for n in range(keys)]
        self.recorder = Recorder(cluster.manager_address, clients,
                                 swaps(seed, clients, self.keys, reads, pace), inside=inside)
        test.addCleanup(self.recorder.kill)

    def go_on(self, what, operations=3, clients=None, seconds=25):
        """Waits until each client (or each of `clients`) has had so many more answers; says how
        long that took. The bound is no more than a guard against waiting for ever."""
        recorder, started = self.recorder, time.monotonic()
        who = range(len(recorder.answered)) if clients is None else clients
        goal = {i: recorder.answered[i] + operations for i in who}
        while any(recorder.answered[i] < goal[i] for i in who):
            if recorder.failures:
                raise AssertionError("\n".join(recorder.failures))
            if time.monotonic() > started + seconds * SCALE:
                stuck = [i for i in who if recorder.answered[i] < goal[i]]
                raise AssertionError(f"{what}: no answer within {seconds} s for clients {stuck}")
            time.sleep(0.01)
        self.test.step(f"{what}: every client went on after {time.monotonic() - started:.2f} s")

    def verify(self):
        """Ends the clients and proves what they saw; returns how many operations that were."""
        operations = self.recorder.finish()
        for key in self.keys:
            result = self.cluster.cli("--timeout", "20000", "get", key)
            if result.code not in (0, 1):
                raise AssertionError(f"get {key}: {result}")
            last = result.text.rstrip("\n") if result.code == 0 else None
            chain_of(operations, key, last)
        history.check(operations)
        self.test.step(f"{len(operations)} operations, unbroken chains of SWAPs on "
                       f"{len(self.keys)} keys, a linearizable history")
        return len(operations)

    def last_values(self):
        """{key: value} now, by a client of its own."""
        scanned = self.cluster.cli("--timeout", "20000", "scan", "!", "~")
        if scanned.code != 0:
            raise AssertionError(f"scan: {scanned}")
        return dict(line.split("\t") for line in scanned.text.splitlines())
