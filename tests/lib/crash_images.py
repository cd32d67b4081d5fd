"""Recordings of a real cluster for crash images: every write and sync of every node, and what clients
were told, in one order; and what a power loss may leave, started as real processes.

The recorder is tests/lib/preload/disk_record.c, the program that tries the images tests/crash/main.c.
"""
import collections
import filecmp
import json
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time

from cache_load import tool
from cluster import program, run, wait_until

MIB = 1 << 20
# Small, so that a short run goes through segments of the log, checkpoints and growth of the map.
SEGMENT, MAP, MEMTABLE = 4 * MIB, 2 * MIB, MIB
SERVER_OPTIONS = ["--segment-bytes", str(SEGMENT), "--map-bytes", str(MAP), "--memtable-bytes", str(MEMTABLE),
                  "--log-keep", "0", "--disk-reserve", "1M", "--wal-backend", "thread"]
SLOTS = 16
MANAGER_SLOT = 15
LARGE = 120_000
WATCH_SECONDS = 0.1
LIES = ("log", "store", "directory")


class Shared:
    """The counter of events and the words that kill nodes (struct event_shared)."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(4096))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)

    def number(self):
        return struct.unpack_from("<Q", self.memory, 0)[0]

    def kill(self, slot):
        struct.pack_into("<I", self.memory, 8 + 4 * slot, 1)


class Marks:
    """What one client did to keys of its own, as tests/crash/marks.h reads it."""

    def __init__(self):
        self.lines, self.expected = [], {}

    def add(self, key, tag, length, submitted):
        """Returns the mark, to be acknowledged later. `tag` None: no value."""
        mark = ["P" if tag else "D", key, tag or "-", length, submitted, 0]
        self.lines.append(mark)
        return mark


def value_of(tag, length):
    return (tag * (length // len(tag) + 1))[:length]


def names_of(folder):
    """{name: path} of files and directories, but for the lock file of LMDB, which lives in memory."""
    return {os.path.relpath(os.path.join(where, name), folder): os.path.join(where, name)
            for where, folders, files in os.walk(folder) for name in folders + files if name != "lock.mdb"}


def same(left, right):
    if left is None or right is None:
        return False
    if os.path.isdir(left) or os.path.isdir(right):
        return os.path.isdir(left) and os.path.isdir(right)
    return filecmp.cmp(left, right, shallow=False)


class Client(threading.Thread):
    """A client in workload mode: one operation after the other on keys of its own, until it is told to
    stop; what it reads is checked at once."""

    def __init__(self, recording, number, seed):
        super().__init__()
        self.recording, self.number = recording, number
        self.random = random.Random(seed)
        self.marks, self.count, self.failure = Marks(), 0, None
        self.state = {}
        self.stopping = threading.Event()
        self.process = subprocess.Popen(
            [program("cairn"), "--manager", recording.cluster.manager_address, "--no-cache", "workload"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=recording.cluster.environment())

    def call(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def length(self):
        """Most values are small; some are large, for segments and pages of many."""
        kind = self.random.random()
        if kind < self.recording.large:
            return self.random.randrange(LARGE // 4, LARGE)
        return self.random.randrange(1, 40) if kind < 0.5 else self.random.randrange(40, 3000)

    def step(self):
        key = f"c{self.number}-{self.random.randrange(self.recording.keys)}"
        self.count += 1
        tag, length = f"{key}:{self.count}.", self.length()
        kind = self.random.choice("PPPPSSDG")
        before = self.state.get(key)
        if kind == "G":
            wanted = f"GET {key} {'null' if before is None else before}"
            return self.expect(self.call(f"GET {key}"), wanted)
        if kind == "D":
            mark = self.marks.add(key, None, 0, self.recording.shared.number())
            answer = self.call(f"DELETE {key}")
            wanted, after = f"DELETE {key} {'not_found' if before is None else 'found'}", None
        else:
            after = value_of(tag, length)
            mark = self.marks.add(key, tag, length, self.recording.shared.number())
            if kind == "S":
                answer = self.call(f"SWAP {key} {after}")
                wanted = f"SWAP {key} {'null' if before is None else before}"
            else:
                answer = self.call(f"PUT {key} {after}")
                wanted = f"PUT {key} {'not_found' if before is None else 'found'}"
        mark[5] = self.recording.shared.number()
        self.state[key] = after
        return self.expect(answer, wanted)

    def expect(self, answer, wanted):
        if answer != wanted:
            raise AssertionError(f"client {self.number} got {answer[:200]!r}, not {wanted[:200]!r}")

    def run(self):
        try:
            while not self.stopping.is_set():
                self.recording.flows.wait()
                self.step()
            self.expect(self.call("STOP"), "STOP")
        except BaseException as error:
            self.failure = error
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()


class Watcher(threading.Thread):
    """Asks the manager again and again what the cluster is: what it told must not be taken back."""

    def __init__(self, recording):
        super().__init__()
        self.recording, self.failure = recording, None
        self.lines, self.version = [], 0
        self.stopping = threading.Event()

    def look(self):
        """A line as tests/crash/manager/recovery.c reads it, if anything is new."""
        result = self.recording.cluster.cli("--json", "--timeout", "1000", "status")
        if result.code != 0:
            return  # it is dead for the moment
        status, number = json.loads(result.out), self.recording.shared.number()
        if status["version"] == self.version:
            return
        self.version = status["version"]
        words = [number, status["cluster"], self.version]
        for partition in status["partitions"]:
            members = sum(1 << server for server in partition["members"])
            words += [partition["epoch"], partition["primary"], members]
        self.lines.append(" ".join(map(str, words)) + "\n")

    def run(self):
        try:
            while not self.stopping.wait(WATCH_SECONDS):
                self.look()
        except BaseException as error:
            self.failure = error


class Recording:
    """A recorded run of `cluster` (made with SERVER_OPTIONS, not started) into `folder`."""

    def __init__(self, cluster, folder, library, seed, clients=3, keys=12, large=0.04):
        self.cluster, self.folder, self.seed = cluster, folder, seed
        self.keys, self.large = keys, large
        self.random = random.Random(seed)
        self.shared = Shared(os.path.join(folder, "shared"))
        self.logs, self.marks_path = os.path.join(folder, "logs"), os.path.join(folder, "marks")
        self.maps_path = os.path.join(folder, "maps")
        os.mkdir(self.logs)
        for slot, node in [*enumerate(cluster.servers), (MANAGER_SLOT, cluster.manager)]:
            node.environment = {"LD_PRELOAD": library, "RECORD_ROOT": cluster.folder,
                                "RECORD_LOGS": self.logs, "RECORD_SLOT": str(slot),
                                "RECORD_SHARED": self.shared.path}
        self.ttl = Marks()
        self.client_count, self.clients, self.watcher = clients, [], Watcher(self)
        self.flows = threading.Event()
        self.flows.set()

    def start(self):
        self.cluster.start()
        self.clients = [Client(self, i, self.random.randrange(1 << 32)) for i in range(self.client_count)]
        for thread in [*self.clients, self.watcher]:
            thread.start()

    def check(self):
        for thread in [*self.clients, self.watcher]:
            if thread.failure:
                raise thread.failure

    def done(self):
        return sum(client.count for client in self.clients)

    def go_on(self, operations):
        target = self.done() + operations
        wait_until(lambda: self.check() or self.done() >= target, f"{operations} operations are done", 120)

    def kill(self):
        """All servers at once, each at its next event; they start again, and the manager dies at its
        next event, which their registration brings about at the latest."""
        epochs = self.epochs()
        for slot in range(len(self.cluster.servers)):
            self.shared.kill(slot)
        for server in self.cluster.servers:
            self.wait_for_kill(server)
        self.shared.kill(MANAGER_SLOT)
        for server in self.cluster.servers:
            server.start()
        self.wait_for_kill(self.cluster.manager)
        self.start_again(epochs)

    @staticmethod
    def wait_for_kill(node):
        code = node.process.wait(60)
        assert code == -signal.SIGKILL, f"{node.name} ended with {code}"
        node.process = None

    def stop(self):
        """The same with clean ends."""
        epochs = self.epochs()
        for node in self.cluster.nodes:
            node.process.send_signal(signal.SIGTERM)
        for node in self.cluster.nodes:
            assert node.process.wait(60) == 0
            node.process = None
        self.start_again(epochs)

    def epochs(self):
        return {p["partition"]: p["epoch"] for p in self.cluster.status()["partitions"]}

    def start_again(self, before):
        """A copy that was removed meanwhile need not hold what was acknowledged without it, and the
        images are judged as if each copy did: so a removal ends the run."""
        for node in self.cluster.nodes:
            if not node.running():
                node.start()
        self.go_on(10)
        if len(self.cluster.servers) == 1:
            return
        self.flows.clear()
        self.cluster.wait_healthy()
        self.flows.set()
        for partition, epoch in self.epochs().items():
            assert epoch <= before[partition] + 1, f"a copy of partition {partition} was removed meanwhile"

    def expire(self, key):
        """A key that goes away by itself (S2)."""
        self.flows.clear()
        mark = self.ttl.add(key, key + ".", 50, self.shared.number())
        since = time.monotonic()
        result = self.cluster.cli("put", key, value_of(key + ".", 50), "--ttl", "1")
        assert result.code == 0, result
        mark[5] = self.shared.number()
        time.sleep(max(0, since + 0.9 - time.monotonic()))
        mark = self.ttl.add(key, None, 0, self.shared.number())
        wait_until(lambda: self.cluster.cli("--no-cache", "get", key).code == 1, "the key expires")
        mark[5] = self.shared.number()
        self.flows.set()

    def end(self):
        """Ends the clients, then the cluster by kill; writes the marks."""
        self.flows.set()
        for thread in [*self.clients, self.watcher]:
            thread.stopping.set()
        for thread in [*self.clients, self.watcher]:
            thread.join()
        self.check()
        wait_until(self.is_quiet, "nobody writes any more")
        self.cluster.crash_all()
        with open(self.marks_path, "w") as file:
            for marks in [*(client.marks for client in self.clients), self.ttl]:
                file.writelines(" ".join(map(str, mark)) + "\n" for mark in marks.lines)
        with open(self.maps_path, "w") as file:
            file.writelines(self.watcher.lines)

    def is_quiet(self):
        """A kill from here may fall between a change and its event, unless nobody changes anything."""
        before = self.shared.number()
        time.sleep(0.4)
        return self.shared.number() == before

    def script(self, operations, rounds):
        """Load, with a kill or a clean stop of all nodes behind each round; a key that expires."""
        self.start()
        for n in range(rounds):
            self.go_on(operations // rounds)
            self.expire(f"ttl{n}")
            if n % 3 == 2:
                self.stop()
            else:
                self.kill()
        self.go_on(operations // rounds)
        self.end()

    # --- what power losses may leave -----------------------------------------------------------

    def images(self, images, node="s0", limit=0, variants=4, jobs=1, lie="none", slices=1, progress=None):
        """Tries those of a server, or of the manager, m; (counts, what was told of states that did not
        keep everything)."""
        total, told, events = collections.Counter(), [], self.events()
        for n in range(slices):
            counts, lines = self.slice_of_images(
                node, images, ["--variants", str(variants), "--limit", str(limit), "--jobs", str(jobs),
                               "--lie", lie, "--from", str(events * n // slices + 1),
                               "--until", str(events * (n + 1) // slices + 1)])
            told += lines
            whole = {name: counts.pop(name) for name in ("node", "events", "acknowledged")}
            total.update(counts)
            if progress:
                progress(n + 1, slices, total)
        return {**whole, **total}, told

    def slice_of_images(self, node, images, options):
        if node == "m":
            options = [*options, "--slot", str(MANAGER_SLOT), "--marks", self.maps_path]
        else:
            number = node.removeprefix("s")
            options = [*options, "--slot", number, "--marks", self.marks_path, "--server", number,
                       "--segment", str(SEGMENT), "--map", str(MAP), "--memtable", str(MEMTABLE)]
        done = run([tool("crash-images-manager" if node == "m" else "crash-images"), "--logs", self.logs,
                    "--images", images, "--seed", str(self.seed), "--node", node, *options], seconds=3600)
        if done.code not in (0, 1) or not done.out:
            raise AssertionError(f"crash-images ended so: {done}")
        return json.loads(done.out), done.err.decode(errors="replace").splitlines()

    def events(self):
        return self.shared.number()

    def first_ready(self):
        """The first event behind which something was acknowledged: before, a cluster may not be founded."""
        return min(mark[5] for client in self.clients for mark in client.marks.lines if mark[5])

    def allowed(self, number):
        """{key: values that it may have}, None for no value; as tests/crash/marks.c says."""
        allowed = {}
        for marks in [*(client.marks for client in self.clients), self.ttl]:
            for kind, key, tag, length, submitted, acknowledged in marks.lines:
                value = value_of(tag, length) if kind == "P" else None
                if submitted > number:
                    continue
                if acknowledged and acknowledged <= number:
                    allowed[key] = [value]
                else:
                    allowed.setdefault(key, [None]).append(value)
        return allowed

    def write(self, number, variant):
        """The images of all nodes, in a directory of their own."""
        out = os.path.join(self.folder, "image")
        os.mkdir(out)
        done = run([tool("crash-images"), "--logs", self.logs, "--event", str(number), "--variant",
                    str(variant), "--seed", str(self.seed), "--write", out])
        assert done.code == 0, done
        return out

    def differences(self):
        """Files and directories that are not what the events say that they are: the recorder missed
        something. To be asked at the end, before anything else was started."""
        out, wrong = self.write(self.events(), 1), []
        for node in self.cluster.nodes:
            here, there = names_of(node.data), names_of(os.path.join(out, node.name))
            wrong += [f"{node.name}/{name}" for name in sorted(here.keys() | there.keys())
                      if not same(here.get(name), there.get(name))]
        shutil.rmtree(out)
        return wrong

    def start_real(self, number, variant):
        """All nodes as real processes on what a power loss of all of them left behind the event; all
        keys are read. Returns what is wrong, or None."""
        cluster = self.cluster
        for node in cluster.nodes:
            shutil.rmtree(node.data, ignore_errors=True)
            node.environment = {}
        out = self.write(number, variant)
        for name in os.listdir(out):
            os.rename(os.path.join(out, name), os.path.join(cluster.folder, name))
        os.rmdir(out)
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        wrong = self.read_all(number)
        cluster.crash_all()
        return wrong

    def read_all(self, number):
        allowed = self.allowed(number)
        lines = "".join(f"GET {key}\n" for key in allowed) + "STOP\n"
        result = self.cluster.cli("--no-cache", "workload", stdin=lines.encode(), seconds=60)
        assert result.code == 0, result
        for key, line in zip(allowed, result.text.splitlines()):
            value = line.split(" ", 2)[2]
            if value not in ["null" if v is None else v for v in allowed[key]]:
                return f"event {number}: {key} is {value[:60]}"
        return None
