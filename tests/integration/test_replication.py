"""Two copies of everything: where they are told, that they are complete, how one catches up."""
import random
import shutil
import time
import unittest

from cluster import QUICK, SCALE, CairnTest, timeout, wait_until
from load import Load

# The least that checkpoints and cuts the log often.
SMALL = ["--memtable-bytes", "1M", "--log-keep", "0"]


class Copies(CairnTest):
    def fill(self, c, name, count=200):
        lines = "".join(f"PUT {name}{n} v{n}\n" for n in range(count))
        self.expect(c.cli("workload", stdin=lines.encode()), 0)

    def verify(self, c, name, count=200):
        lines = "".join(f"GET {name}{n}\n" for n in range(count))
        result = self.expect(c.cli("workload", stdin=lines.encode()), 0)
        self.assertEqual([f"GET {name}{n} v{n}" for n in range(count)], result.text.splitlines())

    @timeout(120)
    def test_each_server_in_turn_can_be_lost(self):
        """R1: what is acknowledged is on both copies."""
        c = self.cluster(servers=3, partitions=8, times=QUICK)
        names = []
        for number, server in enumerate(c.servers):
            names.append(f"n{number}-")
            self.fill(c, names[-1])
            server.crash()
            for name in names:
                self.verify(c, name)
            names.append(f"away{number}-")
            self.fill(c, names[-1])
            server.start()
            c.wait_healthy()
        for name in names:
            self.verify(c, name)

    @timeout(60)
    def test_status_tells_where_the_copies_are(self):
        c = self.cluster(servers=3, partitions=8, times=QUICK)
        self.fill(c, "k")
        status = c.wait_healthy()
        self.assertEqual(0, status["missing_copies"])
        for partition in status["partitions"]:
            self.assertIn(partition["primary"], range(3))
            self.assertEqual(1, len(partition["backups"]), partition)
            self.assertNotIn(partition["primary"], partition["backups"])
            self.assertEqual([], partition["learners"])
            self.assertEqual((2, 2), (partition["copies"], partition["wanted"]))
            self.assertGreaterEqual(partition["epoch"], 1)
            self.assertGreaterEqual(partition["lag"], 0)
        self.assertNotIn("missing", c.cli("status").text.lower())

    @timeout(60)
    def test_status_says_plainly_that_copies_are_missing(self):
        c = self.cluster(servers=2, partitions=8, times=QUICK)
        c.servers[1].crash()
        self.fill(c, "k")  # waits until everything is served again
        status = c.status()
        self.assertEqual(8, status["missing_copies"])
        self.assertEqual({1}, {p["copies"] for p in status["partitions"]})
        self.assertRegex(c.cli("status").text, r"(?i)8 .*(missing|fewer)|missing.*8")
        c.servers[1].start()
        c.wait_healthy()
        self.assertEqual(0, c.status()["missing_copies"])

    @timeout(90)
    def test_three_copies(self):
        c = self.cluster(servers=3, replicas=3, partitions=8, times=QUICK)
        load = Load(self, c, clients=6)
        load.go_on("before")
        c.servers[0].crash()
        load.go_on("one of three is dead")
        c.servers[1].crash()
        load.go_on("two of three are dead")
        c.servers[0].start()
        c.servers[1].start()
        c.wait_healthy()
        load.verify()

    @timeout(90)
    def test_a_wiped_disk_is_a_stranger_and_installed_anew_when_told(self):
        """R10, R9: nothing of the old copy counts; what the other one holds is copied."""
        c = self.cluster(servers=2, partitions=8, times=QUICK)
        self.fill(c, "k")
        for wiped in (0, 1):
            server = c.servers[wiped]
            server.crash()
            shutil.rmtree(server.data)
            server.start()
            self.assertIn("--replace-store", server.expect_exit(2))
            self.verify(c, "k")
            self.replace(server)
            c.wait_healthy()
        self.verify(c, "k")


    def replace(self, server):
        """The manager takes a new store once it has not heard the old one for a while."""
        def taken():
            server.start("--replace-store")
            wait_until(lambda: not server.running() or "INFO server registered" in server.log(), "an answer")
            if server.running():
                return True
            self.assertIn("once the old one is off", server.expect_exit(2))
            return False
        wait_until(taken, "the new store is taken")


class Snapshots(CairnTest):
    """Catching up when the log does not reach back."""
    VALUE = 60000

    def fill(self, c, generation, count=100):
        """About 6 MiB, overwritten by every generation."""
        value = f"{generation:04}" * (self.VALUE // 4)
        lines = "".join(f"PUT big{n} {value}\n" for n in range(count))
        self.expect(c.cli("workload", stdin=lines.encode()), 0)

    def verify(self, c, generation, count=100):
        lines = "".join(f"GET big{n}\n" for n in range(count))
        result = self.expect(c.cli("workload", stdin=lines.encode()), 0)
        value = f"{generation:04}" * (self.VALUE // 4)
        for n, line in enumerate(result.text.splitlines()):
            self.assertTrue(line == f"GET big{n} {value}", line[:60])
        self.assertEqual(count, len(result.text.splitlines()))

    @staticmethod
    def unfinished(learner):
        """How many installs have begun and not ended."""
        log = learner.log()
        return log.count("snapshot comes") - log.count("snapshot installed")

    def begins(self, learner):
        """Waits for an install to be under way, and into it; but not long, for all may be done."""
        deadline = time.monotonic() + 1.5 * SCALE
        while self.unfinished(learner) == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02) * SCALE)

    def behind(self, servers=2):
        """A cluster whose server 1 is away and has missed more than the log holds."""
        c = self.cluster(servers=servers, partitions=4, times=QUICK, server_options=SMALL)
        self.fill(c, 0)
        c.servers[1].crash()
        for generation in (1, 2):
            self.fill(c, generation)
        return c

    @timeout(120)
    def test_a_copy_left_far_behind_is_installed_while_clients_write(self):
        c = self.behind()
        load = Load(self, c, clients=4)
        load.go_on("before")
        c.servers[1].start()
        c.wait_healthy()
        self.assertRegex(c.servers[1].log(), "snapshot comes(.|\n)*snapshot installed")
        load.go_on("installed")
        c.servers[0].crash()
        load.go_on("served by the copy")
        self.verify(c, 2)
        c.servers[0].start()
        c.wait_healthy()
        load.verify()

    @timeout(120)
    def test_a_learner_killed_in_the_middle_begins_again(self):
        c = self.behind()
        load = Load(self, c, clients=4)
        cut_short = 0
        for _ in range(6):
            c.servers[1].start()
            self.begins(c.servers[1])
            c.servers[1].crash()
            cut_short += self.unfinished(c.servers[1])
        self.step(f"{cut_short} installs cut short")
        c.servers[1].start()
        c.wait_healthy()
        c.servers[0].crash()
        load.go_on("served by the copy")
        self.verify(c, 2)
        c.servers[0].start()
        load.verify()

    @timeout(120)
    def test_a_primary_killed_in_the_middle(self):
        """R9: a half installed copy is never promoted; it goes on when the primary is back."""
        c = self.behind()
        load = Load(self, c, clients=4)
        c.servers[1].start()
        cut_short = 0
        for _ in range(4):
            self.begins(c.servers[1])
            c.servers[0].crash()
            cut_short += self.unfinished(c.servers[1])
            c.servers[0].start()
        self.step(f"{cut_short} installs cut short")
        load.go_on("the primary is back")
        c.wait_healthy()
        c.servers[0].crash()
        load.go_on("served by the copy")
        self.verify(c, 2)
        c.servers[0].start()
        load.verify()


if __name__ == "__main__":
    unittest.main()
