"""Flipped bytes, each in a place that was chosen (test_flips.py chooses any), in the files of one copy of two: all is served from the other, and the copy is whole
again or its server refuses to start, with file and offset (W3, W8, R13). In both: refused or an error,
and never served."""
import os
import random
import re
import shutil
import time
import unittest

import formats
from cluster import QUICK, CairnTest, timeout, wait_until

KEYS = 60


def value(n):
    """Unlike all others, so that its place in a file is known; a few take pages of their own."""
    return f"v{n:04}." * (1200 if n % 10 == 0 else 20)


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << random.randrange(8))]))


class FlippedBytes(CairnTest):
    def setUp(self):
        """A stopped cluster of two copies, kept as copies of its directories."""
        self.c = self.cluster(servers=2, partitions=4, times=QUICK)
        self.fill()
        self.c.wait_healthy()

    def fill(self):
        lines = "".join(f"PUT k{n} {value(n)}\n" for n in range(KEYS))
        self.expect(self.c.cli("workload", stdin=lines.encode()), 0)

    def store(self, server):
        return os.path.join(self.c.servers[server].data, "store", "data.mdb")

    def log(self, server):
        return os.path.join(self.c.servers[server].data, "wal")

    def flip_value(self, server, n):
        """In every place of the store where the value lies: one may be an old page's."""
        with open(self.store(server), "rb") as file:
            content = file.read()
        places = [found.end() - 3 for found in re.finditer(re.escape(value(n).encode()), content)]
        self.assertTrue(places, f"k{n} is in no page of the store of server {server}")
        for place in places:
            flip(self.store(server), place)

    def flip_log(self, server):
        """In the middle of what lies below a synced mark."""
        path = formats.last_written(self.log(server))
        records = list(formats.records(path))
        flip(path, records[len(records) // 2][0] + 45)

    def has_value(self, n):
        """The read that comes upon the damage is told of it (W8), those after it go to the other copy."""
        result = self.c.cli("--no-cache", "--timeout", "20000", "get", f"k{n}")
        if result.code == 2 and b"fails its checksum" in result.err:
            return False
        self.expect(result, 0, value(n) + "\n")
        return True

    def read_all(self):
        """Every key has its value: within the time of a failover, and nothing else ever."""
        for n in range(KEYS):
            wait_until(lambda: self.has_value(n), f"k{n} is read")

    def refuses(self, server):
        log = self.c.servers[server].expect_exit(2)
        lines = re.findall(r"(?m)^ERROR: (.*)$", log)
        self.assertEqual(1, len(lines), log[-1500:])
        self.assertRegex(lines[0], r"\.seg: damaged at offset \d+")

    def is_replaced(self, server):
        """The manager takes a new store once it has not heard the old one for a while."""
        server.start("--replace-store")
        wait_until(lambda: not server.running() or "INFO server registered" in server.log(), "an answer")
        if server.running():
            return True
        self.assertIn("once the old one is off", server.expect_exit(2))
        return False

    def start_servers(self):
        for server in self.c.servers:
            server.start()

    @timeout(90)
    def test_a_value_in_one_store(self):
        """Read from the other copy, whichever of them leads (W8)."""
        for server in self.c.servers:
            server.stop()
        self.flip_value(0, 7)
        self.flip_value(0, 20)
        self.start_servers()
        self.read_all()
        self.c.wait_healthy()

    @timeout(90)
    def test_the_log_of_one_server(self):
        for server in (0, 1):
            wait_until(lambda: formats.ends_with_mark(self.log(server)), "the idle log writes a mark")
        self.c.servers[0].crash()
        self.flip_log(0)
        self.c.servers[0].start()
        self.refuses(0)
        self.read_all()
        shutil.rmtree(self.c.servers[0].data)
        wait_until(lambda: self.is_replaced(self.c.servers[0]), "the new store is taken")
        self.c.wait_healthy()
        self.c.servers[1].crash()
        self.read_all()

    @timeout(60)
    def test_the_logs_of_both(self):
        for server in (0, 1):
            wait_until(lambda: formats.ends_with_mark(self.log(server)), "the idle log writes a mark")
        for server in (0, 1):
            self.c.servers[server].crash()
        for server in (0, 1):
            self.flip_log(server)
        self.start_servers()
        for server in (0, 1):
            self.refuses(server)
        self.assertNotEqual(0, self.c.cli("--timeout", "1000", "get", "k1").code)

    @timeout(90)
    def test_a_value_in_both_stores(self):
        for server in self.c.servers:
            server.stop()
        for server in (0, 1):
            self.flip_value(server, 7)
        self.start_servers()
        ended = time.monotonic() + 6
        while time.monotonic() < ended:
            result = self.c.cli("--no-cache", "--timeout", "1000", "get", "k7")
            self.assertIn(result.code, (2, 3), result)
            self.assertEqual(b"", result.out)
        self.step(f"last answer: {result}")
        # No other key of these servers has become another value.
        for n in range(KEYS):
            result = self.c.cli("--no-cache", "--timeout", "1000", "get", f"k{n}")
            self.assertIn(result.out, (b"", value(n).encode() + b"\n"))


if __name__ == "__main__":
    unittest.main()
