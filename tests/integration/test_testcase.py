"""The scripted cases: three servers, one killed, the others serve on, nothing acknowledged is lost.
With one copy of each partition the dead server is waited for; with two another takes over."""
import unittest

from cluster import CairnTest, timeout


class Testcase(CairnTest):
    @timeout(90)
    def test_crash_of_one_server_and_recovery(self):
        self.step("three servers, one copy of each partition")
        c = self.cluster(servers=3, replicas=1)
        keys = {server: c.key_on(server, f"key{server}-") for server in range(3)}

        self.step("puts, swaps, gets and scans on all of them")
        for server, key in keys.items():
            self.expect(c.cli("put", key, "first"), 0, f"PUT {key} not_found\n")
            self.expect(c.cli("swap", key, "second"), 0, "first\n")
            self.expect(c.cli("get", key), 0, "second\n")
        everything = "".join(f"{key}\tsecond\n" for key in sorted(keys.values()))
        self.expect(c.cli("scan", "key", "kez"), 0, everything)

        self.step("kill -9 of server 1")
        c.servers[1].crash()

        self.step("a GET and a one-key SCAN on living partitions succeed")
        for server in (0, 2):
            self.expect(c.cli("get", keys[server]), 0, "second\n")
            self.expect(c.cli("scan", keys[server], keys[server]), 0, f"{keys[server]}\tsecond\n")
        self.expect(c.cli("swap", keys[2], "third"), 0, "second\n")

        self.step("a GET and a SCAN that need the dead server time out with exit code 3")
        self.expect(c.cli("--timeout", "700", "get", keys[1]), 3, "")
        self.expect(c.cli("--timeout", "700", "scan", "key", "kez"), 3)
        self.expect(c.cli("--timeout", "700", "scan", keys[1], keys[1]), 3)

        self.step("restart: the GET returns the last acknowledged value")
        c.servers[1].start()
        self.expect(c.cli("--timeout", "30000", "get", keys[1]), 0, "second\n")
        self.expect(c.cli("swap", keys[1], "third"), 0, "second\n")
        self.expect(c.cli("get", keys[2]), 0, "third\n")

    @timeout(90)
    def test_crash_of_one_server_and_failover(self):
        self.step("three servers, two copies of each partition")
        c = self.cluster(servers=3)
        keys = {server: c.key_on(server, f"key{server}-") for server in range(3)}
        for key in keys.values():
            self.expect(c.cli("put", key, "first"), 0, f"PUT {key} not_found\n")

        self.step("kill -9 of server 1")
        c.servers[1].crash()

        self.step("everything is served by the others, with what was acknowledged")
        for key in keys.values():
            self.expect(c.cli("--timeout", "30000", "swap", key, "second"), 0, "first\n")
        everything = "".join(f"{key}\tsecond\n" for key in sorted(keys.values()))
        self.expect(c.cli("scan", "key", "kez"), 0, everything)
        self.assertNotIn(1, c.primaries().values())
        self.assertGreater(c.status()["missing_copies"], 0)

        self.step("restart: it catches up, and every partition has two copies again")
        c.servers[1].start()
        c.wait_healthy()

        self.step("kill -9 of server 0: server 1 holds what was written while it was dead")
        c.servers[0].crash()
        for key in keys.values():
            self.expect(c.cli("--timeout", "30000", "swap", key, "third"), 0, "second\n")


if __name__ == "__main__":
    unittest.main()
