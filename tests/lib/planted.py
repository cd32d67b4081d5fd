"""Builds with a fault planted, and cairn-fuzz, which must catch them.

A fault is a rule that base/rules.h names and that the programs of `make fuzz-tests` break if
CACHE_BROKEN_RULE says so.
"""
import os
import random
import subprocess
import tempfile
import threading
import time

from cache_load import tool
from cluster import BIN, QUICK, Cluster, program

# name: (what is wrong, the rule, who breaks it, whether servers are killed meanwhile, options)
BUGS = {
    "none": ("nothing is wrong", None, "server", True, ()),
    "stale-read": ("a write is acknowledged before reads show it", "EARLY_ANSWER", "server", False,
                   ("--no-cache",)),
    "lost-write": ("an acknowledged write is dropped", "LOST_WRITE", "server", False,
                   ("--no-cache",)),
    "double-execution": ("a repeated request is executed again", "S3", "server", True,
                         ("--clients", "12", "--reads", "10")),
    "stale-cache": ("a cached value is read although it was invalidated", "C1_COUNTER", "client",
                    False, ("--reads", "85", "--keys", "3")),
}

# What shows under faults alone, of a cluster of the nemesis: the rule that its servers break, and options.
# They need root, for networks.
NEMESIS_BUGS = {
    "restart-forgets": ("a restarted server answers although its former life's leases last", "C7",
                        ("--nemesis", "kill,partition", "--replicas", "1", "--servers", "2", "--reads",
                         "85", "--keys", "3", "--clients", "8", "--readers", "4", "--hold", "300", "--lease",
                         "500")),
    "lease-outlives": ("a host's lease outlives those that its server's peers gave", "C5_PEERS",
                       ("--nemesis", "partition", "--reads", "85", "--keys", "3", "--clients", "8",
                        "--readers", "4", "--hold", "1200")),
}


def fuzz_nemesis(bug, seconds, *more):
    """Runs cairn-fuzz with a cluster of its own, with the fault: as fuzz() does."""
    _, rule, options = NEMESIS_BUGS[bug]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    with tempfile.TemporaryDirectory(prefix="cairn-planted-") as folder:
        for name in ("cairn", "cairn-manager", "cairn-nemesis.so"):
            os.symlink(os.path.join(BIN, name), os.path.join(folder, name))
        os.symlink(tool("cairn-server-broken"), os.path.join(folder, "cairn-server"))
        started = time.monotonic()
        done = subprocess.run(
            [program("cairn-fuzz"), "--programs", folder, "--data", os.path.join(folder, "data"),
             "--seconds", str(seconds), *options, *more], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 180,
            env={**environment, "CACHE_BROKEN_RULE": rule})
        return done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - started


class Killer:
    """Kills a server, has another take over, and relaunches it, again and again."""

    def __init__(self, cluster):
        self.cluster, self.stopping = cluster, threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopping.wait(0.7):
                server = random.choice(self.cluster.servers)
                server.crash()
                time.sleep(0.8)
                server.start()
                self.cluster.wait_healthy()
        except Exception as error:  # told by stop(), in the caller's thread
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise self.failure


def fuzz(bug, seconds, *more):
    """Runs cairn-fuzz against a cluster with the fault: (exit code, what it printed, seconds)."""
    _, rule, who, kills, options = BUGS[bug]
    broken = {"CACHE_BROKEN_RULE": rule} if rule else {}
    cluster = Cluster(servers=2, partitions=4, times=QUICK, start=False)
    killer = None
    try:
        for server in cluster.servers:
            server.command[server.command.index(program("cairn-server"))] = tool("cairn-server-broken")
            server.environment.update(broken if who == "server" else {})
        cluster.start()
        cluster.wait_healthy()
        started = time.monotonic()
        process = subprocess.Popen(
            [tool("cairn-fuzz-broken"), "--manager", cluster.manager_address, "--seconds",
             str(seconds), *options, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=cluster.environment(**(broken if who == "client" else {})))
        if kills:
            killer = Killer(cluster)
        output = process.communicate(timeout=seconds + 120)[0].decode(errors="replace")
        took = time.monotonic() - started
        if killer:
            killer.stop()
        return process.returncode, output, took
    finally:
        if killer:
            killer.stopping.set()
            killer.thread.join()
        cluster.close()
