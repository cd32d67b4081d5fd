"""Placement of keys, expiry, and pairs that fill many pages."""
import os
import random
import subprocess
import threading
import unittest

from cluster import CairnTest, clean_environment, program, timeout, wait_until

MIB = 1 << 20


class HashTags(CairnTest):
    def test_keys_with_one_tag_share_a_partition(self):
        """One server dies: all keys of a tag live on, or none does."""
        c = self.cluster(servers=3)
        tag = c.key_on(1, "tag")
        keys = [f"{{{tag}}}{n}" for n in range(10)] + [f"x{{{tag}}}y", tag]
        for key in keys:
            self.expect(c.cli("put", key, "v"), 0)
        c.servers[0].crash()
        c.servers[2].crash()
        for key in keys:
            self.expect(c.cli("--timeout", "15000", "get", key), 0, "v\n")

    def test_a_scan_inside_a_tag_needs_its_partition_only(self):
        c = self.cluster(servers=3)
        tag = c.key_on(1, "tag")
        for n in range(3):
            self.expect(c.cli("put", f"{{{tag}}}{n}", "v"), 0)
        c.servers[0].crash()
        c.servers[2].crash()
        result = c.cli("--timeout", "15000", "scan", f"{{{tag}}}0", f"{{{tag}}}9")
        self.expect(result, 0, "".join(f"{{{tag}}}{n}\tv\n" for n in range(3)))


class Expiry(CairnTest):
    def test_a_key_disappears_after_its_time(self):
        c = self.cluster(servers=1)
        self.expect(c.cli("put", "k", "v", "--ttl", "1"), 0)
        self.expect(c.cli("put", "stays", "v", "--ttl", "1000"), 0)
        wait_until(lambda: c.cli("get", "k").code == 1, "k expires")
        self.expect(c.cli("scan", "a", "z"), 0, "stays\tv\n")
        self.expect(c.cli("put", "k", "w", "--if-version", "0"), 0, "PUT k not_found\n")
        self.expect(c.cli("get", "k"), 0, "w\n")

    def test_a_put_without_a_time_lifts_the_limit(self):
        c = self.cluster(servers=1)
        self.expect(c.cli("put", "k", "v", "--ttl", "1"), 0)
        self.expect(c.cli("put", "k", "w"), 0, "PUT k found\n")
        self.expect(c.cli("put", "gone", "v", "--ttl", "1"), 0)
        wait_until(lambda: c.cli("get", "gone").code == 1, "the other key expires")
        self.expect(c.cli("get", "k"), 0, "w\n")

    def test_an_expired_key_stays_absent_after_crashes(self):
        """S2: once it was reported absent, no restart brings it back."""
        c = self.cluster(servers=1)
        self.expect(c.cli("put", "k", "v", "--ttl", "1"), 0)
        self.expect(c.cli("put", "stays", "v", "--ttl", "1000"), 0)
        wait_until(lambda: c.cli("get", "k").code == 1, "k expires")
        for end in (c.servers[0].crash, c.servers[0].stop, c.servers[0].crash):
            end()
            c.servers[0].start()
            c.wait_ready()
            self.expect(c.cli("get", "k"), 1, "")
            self.expect(c.cli("get", "stays"), 0, "v\n")

    def test_a_restart_does_not_lengthen_a_life_for_ever(self):
        c = self.cluster(servers=1)
        self.expect(c.cli("put", "k", "v", "--ttl", "2"), 0)
        c.servers[0].crash()
        c.servers[0].start()
        c.wait_ready()
        wait_until(lambda: c.cli("get", "k").code == 1, "k expires after the restart")


class ManyPages(CairnTest):
    @timeout(180)
    def test_big_values_and_a_scan_over_many_mebibytes(self):
        c = self.cluster(servers=2)
        source = random.Random(7)
        pairs = {f"big{n:02}": bytes(source.choices(range(33, 127), k=MIB - n)) for n in range(12)}
        for key, value in pairs.items():
            self.expect(c.cli("put", key, "-", stdin=value), 0)
        for key, value in pairs.items():
            self.expect(c.cli("get", key), 0, value + b"\n")
        wanted = b"".join(key.encode() + b"\t" + value + b"\n" for key, value in sorted(pairs.items()))
        self.assertEqual(wanted, self.expect(c.cli("scan", "big", "bih"), 0).out)
        c.crash_all()
        for node in c.nodes:
            node.start()
        c.wait_ready()
        self.assertEqual(wanted, self.expect(c.cli("scan", "big", "bih"), 0).out)

    @timeout(180)
    def test_a_scan_of_many_small_pairs_pages_in_order(self):
        c = self.cluster(servers=3)
        count = 20000
        lines = "".join(f"PUT k{n:06} v{n}\n" for n in range(count)).encode()
        done = self.loaded_in_parallel(c, lines)
        self.assertEqual(count, done)
        result = self.expect(c.cli("scan", "k", "l"), 0)
        self.assertEqual([f"k{n:06}\tv{n}" for n in range(count)], result.text.splitlines())
        result = self.expect(c.cli("scan", "k000500", "l", "--limit", "5000"), 0)
        self.assertEqual([f"k{n:06}\tv{n}" for n in range(500, 5500)], result.text.splitlines())

    def loaded_in_parallel(self, c, lines, clients=8):
        calls = lines.splitlines(keepends=True)
        running = []
        for i in range(clients):
            process = subprocess.Popen([program("cairn"), "--manager", c.manager_address, "workload"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=clean_environment())
            running.append((process, b"".join(calls[i::clients])))
        counts = [0] * clients

        def feed(i):
            out, _ = running[i][0].communicate(running[i][1])
            counts[i] = out.count(b"not_found\n")
        threads = [threading.Thread(target=feed, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)

    @timeout(180)
    def test_checkpoints_and_segments_go_round(self):
        """Far more is written than the memtable and a segment hold."""
        c = self.cluster(servers=1, server_options=["--memtable-bytes", "1M"])
        value = "x" * 60000
        for round_number in range(4):
            lines = "".join(f"PUT k{n} {round_number}{value}\n" for n in range(80))
            self.expect(c.cli("workload", stdin=lines.encode()), 0)
            c.servers[0].crash()
            c.servers[0].start()
        c.wait_ready()
        for n in range(0, 80, 7):
            self.expect(c.cli("get", f"k{n}"), 0, f"3{value}\n")
        size = sum(os.path.getsize(os.path.join(c.servers[0].data, "wal", name))
                   for name in os.listdir(os.path.join(c.servers[0].data, "wal")))
        self.assertLess(size, 64 * MIB, "old segments are used again")


if __name__ == "__main__":
    unittest.main()
