"""Clients that were made with the .x files of a release (proto/released) get right answers from a cluster
of today's programs: two servers, two copies."""
import os
import subprocess
import unittest

from cluster import BIN, ROOT, SCALE, CairnTest, run, timeout

RELEASES = sorted(os.listdir(os.path.join(ROOT, "proto", "released")))
PARTITIONS = 8
KEYS = [f"k{i}" for i in range(40)]


def released_program(name):
    """Built beside the programs' objects, in build/<variant>/tests."""
    for folder in (os.path.join(os.path.dirname(BIN), "tests"),
                   os.path.join(os.path.dirname(BIN), "debug", "tests"),
                   os.path.join(ROOT, "build", "release", "tests")):
        path = os.path.join(folder, "released-" + name)
        if os.access(path, os.X_OK):
            return path
    raise AssertionError(f"released-{name} is not built: make released-clients")


class OldClient:
    """One process for each server, each with a session of its own; follows redirects."""

    def __init__(self, cluster, release):
        self.at = cluster.addresses[0]
        self.processes = {
            address: subprocess.Popen([released_program("server-" + release), *address.split(":"), str(n)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            for n, address in enumerate(cluster.addresses, 4711)}

    def ask(self, address, line):
        self.processes[address].stdin.write(line + "\n")
        answer = self.processes[address].stdout.readline()
        if not answer:
            raise AssertionError(f"{line}: the client ended with {self.processes[address].wait(10 * SCALE)}")
        return answer.rstrip("\n")

    def call(self, line):
        for _ in range(3):
            answer = self.ask(self.at, line)
            if not answer.startswith("redirect "):
                return answer
            self.at = answer.split()[1]
        raise AssertionError(f"{line}: redirected again and again: {answer}")

    def close(self):
        for process in self.processes.values():
            process.stdin.close()
            process.stdout.close()
            process.wait(10 * SCALE)


class ReleasedClients(CairnTest):
    def open(self, release):
        self.c = self.cluster(servers=2, partitions=PARTITIONS)
        self.c.wait_healthy()
        self.old = OldClient(self.c, release)
        self.addCleanup(self.old.close)

    def answers(self, line, wanted):
        self.assertEqual(wanted, self.old.call(line), line)

    def check_mutations(self):
        for i, key in enumerate(KEYS):
            self.answers(f"put {key} value{i}", "put 0 1")
            self.answers(f"get {key}", f"found 1 value{i}")
        self.assertEqual(2, len({self.c.primary_of(key) for key in KEYS}), "no redirect was needed")
        self.answers("put k1 again", "put 1 2")
        self.answers("putif 2 k1 third", "put 1 3")
        self.answers("putif 2 k1 late", "mismatch 3")
        self.answers("putif 0 new fresh", "put 0 1")
        self.answers("swap k1 fourth", "swap 1 4 third")
        self.answers("again", "swap 1 4 third")
        self.answers("get k1", "found 4 fourth")
        self.answers("delete k2", "delete 1")
        self.answers("again", "delete 1")
        self.answers("delete k2", "delete 0")
        self.answers("get k2", "absent")

    def check_cli_agrees(self):
        """What the old client wrote, today's reads, from its cache too; and the other way round."""
        for _ in range(3):
            self.expect(self.c.cli("get", "k1", "--with-version"), 0, "4\tfourth\n")
        self.answers("put k1 fifth", "put 1 5")
        self.expect(self.c.cli("get", "k1"), 0, "fifth\n")
        self.expect(self.c.cli("put", "k1", "sixth"), 0)
        self.answers("get k1", "found 6 sixth")

    def check_scans(self):
        leaders, pairs = self.c.primaries(), {}
        for server, address in enumerate(self.c.addresses):
            led = [str(p) for p in range(PARTITIONS) if leaders[p] == server]
            kind, count, *found = self.old.ask(address, f"scan a z {' '.join(led)}").split()
            self.assertEqual(("scan", len(found)), (kind, int(count)))
            self.assertEqual(sorted(found, key=lambda pair: pair.split("=")[0]), found)
            pairs.update(pair.split("=") for pair in found)
        wanted = {key: f"value{i}" for i, key in enumerate(KEYS)}
        wanted.update(k1="sixth", new="fresh")
        del wanted["k2"]
        self.assertEqual(wanted, pairs)
        other = next(p for p in range(PARTITIONS) if leaders[p] == 1)
        self.assertEqual("redirect " + self.c.addresses[1],
                         self.old.ask(self.c.addresses[0], f"scan a z {other}"))

    def check_reports(self, release):
        for server, address in enumerate(self.c.addresses):
            kind, number, count, committed = self.old.ask(address, "status").split()
            self.assertEqual(("status", str(server), str(PARTITIONS)), (kind, number, count))
            self.assertGreater(int(committed), len(KEYS))
            self.assertEqual("retire", self.old.ask(address, "retire 0 1 2 3"))
        manager = [released_program("manager-" + release), *self.c.manager_address.split(":")]
        version, size = self.expect(run([*manager, "map"]), 0).text.split()[1:]
        self.assertGreater(int(version) * int(size), 0)
        self.expect(run([*manager, "status"]), 0, f"status 2 {PARTITIONS} 2 {size}\n")
        self.expect(run([*manager, "heartbeat"]), 0, f"heartbeat {version} {size}\n")

    def check_all(self, release):
        self.open(release)
        self.check_mutations()
        self.check_cli_agrees()
        self.check_scans()
        self.check_reports(release)


def add_tests():
    """One test for each release."""
    for release in RELEASES:
        @timeout(90)
        def test(self, release=release):
            self.check_all(release)
        setattr(ReleasedClients, "test_a_client_of_" + release.replace(".", "_"), test)


add_tests()


if __name__ == "__main__":
    unittest.main()
