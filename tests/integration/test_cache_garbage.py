"""What is in the segment is never believed: garbage in it, and processes killed while they write it,
cost speed and nothing else."""
import mmap
import os
import random
import re
import time
import unittest

from cache_load import CacheLoad, CacheTest, Client
from cluster import QUICK, timeout

SECONDS = float(os.environ.get("CACHE_GARBAGE_SECONDS", "10"))
KILLS = int(os.environ.get("CACHE_KILLS", "200"))
VALUES = ("--value-max", "5000")


class CacheGarbage(CacheTest):
    def spoil(self, path, source, count):
        """Random bytes of random lengths over all areas, and more often over the first ones, where
        headers and tables are."""
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            for _ in range(count):
                length = min(int(2 ** (source.random() * 16)), len(memory))
                reach = source.choice([len(memory), len(memory), 1 << 20, 1 << 16, 1 << 12])
                at = min(source.randrange(reach), len(memory) - length)
                kind = source.random()
                memory[at:at + length] = (source.randbytes(length) if kind < 0.7 else
                                          bytes(length) if kind < 0.85 else b"\xff" * length)

    @timeout(100 + SECONDS)
    def test_random_bytes_over_the_segment_while_clients_run(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        load = CacheLoad(self, cluster, readers=4, writers=2, keys=40, reader_options=VALUES,
                         writer_options=VALUES)
        self.wait_hits(cluster, "reads are served from the cache")
        end, writes, segments = time.monotonic() + SECONDS, 0, set()
        while time.monotonic() < end:
            for path in cluster.segments():
                try:
                    segments.add(os.stat(path).st_ino)
                    self.spoil(path, source, 5)
                    writes += 5
                except FileNotFoundError:
                    pass  # replaced just now
            time.sleep(source.random() * 0.05)
            load.check_alive()
            self.check_command(cluster, source)
        load.go_on("garbage over the segment")
        self.step(f"{writes} writes over {len(segments)} segments")
        # Values say what they are: a wrong one ends its reader. Counters may have been set back,
        # so that no order is asked of what was read.
        self.wait_hits(cluster, "reads are served from the cache again")
        self.expect(cluster.cli("cache", "unlink"), 0)
        load.go_on("after a fresh segment")
        self.wait_hits(cluster, "reads are served from the fresh segment")
        load.end()
        cluster.wait_ready()

    def check_command(self, cluster, source):
        """A process that attaches to the garbage."""
        if source.random() < 0.1:
            self.expect(cluster.cli("--timeout", "20000", "get", "absent"), 1)

    def warnings(self, result):
        return [line for line in result.err.decode(errors="replace").splitlines()
                if re.search(r" (WARN|ERROR|INFO) cache ", line)]

    @timeout(90)
    def test_a_segment_that_cannot_be_used_is_replaced_with_one_warning(self):
        cluster = self.cluster(servers=1, partitions=2)
        self.expect(cluster.cli("put", "k", "v"), 0)
        path = self.segment(cluster)
        size = os.stat(path).st_size

        def truncated(length):
            return lambda: os.truncate(path, length)

        def overwritten(at, data):
            def spoil():
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(data)
            return spoil
        spoils = {"emptied": truncated(0), "cut to a byte": truncated(1),
                  "cut to a page": truncated(4096), "cut in half": truncated(size // 2),
                  "cut by a byte": truncated(size - 1), "made longer": truncated(size + 4096),
                  "zeroed at its head": overwritten(0, bytes(4096)),
                  "random at its head": overwritten(0, random.randbytes(4096)),
                  "open to others": lambda: os.chmod(path, 0o644)}
        for what, spoil in spoils.items():
            with self.subTest(what):
                inode = os.stat(path).st_ino
                spoil()
                result = self.expect(cluster.cli("get", "k"), 0, "v\n")
                self.assertEqual(1, len(self.warnings(result)), result)
                self.assertNotEqual(inode, os.stat(path).st_ino, "the segment is the same")
                self.assertEqual(size, os.stat(path).st_size)
                result = self.expect(cluster.cli("get", "k"), 0, "v\n")
                self.assertEqual([], self.warnings(result), result)

    def test_another_users_segment_is_left_alone_and_done_without(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        cluster = self.cluster(servers=1, partitions=2)
        self.expect(cluster.cli("put", "k", "v"), 0)
        path = self.segment(cluster)
        os.chown(path, 65534, 65534)
        before = os.stat(path)
        for _ in range(2):
            result = self.expect(cluster.cli("get", "k"), 0, "v\n")
            self.assertEqual(1, len(self.warnings(result)), result)
        after = os.stat(path)
        self.assertEqual((before.st_ino, before.st_mtime_ns, 65534),
                         (after.st_ino, after.st_mtime_ns, after.st_uid))


class CacheKills(CacheTest):
    @timeout(120 + KILLS / 4)
    def test_fillers_killed_at_any_time_leave_others_unharmed(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        # Keys that change all the time, so that whoever reads fills.
        load = CacheLoad(self, cluster, readers=2, writers=2, keys=60, reader_options=VALUES,
                         writer_options=(*VALUES, "--pause-us", "1000", "--rest-ms", "0"))
        self.wait_hits(cluster, "reads are served from the cache")
        filler = Client(cluster, load.folder, "filler", 90,
                        ["--keys", ",".join(load.keys), "--pause-us", "0", "--no-agent"])
        for number in range(KILLS):
            filler.start()
            time.sleep(0.005 + source.random() * 0.03)
            filler.kill()
            if number % 50 == 49:
                load.go_on(f"{number + 1} killed fillers")
        self.wait_hits(cluster, "reads are served from the cache still")
        load.verify()


if __name__ == "__main__":
    unittest.main()
