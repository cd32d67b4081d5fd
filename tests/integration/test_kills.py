"""kill -9 again and again under load: nothing acknowledged is lost, nothing is executed twice.

KILLS says how often (20 unless set): with two copies of each partition, where others take over, and
a quarter of that with one copy, where clients wait for the return.
"""
import os
import random
import time
import unittest

from cluster import QUICK, CairnTest, timeout
from load import Load

KILLS = int(os.environ.get("KILLS", "20"))


class Kills(CairnTest):
    def kill_again_and_again(self, kills, **options):
        seed = random.randrange(1 << 32)
        print("seed of the kills", seed)
        source = random.Random(seed)
        c = self.cluster(servers=3, partitions=8, **options)
        load = Load(self, c, clients=4, keys=8, pace=0.001)
        for number in range(kills):
            # One in five is the manager; sometimes two die together.
            victims = source.sample(c.servers, source.choice([1, 1, 2]))
            if source.random() < 0.2:
                victims = [c.manager]
            load.go_on("between kills", operations=5, seconds=60)
            time.sleep(source.random() * 0.05)
            for node in victims:
                node.crash()
            self.step(f"kill {number + 1} of {kills}: " + ", ".join(n.name for n in victims))
            time.sleep(source.random() * 0.8)
            for node in victims:
                node.start()
        c.wait_ready()
        c.wait_healthy()
        load.verify()

    @timeout(60 + 10 * KILLS)
    def test_no_acknowledged_swap_is_lost_or_executed_twice(self):
        self.kill_again_and_again(KILLS, times=QUICK)

    @timeout(60 + 3 * KILLS)
    def test_the_same_with_one_copy(self):
        self.kill_again_and_again((KILLS + 3) // 4, replicas=1)


if __name__ == "__main__":
    unittest.main()
