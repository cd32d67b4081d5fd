"""The stores that are compared, by name, and one comparison: rounds in which each of them is started,
measured and stopped, and keeps its data."""
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import benchlib
from benchlib import HOST, BenchError, Cairn, Process, Redis, ReplicatedRedis, environment, free_port

CAIRN, PAIR, SINGLE, ETCD, LMDB = "cairn", "redis+replica", "redis", "etcd", "lmdb"
ALL = [CAIRN, PAIR, SINGLE, ETCD, LMDB]
LOADERS = 30                        # clients that write all keys before the first round


class Etcd:
    """Three members as the distribution packages them, with room for all that is written."""

    def __init__(self, name, folder, members=3):
        self.name, self.folder = name, os.path.join(folder, name)
        os.mkdir(self.folder)
        self.clients = [f"{HOST}:{free_port()}" for _ in range(members)]
        self.peers = [f"http://{HOST}:{free_port()}" for _ in range(members)]
        self.processes = []

    def start(self):
        cluster = ",".join(f"m{i}={peer}" for i, peer in enumerate(self.peers))
        for i, (client, peer) in enumerate(zip(self.clients, self.peers)):
            self.processes.append(Process(f"etcd{i}", [
                "etcd", "--name", f"m{i}", "--data-dir", os.path.join(self.folder, f"m{i}"),
                "--listen-client-urls", f"http://{client}", "--advertise-client-urls",
                f"http://{client}", "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", cluster, "--quota-backend-bytes", str(8 << 30)], self.folder))
        benchlib.wait_until(self.serves, "etcd's members have a leader")

    def serves(self):
        for process in self.processes:
            process.check()
        return all(self.ask(client).get("leader", "0") != "0" for client in self.clients)

    @staticmethod
    def ask(client):
        """What a member says of itself; empty if it does not answer."""
        request = urllib.request.Request(f"http://{client}/v3/maintenance/status", data=b"{}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return {}

    def target(self):
        """The leader first: a single client of etcd does best with it."""
        leads = lambda status: status and status["leader"] == status["header"]["member_id"]
        order = sorted(self.clients, key=lambda client: not leads(self.ask(client)))
        return ["--target", "etcd", "--etcd", ",".join(order)]

    def stop(self):
        for process in self.processes:
            process.stop()
        self.processes = []


class Lmdb:
    """In the driver's own process; nothing is started."""

    processes = ()

    def __init__(self, name, folder):
        self.name, self.folder = name, os.path.join(folder, name)

    def start(self):
        pass

    def stop(self):
        pass

    def target(self):
        return ["--target", "lmdb", "--lmdb", self.folder]


def missing():
    """The names of the stores that are not installed here."""
    programs = {PAIR: "redis-server", SINGLE: "redis-server", ETCD: "etcd"}
    return [name for name, program in programs.items() if shutil.which(program) is None]


def make(name, folder, programs, server_options=(), snapshots=("--save", "")):
    if name == CAIRN:
        return Cairn(name, folder, programs, 2, server_options, replicas=2)
    if name == ETCD:
        return Etcd(name, folder)
    if name == LMDB:
        return Lmdb(name, folder)
    return (ReplicatedRedis if name == PAIR else Redis)(name, folder, snapshots)


class Agent:
    """A host's cache under a name of its own and the process that answers for it."""

    def __init__(self, name, store, programs, folder):
        self.name, self.store, self.programs = name, store, programs
        self.process = Process("agent-" + name, self.command("agent"), folder)
        try:
            benchlib.wait_until(self.has_sessions, "the cache's agent has its sessions", 30)
        except BaseException:
            self.stop()
            raise

    def command(self, *words):
        return [os.path.join(self.programs, "cairn"), "--manager", self.store.manager_address,
                "--cache-name", self.name, *words]

    def run(self, *words):
        return subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment(), check=False)

    def has_sessions(self):
        self.process.check()
        done = self.run("--json", "cache", "stat")
        return done.returncode == 0 and json.loads(done.stdout)["sessions"] >= len(self.store.servers)

    def options(self):
        return ["--cache", "--cache-name", self.name, "--no-agent"]

    def stop(self):
        self.process.stop()
        self.run("cache", "unlink")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()


KEPT = ["per_second", "seconds", "executed", "driver_cpu_seconds", "server_cpu_seconds", "steal", "repeated"]
KEPT_OF_OPERATIONS = ["per_second", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"]


def slim(result):
    """What of cairn-bench's JSON the report is made from."""
    kept = {name: result[name] for name in KEPT if name in result}
    kept["operations"] = {name: {k: values[k] for k in KEPT_OF_OPERATIONS}
                          for name, values in result["operations"].items()}
    if "cache" in result:
        kept["hit_rate"] = result["cache"]["hit_rate"]
    return kept


def clock(seconds):
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


class Bench:
    """What all parts share: options, the temporary directory, and how far the whole run is."""

    def __init__(self, options, space, progress, planned, alone):
        """`planned`: seconds of each part that will run; `alone`: nobody else says what is left."""
        self.options, self.space, self.progress = options, space, progress
        self.planned, self.done, self.begun, self.alone = planned, 0.0, time.monotonic(), alone
        self.absent = missing()

    def has(self, name):
        return name not in self.absent

    def drive(self, store, *words, repeat=True):
        """One measurement; repeated while too much is stolen, unless it changes what it measures."""
        measure = lambda: benchlib.drive(self.options.programs, store, *[str(word) for word in words])
        return slim(benchlib.calmly(
            measure, benchlib.STEAL_REPEATS if repeat and not self.options.quick else 0))

    def load(self, store, keys, *words):
        self.drive(store, *(words or ("--operation", "put", "--order", "sequential")), "--connections",
                   LOADERS, "--keys", keys, *(() if words else ("--count", keys)), "--warm-up", 0,
                   repeat=False)

    def tell(self, part, steps, text):
        """One of so many steps of a part is done."""
        self.done += self.planned[part] / steps
        self.progress(f"{part}, {text}; {100 * self.done / sum(self.planned.values()):.0f}%{self.left()}")

    def left(self):
        """As fast or slow as it went until now."""
        passed = time.monotonic() - self.begun
        seconds = passed * (sum(self.planned.values()) / self.done - 1)
        return f", about {clock(max(seconds, 0))} left" if self.alone else ""

    def rounds(self, part, names, rounds, load, measure, **how):
        """{title: {store: [result of each round]}}. measure(store, name, number) gives {title: result};
        how: what make() is told of Cairn's options and of Redis' snapshots."""
        names = [name for name in names if name not in self.absent]
        folder = os.path.join(self.space.folder, part)
        os.mkdir(folder)
        stores = {name: self.space.add(make(name, folder, self.options.programs, **how))
                  for name in names}
        results = {}
        for number in range(rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                self.one(stores[name], number, load, measure, results)
                self.tell(part, rounds * len(names), f"round {number + 1}, {name}")
        for store in stores.values():
            self.space.stores.remove(store)
        shutil.rmtree(folder)
        return results

    def one(self, store, number, load, measure, results):
        store.start()
        try:
            if number == 0:
                load(store)
            for title, result in measure(store, store.name, number).items():
                results.setdefault(title, {}).setdefault(store.name, []).append(result)
        except BenchError as error:
            raise BenchError(f"{store.name}, round {number + 1}: {error}") from error
        finally:
            store.stop()
