"""Who answers invalidations: one process of the host at a time, and what happens when it dies, stops
or forks."""
import os
import signal
import time
import unittest

from cache_load import CacheLoad, CacheTest, agent_of, size_of
from cluster import QUICK, Node, program, timeout, wait_until

# One that keeps to its own: neither reads much nor stands by as the agent.
QUIET = ("--no-agent", "--burst", "20")


class CacheAgent(CacheTest):
    def load(self, cluster, **options):
        return CacheLoad(self, cluster, **{"readers": 3, "writers": 1, "keys": 3, **options})

    @timeout(90)
    def test_another_process_takes_over_when_the_agent_is_killed(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = self.load(cluster)
        for _ in range(3):
            agent = self.wait_agent(cluster, "a process is the agent")
            self.wait_hits(cluster, "reads are served from the cache")
            client = next(c for c in load.clients if c.pid == agent)
            client.kill()
            self.wait_agent(cluster, "another process is the agent", but=agent)
            self.wait_hits(cluster, "reads are served from the cache again")
            client.start()
        load.go_on("after three agents died")
        load.verify()

    @timeout(90)
    def test_a_clean_end_of_the_agent_leaves_no_gap_in_what_is_right(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = self.load(cluster)
        for _ in range(3):
            agent = self.wait_agent(cluster, "a process is the agent")
            client = next(c for c in load.clients if c.pid == agent)
            client.end()
            self.wait_agent(cluster, "another process is the agent", but=agent)
            client.start()
        self.wait_hits(cluster, "reads are served from the cache again")
        load.verify()

    @timeout(60)
    def test_a_write_returns_while_the_agent_is_stopped_and_nobody_reads_what_it_replaced(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = self.load(cluster, readers=1, writers=1, keys=1)
        agent = load.readers[0]
        self.assertEqual(agent.pid, self.wait_agent(cluster, "the reader is the agent"))
        load.writers[0].end()
        other = load.add(*QUIET)
        other.start()
        for number in range(4):
            self.wait_hits(cluster, "reads are served from the cache")
            agent.stop()
            writer = load.add("--reads", "0", "--burst", "1", "--count", "1")
            writer.number += 10 * number
            writer.start()
            writer.finish()
            load.go_on("while the agent is stopped", clients=[other])
            agent.go_on()
            load.go_on("after the agent went on", clients=[agent, other])
        load.verify()

    @timeout(60)
    def test_one_shot_commands_read_what_cairn_agent_keeps_current(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        agent = Node("agent", [program("cairn"), "--manager", cluster.manager_address, "agent"],
                     cluster.folder, {"CAIRN_CACHE_NAME": cluster.cache_name})
        cluster.add(agent).start()
        self.assertEqual(agent.process.pid, self.wait_agent(cluster, "cairn agent is the agent"))
        for number in range(8):
            value = f"value{number}"
            self.expect(cluster.cli("put", "k", value), 0)
            before = self.hits(cluster)
            for n in range(200):
                self.expect(cluster.cli("get", "k"), 0, value + "\n")
                if n > 2 and self.hits(cluster) > before + 2:
                    break
            else:
                self.fail(f"200 reads of the same key and no hit: {self.stat(cluster)}")
        agent.stop()
        self.assertIsNone(agent_of(self.segment(cluster)))
        self.expect(cluster.cli("get", "k"), 0, "value7\n")

    def test_a_client_without_the_cache_has_no_segment_and_no_thread(self):
        cluster = self.cluster(servers=1, partitions=2)
        self.assertEqual([], cluster.remove_cache())  # of the command that waited for the cluster
        load = self.load(cluster, readers=2, writers=1, reader_options=("--no-cache",),
                         writer_options=("--no-cache",))
        for _ in range(10):
            load.go_on("without the cache")
            for client in load.clients:
                self.assertEqual(1, len(os.listdir(f"/proc/{client.pid}/task")))
        self.expect(cluster.cli("--no-cache", "get", load.keys[0] + "none"), 1)
        self.assertEqual([], cluster.segments())
        load.verify()


class CacheFork(CacheTest):
    @timeout(60)
    def test_the_child_of_the_agent_reads_what_is_right_and_keeps_no_lock(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = CacheLoad(self, cluster, readers=1, writers=1, keys=3,
                         writer_options=("--no-agent",))
        parent = load.readers[0]
        self.assertEqual(parent.pid, self.wait_agent(cluster, "the reader is the agent"))
        self.wait_hits(cluster, "reads are served from the cache")
        child, record = parent.fork(), parent.path + ".child"
        self.addCleanup(self.end_process, child)
        wait_until(lambda: size_of(record) > 1000, "the child reads")
        self.assertEqual(parent.pid, self.wait_agent(cluster, "the parent is the agent still"))
        successor = load.add()
        successor.start()
        load.go_on("beside parent and child")
        former = parent.pid
        parent.kill()
        self.assertEqual(successor.pid, self.wait_agent(cluster, "another one is the agent", former))
        self.wait_hits(cluster, "reads are served from the cache again")
        size = size_of(record)
        wait_until(lambda: size_of(record) > size, "the child goes on reading")
        self.end_process(child)
        load.verify()

    @timeout(60)
    def test_a_child_that_outlives_nothing_ends_cleanly(self):
        cluster = self.cluster(servers=1, partitions=2, times=QUICK)
        load = CacheLoad(self, cluster, readers=3, writers=1, keys=2)
        load.go_on("parents")
        children = [reader.fork() for reader in load.readers]
        for child, reader in zip(children, load.readers):
            self.addCleanup(self.end_process, child)
            wait_until(lambda: size_of(reader.path + ".child") > 1000, "the child reads")
        load.go_on("parents, beside their children")
        load.verify()  # a parent ends its child and tells what it ended with

    @staticmethod
    def end_process(pid):
        """Of one that is no child of this process."""
        try:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    if file.read().split(") ")[1][0] == "Z":
                        return
                time.sleep(0.02)
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            pass


if __name__ == "__main__":
    unittest.main()
