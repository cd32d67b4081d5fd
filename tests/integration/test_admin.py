"""What an operator asks of a running cluster: each command does what it says while clients run, can
be repeated, and goes on when the one who asked does not wait for it."""
import json
import signal
import subprocess
import time
import unittest

from cluster import QUICK, CairnTest, clean_environment, program, timeout, wait_until
from load import Load

WAIT = ("--timeout", "40000")


class Admin(CairnTest):
    def start(self, servers=3, load=True, **options):
        self.c = self.cluster(servers=servers, partitions=8, times=QUICK, **options)
        self.load = Load(self, self.c, clients=5) if load else None
        if load:
            self.load.go_on("before")
        return self.c

    def admin(self, *words, code=0):
        return self.expect(self.c.cli(*WAIT, "admin", *map(str, words)), code)

    def servers(self):
        return {s["id"]: s for s in self.c.status()["servers"]}

    def interrupt(self, *words):
        """The command, ended with SIGINT as soon as it has said something."""
        process = subprocess.Popen(
            [program("cairn"), "--manager", self.c.manager_address, *WAIT, "admin",
             *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        # It may have been done before the signal came.
        self.assertIn(process.returncode, (0, 3))

    @timeout(120)
    def test_move_and_move_back(self):
        """To a backup it is a switch; to a third server a copy is made first."""
        c = self.start()
        partition = c.partition_of(self.load.keys[0])
        before = next(p for p in c.status()["partitions"] if p["partition"] == partition)
        backup = before["backups"][0]
        third = 3 - before["primary"] - backup
        for target in (backup, third, third, before["primary"]):
            self.admin("move", partition, target)
            self.assertEqual(target, c.primaries()[partition])
            c.wait_healthy()
            self.load.go_on(f"partition {partition} is led by server {target}")
        self.interrupt("move", partition, third)
        self.admin("move", partition, third)
        self.assertEqual(third, c.primaries()[partition])
        c.wait_healthy()
        self.load.verify()

    @timeout(120)
    def test_drain_undrain_rebalance(self):
        c = self.start()
        self.interrupt("drain", 1)
        for _ in range(2):
            self.admin("drain", 1)
            self.assertEqual(0, c.holders()[1])
        self.load.go_on("server 1 holds nothing")
        c.servers[1].stop()  # nobody misses it
        self.load.go_on("server 1 is off")
        c.servers[1].start()
        wait_until(lambda: self.servers()[1]["state"] == "ok", "server 1 is back")
        self.admin("undrain", 1)
        self.admin("undrain", 1)
        planned = self.admin("rebalance", "--dry-run").text
        self.assertIn("PARTITION", planned)
        self.assertEqual(0, c.holders()[1])
        for _ in range(2):
            self.admin("rebalance")
            self.assertGreater(c.holders()[1], 0)
        self.assertEqual("", self.moves(self.admin("rebalance", "--dry-run").text))
        c.wait_healthy()
        self.load.verify()

    @staticmethod
    def moves(text):
        """The table of planned moves, without what else is said."""
        return text[text.index("PARTITION"):] if "PARTITION" in text else ""

    @timeout(120)
    def test_a_server_is_added_filled_emptied_and_removed(self):
        c = self.start(servers=2)
        c.addresses.append(c.address("s2"))
        for _ in range(2):
            done = self.admin("--json", "add-server", c.addresses[2])
            self.assertEqual(2, json.loads(done.out)["server"])
        new = c.add(c.make_server(2))
        new.start()
        wait_until(lambda: self.servers()[2]["state"] == "ok", "server 2 has registered")
        self.admin("rebalance")
        c.wait_healthy()
        self.assertGreater(c.holders()[2], 0)
        self.load.go_on("a third server works")
        c.wait_healthy()
        c.servers[0].crash()
        self.load.go_on("the first one is dead")
        c.servers[0].start()
        c.wait_healthy()
        # It is removed only when it holds nothing.
        self.admin("remove-server", 2, code=2)
        self.admin("drain", 2)
        self.assertEqual(0, c.holders()[2])
        for _ in range(2):
            self.admin("remove-server", 2)
        self.assertIn(self.servers().get(2, {"state": "removed"})["state"], "removed")
        self.assertIn("removed from the cluster", new.expect_exit(2))
        self.load.go_on("the third server is removed")
        c.wait_healthy()
        self.load.verify()

    @timeout(90)
    def test_unsafe_recover_takes_the_copy_that_is_left(self):
        """R9: only an operator accepts a loss, and says so."""
        c = self.start(load=False, servers=2)
        self.expect(c.cli("put", "k", "old"), 0)
        partition = c.partition_of("k")
        c.servers[0].crash()
        self.expect(c.cli("--timeout", "20000", "put", "k", "new"), 0)
        c.servers[1].crash()
        c.servers[0].start()
        self.expect(c.cli("--timeout", "2000", "get", "k"), 3, "")
        self.admin("unsafe-recover", partition, code=2)
        for word in ("data", "lost"):
            self.assertIn(word, self.admin("unsafe-recover", partition, code=2).err.decode())
        for lost, primary in c.primaries().items():
            words = ("unsafe-recover", lost, "--accept-data-loss", "--from", 0)
            if primary == 1:  # accepted only after it was not heard for a while
                wait_until(lambda: c.cli("admin", *map(str, words)).code == 0, "it is accepted")
            else:  # what has a living copy is not lost
                self.admin(*words, code=2)
        self.expect(c.cli("--timeout", "20000", "get", "k"), 0, "old\n")
        self.expect(c.cli("put", "k", "newest"), 0)
        # The copies of the history that was given up are installed anew, whatever they held.
        c.servers[1].start()
        c.wait_healthy()
        self.expect(c.cli("get", "k"), 0, "newest\n")
        c.servers[0].crash()
        self.expect(c.cli("--timeout", "20000", "get", "k"), 0, "newest\n")

    @timeout(60)
    def test_what_cannot_be_done_is_refused_and_told(self):
        c = self.start(load=False)
        before = c.status()["partitions"]
        for words in (["move", 99, 0], ["move", 0, 99], ["drain", 99], ["remove-server", 0],
                      ["add-server", c.addresses[0] + "0"], ["unsafe-recover", 0],
                      ["unsafe-recover", 0, "--accept-data-loss"], ["nothing"], ["move", 0]):
            self.admin(*words, code=2)
        self.admin("move", 0, 1, "--dry-run")
        self.admin("drain", 0, "--dry-run")
        time.sleep(0.5)
        self.assertEqual([(p["primary"], p["epoch"]) for p in before],
                         [(p["primary"], p["epoch"]) for p in c.status()["partitions"]])

    @timeout(90)
    def test_a_manager_that_dies_meanwhile_goes_on_with_it(self):
        c = self.start()
        self.expect(c.cli("admin", "drain", "2", "--no-wait"), 0)
        c.manager.crash()
        c.manager.start()
        wait_until(lambda: c.holders()[2] == 0, "server 2 holds nothing", 40)
        self.load.go_on("drained by the manager's second life")
        c.wait_healthy()
        self.load.verify()


if __name__ == "__main__":
    unittest.main()
