"""Servers that die, stop or hang while clients run: others take over, nothing acknowledged is lost,
nothing is executed twice, nothing stale is read."""
import time
import unittest

from cluster import QUICK, SCALE, CairnTest, timeout, wait_until
from load import Load
from workload import Workload


class Failover(CairnTest):
    def start(self, servers=3, **options):
        return self.cluster(servers=servers, partitions=8, times=QUICK, **options)

    @timeout(120)
    def test_a_primary_killed_and_then_the_one_that_took_over(self):
        """W1, S3, R1, R6: the killed server comes back and is a full copy without a command."""
        c = self.start()
        load = Load(self, c, clients=30, pace=0.03)
        load.go_on("before the kill")
        for round_number in range(2):
            victim = c.primary_of(load.keys[0])
            epochs = {p["partition"]: p["epoch"] for p in c.status()["partitions"]}
            c.servers[victim].crash()
            load.go_on(f"kill -9 of server {victim}, a primary")
            status = c.status()
            self.assertNotIn(victim, [p["primary"] for p in status["partitions"]])
            self.assertTrue(any(p["epoch"] > epochs[p["partition"]] for p in status["partitions"]))
            if round_number == 0:
                c.servers[victim].start()
                c.wait_healthy()
        load.verify()

    @timeout(120)
    def test_all_servers_killed_at_once(self):
        """W1, L5: what was acknowledged is there when they are back."""
        c = self.start()
        load = Load(self, c, clients=8)
        for everything in (False, True):
            load.go_on("before the kill", operations=10)
            for node in c.nodes if everything else c.servers:
                node.crash()
            for node in c.nodes if everything else c.servers:
                node.start()
            load.go_on("kill -9 of all" if everything else "kill -9 of all servers")
        c.wait_healthy()
        load.verify()

    @timeout(120)
    def test_without_a_manager_service_goes_on(self):
        """L1: leases are between peers. A server that dies meanwhile is replaced afterwards (L2)."""
        c = self.start()
        load = Load(self, c, clients=8)
        load.go_on("before")
        victim = c.primary_of(load.keys[0])
        c.manager.pause()
        time.sleep(2 * QUICK[2] / 1000 * SCALE)
        load.go_on("while the manager is stopped", operations=20)
        c.servers[victim].crash()
        time.sleep(0.3)
        c.manager.resume()
        load.go_on("the manager goes on, a server is dead")
        # Until its removal is accepted, nothing is written where it had a copy (R7).
        wait_until(lambda: victim not in c.holders(), "the dead server is dropped everywhere")
        c.manager.crash()
        # Nobody asks it anything now.
        load.go_on("the manager is dead", operations=20)
        c.manager.start()
        c.servers[victim].start()
        c.wait_healthy()
        load.verify()

    @timeout(120)
    def test_a_stopped_primary_serves_nothing_stale_when_it_goes_on(self):
        """L1: whether its leases held is asked after the value was read, with a fresh clock."""
        c = self.start()
        load = Load(self, c, clients=8, keys=4, reads=0.6, pace=0.005)
        for _ in range(3):
            load.go_on("before")
            c.wait_healthy()  # the last copy of a partition is waited for (R9)
            node = c.servers[c.primary_of(load.keys[0])]
            node.pause()
            load.go_on(f"{node.name} is stopped")
            node.resume()
            load.go_on(f"{node.name} goes on")
        c.wait_healthy()
        load.verify()

    @timeout(90)
    def test_a_read_that_waited_in_a_stopped_primary_s_socket(self):
        """L1, L3: it was sent after a later write was acknowledged, to a server that knows nothing of
        that write and whose leases have run out while it was stopped."""
        c = self.start()
        for number in range(3):
            key = f"key{number}"
            reader, writer = Workload(c.manager_address), Workload(c.manager_address)
            self.addCleanup(reader.kill)
            self.addCleanup(writer.kill)
            writer.call(f"PUT {key} old")
            self.assertEqual(f"GET {key} old", reader.call(f"GET {key}"))
            node = c.servers[c.primary_of(key)]
            node.pause()
            self.assertEqual(f"SWAP {key} old", writer.call(f"SWAP {key} new"))
            reader.send(f"GET {key}")
            time.sleep(0.05)
            node.resume()
            self.assertEqual(f"GET {key} new", reader.answer())
            c.wait_healthy()

    @timeout(120)
    def test_what_a_backup_does_not_hold_is_not_acknowledged(self):
        """R1: the backup is stopped for less than a lease, the primary dies, and the backup leads
        with what it had. Whatever else was acknowledged would be lost."""
        c = self.start(servers=2)
        load = Load(self, c, clients=6, reads=0, pace=0.002)
        for first in range(4):
            load.go_on("before")
            c.wait_healthy()
            primary, backup = c.servers[first % 2], c.servers[1 - first % 2]
            backup.pause()
            time.sleep(QUICK[1] / 1000 * SCALE * 0.5)
            primary.crash()
            backup.resume()
            time.sleep(2 * QUICK[2] / 1000 * SCALE)
            primary.start()
            load.go_on(f"{backup.name} was stopped, {primary.name} killed")
        load.verify()

    @timeout(120)
    def test_a_backup_that_stops_or_dies_is_dropped_and_comes_back(self):
        """R7: writes wait until its removal is accepted, and then go on."""
        c = self.start()
        load = Load(self, c, clients=8)
        load.go_on("before")
        victim = c.backups_of(load.keys[0])[0]
        c.servers[victim].pause()
        load.go_on(f"server {victim}, a backup, is stopped")
        c.servers[victim].resume()
        c.wait_healthy()
        victim = c.backups_of(load.keys[0])[0]
        c.servers[victim].crash()
        load.go_on(f"kill -9 of server {victim}, a backup")
        c.servers[victim].start()
        c.wait_healthy()
        load.verify()

    @timeout(90)
    def test_a_removed_copy_is_never_promoted(self):
        """R9: a server that missed writes does not serve, however long the other one is away."""
        c = self.start(servers=2)
        self.expect(c.cli("put", "k", "old"), 0)
        for first in range(2):
            other = 1 - first
            c.servers[first].crash()
            self.expect(c.cli("--timeout", "20000", "put", "k", f"new{first}"), 0)
            c.servers[other].crash()
            c.servers[first].start()
            self.expect(c.cli("--timeout", "2000", "get", "k"), 3, "")
            c.servers[other].start()
            self.expect(c.cli("--timeout", "20000", "get", "k"), 0, f"new{first}\n")
            c.wait_healthy()

    @timeout(120)
    def test_a_server_that_stays_away_is_replaced_by_a_third(self):
        c = self.start(manager_options=["--replace-after", "1"])
        load = Load(self, c, clients=6)
        load.go_on("before")
        c.servers[0].crash()
        wait_until(lambda: 0 not in c.holders(), "nothing is left on server 0", 40)
        c.wait_healthy()
        load.go_on("server 0 stays away")
        c.servers[1].crash()
        load.go_on("server 1 is dead, too")
        c.servers[0].start()
        c.servers[1].start()
        c.wait_healthy()
        load.verify()


if __name__ == "__main__":
    unittest.main()
