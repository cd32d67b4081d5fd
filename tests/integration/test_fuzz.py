"""cairn-fuzz: a sound cluster passes and leaves nothing behind, a store that lies is caught and told
of in few lines, and its exit codes say which it was."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import planted
from cache_load import tool
from cluster import BIN, ROOT, CairnTest, free_port, program, run, segments, timeout, wait_until

FUZZ = program("cairn-fuzz")

# A store in workload mode: one file for all clients, locked for each call. With "stale" it answers
# some GETs with the value before; with "mangled" some with a value that nobody wrote; with "chatty" it
# says something that is no answer, with "silent" it does not answer at all.
STORE = r"""
import fcntl, json, sys, time
path, fault = sys.argv[1:3]
calls = 0
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "STOP":
        print("STOP", flush=True)
        break
    with open(path, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        data = json.load(file)
        now, before = data["now"], data["before"]
        calls += 1
        key = words[0]
        old = now.get(key)
        if verb == "SCAN":
            print("SCAN", *words, "BEGIN")
            for name in sorted(now):
                if words[0] <= name <= words[1]:
                    print(" ", name, now[name])
            print("SCAN END", flush=True)
            continue
        if verb == "GET":
            stale = fault == "stale" and calls % 20 == 0 and key in before
            answer = (before[key] if stale else old) or "null"
            if fault == "mangled" and calls % 20 == 0 and old:
                answer += "#"
        else:
            answer = (old or "null") if verb == "SWAP" else "found" if old else "not_found"
            before[key] = old
            now.pop(key, None)
            if verb != "DELETE":
                now[key] = words[1]
            file.seek(0)
            file.truncate()
            json.dump(data, file)
            file.flush()
    if fault == "silent" and calls == 9:
        time.sleep(1000)
    print("OK" if fault == "chatty" and calls == 9 else f"{verb} {key} {answer}", flush=True)
"""


class Fuzz(CairnTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="cairn-fuzz-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def store(self, fault):
        """The command of a client of a store with that fault."""
        for name, text in (("store.py", STORE), ("data", '{"now": {}, "before": {}}')):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        return f"exec python3 {self.path('store.py')} {self.path('data')} {fault}"

    def fuzz(self, *options, environment=None):
        return run([FUZZ, *options], seconds=60, environment=environment or self.own_caches())

    def own_caches(self, **more):
        """An environment that names no cache, so that a run has its own."""
        return {**{k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}, **more}

    def operations_of(self, path):
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @timeout(120)
    def test_a_sound_cluster_passes(self):
        cluster = self.cluster(servers=2, partitions=4)
        done = self.fuzz("--manager", cluster.manager_address, "--servers", "2", "--operations", "600",
                         "--clients", "6", "--processes", "3", "--round", "250", "--value-size", "2K",
                         "--seed", "7", "--history", self.path("h"), "--log", self.path("deep/log"))
        self.assertEqual(0, done.code, done)
        self.assertTrue(done.text.startswith("seed 7\n"), done)
        self.assertTrue(done.text.endswith("Fuzz testing result: PASSED\n"), done)
        with open(self.path("deep/log"), encoding="utf-8") as file:
            self.assertTrue(file.read().endswith("Fuzz testing result: PASSED\n"))
        calls = self.operations_of(self.path("h"))
        self.assertEqual(6 * 600, len(calls))
        self.assertEqual({"get", "put", "put_if", "swap", "delete", "scan"}, {c["op"] for c in calls})
        written = [c["value"] for c in calls if c.get("value") is not None]
        self.assertEqual(len(written), len(set(written)), "a value was written twice")
        of_others = [path for path in segments("fuzz-") if os.path.exists(
            "/proc/" + path.rpartition("-fuzz-")[2].split("-")[0])]
        self.assertEqual(of_others, segments("fuzz-"), "a cache is left behind")
        checked = run([tool("check-history"), self.path("h")])
        self.assertEqual(0, checked.code, checked)

    @timeout(120)
    def test_clients_in_workload_mode_and_the_same_seed_again(self):
        cluster = self.cluster(servers=1, partitions=4)
        calls = []
        for n in range(2):
            done = self.fuzz("--client", f"{program('cairn')} --manager {cluster.manager_address} workload",
                             "--clients", "3", "--operations", "200", "--seed", "11", "--disjoint",
                             "--history", self.path(f"h{n}"))
            self.assertEqual(0, done.code, done)
            calls.append(sorted((c["process"], c["start"], c["op"], c.get("value"))
                                for c in self.operations_of(self.path(f"h{n}"))))
        self.assertEqual([(c[0], *c[2:]) for c in calls[0]], [(c[0], *c[2:]) for c in calls[1]])

    @timeout(60)
    def test_a_stale_read_of_any_store_is_shown_in_few_lines(self):
        good = self.fuzz("--client", self.store("none"), "--clients", "3", "--operations", "150")
        self.assertEqual(0, good.code, good)
        bad = self.fuzz("--client", self.store("stale"), "--clients", "3", "--operations", "400",
                        "--history", self.path("h"))
        self.assertEqual(1, bad.code, bad)
        self.assertTrue(bad.text.endswith("Fuzz testing result: FAILED\n"), bad)
        marked = [line for line in bad.text.splitlines() if line.startswith("> ")]
        self.assertEqual(1, len(marked), bad)
        self.assertIn("get", marked[0])
        shown = [line for line in bad.text.splitlines() if re.match(r"[> ] process", line)]
        self.assertLessEqual(len(shown), 6, bad)
        checked = run([tool("check-history"), self.path("h")])
        self.assertEqual(1, checked.code, checked)

    @timeout(60)
    def test_a_value_that_nobody_wrote_is_shown_as_it_was(self):
        bad = self.fuzz("--client", self.store("mangled"), "--clients", "3", "--operations", "400")
        self.assertEqual(1, bad.code, bad)
        self.assertIn("a value was seen that", bad.text)
        self.assertRegex(bad.text, r"(?m)^> process .* get .*#")

    @timeout(60)
    def test_an_answer_that_is_none_fails(self):
        done = self.fuzz("--client", self.store("chatty"), "--clients", "2", "--operations", "50")
        self.assertEqual(1, done.code, done)
        self.assertIn(b"ERROR: ", done.err)
        self.assertIn(b"answered with: OK", done.err)

    @timeout(60)
    def test_what_cannot_run_says_why(self):
        for options, why in (
                (("--client", "exit 3"), "ended"),
                (("--manager", f"127.0.0.1:{free_port()}", "--timeout", "300"), ""),
                (("--nemesis", "nonsense"), "nonsense"),
                (("--cycles", "3"), "--cycles"),
                (("--clients", "0"), "--clients"),
                (("--history", "/nowhere/at/all", "--client", "cat"), "/nowhere/at/all"),
                (("surplus",), "surplus")):
            with self.subTest(options):
                done = self.fuzz(*options)
                self.assertEqual(2, done.code, done)
                self.assertRegex(done.err.decode(), f"ERROR: .*{re.escape(why)}")
                self.assertNotIn("result", done.text)

    @timeout(90)
    def test_an_interrupted_run_is_checked_and_leaves_nothing(self):
        cluster = self.cluster(servers=1, partitions=4)
        kept = self.own_caches()
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                [FUZZ, "--manager", cluster.manager_address, "--operations", "0", "--history",
                 self.path("h")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept)
            wait_until(lambda: os.path.exists(self.path("h")) and os.path.getsize(self.path("h")) > 0,
                       "calls are made")
            if number == signal.SIGTERM:
                cluster.servers[0].pause()  # calls that never end must not hold it up
                time.sleep(0.3)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            if number == signal.SIGTERM:
                cluster.servers[0].resume()
            self.assertEqual(0, process.returncode, (out, err))
            self.assertIn(b"Fuzz testing result: PASSED", out)
            self.assertEqual([], segments(f"fuzz-{process.pid}"))
            os.unlink(self.path("h"))

    @timeout(90)
    def test_calls_that_never_end_fail(self):
        done = self.fuzz("--client", self.store("silent"), "--clients", "2", "--seconds", "1")
        self.assertEqual(1, done.code, done)
        self.assertIn("2 calls did not end and were given up\n", done.text)
        self.assertTrue(done.text.endswith("Fuzz testing result: FAILED\n"), done)

    def children(self, process):
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
            return [int(pid) for pid in file.read().split()]

    @timeout(90)
    def test_a_client_that_is_killed_ends_the_run_without_a_verdict(self):
        cluster = self.cluster(servers=1, partitions=4)
        process = subprocess.Popen(
            [FUZZ, "--manager", cluster.manager_address, "--operations", "0", "--history", self.path("h")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.own_caches())
        wait_until(lambda: os.path.exists(self.path("h")) and os.path.getsize(self.path("h")) > 0,
                   "calls are made")
        os.kill(self.children(process)[0], signal.SIGKILL)
        out, err = process.communicate(timeout=30)
        self.assertEqual(2, process.returncode, (out, err))
        self.assertIn(b"ended by signal 9", err)
        self.assertEqual([], segments(f"fuzz-{process.pid}"))
        checked = run([tool("check-history"), self.path("h")])
        self.assertEqual(0, checked.code, checked)

    @timeout(90)
    def test_what_a_killed_run_left_the_next_one_removes(self):
        environment = self.own_caches(TMPDIR=self.folder)
        command = [FUZZ, "--nemesis", "none", "--servers", "1", "--clients", "2", "--programs", BIN]
        os.mkdir(self.path("cairn-nemesis-kept"))
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env=environment)
        self.addCleanup(killed.stderr.close)
        while b"cycle 1" not in killed.stderr.readline():
            pass
        wait_until(lambda: segments(f"fuzz-{killed.pid}-"), "the clients have a cache")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        left = [name for name in os.listdir(self.folder) if os.listdir(self.path(name))]
        self.assertEqual(1, len(left), left)
        done = run([*command, "--cycles", "1", "--seconds", "5"], seconds=60, environment=environment)
        self.assertEqual(0, done.code, done)
        self.assertIn(left[0].encode() + b", which a run that was killed had left", done.err)
        self.assertEqual(["cairn-nemesis-kept"], os.listdir(self.folder))
        self.assertEqual([], segments(f"fuzz-{killed.pid}-"))

    @timeout(120)
    def test_a_planted_fault_is_caught(self):
        if tool("cairn-fuzz-broken") is None or tool("cairn-server-broken") is None:
            self.skipTest("not built: make fuzz-tests")
        code, output, took = planted.fuzz("lost-write", 40)
        self.step(output)
        self.assertEqual(1, code, output)
        self.assertIn("Fuzz testing result: FAILED", output)
        self.assertRegex(output, r"(?m)^> process")

    @timeout(90)
    def test_the_recipe_writes_its_log(self):
        cluster = self.cluster(servers=1, partitions=4)
        os.symlink(os.path.join(ROOT, "tools"), self.path("tools"))
        environment = {**os.environ, "OPERATIONS": "150", "SEED": "5", "FUZZ": FUZZ}
        done = run([os.path.join(self.folder, "tools", "fuzz"), "1", "no", cluster.manager_address],
                   seconds=60, environment=environment)
        self.assertEqual(0, done.code, done)
        with open(os.path.join(self.folder, "report/fuzz/fuzz-1-no.log"), encoding="utf-8") as file:
            log = file.read()
        self.assertTrue(log.startswith("seed 5\n"), log)
        self.assertTrue(log.endswith("Fuzz testing result: PASSED\n"), log)
        wrong = run([os.path.join(self.folder, "tools", "fuzz"), "3", "no", cluster.manager_address],
                    seconds=60, environment=environment)
        self.assertEqual(2, wrong.code, wrong)
        self.assertIn(b"has 1 servers, not 3", wrong.err)


if __name__ == "__main__":
    import unittest
    unittest.main()
