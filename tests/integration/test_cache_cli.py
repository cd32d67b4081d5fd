"""The shared cache as its users see it: cairn cache, cairn agent, the options."""
import json
import os
import shutil
import signal
import subprocess
import unittest

from cluster import QUICK, CairnTest, Node, new_cache_name, program, run, timeout, wait_until
from workload import Workload

FIELDS = {"cluster", "path", "bytes", "entries", "entries_limit", "hits", "misses", "hit_rate", "fills",
          "refused", "skipped", "invalidations", "lapses", "evictions", "agents", "sessions", "agent",
          "generation", "map_version"}


class CacheCliTest(CairnTest):
    def start(self, **options):
        self.c = self.cluster(**{"servers": 1, "partitions": 4, "times": QUICK, **options})

    def stat(self, *options):
        result = self.expect(self.c.cli("--json", *options, "cache", "stat"), 0)
        return json.loads(result.out)

    def agent(self, name="agent", *options):
        node = self.c.add(Node(name, [program("cairn"), "--manager", self.c.manager_address, *options,
                                      "agent"], self.c.folder, {"CAIRN_CACHE_NAME": self.c.cache_name}))
        node.start()
        return node

    def wait_agent(self):
        wait_until(lambda: self.stat()["sessions"] == len(self.c.servers), "the agent has its sessions")

    def workload(self):
        client = Workload(self.c.manager_address)
        self.addCleanup(client.kill)
        return client

    def read_until_hit(self, client, key, value):
        """Only what is read often is cached."""
        hits = self.stat()["hits"]

        def hit():
            for _ in range(100):
                self.assertEqual(f"GET {key} {value}", client.call(f"GET {key}"))
            return self.stat()["hits"] > hits
        wait_until(hit, "a read is answered from the cache")


class Stat(CacheCliTest):
    def test_stat_shows_what_there_is(self):
        self.start()
        self.expect(self.c.cli("put", "k", "v"), 0)
        stat = self.stat()
        self.assertEqual(FIELDS, set(stat))
        self.assertEqual(self.c.status()["cluster"], stat["cluster"])
        self.assertEqual([stat["path"]], self.c.segments())
        self.assertEqual(os.path.getsize(stat["path"]), stat["bytes"])
        self.assertEqual((False, 0, 0, 0), (stat["agent"], stat["sessions"], stat["agents"],
                                            stat["entries"]))
        text = self.expect(self.c.cli("cache", "stat"), 0).text
        for part in (stat["cluster"], stat["path"], "hit rate", "lease lapses", "none: nothing is cached"):
            self.assertIn(part, text)

    def test_stat_counts_hits_fills_and_invalidations(self):
        self.start()
        self.agent()
        self.wait_agent()
        client = self.workload()
        self.assertEqual("PUT k not_found", client.call("PUT k 1"))
        self.read_until_hit(client, "k", "1")
        before = self.stat()
        self.assertTrue(before["agent"])
        self.assertGreater(before["hit_rate"], 0)
        self.assertGreaterEqual(before["fills"], 1)
        self.assertGreaterEqual(before["entries"], 1)
        self.expect(self.c.cli("put", "k", "2"), 0)
        self.assertGreater(self.stat()["invalidations"], before["invalidations"])
        self.assertEqual("GET k 2", client.call("GET k"))
        self.assertEqual(0, client.stop())

    def test_a_cache_is_found_while_nothing_of_the_cluster_runs(self):
        self.start()
        self.expect(self.c.cli("put", "k", "v"), 0)
        path = self.stat()["path"]
        self.c.stop()
        self.assertEqual(path, self.stat()["path"])
        self.expect(self.c.cli("cache", "clear"), 0)
        self.expect(self.c.cli("cache", "unlink"), 0, f"unlinked {path}\n")
        self.assertEqual([], self.c.segments())
        for command in ("stat", "clear", "unlink"):
            self.expect(self.c.cli("--timeout", "300", "cache", command), 2, "")

    def test_without_a_cache_stat_and_clear_exit_with_1(self):
        self.start()
        self.expect(self.c.cli("cache", "unlink"), 0)
        for command in ("stat", "clear"):
            result = self.expect(self.c.cli("cache", command), 1, "")
            self.assertRegex(result.err, rb"^ERROR: cache \w+: this host has no cache of cluster")
        # Asking the manager is no reason to make one.
        self.assertEqual([], self.c.segments())

    def test_watch_prints_each_interval_until_it_is_interrupted(self):
        self.start()
        watch = subprocess.Popen([program("cairn"), "--manager", self.c.manager_address, "--json", "cache",
                                  "stat", "--watch", "0.1"], stdout=subprocess.PIPE,
                                 env=self.c.environment())
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        for _ in range(2):
            line = json.loads(watch.stdout.readline())
            self.assertEqual(FIELDS | {"interval_ms", "interval_hit_rate", "per_second"}, set(line))
        watch.send_signal(signal.SIGINT)
        rest, _ = watch.communicate(timeout=20)
        self.assertEqual(0, watch.returncode)
        for line in rest.splitlines():
            json.loads(line)

    def test_watch_goes_on_with_the_cache_that_replaced_the_first(self):
        self.start()
        first = self.stat()["path"]
        watch = subprocess.Popen([program("cairn"), "--manager", self.c.manager_address, "--json", "cache",
                                  "stat", "--watch", "0.1"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.c.environment())
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.kill)
        json.loads(watch.stdout.readline())
        os.unlink(first)
        out, err = watch.communicate(timeout=20)
        self.assertEqual(1, watch.returncode)
        self.assertIn(b"ERROR: cache stat: this host has no cache", err)


class ClearAndUnlink(CacheCliTest):
    def test_clear_voids_all_values(self):
        self.start()
        self.agent()
        self.wait_agent()
        client = self.workload()
        client.call("PUT k 1")
        self.read_until_hit(client, "k", "1")
        before = self.stat()
        self.assertRegex(self.expect(self.c.cli("cache", "clear"), 0).text,
                         rf"^{before['entries']} (entry|entries) voided\n$")
        self.assertGreater(self.stat()["generation"], before["generation"])
        misses = self.stat()["misses"]
        self.assertEqual("GET k 1", client.call("GET k"))
        self.assertEqual(0, client.stop())
        self.assertGreater(self.stat()["misses"], misses)
        self.assertEqual({"entries"}, set(json.loads(self.c.cli("--json", "cache", "clear").out)))

    def test_unlink_removes_and_who_uses_it_gets_another(self):
        self.start()
        self.agent()
        self.wait_agent()
        client = self.workload()
        client.call("PUT k 1")
        self.read_until_hit(client, "k", "1")
        path = self.stat()["path"]
        inode = os.stat(path).st_ino
        result = self.expect(self.c.cli("--json", "cache", "unlink"), 0)
        self.assertEqual({"unlinked": [path], "stale": 0}, json.loads(result.out))

        def replaced():
            self.assertEqual("GET k 1", client.call("GET k"))
            return os.path.exists(path) and os.stat(path).st_ino != inode
        wait_until(replaced, "there is another one")
        self.wait_agent()
        self.read_until_hit(client, "k", "1")
        self.assertEqual(0, client.stop())

    def test_unlinking_what_is_not_there_is_done(self):
        self.start()
        self.expect(self.c.cli("cache", "unlink"), 0)
        self.expect(self.c.cli("cache", "unlink"), 0, "this host has no such cache\n")
        self.assertEqual({"unlinked": [], "stale": 0},
                         json.loads(self.c.cli("--json", "cache", "unlink").out))

    def test_unlink_leaves_caches_of_other_names_alone(self):
        self.start()
        other = self.c.environment(CAIRN_CACHE_NAME=new_cache_name())
        self.expect(self.c.cli("get", "k", environment=other), 1)
        theirs = self.c.cli("--json", "cache", "stat", environment=other)
        self.expect(self.c.cli("cache", "unlink"), 0)
        self.assertEqual([], self.c.segments())
        path = json.loads(theirs.out)["path"]
        self.assertTrue(os.path.exists(path))
        self.expect(self.c.cli("cache", "unlink", environment=other), 0, f"unlinked {path}\n")

    def test_unlink_also_removes_what_cannot_be_used(self):
        self.start()
        path = self.stat()["path"]
        with open(path, "r+b") as file:
            file.write(bytes(4096))
        self.expect(self.c.cli("cache", "unlink"), 0, f"unlinked {path}\n")
        self.assertEqual([], self.c.segments())

    def test_all_removes_every_cache_of_the_user_and_what_crashes_left(self):
        """In a directory of its own: the caches of whoever else uses this machine stay."""
        private = ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /dev/shm && exec \"$@\"", "-"]
        if shutil.which("unshare") is None or run([*private, "true"]).code != 0:
            self.skipTest("no mount namespace of its own: needs root")
        self.start()
        script = """
            c="$1 --manager $2"
            $c --cache-name one get k; $c --cache-name two get k
            set -e
            cp "$(ls /dev/shm/cairn-*-one)" "$(ls /dev/shm/cairn-*-one | sed 's/cairn-\\([0-9]*\\)-../cairn-\\1-zz/;s/zz/00/')"
            : >/dev/shm/other
            ls /dev/shm | wc -l
            "$1" --manager 127.0.0.1:1 cache unlink --all
            ls /dev/shm
            "$1" --manager 127.0.0.1:1 cache unlink --all
        """
        result = run([*private, "sh", "-c", script, "-", program("cairn"), self.c.manager_address],
                     environment=self.c.environment())
        lines = result.text.splitlines()
        self.assertEqual(0, result.code, result)
        self.assertEqual("4", lines[0], result)
        self.assertEqual(["unlinked 1 that earlier processes left", "other",
                          "this user has no cache on this host"], lines[3:], result)
        self.assertRegex("\n".join(sorted(lines[1:3])),
                         r"^unlinked /dev/shm/cairn-\S+-one\nunlinked /dev/shm/cairn-\S+-two$")


class Options(CacheCliTest):
    def test_the_size_is_that_of_a_cache_that_is_made(self):
        self.start()
        self.expect(self.c.cli("cache", "unlink"), 0)
        self.expect(self.c.cli("--cache-size", "16M", "get", "k"), 1)
        self.assertEqual(16 << 20, self.stat()["bytes"])
        self.expect(self.c.cli("--cache-size", "32M", "get", "k"), 1)
        self.assertEqual(16 << 20, self.stat()["bytes"])

    def test_what_stat_replaces_has_the_size_asked_for(self):
        self.start()
        with open(self.stat()["path"], "r+b") as file:
            file.write(bytes(4096))
        self.assertEqual(8 << 20, self.stat()["bytes"])

    def test_size_0_and_no_cache_make_none(self):
        self.start()
        self.expect(self.c.cli("cache", "unlink"), 0)
        self.expect(self.c.cli("--cache-size", "0", "get", "k"), 1)
        self.expect(self.c.cli("--no-cache", "get", "k"), 1)
        self.expect(self.c.cli("get", "k", environment=self.c.environment(CAIRN_CACHE_SIZE="0")), 1)
        self.assertEqual([], self.c.segments())
        self.expect(self.c.cli("get", "k"), 1)
        self.assertEqual(1, len(self.c.segments()))

    def test_wrong_sizes_and_names_are_told(self):
        for size in ("1", "1M", "4095K", "x", "-1", "4MM", "", "5T"):
            result = self.expect(run([program("cairn"), "--cache-size", size, "get", "k"]), 2, "")
            self.assertIn(b"cache-size", result.err)
        for name in ("", "a/b", "..\n", "a b", "x" * 33, "\u00e4"):
            result = self.expect(run([program("cairn"), "--cache-name", name, "get", "k"]), 2, "")
            self.assertIn(b"cache-name", result.err)
        environment = {**os.environ, "CAIRN_CACHE_SIZE": "2M"}
        self.expect(run([program("cairn"), "get", "k"], environment=environment), 2, "")

    def test_wrong_arguments_of_cache_are_told(self):
        for arguments in (["cache"], ["cache", "other"], ["cache", "stat", "1"], ["cache", "clear", "k"],
                          ["cache", "stat", "--watch", "0"], ["cache", "stat", "--watch", "x"],
                          ["cache", "stat", "--watch", "1", "2"], ["cache", "clear", "--all"],
                          ["cache", "unlink", "--watch"], ["get", "k", "--watch"], ["agent", "now"],
                          ["agent", "--no-cache"], ["agent", "--cache-size", "0"]):
            with self.subTest(arguments=arguments):
                self.expect(run([program("cairn"), *arguments]), 2, "")

    def test_the_help_tells_of_all_of_it(self):
        general = self.expect(run([program("cairn"), "--help"]), 0).text
        for part in ("--cache-size BYTES", "--cache-name NAME", "cache COMMAND", "agent"):
            self.assertIn(part, general)
        cache = self.expect(run([program("cairn"), "cache", "--help"]), 0).text
        for part in ("stat [--watch [SECONDS]]", "clear", "unlink [--all]"):
            self.assertIn(part, cache)


class Agent(CacheCliTest):
    def test_a_signal_ends_it_cleanly_and_it_tells_what_it_does(self):
        self.start(servers=2)
        for number in (signal.SIGTERM, signal.SIGINT):
            agent = self.agent(f"agent-{number}")
            self.wait_agent()
            before = self.stat()
            self.assertTrue(before["agent"])
            agent.stop(number)
            after = self.stat()
            self.assertEqual((False, 0), (after["agent"], after["sessions"]))
            self.assertGreater(after["generation"], before["generation"])
            lines = agent.log().splitlines()
            self.assertEqual(2, len(lines), lines)
            self.assertRegex(lines[0], "INFO cache .*agent of this host")
            self.assertRegex(lines[1], "INFO cache .*left")

    @timeout(90)
    def test_a_second_one_stands_by_and_takes_over(self):
        self.start()
        first = self.agent("first")
        self.wait_agent()
        second = self.agent("second")
        wait_until(lambda: "stands by" in second.log(), "the second one stands by")
        agents = self.stat()["agents"]
        first.crash()
        wait_until(lambda: "agent of this host" in second.log(), "the second one takes over")
        self.wait_agent()
        self.assertEqual(agents + 1, self.stat()["agents"])
        second.stop()

    def test_the_memory_of_an_unlinked_cache_is_given_back(self):
        self.start()
        agent = self.agent()
        self.wait_agent()
        for _ in range(2):
            self.expect(self.c.cli("cache", "unlink"), 0)
            wait_until(self.c.segments, "the agent makes another one")
            self.wait_agent()
            self.assertEqual(self.c.segments(), mapped_segments(agent.process.pid))
        agent.stop()

    def test_it_waits_for_the_manager_unless_it_is_given_a_time(self):
        self.start(start=False)
        agent = self.agent()
        late = self.expect(run([program("cairn"), "--manager", self.c.manager_address, "--timeout", "300",
                                "agent"]), 3, "")
        self.assertIn(b"ERROR: agent: out of time", late.err)
        self.assertTrue(agent.running())
        self.c.start()
        self.wait_agent()
        agent.stop()

    def test_a_signal_ends_it_while_it_waits_for_the_manager(self):
        self.start(start=False)
        agent = self.agent()
        wait_until(lambda: caught(agent.process.pid), "it catches signals")
        agent.stop()
        self.assertEqual("", agent.log())


def mapped_segments(pid):
    """Files of shared caches that the process has mapped; of one without a name it ends in (deleted)."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return sorted(line.split(maxsplit=5)[5].strip() for line in file if "/dev/shm/cairn-" in line)


def caught(pid):
    """Whether the process handles SIGTERM."""
    with open(f"/proc/{pid}/status") as file:
        mask = next(line for line in file if line.startswith("SigCgt:")).split()[1]
    return int(mask, 16) >> (signal.SIGTERM - 1) & 1 == 1


if __name__ == "__main__":
    unittest.main()
