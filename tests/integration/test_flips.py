"""Any flipped bit in the files of one copy of two, or of both: the server refuses to start, with file and
offset, and comes back as a new store as README says; or it starts. Either way every key reads as it was
written, or is refused; nothing else is ever served (W3, W8, R13).

FLIPS=N tries N of each, FLIPS_SEED=S the same ones again (`just flips N`)."""
import collections
import os
import random
import re
import shutil
import time

import formats
from cluster import QUICK, CairnTest, timeout, wait_until
from pages import Pages

FLIPS = int(os.environ.get("FLIPS", "3"))
SEED = int(os.environ.get("FLIPS_SEED", random.randrange(1 << 32)))
KEYS = 240
SECONDS = 60 + FLIPS * 30


def value(n):
    """Some take pages of their own."""
    return f"v{n:04}." * (1200 if n % 40 == 0 else 12)


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


class Flips(CairnTest):
    def start_of(self):
        """A stopped cluster of two copies, kept as copies of its directories: rows of all tables, pages
        that are free again, and a log."""
        self.c = self.cluster(servers=2, partitions=4, times=QUICK)
        self.random = random.Random(SEED)
        self.outcomes = collections.Counter()
        self.expect(self.c.cli("workload", stdin="".join(
            f"PUT k{n} old{value(n)}\nPUT gone{n} {value(n)}\n" for n in range(KEYS)).encode()), 0)
        self.expect(self.c.cli("--ttl", "100000", "put", "expires", "late"), 0)
        self.off()
        self.on()
        self.expect(self.c.cli("workload", stdin="".join(
            f"SWAP k{n} {value(n)}\nDELETE gone{n}\n" for n in range(KEYS)).encode()), 0)
        self.c.wait_healthy()
        self.off()
        self.c.manager.stop()
        for node in self.c.nodes:
            shutil.copytree(node.data, node.data + ".kept")

    def restore(self):
        for node in self.c.nodes:
            if node.running():
                node.crash()
            node.process = None
            shutil.rmtree(node.data, ignore_errors=True)
            shutil.copytree(node.data + ".kept", node.data)

    def off(self):
        for server in self.c.servers:
            server.stop()

    def on(self):
        for server in self.c.servers:
            server.start()
        self.c.wait_healthy()

    def store(self, server):
        return os.path.join(self.c.servers[server].data, "store", "data.mdb")

    # --- reading ---

    def answers(self, keys):
        """What a client is told: key -> value; those that it is told nothing of are missing."""
        said = self.c.cli("--no-cache", "--timeout", "300", "workload",
                          stdin="".join(f"GET {key}\n" for key in keys).encode())
        lines = [line.split(" ") for line in said.text.splitlines()]
        return {line[1]: line[2] for line in lines if line[0] == "GET"}

    def wanted(self):
        wanted = {f"k{n}": value(n) for n in range(KEYS)}
        wanted.update({f"gone{n}": "null" for n in range(0, KEYS, 7)}, expires="late")
        return wanted

    def read_all(self):
        """Every key has its value within the time of a failover, and nothing else ever."""
        wanted = self.wanted()
        left = set(wanted)

        def done():
            for key, told in self.answers(sorted(left)).items():
                self.assertEqual(wanted[key], told, f"{key} is read as what it never was")
                left.discard(key)
            return not left
        wait_until(done, "all keys are read", 30)

    # --- what becomes of a server ---

    def verdict(self, server):
        """"up", "refused" with file and offset, or "crashed": LMDB met a page that makes no sense."""
        wait_until(lambda: not server.running() or "INFO server recovered" in server.log(), "an answer", 30)
        if server.running():
            return "up"
        log, code = server.log(), server.process.returncode
        server.process = None
        if code != 2:
            return f"crashed {code}"
        errors = re.findall(r"(?m)^ERROR: (.*)$", log)
        self.assertEqual(1, len(errors), log[-1500:])
        place = re.search(r"(\S+(?:data\.mdb|\.seg)): .*\boffset (\d+)", errors[0])
        self.assertTrue(place, errors[0])
        self.assertLess(int(place.group(2)), os.path.getsize(place.group(1)))
        return "refused"

    def replace(self, server):
        """As README says: an empty disk, and the other copy makes it whole."""
        shutil.rmtree(server.data)

        def taken():
            if not server.running():
                server.process = None
                server.start("--replace-store")
            wait_until(lambda: not server.running() or "INFO server registered" in server.log(), "an answer")
            return server.running()
        wait_until(taken, "the new store is taken", 30)

    def try_one(self, path, offset, bit, where):
        """Server 0 has the damage."""
        flip(path, offset, bit)
        damaged, other = self.c.servers
        for node in self.c.nodes:
            node.start()
        outcome = self.verdict(damaged)
        self.read_all()
        if outcome == "up" and not damaged.running():
            outcome = "crashed later"
        if outcome != "up":
            self.replace(damaged)
        self.c.wait_healthy()
        scrubbed = self.c.cli("--timeout", "30000", "admin", "scrub")
        if not damaged.running():
            outcome = "crashed later"
            self.replace(damaged)
            self.c.wait_healthy()
            scrubbed = self.c.cli("--timeout", "30000", "admin", "scrub")
        self.expect(scrubbed, 0)
        self.c.wait_healthy()
        if b" 0 found bad" not in scrubbed.out or b" 0 copies installed" not in scrubbed.out:
            outcome += ", repaired"
        other.crash()  # what was damaged has all of it by itself
        self.read_all()
        self.outcomes[outcome] += 1
        self.step(f"{where} {offset} bit {bit}: {outcome}")
        if "crash" in outcome:
            self.step(damaged.log(True)[-400:])

    def try_both(self, places):
        """Each has its damage. Nothing need be answered, but nothing else may be."""
        for server, (kind, offset, bit) in zip((0, 1), places):
            flip(self.store(server), offset, bit)
        for node in self.c.nodes:
            node.start()
        outcome = sorted(self.verdict(server) for server in self.c.servers)
        wanted, told = self.wanted(), {}
        ended = time.monotonic() + 3
        while time.monotonic() < ended and len(told) < len(wanted):
            left = sorted(set(wanted) - set(told))
            # Each that is not answered takes its time; so the first ones show whether any is.
            said = self.answers(self.random.sample(left, min(3, len(left)))) and self.answers(left[:30])
            told.update(said)
            for key, text in said.items():
                self.assertEqual(wanted[key], text, f"{key} is read as what it never was")
        self.outcomes[f"{outcome}, {'all' if len(told) == len(wanted) else 'some' if told else 'none'} read"] += 1
        self.step(f"{places}: {outcome}, {len(told)} of {len(wanted)} read")

    def tell(self):
        self.step(f"seed {SEED}: {dict(self.outcomes)}")

    def places(self, pages):
        """For ever: a place of each kind in turn, so that the few bytes that matter most are not missed."""
        kinds = sorted(pages.places)
        while True:
            self.random.shuffle(kinds)
            for kind in kinds:
                first, end = self.random.choice(pages.places[kind])
                yield kind, self.random.randrange(first, end), self.random.randrange(8)

    @timeout(SECONDS)
    def test_one_store(self):
        self.start_of()
        for _, (kind, offset, bit) in zip(range(FLIPS), self.places(Pages(self.store(0)))):
            self.restore()
            try:
                self.try_one(self.store(0), offset, bit, kind)
            except BaseException:
                print(f"seed {SEED}: {kind} at {offset} bit {bit}")
                raise
        self.tell()

    @timeout(SECONDS)
    def test_both_stores(self):
        self.start_of()
        both = [self.places(Pages(self.store(server))) for server in (0, 1)]
        for _ in range(FLIPS):
            self.restore()
            places = [next(places) for places in both]
            try:
                self.try_both(places)
            except BaseException:
                print(f"seed {SEED}: {places}")
                raise
        self.tell()

    @timeout(SECONDS)
    def test_one_log(self):
        self.start_of()
        for _ in range(FLIPS):
            self.restore()
            path = self.random.choice(formats.segments(os.path.join(self.c.servers[0].data, "wal")))
            offset, bit = self.random.randrange(formats.used_bytes(path)), self.random.randrange(8)
            try:
                self.try_one(path, offset, bit, os.path.basename(path))
            except BaseException:
                print(f"seed {SEED}: {path} at {offset} bit {bit}")
                raise
        self.tell()


if __name__ == "__main__":
    import unittest
    unittest.main()
