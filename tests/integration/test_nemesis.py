"""Faults of all kinds, drawn at random, one or two at once: histories stay linearizable, nothing
acknowledged is lost, and all copies are there again at the end of each round.

CYCLES says how many faults (8 unless set), NEMESIS_SEED repeats a run's choices.
"""
import os
import random
import time
import unittest

from cluster import QUICK, SCALE, CairnTest, timeout
from load import Load
from nemesis import Nemesis
from network import Network, NoNetwork

CYCLES = int(os.environ.get("CYCLES", "8"))
ROUND, CLIENTS = 8, 4


class Faults(CairnTest):
    def optional_network(self):
        """None where there are no namespaces: then all faults but those of links are drawn."""
        try:
            Network().close()
        except NoNetwork as error:
            print(f"no faults of links: {error}")
            return None
        return self.network(*(f"c{n}" for n in range(CLIENTS)))

    def round(self, nemesis, source, number, cycles):
        c = nemesis.cluster
        load = Load(self, c, clients=CLIENTS, keys=8, reads=0.4, pace=0.004, prefix=f"r{number}k",
                    inside=(lambda i: c.network.command(f"c{i}")) if c.network else None)
        for _ in range(cycles):
            load.go_on("whole", operations=5, seconds=60)
            what, end = nemesis.begin(source.choice([1, 1, 2]))
            self.step(what)
            time.sleep(source.uniform(0.05, 3 * QUICK[2] / 1000) * SCALE)
            end()
        load.go_on("whole", seconds=60)
        c.wait_healthy(60)
        return load.verify()

    @timeout(90 + 10 * CYCLES)
    def test_faults_at_random(self):
        seed = os.environ.get("NEMESIS_SEED", str(random.randrange(1 << 32)))
        print("seed of the faults", seed)
        self.step(f"seed {seed}")
        source = random.Random(seed)
        c = self.cluster(servers=3, partitions=8, times=QUICK, network=self.optional_network())
        nemesis, left, operations = Nemesis(c, source), CYCLES, 0
        for number in range((CYCLES + ROUND - 1) // ROUND):
            operations += self.round(nemesis, source, number, min(left, ROUND))
            left -= ROUND
        self.step(f"{CYCLES} cycles of faults, {operations} operations checked")


if __name__ == "__main__":
    unittest.main()
