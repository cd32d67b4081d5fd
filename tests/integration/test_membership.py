"""Identities: who may be which server of which cluster, and what a manager is told anew (R10)."""
import shutil
import unittest

from cluster import HOST, CairnTest, free_port


class Identities(CairnTest):
    def refused(self, node, *words):
        """The node ends with exit code 2 and one line that says why."""
        log = node.expect_exit(2)
        lines = [line for line in log.splitlines() if line.startswith("ERROR: ")]
        self.assertEqual(1, len(lines), log)
        for word in words:
            self.assertIn(word, lines[0])

    def test_an_id_that_is_not_expected(self):
        c = self.cluster(servers=2)
        node = c.add(c.make_server(1, name="x"))
        node.command[node.command.index("--id") + 1] = "7"
        node.command[node.command.index("--listen") + 1] = f"{HOST}:{free_port()}"
        node.start()
        self.refused(node, "7")

    def test_a_second_server_with_the_same_id(self):
        c = self.cluster(servers=2)
        self.expect(c.cli("put", "k", "v"), 0)
        c.servers[1].crash()
        other = c.add(c.make_server(1, name="x"))
        other.start()
        self.refused(other, "1")
        c.servers[1].start()
        c.wait_ready()
        self.expect(c.cli("get", "k"), 0, "v\n")

    def test_a_server_that_listens_on_another_address(self):
        c = self.cluster(servers=1, start=False)
        c.manager.start()
        elsewhere = f"{HOST}:{free_port()}"
        node = c.add(c.make_server(0, name="x", listen=elsewhere))
        node.start()
        self.refused(node, c.addresses[0])

    def test_a_server_of_another_cluster(self):
        first, second = self.cluster(servers=1), self.cluster(servers=1)
        second.servers[0].stop()
        stranger = first.servers[0]
        stranger.stop()
        moved = second.add(second.make_server(0, name="moved"))
        shutil.copytree(stranger.data, moved.data)
        moved.start()
        self.refused(moved, "cluster")

    def test_a_known_server_with_an_empty_directory_is_a_stranger(self):
        c = self.cluster(servers=1)
        c.servers[0].stop()
        shutil.rmtree(c.servers[0].data)
        c.servers[0].start()
        self.refused(c.servers[0], "--replace-store")

    def test_an_empty_manager_refuses_servers_that_hold_a_cluster_id(self):
        c = self.cluster(servers=1)
        c.manager.stop()
        shutil.rmtree(c.manager.data)
        c.servers[0].stop()
        c.manager.start()
        c.servers[0].start()
        self.refused(c.servers[0], "cluster")


class ContradictingFlags(CairnTest):
    def restarted_with(self, **changes):
        c = self.cluster(servers=2)
        self.expect(c.cli("put", "k", "v"), 0)
        c.manager.stop()
        for option, value in changes.items():
            c.manager.command[c.manager.command.index("--" + option) + 1] = value
        c.manager.start()
        log = c.manager.expect_exit(2)
        self.assertRegex(log, r"(?m)^ERROR: ")
        self.assertIn(list(changes)[0], log)

    def test_partitions(self):
        self.restarted_with(partitions="32")

    def test_replicas(self):
        self.restarted_with(replicas="1")

    def test_servers(self):
        self.restarted_with(servers=f"{HOST}:1,{HOST}:2")

    def test_fewer_servers(self):
        self.restarted_with(servers=f"{HOST}:1")


if __name__ == "__main__":
    unittest.main()
