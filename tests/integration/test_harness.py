"""The tests' own instruments: a broken chain is seen, and links break as they are told to."""
import os
import subprocess
import sys
import unittest

from cluster import (SHARED_MEMORY, CairnTest, clean_environment, new_cache_name, remove_segments,
                     segments, unhealthy)
from history import Operation
from load import chain_of

LISTEN = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 4000))
s.settimeout(0.4)
print("ready", flush=True)
got = []
try:
    while True:
        got.append(s.recv(100).decode())
except TimeoutError:
    print(" ".join(got))
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(int(sys.argv[2])):
    s.sendto(str(n).encode(), (sys.argv[1], 4000))
"""


def swap(value, result):
    return Operation(0, "SWAP", "k", value, result, 0, 1)


class Chains(CairnTest):
    WHOLE = [swap("a", None), swap("b", "a"), swap("c", "b")]

    def test_a_whole_chain_is_walked(self):
        self.assertEqual(3, chain_of(self.WHOLE, "k", "c"))

    def test_a_lost_write_is_seen(self):
        with self.assertRaisesRegex(AssertionError, "lost"):
            chain_of(self.WHOLE, "k", "b")

    def test_a_write_executed_twice_is_seen(self):
        with self.assertRaisesRegex(AssertionError, "twice|lost"):
            chain_of([*self.WHOLE, swap("d", "b")], "k", "d")

    def test_missing_copies_are_seen(self):
        whole = {"partition": 0, "primary": 0, "copies": 2, "wanted": 2, "learners": []}
        self.assertEqual("", unhealthy({"missing_copies": 0, "partitions": [whole]}))
        for bad in ({"missing_copies": 1, "partitions": [whole]},
                    {"missing_copies": 0, "partitions": []},
                    {"missing_copies": 0, "partitions": [{**whole, "copies": 1}]},
                    {"missing_copies": 0, "partitions": [{**whole, "learners": [1]}]}):
            self.assertNotEqual("", unhealthy(bad))


class Caches(CairnTest):
    def test_a_forgotten_shared_cache_is_seen_and_removed(self):
        name = new_cache_name()
        self.assertEqual(name, clean_environment()["CAIRN_CACHE_NAME"])
        path = os.path.join(SHARED_MEMORY, f"cairn-0-{name}")
        other = os.path.join(SHARED_MEMORY, f"cairn-0-{new_cache_name()}")
        for file in (path, other):
            self.addCleanup(remove_segments, os.path.basename(file))
            open(file, "w").close()
        self.assertEqual([path], segments(name))
        self.assertEqual([path], remove_segments(name))
        self.assertEqual([[], True], [segments(name), os.path.exists(other)])


class Links(CairnTest):
    def setUp(self):
        self.net = self.network("a", "b")
        self.net.start()

    def python(self, name, text, *arguments):
        return subprocess.Popen([*self.net.command(name), sys.executable, "-c", text, *arguments],
                                stdout=subprocess.PIPE)

    def arrived(self, sender, receiver, count=20):
        """What of so many datagrams, numbered from 0, came in, in the order of its coming."""
        with self.python(receiver, LISTEN) as listening:
            listening.stdout.readline()
            with self.python(sender, SEND, self.net.addresses[receiver], str(count)):
                pass
            return [int(n) for n in listening.stdout.read().split()]

    def test_a_cut_is_one_way_and_heals(self):
        everything = list(range(20))
        self.net.cut(("a", "b"))
        self.assertEqual([], self.arrived("a", "b"))
        self.assertEqual(everything, self.arrived("b", "a"))
        self.net.heal()
        self.assertEqual(everything, self.arrived("a", "b"))

    def test_an_isolated_node_keeps_those_named(self):
        self.net.isolate("a", but=("c",))
        self.assertEqual(([], []), (self.arrived("a", "b"), self.arrived("b", "a")))
        self.assertEqual(20, len(self.arrived("c", "a")))
        self.assertEqual(20, len(self.arrived("c", "b")))

    def test_loss_repetition_and_reordering(self):
        self.net.rules(loss=0.5)
        self.assertTrue(0 < len(self.arrived("a", "b", 100)) < 100)
        self.net.rules(repeat=0.5)
        self.assertGreater(len(self.arrived("a", "b", 100)), 100)
        self.net.rules(delay_ms=[0, 50])
        came = self.arrived("a", "b", 100)
        self.assertEqual(list(range(100)), sorted(came))
        self.assertNotEqual(came, sorted(came))


if __name__ == "__main__":
    unittest.main()
