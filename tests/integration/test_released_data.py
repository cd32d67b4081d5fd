"""Data directories that released versions wrote are taken over by today's programs, with all that was
acknowledged in them (ARCHITECTURE.md, "Older versions"). They lie in tests/data."""
import json
import os
import unittest

import cluster
import released
import wire
from cluster import CairnTest, run, wait_until



class ReleasedData(CairnTest):
    def take_over(self, version, name):
        """Today's programs on a copy of the directories; the content that they must find."""
        content = released.Content.read(version, name)
        self.lock = released.reserve(content.said["servers"][0].split(".")[2])
        self.addCleanup(self.lock.close)
        self.folder = self.temporary()
        released.unpack(version, name, self.folder)
        cluster.new_cache_name()
        self.processes = released.Processes(cluster.BIN, self.folder, content.said)
        self.addCleanup(self.end)
        self.processes.start()
        self.said = content.said
        wait_until(self.ready, f"all partitions of {version} {name} are served", 40)
        return content

    def ready(self):
        for process in self.processes.running:
            if process.poll() is not None:
                raise AssertionError(f"{process.args[0]} ended with {process.returncode}:\n{self.logs()}")
        return self.cli("--timeout", "1000", "scan", "", "", "--limit", "1").code == 0

    def logs(self):
        text = ""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                    text += f"--- {name}\n{file.read()[-3000:]}"
        return text

    def end(self):
        self.processes.kill()
        self.assertNotRegex(self.logs(), cluster.COMPLAINT)
        cluster.remove_segments(cluster.cache_prefix(os.getpid()))

    def cli(self, *arguments, **more):
        return run([cluster.program("cairn"), "--manager", self.said["manager"], *arguments], **more)

    def check_pairs(self, client, pairs, absent):
        for key, (version, value) in pairs.items():
            self.assertEqual((version, value), client.call("get", key), key)
        for key in absent:
            self.assertIsNone(client.call("get", key), key)

    def check_scan(self, pairs):
        """All of it, once and in order; and a range of it."""
        found = [tuple(map(bytes.fromhex, line.split("\t")))
                 for line in self.expect(self.cli("--hex", "scan", "", ""), 0).text.splitlines()]
        self.assertEqual([(key, value) for key, (_, value) in sorted(pairs.items())], found)
        found = self.expect(self.cli("scan", "key010", "key020"), 0).out.splitlines()
        self.assertEqual([key + b"\t" + value for key, (_, value) in sorted(pairs.items())
                          if b"key010" <= key <= b"key020"], found)

    def check_client(self, pairs):
        """What the command line makes of them."""
        result = self.expect(self.cli("get", "overwritten", "--with-version"), 0)
        self.assertEqual(b"%d\t%s\n" % pairs[b"overwritten"], result.out)
        self.assertEqual(pairs[b"long"][1] + b"\n", self.expect(self.cli("get", "long"), 0).out)
        self.expect(self.cli("get", "gone"), 1)

    def check_session(self, client):
        """S3: a call that the old version executed is not executed again."""
        session = self.said["session"]
        key, value = bytes.fromhex(session["key"]), bytes.fromhex(session["value"])
        answer = client.call("swap", session["client"], session["number"], key, value)
        self.assertEqual((session["existed"], session["version"], bytes.fromhex(session["old"])), answer)
        self.assertEqual((session["version"], value), client.call("get", key))
        with self.assertRaises(wire.Refused):
            client.call("swap", session["client"], session["number"] - 1, key, b"older")

    def check_writes(self, pairs, absent):
        """Returns what must be there afterwards."""
        pairs, absent = dict(pairs), list(absent)
        version = pairs[b"conditional"][0]
        self.expect(self.cli("put", "conditional", "x", "--if-version", str(version + 1)), 1)
        self.expect(self.cli("put", "conditional", "third", "--if-version", str(version)), 0)
        pairs[b"conditional"] = version + 1, b"third"
        version, value = pairs[b"swapped"]
        self.expect(self.cli("swap", "swapped", "today"), 0, value + b"\n")
        pairs[b"swapped"] = version + 1, b"today"
        self.expect(self.cli("delete", "page"), 0, "1\n")
        del pairs[b"page"]
        absent.append(b"page")
        self.expect(self.cli("put", "new", "-", stdin=b"n" * 100000), 0)
        pairs[b"new"] = 1, b"n" * 100000
        return pairs, absent

    def check_all(self, version, name):
        content = self.take_over(version, name)
        pairs, absent = content.pairs, content.absent
        client = released.Client(self.said["servers"])
        self.addCleanup(client.close)
        self.check_pairs(client, pairs, absent)
        self.check_scan(pairs)
        self.check_client(pairs)
        self.check_session(client)
        pairs, absent = self.check_writes(pairs, absent)
        self.verify()
        self.processes.kill()
        self.restart(client, pairs, absent)
        self.processes.stop()
        self.restart(client, pairs, absent)

    def restart(self, client, pairs, absent):
        """Today's programs read what they have made of the directories."""
        client.close()
        client.open.clear()
        self.processes.start()
        wait_until(self.ready, "all partitions are served again", 40)
        self.check_pairs(client, pairs, absent)
        self.check_scan(pairs)

    def verify(self):
        status = json.loads(self.expect(self.cli("--json", "status"), 0).out)
        self.assertEqual(0, sum(server["checksum_errors"] for server in status["servers"]))
        self.expect(self.cli("admin", "scrub"), 0)
        if self.said["replicas"] > 1:
            self.expect(self.cli("admin", "verify"), 0)


def add_tests():
    """One test for each set of directories."""
    for version, name in released.available():
        def test(self, version=version, name=name):
            self.check_all(version, name)
        setattr(ReleasedData, f"test_{version.replace('.', '_')}_{name}", test)


add_tests()


if __name__ == "__main__":
    unittest.main()
