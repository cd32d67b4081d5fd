"""The demo, the background cluster and the recipes: what they print, and that they clean up."""
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

from cluster import (BIN, ROOT, CairnTest, clean_environment, free_port, program, run, segments, timeout,
                     wait_until)


def demo(*arguments):
    return [os.path.join(ROOT, "run_demo.sh"), *arguments]


def ended(pid):
    """Gone, or a zombie that whoever inherited it has not looked at yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def environment(**more):
    return clean_environment(CAIRN_BIN=BIN, **more)


class Demo(CairnTest):
    @timeout(120)
    def test_the_tour(self):
        result = run(demo(), seconds=100, environment=environment())
        self.assertEqual(0, result.code, result)
        self.assertTrue(result.text.endswith("OK: tour completed\n"), result)
        self.assertIn("recovered", result.text)
        self.assertIn("hit rate", result.text)

    @timeout(200)
    def test_the_golden_mode_prints_the_same_bytes_every_run(self):
        first = run(demo("--mode=golden"), seconds=90, environment=environment())
        self.assertEqual(0, first.code, first)
        self.assertTrue(first.text.endswith("OK: golden scenario completed\n"), first)
        second = run(demo("--mode=golden"), seconds=90, environment=environment())
        self.assertEqual(first.out, second.out)

    def test_the_failure_mode_ends_with_exit_code_2(self):
        result = run(demo("--mode=failure"), environment=environment())
        self.assertEqual(2, result.code, result)
        self.assertEqual(["ERROR: invalid input or unavailable IPC resource", "exit=2"],
                         result.text.splitlines()[-2:])

    def test_an_unknown_option(self):
        self.expect(run(demo("--mode=other"), environment=environment()), 2, "")
        self.expect(run(demo("--other"), environment=environment()), 2, "")

    @timeout(120)
    def test_nothing_is_left_after_an_interruption(self):
        """At several moments; the runner finds processes and directories that stay."""
        for seconds, number in ((0.3, signal.SIGINT), (1.5, signal.SIGINT), (2, signal.SIGINT),
                                (3, signal.SIGTERM)):
            process = subprocess.Popen(demo(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       env=environment(), start_new_session=True)
            time.sleep(seconds)
            # As a terminal does it: to the whole group.
            os.killpg(process.pid, number)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, (130, 143, 0, -2, -15))
            self.assertEqual([], os.listdir(os.environ["TMPDIR"]) if "TMPDIR" in os.environ else [])
            self.assertEqual([], segments(f"demo-{process.pid}"))


class BackgroundCluster(CairnTest):
    def setUp(self):
        self.folder = os.path.join(self.temporary(), "data")
        base = free_port()
        self.manager = f"127.0.0.1:{base}"
        self.environment = environment(CLUSTER_DIR=self.folder, MANAGER_PORT=str(base),
                                       SERVER_PORT=str(free_port()), PARTITIONS="8")
        self.addCleanup(self.cluster_script, "kill")

    def cluster_script(self, *arguments):
        return run([os.path.join(ROOT, "tools", "cluster.sh"), *arguments], seconds=60,
                   environment=self.environment)

    def cli(self, *arguments):
        return run([program("cairn"), "--manager", self.manager, *arguments])

    def pid(self, name):
        with open(os.path.join(self.folder, "run", f"up-{name}.pid")) as file:
            return int(file.read().split()[0])

    @timeout(120)
    def test_up_down_up_keeps_the_data(self):
        up = self.cluster_script("up", "1")
        self.assertEqual(0, up.code, up)
        self.assertIn("put greeting hello", up.text)
        self.expect(self.cli("put", "k", "v"), 0)
        name = self.environment["CAIRN_CACHE_NAME"]
        self.assertEqual(1, len(segments(name)))
        manager, server = self.pid("m"), self.pid("s0")
        again = self.cluster_script("up")
        self.assertEqual((0, up.out), (again.code, again.out), again)
        self.assertEqual((manager, server), (self.pid("m"), self.pid("s0")))
        self.assertEqual(0, self.cluster_script("down").code)
        self.assertTrue(ended(server))
        self.assertTrue(ended(manager))
        self.assertEqual([], segments(name))
        self.assertEqual(0, self.cluster_script("up").code)
        self.expect(self.cli("get", "k"), 0, "v\n")

    @timeout(120)
    def test_up_starts_again_what_died(self):
        self.assertEqual(0, self.cluster_script("up", "1").code)
        self.expect(self.cli("put", "k", "v"), 0)
        os.kill(self.pid("s0"), signal.SIGKILL)
        self.assertEqual(0, self.cluster_script("up").code)
        self.expect(self.cli("get", "k"), 0, "v\n")

    @timeout(120)
    def test_another_number_of_servers_is_refused(self):
        self.assertEqual(0, self.cluster_script("up", "1").code)
        self.assertEqual(0, self.cluster_script("down").code)
        self.expect(self.cluster_script("up", "2"), 2, "")
        for bad in ("0", "x", "-1", "65"):
            self.expect(self.cluster_script("up", bad), 2, "")

    def test_a_port_that_is_taken_is_told(self):
        host, port = self.manager.split(":")
        with socket.socket() as other:
            other.bind((host, int(port)))
            other.listen()
            result = self.expect(self.cluster_script("up", "1"), 2, "")
            self.assertIn(port, result.err.decode())
        self.assertEqual([], [n for n in os.listdir(os.path.join(self.folder, "run"))
                              if n.endswith(".pid")])

    @timeout(120)
    def test_kill_ends_only_what_this_checkout_started(self):
        stranger = subprocess.Popen(["sleep", "60"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        self.assertEqual(0, self.cluster_script("up", "1").code)
        server = self.pid("s0")
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        # As if the pid had been given to another process since.
        with open(os.path.join(self.folder, "run", "up-s9.pid"), "w") as file:
            file.write(f"{stranger.pid} 1 {boot}\n")
        done = self.cluster_script("kill")
        self.assertEqual((0, "processes ended: 2\n"), (done.code, done.text), done)
        self.assertTrue(ended(server))
        self.assertIsNone(stranger.poll())
        self.assertEqual("processes ended: 0\n", self.cluster_script("kill").text)

    @timeout(120)
    def test_service_nodes_in_the_foreground(self):
        prefix = os.path.join(self.temporary(), "backer")
        servers = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
        nodes = [subprocess.Popen([os.path.join(ROOT, "tools", "node.sh"), "service", node, self.manager,
                                   servers, prefix], env=self.environment, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) for node in ("m", "s0", "s1")]
        wait_until(lambda: self.cli("--timeout", "1000", "scan", "!", "~").code == 0, "it is served")
        self.assertEqual({"backer.m", "backer.s0", "backer.s1"}, set(os.listdir(os.path.dirname(prefix))))
        done = run([os.path.join(ROOT, "tools", "node.sh"), "client", self.manager], b"PUT k v\nSTOP\n",
                   environment=self.environment)
        self.assertEqual((0, b"PUT k not_found\nSTOP\n"), (done.code, done.out))
        self.assertEqual("processes ended: 3\n", self.cluster_script("kill").text)
        self.assertEqual([0, 0, 0], [node.wait(30) for node in nodes])

    def test_wrong_nodes_are_told(self):
        node = os.path.join(ROOT, "tools", "node.sh")
        for arguments in ([], ["service", "x", "1", "a:1", "p"], ["service", "s7", "1", "a:1,b:2", "p"],
                          ["service", "s1", "1", "a:1", "p"], ["server", "1"], ["other"]):
            self.expect(run([node, *arguments], environment=self.environment), 2, "")


class Recipes(CairnTest):
    def test_the_contract_s_recipes_exist(self):
        if shutil.which("just") is None:
            self.skipTest("just is not installed")
        done = run(["just", "--justfile", os.path.join(ROOT, "Justfile"), "--summary"])
        self.assertEqual(0, done.code, done)
        for name in ("manager server client service bench up down report testcase kill test "
                     "demo build deps").split():
            self.assertIn(name, done.text.split())

    def test_recipes_without_arguments_are_make_targets(self):
        for name in "up down report testcase kill test demo build deps".split():
            done = run(["make", "-C", ROOT, "-n", name])
            self.assertEqual(0, done.code, done)


if __name__ == "__main__":
    unittest.main()
