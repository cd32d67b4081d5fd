"""Links that are cut in one direction, a server cut off from all, and links that lose, delay, repeat
and reorder: histories stay linearizable, and everybody goes on when the links are whole again."""
import time
import unittest

import history
from cluster import QUICK, SCALE, CairnTest, timeout
from load import Load
from workload import Recorder


class Partitions(CairnTest):
    CLIENTS = 4

    def start(self, servers=3):
        clients = [f"c{n}" for n in range(self.CLIENTS)]
        self.net = self.network(*clients)
        c = self.cluster(servers=servers, partitions=8, times=QUICK, network=self.net)
        self.load = Load(self, c, clients=self.CLIENTS, reads=0.4, pace=0.005,
                         inside=lambda client: self.net.command(f"c{client}"))
        self.load.go_on("whole")
        return c

    def cut_for_a_while(self, *links):
        """Longer than a failover takes."""
        self.net.cut(*links)
        time.sleep(2.5 * QUICK[2] / 1000 * SCALE)
        self.net.heal()
        self.load.go_on("cut and healed: " + ", ".join(f"{a}>{b}" for a, b in links), seconds=40)

    @timeout(120)
    def test_a_link_between_servers_cut_one_way(self):
        """L1, L2: a beacon that goes unanswered renews nothing; one whose answer was not heard resets
        no timer."""
        c = self.start()
        for link in (("s0", "s1"), ("s1", "s0"), ("s2", "s0")):
            self.cut_for_a_while(link)
        c.wait_healthy()
        self.load.verify()

    @timeout(120)
    def test_a_link_to_the_manager_cut_one_way(self):
        """R11: a proposal whose answer is lost stays undecided."""
        c = self.start()
        for link in (("m", "s0"), ("s0", "m")):
            self.net.cut(link)
            time.sleep(0.3)
            c.servers[1].pause()  # so that there is something to propose
            time.sleep(2 * QUICK[2] / 1000 * SCALE)
            self.net.heal()
            c.servers[1].resume()
            self.load.go_on("cut and healed: {}>{}".format(*link), seconds=40)
            c.wait_healthy()
        self.load.verify()

    @timeout(120)
    def test_a_client_s_links_cut_one_way(self):
        """S3: what was executed though the answer was lost is not executed again."""
        c = self.start()
        for link in (("c0", "s0"), ("s0", "c0"), ("c0", "m"), ("m", "c0")):
            self.net.cut(link)
            self.load.go_on("cut for client 0: {}>{}".format(*link), clients=range(1, self.CLIENTS))
            self.net.heal()
            self.load.go_on("healed", seconds=40)
        c.wait_healthy()
        self.load.verify()

    @timeout(120)
    def test_a_server_cut_off_with_a_client_serves_nothing_stale(self):
        """L1: the client that is alone with it gets no answer rather than an old one."""
        c = self.start()
        others = range(1, self.CLIENTS)
        for server in ("s0", "s1"):
            self.net.isolate(server, but=("c0",))
            self.load.go_on(f"{server} is alone with client 0", clients=others)
            time.sleep(QUICK[2] / 1000 * SCALE)
            self.net.heal()
            self.load.go_on("healed", seconds=40)
            c.wait_healthy()  # the last copy of a partition is waited for (R9)
        self.load.verify()

    @timeout(120)
    def test_loss_repetition_delay_and_reordering(self):
        c = self.start()
        for rules in ({"loss": 0.02, "repeat": 0.05, "delay_ms": [0, 8]},
                      {"delay_ms": [0, 60]}, {"loss": 0.15}):
            self.net.rules(**rules)
            time.sleep(2 * SCALE)
            self.load.go_on(f"under {rules}", operations=1, seconds=60)
        self.net.heal()
        self.load.go_on("healed", seconds=40)
        c.wait_healthy()
        self.load.verify()


class Answers(CairnTest):
    @timeout(90)
    def test_reads_on_both_sides_of_a_cut(self):
        """Only GETs beside one writer: a stale one has nowhere to hide."""
        net = self.network("c0", "c1", "c2")
        c = self.cluster(servers=2, partitions=2, times=QUICK, network=net)

        def operation(client, n):
            time.sleep(0.003)
            key = f"key{n % 2}"
            return ("SWAP", key, f"n{n}") if client == 0 else ("GET", key, None)
        recorder = Recorder(c.manager_address, 3, operation,
                            inside=lambda client: net.command(f"c{client}"))
        self.addCleanup(recorder.kill)
        for alone, far in (("s0", "s1"), ("s1", "s0")):
            time.sleep(0.3)
            # Client 2 stays with the one, the writer and client 1 with the other.
            net.cut((alone, far), (far, alone), (alone, "m"), ("m", alone), (alone, "c0"),
                    ("c0", alone), (alone, "c1"), ("c1", alone), (far, "c2"), ("c2", far),
                    ("m", "c2"), ("c2", "m"))
            time.sleep(3 * QUICK[2] / 1000 * SCALE)
            net.heal()
            c.wait_healthy()
        history.check(recorder.finish())


if __name__ == "__main__":
    unittest.main()
