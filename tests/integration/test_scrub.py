"""Damage below a server is found, told, and repaired from another copy; what no copy has is refused,
never served (W8); copies that differ although every checksum fits are found by comparing them."""
import json
import os
import re
import unittest

from cluster import QUICK, CairnTest, timeout, wait_until
from load import Load
from store_edit import HEADER, Store

COUNT = 40


class Scrub(CairnTest):
    def start(self):
        """Two copies of everything; all of it is in LMDB, and both servers are off."""
        self.c = self.cluster(servers=2, partitions=8, times=QUICK)
        self.values = {f"k{n}": f"value {n} of {os.urandom(8).hex()}" for n in range(COUNT)}
        for key, value in self.values.items():
            self.expect(self.c.cli("put", key, value), 0)
        self.admin("verify", 0)  # so both have applied all of it
        self.off()

    def off(self):
        """A clean stop checkpoints."""
        for server in self.c.servers:
            server.stop()

    def on(self):
        for server in self.c.servers:
            server.start()
        self.c.wait_healthy()

    def edit(self, server):
        return Store(self.c.servers[server].data, 8)

    def told_place(self, server, key):
        """What lies where the log says that the value is damaged, but for its last byte."""
        found = re.search(rf"data\.mdb: offset (\d+): the value of key {key} ", self.c.servers[server].log())
        self.assertTrue(found, self.c.servers[server].log())
        with open(os.path.join(self.c.servers[server].data, "store", "data.mdb"), "rb") as file:
            file.seek(int(found.group(1)) + HEADER.size)
            return file.read(len(self.values[key]) - 1).decode()

    def admin(self, command, code):
        """The command's JSON."""
        result = self.c.cli("--timeout", "50000", "--json", "admin", command)
        self.assertEqual(code, result.code, result)
        return json.loads(result.out)

    def read_all(self):
        for key, value in self.values.items():
            self.expect(self.c.cli("--no-cache", "get", key), 0, value + "\n")

    def counted(self, name):
        return sum(server["scrub"][name] for server in self.c.status()["servers"])

    @timeout(90)
    def test_values_of_one_copy_are_repaired_from_the_other(self):
        self.start()
        bad = {0: list(self.values)[:10], 1: list(self.values)[10:20]}
        for server, keys in bad.items():
            with self.edit(server) as store:
                for key in keys:
                    store.flip(key)
        self.on()
        said = self.admin("scrub", 0)
        self.assertEqual((20, 20, 0, 0), (said["bad_values"], said["repaired"], said["unrepaired"],
                                          said["reinstalled"]), said)
        self.assertEqual(20, self.counted("repaired"))
        for server, keys in bad.items():
            for key in keys:
                self.assertEqual(self.values[key][:-1], self.told_place(server, key))
        said = self.admin("verify", 0)
        self.assertEqual((8, 16, 8), (said["partitions"], said["copies"], said["equal"]))
        self.read_all()
        # A checkpoint has written what was repaired: each copy is sound by itself.
        self.off()
        self.on()
        said = self.admin("scrub", 0)
        self.assertEqual((0, 2 * COUNT), (said["bad_values"], said["values"]), said)

    @timeout(60)
    def test_a_read_has_the_value_fetched(self):
        self.start()
        for server in (0, 1):  # whoever leads has half of them
            with self.edit(server) as store:
                for key in list(self.values)[server::2]:
                    store.flip(key)
        self.on()
        self.read_all()
        self.expect(self.c.cli("scan", "", ""), 0)
        self.assertGreater(self.counted("repaired"), 0)

    @timeout(90)
    def test_what_both_copies_have_lost_is_refused(self):
        self.start()
        for server in (0, 1):
            with self.edit(server) as store:
                store.flip("k3")
        self.on()
        for word in (("get", "k3"), ("scan", "k3", "k3"), ("put", "k3", "new", "--if-version", "1"),
                     ("get", "k3")):
            refused = self.expect(self.c.cli("--timeout", "5000", "--no-cache", *word), 2, "")
            self.assertIn(b"checksum", refused.err)
        said = self.admin("scrub", 1)
        self.assertEqual((0, 2), (said["repaired"], said["unrepaired"]), said)
        where = {"partition": self.c.partition_of("k3"), "lost": True, "key": "k3"}
        self.assertEqual([{"server": 0, **where}, {"server": 1, **where}], said["damaged"])
        for server in self.c.servers:
            self.assertRegex(server.log(), r"data\.mdb: offset \d+: the value of key k3 ")
        differing = self.admin("verify", 1)["differing"]
        self.assertEqual([(self.c.partition_of("k3"), 2)],
                         [(p["partition"], p["bad_rows"]) for p in differing])
        del self.values["k3"]  # all else is served and can be written
        self.read_all()
        self.expect(self.c.cli("put", "k4", "new"), 0)

    @timeout(90)
    def test_what_both_copies_have_lost_can_be_written_over_and_deleted(self):
        """Whether a read met it before or not."""
        self.start()
        for server in (0, 1):
            with self.edit(server) as store:
                for key in ("k3", "k4", "k5", "k6"):
                    store.flip(key)
        self.on()
        for key in ("k3", "k4"):
            self.expect(self.c.cli("--no-cache", "get", key), 2, "")
        for key in ("k3", "k5"):
            self.expect(self.c.cli("put", key, "new"), 0)
            self.values[key] = "new"
        for key in ("k4", "k6"):
            self.expect(self.c.cli("delete", key), 0)
            del self.values[key]
            self.expect(self.c.cli("--no-cache", "get", key), 1, "")
        self.expect(self.c.cli("swap", "k3", "newer"), 0, "new\n")
        self.values["k3"] = "newer"
        said = self.admin("scrub", 0)
        self.assertEqual((0, [], 8), (said["unrepaired"], said["damaged"], said["equal"]), said)
        self.off()
        self.on()
        self.read_all()
        self.assertEqual((0, 8), tuple(self.admin("scrub", 0)[word] for word in ("bad_values", "equal")))
        self.c.servers[0].crash()
        wait_until(lambda: set(self.c.primaries().values()) == {1}, "server 1 leads")
        self.read_all()
        for key in ("k4", "k6"):
            self.expect(self.c.cli("--no-cache", "get", key), 1, "")

    @timeout(60)
    def test_a_single_copy_that_lost_a_value_can_be_written_over(self):
        self.c = self.cluster(servers=1, partitions=8, times=QUICK)
        for key in ("k1", "k2", "k3"):
            self.expect(self.c.cli("put", key, "old"), 0)
        self.off()
        with self.edit(0) as store:
            store.flip("k1")
            store.flip("k2")
        self.on()
        self.expect(self.c.cli("--no-cache", "get", "k1"), 2, "")
        self.expect(self.c.cli("put", "k1", "new"), 0)
        self.expect(self.c.cli("delete", "k2"), 0)
        self.expect(self.c.cli("--no-cache", "get", "k1"), 0, "new\n")
        self.assertEqual(0, self.admin("scrub", 0)["unrepaired"])

    @timeout(90)
    def test_a_difference_that_no_checksum_tells_is_found_and_ended(self):
        self.start()
        self.on()
        # Server 0 leads while 1 is off; 1 catches up from the log, which has none of what is edited.
        self.c.servers[1].stop()
        wait_until(lambda: set(self.c.primaries().values()) == {0}, "server 0 leads")
        one, other = self.two_partitions()
        with self.edit(1) as store:
            store.replace(one, b"something else")
            store.replace(other, b"something else")
        self.c.servers[1].start()
        self.c.wait_healthy()
        said = self.admin("verify", 1)
        self.assertEqual({self.c.partition_of(one), self.c.partition_of(other)},
                         {p["partition"] for p in said["differing"]}, said)
        self.assertEqual(6, said["equal"])
        said = self.admin("scrub", 0)
        self.assertEqual((2, 8, 16), (said["reinstalled"], said["equal"], said["copies"]), said)
        self.assertEqual([], self.admin("verify", 0)["differing"])
        self.c.wait_healthy()
        self.read_all()

    @timeout(60)
    def test_a_pair_that_is_gone_is_no_absent_key(self):
        self.start()
        with self.edit(0) as store:
            store.delete("k7")
        self.c.servers[0].start()
        self.assertRegex(self.c.servers[0].expect_exit(2),
                         rf"data\.mdb: damaged at offset \d+: a key of partition {self.c.partition_of('k7')}")
        self.c.servers[1].start()
        wait_until(lambda: set(self.c.primaries().values()) == {1}, "server 1 leads")
        self.read_all()

    def two_partitions(self):
        keys = list(self.values)
        return keys[0], next(key for key in keys
                             if self.c.partition_of(key) != self.c.partition_of(keys[0]))

    @timeout(60)
    def test_copies_are_compared_at_one_index_while_clients_write(self):
        self.c = self.cluster(servers=3, partitions=4, replicas=3, times=QUICK)
        load = Load(self, self.c, clients=6)
        load.go_on("before")
        for command in ("verify", "scrub", "verify"):
            said = self.admin(command, 0)
            self.assertEqual((4, 12, []), (said["equal"], said["copies"], said["differing"]), said)
        load.go_on("and nobody was stopped by it")
        load.verify()

    @timeout(60)
    def test_a_server_that_does_not_answer_is_told(self):
        self.start()
        self.on()
        self.c.servers[1].crash()
        wait_until(lambda: set(self.c.primaries().values()) == {0}, "server 0 leads")
        for command in ("verify", "scrub"):
            said = self.admin(command, 2)
            self.assertEqual([1], said["unreachable"])


if __name__ == "__main__":
    unittest.main()
