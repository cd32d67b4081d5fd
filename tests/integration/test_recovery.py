"""Stops and starts: what a crash replays, what a clean stop leaves, and in which order all start."""
import re
import signal
import unittest

from cluster import CairnTest, timeout, wait_until
from workload import Workload


def recovered(log):
    """The fields of the start-up line that says what was recovered."""
    lines = [line for line in log.splitlines() if "recovered" in line]
    if len(lines) != 1:
        raise AssertionError("not one line about recovery:\n" + log[-2000:])
    return dict(re.findall(r"(\w+)=(\S+)", lines[0]))


class Restarts(CairnTest):
    def fill(self, c, count=200):
        lines = "".join(f"PUT k{n} v{n}\n" for n in range(count))
        self.expect(c.cli("workload", stdin=lines.encode()), 0)

    def verify(self, c, count=200):
        result = self.expect(c.cli("workload", stdin="".join(f"GET k{n}\n" for n in range(count)).encode()), 0)
        self.assertEqual([f"GET k{n} v{n}" for n in range(count)], result.text.splitlines())

    def test_a_crash_replays_and_loses_nothing(self):
        c = self.cluster(servers=1)
        self.fill(c)
        c.servers[0].crash()
        c.servers[0].start()
        c.wait_ready()
        self.verify(c)
        fields = recovered(c.servers[0].log())
        self.assertGreaterEqual(int(fields["replayed"]), 200, fields)

    def test_a_clean_stop_checkpoints_so_that_nothing_is_replayed(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            c = self.cluster(servers=1)
            self.fill(c)
            c.servers[0].stop(number)
            c.servers[0].start()
            c.wait_ready()
            self.verify(c)
            for partition in c.status()["partitions"]:
                # LMDB holds all but the entry with which the server took the lead again (R6).
                self.assertEqual(partition["last_index"] - 1, partition["checkpoint_index"])

    def test_a_manager_restarted_keeps_the_map(self):
        c = self.cluster(servers=3, replicas=1)
        self.fill(c)
        before = {p["partition"]: p["primary"] for p in c.status()["partitions"]}
        client = Workload(c.manager_address)
        self.addCleanup(client.kill)
        client.call("GET k0")
        c.manager.crash()
        for n in range(50):  # who knows the map needs no manager
            self.assertEqual(f"GET k{n} v{n}", client.call(f"GET k{n}"))
        self.assertEqual("SWAP new null", client.call("SWAP new v"))
        c.manager.start()
        c.wait_ready()
        self.assertEqual(before, {p["partition"]: p["primary"] for p in c.status()["partitions"]})
        c.manager.stop()
        c.manager.start()
        c.wait_ready()
        self.verify(c)

    def test_everything_crashes_and_comes_back(self):
        c = self.cluster(servers=3)
        self.fill(c)
        c.crash_all()
        for node in [*c.servers, c.manager]:
            node.start()
        c.wait_ready()
        self.verify(c)

    def test_servers_wait_for_the_manager(self):
        c = self.cluster(servers=2, start=False)
        for server in c.servers:
            server.start()
        client = Workload(c.manager_address)
        self.addCleanup(client.kill)
        client.send("PUT k v")
        wait_until(lambda: "manager" in c.servers[0].log(), "the server says that it waits")
        self.assertTrue(c.servers[0].running() and c.servers[1].running())
        c.manager.start()
        self.assertEqual("PUT k not_found", client.answer())
        self.assertEqual(0, client.stop())

    def test_the_map_waits_for_the_last_server(self):
        c = self.cluster(servers=3, start=False)
        c.manager.start()
        c.servers[0].start()
        c.servers[1].start()
        self.expect(c.cli("--timeout", "500", "get", "k"), 3, "")
        c.servers[2].start()
        c.wait_ready()
        self.expect(c.cli("put", "k", "v"), 0)

    def test_a_server_stopped_before_it_registered_ends_cleanly(self):
        c = self.cluster(servers=1, start=False)
        c.servers[0].start()
        wait_until(c.servers[0].log, "a first line")
        c.servers[0].stop()

    def test_status_shows_a_dead_server(self):
        c = self.cluster(servers=2)
        c.servers[1].crash()
        self.expect(c.cli("--timeout", "3000", "status"), 0)

    @timeout(120)
    def test_ten_crashes_in_a_row_while_starting(self):
        c = self.cluster(servers=1)
        self.fill(c)
        for n in range(10):
            c.servers[0].crash()
            c.servers[0].start()
            if n % 2:
                wait_until(c.servers[0].log, "a first line")
        c.wait_ready()
        self.verify(c)


if __name__ == "__main__":
    unittest.main()
