"""Leases that are out when servers die, stop, hand over and restart."""
import random
import time
import unittest

from cache_load import CacheLoad, CacheTest
from cache_nemesis import CacheNemesis
from cluster import QUICK, timeout


class CacheFailover(CacheTest):
    def load(self, cluster, **options):
        load = CacheLoad(self, cluster, **{"readers": 4, "writers": 2, "keys": 4, **options})
        self.wait_hits(cluster, "reads are served from the cache")
        return load

    @timeout(120)
    def test_servers_are_killed_and_others_take_over(self):
        cluster = self.cluster(servers=3, partitions=6, times=QUICK)
        load = self.load(cluster)
        for key in load.keys:
            cluster.wait_healthy()  # a copy that a busy machine was too slow for is back
            server = cluster.servers[cluster.primary_of(key)]
            server.crash()
            load.go_on(f"{server.name} is dead")
            server.start()
            cluster.wait_healthy()
            self.wait_hits(cluster, "reads are served from the cache again")
        load.verify()

    @timeout(120)
    def test_servers_are_stopped_until_others_take_over_and_go_on(self):
        cluster = self.cluster(servers=3, partitions=6, times=QUICK)
        load = self.load(cluster)
        for key in load.keys[:3]:
            cluster.wait_healthy()
            server = cluster.servers[cluster.primary_of(key)]
            server.pause()
            load.go_on(f"{server.name} is stopped")
            server.resume()
            load.go_on(f"{server.name} went on")
            cluster.wait_healthy()
        self.wait_hits(cluster, "reads are served from the cache again")
        load.verify()

    @timeout(120)
    def test_partitions_move_while_they_are_cached(self):
        cluster = self.cluster(servers=3, partitions=6, times=QUICK)
        load = self.load(cluster)
        for turn in range(2):
            for partition, primary in sorted(cluster.primaries().items()):
                self.expect(cluster.cli("admin", "move", str(partition), str((primary + 1) % 3)), 0)
            load.go_on(f"moves, turn {turn}")
            time.sleep(0.3)
        cluster.wait_healthy()
        self.wait_hits(cluster, "reads are served from the cache again")
        load.verify()

    @timeout(120)
    def test_a_server_is_drained_while_it_is_cached(self):
        cluster = self.cluster(servers=3, partitions=6, times=QUICK)
        load = self.load(cluster)
        for server in ("1", "2"):
            self.expect(cluster.cli("admin", "drain", server), 0)
            load.go_on(f"draining {server}")
            cluster.wait_healthy()
            self.assertNotIn(int(server), cluster.primaries().values())
            self.expect(cluster.cli("admin", "undrain", server), 0)
        self.wait_hits(cluster, "reads are served from the cache again")
        load.verify()

    @timeout(120)
    def test_the_only_server_is_killed_and_restarted(self):
        """C7: what its former life granted may still be read when it is back, by readers whose
        agent did not hear of it, too."""
        cluster = self.cluster(servers=1, partitions=4, times=(100, 800, 1300))
        load = self.load(cluster)
        nemesis = CacheNemesis(load, random.Random())
        for turn in range(6):
            _, resume = nemesis.restart_unheard(set())
            load.go_on(f"restart {turn}", clients=[c for c in load.clients if not c.stopped])
            resume()
            if turn % 3 == 2:
                self.wait_hits(cluster, "reads are served from the cache again")
        cluster.servers[0].stop()
        cluster.servers[0].start()
        load.go_on("clean restart")
        load.verify()

    @timeout(60)
    def test_what_runs_out_is_not_read_from_the_cache_later(self):
        """S2: one reader was told that the key is gone; no other may see it after that."""
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = CacheLoad(self, cluster, readers=4, writers=0, keys=24, prefix="ttl")
        writer = load.add("--reads", "0", "--burst", "1", "--ttl-ms", "900", "--count", "48",
                          "--pause-us", "40000")
        writer.start()
        writer.finish()
        time.sleep(1.2)
        load.go_on("everything ran out")
        load.verify()


if __name__ == "__main__":
    unittest.main()
