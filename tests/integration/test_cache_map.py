"""The cluster's map in the shared segment: processes find servers while the manager is away."""
import unittest

from cache_load import CacheTest

SHORT = ("--timeout", "3000")


class CacheMap(CacheTest):
    def test_a_second_process_finds_its_server_without_the_manager(self):
        cluster = self.cluster(servers=2, partitions=8)
        for n in range(8):
            self.expect(cluster.cli("put", f"k{n}", f"v{n}"), 0)
        cluster.manager.crash()
        for n in range(8):
            self.expect(cluster.cli(*SHORT, "get", f"k{n}"), 0, f"v{n}\n")
        self.expect(cluster.cli(*SHORT, "put", "k0", "new"), 0)
        self.expect(cluster.cli(*SHORT, "get", "k0"), 0, "new\n")
        # Without the map there is no way.
        self.assertIn(cluster.cli("--timeout", "1000", "--no-cache", "get", "k0").code, (2, 3))
        cluster.manager.start()

    def test_a_stopped_manager_is_not_waited_for(self):
        cluster = self.cluster(servers=2, partitions=8)
        self.expect(cluster.cli("put", "k", "v"), 0)
        cluster.manager.pause()
        self.expect(cluster.cli(*SHORT, "get", "k"), 0, "v\n")
        self.assertIn(cluster.cli("--timeout", "1000", "--no-cache", "get", "k").code, (2, 3))
        cluster.manager.resume()

    def test_what_one_process_was_redirected_to_another_finds_at_once(self):
        cluster = self.cluster(servers=2, partitions=1, replicas=1)
        self.expect(cluster.cli("put", "k", "v"), 0)  # the segment has the map from now on
        former = cluster.primary_of("k")
        self.move(cluster, 0, 1 - former)
        cluster.manager.crash()
        # The segment's map is old: the former primary redirects this one.
        self.expect(cluster.cli(*SHORT, "get", "k"), 0, "v\n")
        # Nobody is there to redirect this one.
        cluster.servers[former].crash()
        self.expect(cluster.cli(*SHORT, "get", "k"), 0, "v\n")
        cluster.manager.start()
        cluster.servers[former].start()

    def move(self, cluster, partition, server):
        """By a client that leaves the segment as it is."""
        from cluster import wait_until
        import json
        self.expect(cluster.cli("--no-cache", "admin", "move", str(partition), str(server)), 0)

        def moved():
            result = cluster.cli("--no-cache", "--json", "status")
            status = json.loads(result.out)["partitions"][partition]
            return status["primary"] == server and status["copies"] == 1
        wait_until(moved, "the partition moved")


if __name__ == "__main__":
    unittest.main()
