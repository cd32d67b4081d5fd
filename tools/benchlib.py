"""Processes, measurements and facts of the machine, for the comparing benchmarks.

Everything started here is ended here, and lives in one temporary directory that is removed.
"""
import ctypes
import ctypes.util
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"


class BenchError(Exception):
    pass


def free_port():
    """Below the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randint(15000, 31999)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}


def wait_until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Process:
    """One program with its log; stop() waits for its end."""

    def __init__(self, name, command, folder):
        self.name, self.log_path = name, os.path.join(folder, name + ".log")
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=environment())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(self.log_start)
            return file.read()

    def check(self):
        if self.child.poll() is not None:
            raise BenchError(f"{self.name} ended with {self.child.returncode}:\n{self.log()[-2000:]}")

    def stop(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(120)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def cpu_seconds(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def written_bytes(self):
        """To the disk, as the kernel charges it: pages when they are made dirty, direct writes when they
        are sent; with that of children that have ended."""
        with open(f"/proc/{self.child.pid}/io", encoding="ascii") as file:
            return int(re.search(r"^write_bytes: (\d+)", file.read(), re.M).group(1))

    def resident_kib(self):
        """Memory that is the process' own, without the page cache that it maps (RssAnon)."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.M).group(1))


class Cairn:
    """A manager and servers; start() again on the same data."""

    def __init__(self, name, folder, programs, servers, server_options=(), partitions=64,
                 replicas=1):
        self.name, self.programs, self.server_options = name, programs, list(server_options)
        self.replicas = replicas
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.partitions = partitions
        self.manager_address = f"{HOST}:{free_port()}"
        self.addresses = [f"{HOST}:{free_port()}" for _ in range(servers)]
        self.manager, self.servers = None, []

    def start(self):
        self.manager = Process("manager", [
            os.path.join(self.programs, "cairn-manager"), "--listen", self.manager_address,
            "--servers", ",".join(self.addresses), "--replicas", str(self.replicas),
            "--partitions", str(self.partitions), "--data", os.path.join(self.folder, "m")],
            self.folder)
        self.start_servers()

    def start_servers(self):
        self.servers = [Process(f"server{i}", [
            os.path.join(self.programs, "cairn-server"), "--id", str(i),
            "--manager", self.manager_address, "--listen", address,
            "--data", os.path.join(self.folder, f"s{i}"), *self.server_options], self.folder)
            for i, address in enumerate(self.addresses)]
        self.wait_ready()

    def wait_ready(self, seconds=120):
        def ready():
            for process in self.processes:
                process.check()
            # A scan needs every partition.
            return subprocess.run(
                [os.path.join(self.programs, "cairn-bench"), *self.target(), "--operation", "scan",
                 "--scan-limit", "1", "--count", "1", "--warm-up", "0", "--no-load", "--timeout",
                 "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=environment(), check=False).returncode == 0
        wait_until(ready, f"{self.name} serves", seconds)
        wait_until(lambda: self.status()["missing_copies"] == 0,
                   f"{self.name} has {self.replicas} copies of each partition", seconds)

    def status(self):
        done = subprocess.run([os.path.join(self.programs, "cairn"), "--no-cache", "--manager",
                               self.manager_address, "--json", "status"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment(), check=False)
        if done.returncode != 0:
            raise BenchError(f"cairn status of {self.name}: {done.stderr.decode().strip()}")
        return json.loads(done.stdout)

    @property
    def processes(self):
        return [p for p in [self.manager, *self.servers] if p is not None]

    def stop(self):
        for process in [*self.servers, self.manager]:
            if process is not None:
                process.stop()
        self.manager, self.servers = None, []

    def target(self):
        return ["--target", "cairn", "--manager", self.manager_address]


class Redis:
    """The distribution's server, each write synced before its answer; no snapshots beside the log,
    unless `snapshots` are what `--save` says."""

    def __init__(self, name, folder, snapshots=("--save", "")):
        self.name, self.folder = name, os.path.join(folder, name)
        self.snapshots = list(snapshots)
        os.mkdir(self.folder)
        self.port = free_port()
        self.server = None

    def start(self):
        self.server = Process("redis", [
            "redis-server", "--port", str(self.port), "--bind", HOST, "--dir", self.folder,
            "--appendonly", "yes", "--appendfsync", "always", *self.snapshots,
            "--repl-diskless-sync-delay", "0"], self.folder)

        def ready():
            self.server.check()
            return "Ready to accept connections" in self.server.log()
        wait_until(ready, "redis-server serves")

    @property
    def processes(self):
        return [self.server] if self.server is not None else []

    def stop(self):
        if self.server is not None:
            self.server.stop()
        self.server = None

    def target(self):
        return ["--target", "redis", "--redis", f"{HOST}:{self.port}"]


class ReplicatedRedis(Redis):
    """A primary and one replica, both syncing each write; a write is answered when both have it."""

    def __init__(self, name, folder, snapshots=("--save", "")):
        super().__init__(name, folder, snapshots)
        self.replica_folder = os.path.join(folder, name + "-replica")
        os.mkdir(self.replica_folder)
        self.replica_port, self.replica = free_port(), None

    def start(self):
        super().start()
        self.replica = Process("redis-replica", [
            "redis-server", "--port", str(self.replica_port), "--bind", HOST, "--dir",
            self.replica_folder, "--appendonly", "yes", "--appendfsync", "always", *self.snapshots,
            "--replicaof", HOST, str(self.port)], self.replica_folder)

        def follows():
            self.replica.check()
            return "state=online" in self.ask("INFO replication")
        wait_until(follows, "the replica follows")
        acknowledged = self.ask("SET benchlib 1", "WAIT 1 10000")
        if not acknowledged.endswith(":1\r\n"):
            raise BenchError(f"the replica does not acknowledge: {acknowledged!r}")

    def ask(self, *commands):
        """The replies as they come, up to that of the last command."""
        with socket.create_connection((HOST, self.port), timeout=20) as link:
            link.sendall("".join(c + "\r\n" for c in [*commands, "PING end"]).encode())
            text = b""
            while not text.endswith(b"$3\r\nend\r\n"):
                piece = link.recv(65536)
                if not piece:
                    raise BenchError("redis-server closed the connection")
                text += piece
            return text[:-len(b"$3\r\nend\r\n")].decode()

    @property
    def processes(self):
        return [p for p in [self.server, self.replica] if p is not None]

    def stop(self):
        if self.replica is not None:
            self.replica.stop()
        self.replica = None
        super().stop()

    def target(self):
        return [*super().target(), "--redis-wait", "1"]


def processor_ticks():
    """(all, stolen) of the machine's processors since it started; stolen is what the hypervisor gave to
    others while somebody here had work."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:]]
    # The two after stolen are of guests, and counted before already.
    return sum(fields[:8]), fields[7]


def stolen_share(before, after):
    return (after[1] - before[1]) / max(after[0] - before[0], 1)


def drive(programs, store, *options):
    """Runs cairn-bench and returns its JSON, with the CPU time that the servers took and the share of
    the machine's that was stolen meanwhile. YCSB's `load` or `run` comes first of the options."""
    phase = list(options[:1]) if options and options[0] in ("load", "run") else []
    before, ticks = sum(p.cpu_seconds() for p in store.processes), processor_ticks()
    done = subprocess.run([os.path.join(programs, "cairn-bench"), *phase, *store.target(), "--json",
                           *options[len(phase):]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(), check=False)
    if done.returncode != 0:
        raise BenchError(f"cairn-bench on {store.name}: {done.stderr.decode().strip()}")
    result = json.loads(done.stdout)
    result["server_cpu_seconds"] = sum(p.cpu_seconds() for p in store.processes) - before
    result["steal"] = stolen_share(ticks, processor_ticks())
    return result


STEAL_MOST = 0.03
STEAL_REPEATS = 3


def calmly(measure, repeats=STEAL_REPEATS):
    """What measure() returns, a dict with "steal"; measured again if too much was stolen, a few times.
    The least disturbed one is returned, with how often it was "repeated"."""
    results = [measure()]
    while results[-1]["steal"] > STEAL_MOST and len(results) <= repeats:
        results.append(measure())
    best = min(results, key=lambda result: result["steal"])
    return {**best, "repeated": len(results) - 1}


def sync_rate(folder, seconds=2.0):
    """Synced writes of 200 bytes a second into a preallocated, zero-filled file."""
    path = os.path.join(folder, "sync-rate")
    size, block = 8 << 20, b"x" * 200
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, bytes(size))
        os.fsync(descriptor)
        count, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            os.pwrite(descriptor, block, count * 200 % (size - 200))
            os.fdatasync(descriptor)
            count += 1
        return count / (time.monotonic() - start)
    finally:
        os.close(descriptor)
        os.unlink(path)


def first_line(command):
    if shutil.which(command[0]) is None:
        return "unknown"
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode().splitlines()[0] if done.stdout else "unknown"


def commit():
    """Of the sources here; `+` if files that are built have changed since."""
    git = ["git", "-C", ROOT]
    name = first_line([*git, "rev-parse", "--short", "HEAD"])
    changed = first_line([*git, "status", "--porcelain", "--untracked-files=no", "--", "*.c", "*.h",
                          "*.x", "Makefile"])
    return name + ("" if changed == "unknown" else "+")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    return f"{os.cpu_count()} x {found.group(1) if found else platform.machine()}"


def etcd_version():
    found = re.search(r"(\d\S*)", first_line(["etcd", "--version"]))
    return found.group(1) if found else "not installed"


def lmdb_version():
    library = ctypes.util.find_library("lmdb") or "liblmdb.so.0"
    try:
        version = ctypes.CDLL(library).mdb_version
    except OSError:
        return "not installed"
    version.restype = ctypes.c_char_p
    return re.sub(r"^LMDB |:.*$", "", version(None, None, None).decode())


def disk(folder):
    line = first_line(["df", "--output=fstype,source", folder])
    done = subprocess.run(["df", "--output=fstype,source", folder], stdout=subprocess.PIPE,
                          check=False).stdout.decode().splitlines()
    return " ".join(done[1].split()) if len(done) > 1 else line


def facts(programs, folder):
    """What the numbers depend on, as (name, text) pairs."""
    redis = re.search(r"v=(\S+)", first_line(["redis-server", "--version"]))
    return [
        ("date", time.strftime("%Y-%m-%d")),
        ("cairn", first_line([os.path.join(programs, "cairn-server"), "--version"])),
        ("redis", redis.group(1) if redis else "not installed"),
        ("kernel", platform.release()),
        ("processors", processor()),
        ("disk", disk(folder)),
        ("synced writes of 200 bytes a second, one after the other", f"{sync_rate(folder):,.0f}"),
    ]


class Workspace:
    """A temporary directory below `parent`, and stores that are stopped before it goes."""

    def __init__(self, parent):
        os.makedirs(parent, exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=parent)
        self.stores = []

    def add(self, store):
        self.stores.append(store)
        return store

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        # A second Ctrl-C would leave processes behind.
        handlers = [(number, signal.signal(number, signal.SIG_IGN))
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        for store in self.stores:
            store.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        for number, handler in handlers:
            signal.signal(number, handler)


def replace_file(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)
