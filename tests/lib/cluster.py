"""Real managers and servers on free loopback ports, for tests.

A Cluster owns a temporary directory, its processes and their logs, and the shared cache of its
clients; close() ends and removes all of it and fails if a process ended that the test did not end,
if a sanitizer complained, or if anything of the shared cache cannot be removed for good.
"""
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from network import Network, NoNetwork

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("CAIRN_BIN", os.path.join(ROOT, "bin")))
# Sanitizers and valgrind slow programs down; waits and time limits grow by this factor.
SCALE = float(os.environ.get("TEST_SCALE", "1"))
HOST = "127.0.0.1"
# Beacon, lease and grace of servers in ms, where a test waits for failovers: the defaults are
# 250, 1000 and 1500.
QUICK = (50, 250, 450)
# Below the range from which the kernel picks ports of outgoing connections.
FIRST_PORT, LAST_PORT = 15000, 31999
COMPLAINT = re.compile(r"ERROR: (?:Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r": check failed: |==\d+==ERROR")

SHARED_MEMORY = "/dev/shm"


def cache_prefix(pid):
    """What the names of a test's shared caches begin with: the runner finds forgotten ones by it."""
    return f"t{pid}-"


# Of programs that belong to no cluster; from the first cluster on, the latest cluster's.
_cache = {"name": cache_prefix(os.getpid()) + "0"}

_port_locks = []


def free_port():
    """A port that nobody listens on and that no other test of this machine is given.

    The lock is an abstract socket's name: it leaves no file and ends with this process.
    """
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        probe = socket.socket()
        try:
            lock.bind(f"\0cairn-test-port-{port}")
            probe.bind((HOST, port))
        except OSError:
            lock.close()
            continue
        finally:
            probe.close()
        _port_locks.append(lock)
        return port


def new_cache_name():
    """A name for a shared cache that nobody else uses; the default from now on."""
    _cache["name"] = f"{cache_prefix(os.getpid())}{random.randrange(1 << 32):08x}"
    return _cache["name"]


def segments(prefix):
    """Files of shared caches whose name begins so, also of those that were never finished."""
    try:
        return sorted(os.path.join(SHARED_MEMORY, entry) for entry in os.listdir(SHARED_MEMORY)
                      if entry.startswith("cairn-") and prefix in entry)
    except FileNotFoundError:
        return []


def remove_segments(prefix):
    """Returns what it removed."""
    removed = []
    for path in segments(prefix):
        try:
            os.unlink(path)
            removed.append(path)
        except FileNotFoundError:
            pass
    return removed


def clean_environment(**more):
    """The caller's environment without the variables that are options of the programs; but for the
    latest cluster's shared cache, which is small."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
    kept.update(CAIRN_CACHE_NAME=_cache["name"], CAIRN_CACHE_SIZE="8M")
    kept.setdefault("ASAN_OPTIONS", "exitcode=99")
    kept.setdefault("TSAN_OPTIONS", "exitcode=66")
    return {**kept, **more}


def wait_until(condition, what, seconds=20):
    """Polls until condition() is true and returns that value."""
    deadline = time.monotonic() + seconds * SCALE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def program(name):
    return os.path.join(BIN, name)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    def __repr__(self):
        return f"exit {self.code}, stdout {self.out[:300]!r}, stderr {self.err[-600:]!r}"


def run(arguments, stdin=b"", seconds=30, environment=None, **options):
    """Runs a program to its end; stdin None leaves the caller's."""
    done = subprocess.run([os.fsencode(a) if isinstance(a, str) else a for a in arguments],
                          input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=seconds * SCALE, env=environment or clean_environment(),
                          **options)
    return Result(done.returncode, done.stdout, done.stderr)


class Node:
    """One manager or server process, startable again and again on the same data."""

    def __init__(self, name, command, folder, environment=None):
        """`environment`: variables for this node alone."""
        self.name, self.command, self.folder = name, command, folder
        self.environment = environment or {}
        self.data = os.path.join(folder, name)
        self.log_path = os.path.join(folder, name + ".log")
        self.process = None
        self.log_start = 0

    def start(self, *more):
        assert not self.running(), self.name + " runs already"
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(self.command + list(more), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env=clean_environment(**self.environment))

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self, whole=False):
        """What was logged since the last start, or by all of them."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(0 if whole else self.log_start)
            return file.read()

    def crash(self):
        """kill -9."""
        self.process.kill()
        code = self.process.wait()
        self.process = None
        if code != -signal.SIGKILL:
            raise AssertionError(f"{self.name} had ended with {code}:\n{self.log()[-2000:]}")

    def stop(self, signal_number=signal.SIGTERM):
        """A clean stop, which must end with exit code 0."""
        self.process.send_signal(signal_number)
        code = self.process.wait(30 * SCALE)
        self.process = None
        if code != 0:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.log()[-2000:]}")

    def expect_exit(self, code, seconds=20):
        """Waits for an end that the test expects; returns what was logged."""
        found = self.process.wait(seconds * SCALE)
        self.process = None
        if found != code:
            raise AssertionError(f"{self.name} ended with {found}, not {code}:\n{self.log()[-2000:]}")
        return self.log()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Cluster:
    def __init__(self, servers=3, partitions=16, replicas=None, manager_options=(),
                 server_options=(), times=None, network=None, start=True):
        """`replicas`: two copies unless said, or one with one server. `times`: beacon, lease and
        grace in ms, such as QUICK. `network`: a Network in which all of it runs."""
        self.folder = tempfile.mkdtemp(prefix="cairn-test-")
        self.cache_name = new_cache_name()
        self.network = network
        self.addresses = [self.address(f"s{i}") for i in range(servers)]
        self.manager_address = self.address("m")
        self.partitions = partitions
        self.lease = (times[1] * SCALE if times else 1000) / 1000
        self.replicas = replicas or min(2, servers)
        # Small segments: filling big ones with zeros is most of what a start would do.
        self.server_options = ["--segment-bytes", "4M", *time_options(times), *server_options,
                               *os.environ.get("SERVER_OPTIONS", "").split()]
        self.manager = Node("m", self.manager_command(*manager_options), self.folder)
        self.servers = [self.make_server(i) for i in range(servers)]
        self.extra = []
        if network:
            network.start()
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def address(self, name):
        """Where the node of that name listens."""
        return f"{self.network.add(name)}:3000" if self.network else f"{HOST}:{free_port()}"

    def inside(self, name):
        """What stands before the command of a program that runs as `name`."""
        return self.network.command(name) if self.network else []

    def manager_command(self, *options):
        return [*self.inside("m"), program("cairn-manager"), "--listen", self.manager_address,
                "--servers", ",".join(self.addresses), "--replicas", str(self.replicas),
                "--partitions", str(self.partitions),
                "--data", os.path.join(self.folder, "m"), *options]

    def make_server(self, i, name=None, listen=None, manager=None, **unused):
        name = name or f"s{i}"
        return Node(name, [*self.inside(f"s{i}"), program("cairn-server"), "--id", str(i),
                           "--manager", manager or self.manager_address,
                           "--listen", listen or self.addresses[i],
                           "--data", os.path.join(self.folder, name), *self.server_options],
                    self.folder)

    def add(self, node):
        """A node of the test's own, ended with the others."""
        self.extra.append(node)
        return node

    @property
    def nodes(self):
        return [self.manager, *self.servers, *self.extra]

    def start(self):
        self.manager.start()
        for server in self.servers:
            server.start()
        self.wait_ready()

    def wait_ready(self, seconds=40):
        """A scan of the whole range needs every partition."""
        def ready():
            self.check_alive()
            return self.cli("--timeout", "1000", "scan", "!", "~", "--limit", "1").code == 0
        wait_until(ready, "all partitions are served", seconds)

    def wait_healthy(self, seconds=40):
        """Every partition has all the copies it shall have, and keeps them for longer than a lease:
        a copy that has just died or returned may still be dropped until then. Returns the status."""
        deadline, wrong = time.monotonic() + seconds * SCALE, "no answer"
        since, seen = time.monotonic(), None
        while time.monotonic() < deadline:
            self.check_alive()
            asked = time.monotonic()
            result = self.cli("--json", "--timeout", "2000", "status")
            if result.code == 0:
                status = json.loads(result.out)
                wrong = unhealthy(status)
                epochs = [p["epoch"] for p in status["partitions"]]
                if wrong or epochs != seen:
                    since, seen = time.monotonic(), epochs
                elif asked - since > self.lease * 1.2:
                    return status
            time.sleep(0.05)
        raise AssertionError(f"not healthy within {seconds} s: {wrong or 'epochs go on changing'}")

    def check_alive(self):
        for node in self.nodes:
            if node.process is not None and node.process.poll() is not None:
                raise AssertionError(f"{node.name} ended with {node.process.returncode}:\n"
                                     + node.log()[-3000:])

    def environment(self, **more):
        """Of a client: with this cluster's shared cache, whichever cluster is the latest."""
        return clean_environment(**{"CAIRN_CACHE_NAME": self.cache_name, **more})

    def cli(self, *arguments, stdin=b"", seconds=60, environment=None):
        return run([*self.inside("c"), program("cairn"), "--manager", self.manager_address,
                    *arguments], stdin, seconds, environment or self.environment())

    def status(self):
        result = self.cli("--json", "--timeout", "10000", "status")
        assert result.code == 0, result
        return json.loads(result.out)

    def primaries(self):
        return primaries(self.status())

    def holders(self):
        """{server: how many copies it holds}, of those that hold any."""
        held = collections.Counter()
        for partition in self.status()["partitions"]:
            held.update([partition["primary"], *partition["backups"]])
        return held

    def partition_of(self, key):
        """Which server leads the key's partition is asked of the cluster, not computed here."""
        return partition_of(key, self.partitions)

    def primary_of(self, key):
        """Index of the server that leads the key's partition."""
        return self.primaries()[self.partition_of(key)]

    def backups_of(self, key):
        return backups(self.status())[self.partition_of(key)]

    def key_on(self, server, prefix="k", count=1):
        """Keys whose partitions the given server leads."""
        leaders, found, n = self.primaries(), [], 0
        while len(found) < count:
            key = f"{prefix}{n}"
            if leaders[self.partition_of(key)] == server:
                found.append(key)
            n += 1
        return found[0] if count == 1 else found

    def crash_all(self):
        for node in self.nodes:
            if node.running():
                node.crash()

    def stop(self):
        """A clean stop of everything, servers first."""
        for node in [*self.servers, *self.extra, self.manager]:
            if node.running():
                node.stop()

    def complaints(self):
        for node in self.nodes:
            if os.path.exists(node.log_path) and COMPLAINT.search(node.log(whole=True)):
                yield f"{node.name} complained:\n{node.log(whole=True)[-4000:]}"

    def segments(self):
        """The files of this cluster's shared cache."""
        return segments(self.cache_name)

    def remove_cache(self):
        """What is there again after it was removed belongs to a client that the test forgot."""
        remove_segments(self.cache_name)
        left = remove_segments(self.cache_name)
        return [f"a shared cache is left: {path}" for path in left]

    def close(self):
        """Ends everything and removes the directory; then says what was wrong."""
        wrong = []
        for node in self.nodes:
            if node.process is None:
                continue
            if node.process.poll() is not None:
                wrong.append(f"{node.name} ended by itself with {node.process.returncode}:\n"
                             + node.log()[-3000:])
            else:
                node.process.kill()
                node.process.wait()
        wrong.extend(self.complaints())
        wrong.extend(self.remove_cache())
        shutil.rmtree(self.folder, ignore_errors=True)
        if wrong:
            raise AssertionError("\n".join(wrong))


_MASK = (1 << 64) - 1


def hashed_part(key):
    """The key, or what stands in its first {...} if that is not empty (Redis Cluster's rule)."""
    key = key.encode() if isinstance(key, str) else key
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1) if begin >= 0 else -1
    return key[begin + 1:end] if end > begin + 1 else key


def partition_of(key, partitions):
    """XXH3_64bits through the system's libxxhash, so that the hash is not the code under test."""
    import ctypes
    import ctypes.util
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    part = hashed_part(key)
    return (library.XXH3_64bits(part, len(part)) & _MASK) % partitions


def primaries(status):
    """{partition: server} from the JSON of `status`."""
    return {p["partition"]: p["primary"] for p in status["partitions"]}


def backups(status):
    """{partition: [server, ...]} from the JSON of `status`."""
    return {p["partition"]: p["backups"] for p in status["partitions"]}


def unhealthy(status):
    """What is wrong with the copies, in words; empty if nothing is."""
    wrong = [f"partition {p['partition']}: {p['copies']} of {p['wanted']} copies, primary "
             f"{p['primary']}, learners {p['learners']}"
             for p in status["partitions"] if p["copies"] != p["wanted"] or p["learners"]]
    if status["missing_copies"] != 0:
        wrong.append(f"missing_copies is {status['missing_copies']}")
    if not status["partitions"]:
        wrong.append("no partition is placed")
    return "; ".join(wrong)


def time_options(times):
    """Options of cairn-server for (beacon, lease, grace); sanitizers need longer ones."""
    if times is None:
        return []
    beacon, lease, grace = (str(int(t * SCALE)) for t in times)
    return ["--beacon", beacon, "--lease", lease, "--grace", grace]


class CairnTest(unittest.TestCase):
    """Base of the integration tests. `steps` prints what the test shows when asked to."""
    maxDiff = 2000

    failed = False

    def _callTestMethod(self, method):
        try:
            method()
        except BaseException as error:
            self.failed = not isinstance(error, unittest.SkipTest)
            raise

    def cluster(self, *arguments, **options):
        made = Cluster(*arguments, **{**options, "start": False})
        self.addCleanup(self._close, made)
        if options.get("start", True):
            made.start()
        return made

    def _close(self, cluster):
        if self.failed:
            for node in cluster.nodes:
                if os.path.exists(node.log_path):
                    print(f"--- log of {node.name}\n{node.log(whole=True)[-3000:]}")
        cluster.close()

    def temporary(self):
        folder = tempfile.mkdtemp(prefix="cairn-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def network(self, *names):
        """A Network, with nodes for clients of these names; skips the test where there is none."""
        try:
            made = Network()
        except NoNetwork as error:
            self.skipTest(f"no network of its own: {error}")
        self.addCleanup(made.close)
        for name in ("c", *names):
            made.add(name)
        return made

    def step(self, text):
        if os.environ.get("TEST_STEPS"):
            print(f"  {text}", flush=True)

    def expect(self, result, code, out=None):
        """The result's exit code, stdout, and that errors are told as they should be."""
        self.assertEqual(code, result.code, result)
        if out is not None:
            self.assertEqual(out.encode() if isinstance(out, str) else out, result.out, result)
        if code >= 2:
            lines = [line for line in result.err.decode(errors="replace").splitlines()
                     if line.startswith("ERROR: ")]
            self.assertEqual(1, len(lines), result)
        return result


def timeout(seconds):
    """Marks a test with its time limit; the default is 60 s."""
    def mark(function):
        function.timeout_seconds = seconds
        return function
    return mark
