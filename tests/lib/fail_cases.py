"""One case of "fail the Nth": a process runs a script in which one call fails, once or for ever.

The outcome has to be an error or a clean end with a word about why: never a wrong answer, a lost
acknowledged write, a hang or a crash. Servers and managers are then restarted without the fault, and
everything that was acknowledged has to be there, also on the copy that met the fault alone.
"""
import os
import random
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

import cluster as clusters
import fail_nth
from cluster import QUICK, SCALE, Cluster, program

# While the fault lasts; then it is lifted, and everything has to go on. Sooner where nobody is left.
FAULT_SECONDS, LEFT_SECONDS, AFTER_SECONDS = 2, 0.3, 25
BIG = 220 << 10
SANITIZER = re.compile(r"Sanitizer|runtime error:|==\d+==ERROR")
CLEAN_ENDS = (0, 2, 3, -signal.SIGABRT)


class Wrong(AssertionError):
    pass


class FaultyCluster(Cluster):
    """One of its nodes may end itself by an assertion: a clean abort."""
    faulty = None

    def complaints(self):
        for complaint in super().complaints():
            if self.faulty is None or not complaint.startswith(self.faulty.name + " complained") \
                    or SANITIZER.search(complaint):
                yield complaint


class Client:
    """A client in workload mode that keeps what each key may hold, and checks every answer."""

    def __init__(self, cluster, before=(), options=()):
        self.cluster, self.kept = cluster, {}
        self.is_hopeless = lambda: False  # nobody is left who could answer
        self.process = subprocess.Popen(
            [*before, program("cairn"), "--manager", cluster.manager_address, *options, "workload"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=cluster.environment())
        self.buffers = {self.process.stdout: b"", self.process.stderr: b""}
        self.poll = select.poll()  # a sweep has more descriptors than select() takes
        for stream in self.buffers:
            self.poll.register(stream, select.POLLIN)
        self.errors = []

    def line(self, deadline):
        """("out" or "err", line); None at the end, or when it is too late."""
        while True:
            for stream, name in ((self.process.stderr, "err"), (self.process.stdout, "out")):
                text, found, rest = self.buffers[stream].partition(b"\n")
                if found:
                    self.buffers[stream] = rest
                    return name, text.decode(errors="replace")
            ready = [fd for fd, _ in self.poll.poll(1000 * max(0, deadline - time.monotonic()))]
            if not ready:
                return None
            for stream in (s for s in self.buffers if s.fileno() in ready):
                more = os.read(stream.fileno(), 1 << 20)
                if not more:
                    return None
                self.buffers[stream] += more

    def call(self, text, on_late=None, seconds=FAULT_SECONDS):
        """The answer, or None if the call failed. `on_late` is called once, when it takes long."""
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        began = time.monotonic()
        deadline = began + seconds * SCALE
        while True:
            if on_late is not None and self.is_hopeless():
                deadline = min(deadline, began + LEFT_SECONDS * SCALE)
            soon = time.monotonic() + LEFT_SECONDS * SCALE
            got = self.line(min(deadline, soon))
            if got is None and self.process.poll() is None and time.monotonic() < deadline:
                continue
            if got is None and self.process.poll() is None and time.monotonic() >= deadline:
                if on_late is None:
                    raise Wrong(f"hang: no answer to {text[:60]}")
                on_late()
                on_late, deadline = None, time.monotonic() + AFTER_SECONDS * SCALE
                continue
            if got is None:
                return None
            if got[0] == "out":
                return got[1]
            self.errors.append(got[1])
            if got[1].startswith("ERROR: "):
                return None

    def write(self, key, value, **options):
        """A SWAP, whose answer says what was there."""
        may = self.kept.get(key, {"null"})
        answer = self.call(f"SWAP {key} {value}", **options)
        if answer is None:
            self.kept[key] = may | {value}
            return False
        if not any(answer == f"SWAP {key} {old}" for old in may):
            raise Wrong(f"wrong answer: SWAP {key}: {answer[:80]}, not one of {short(may)}")
        self.kept[key] = {value}
        return True

    def read(self, key, **options):
        answer = self.call(f"GET {key}", **options)
        may = self.kept.get(key, {"null"})
        if answer is None:
            return
        if not any(answer == f"GET {key} {value}" for value in may):
            raise Wrong(f"wrong answer: GET {key}: {answer[:80]}, not one of {short(may)}")

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already
        try:
            code = self.process.wait(10 * SCALE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Wrong("hang: the client does not end") from None
        finally:
            self.process.stdout.close()
            self.process.stderr.close()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass


def short(values):
    return sorted(value[:20] for value in values)


def values(seed):
    source = random.Random(seed)

    def value(big=False):
        return f"v{source.randrange(1 << 60):x}" + ("x" * BIG if big else "")
    return value


def verify(cluster, kept, served=True):
    """Everything acknowledged is there, by a client that caches nothing. Not `served`: or is not served
    for now, since the copies that it is in are gone."""
    wait = 20000 if served else 2000
    client = Client(cluster, options=["--no-cache", "--timeout", str(int(wait * SCALE))])
    try:
        for key, may in kept.items():
            answer = client.call(f"GET {key}", seconds=30)
            if answer is None and not served:
                break
            if answer is None:
                raise Wrong(f"not served after the restart: {key}: {client.errors[-1:]}")
            if not any(answer == f"GET {key} {value}" for value in may):
                raise Wrong(f"lost: {key} is {answer[:80]}, not one of {short(may)}")
        client.end()
    finally:
        client.kill()


class Case:
    """target: "server" or "manager" ("client": Clients); phase: "run" (the fault comes while it serves and
    stops), "start" (while it recovers and catches up) or "alone" (while a server recovers what no other
    copy has). Without an arming places are noted. `lies`: see fail_nth.h."""

    def __init__(self, library, target, phase, arming=None, backend="thread", seed=1, lies=False):
        self.library, self.target, self.phase, self.lies = library, target, phase, lies
        self.arming, self.backend, self.value = arming, backend, values(seed)
        self.notes, self.places, self.fired, self.site = [], [], False, []
        self.other_crashed = False

    def run(self):
        """Raises Wrong."""
        with tempfile.TemporaryDirectory(prefix="cairn-fail-") as folder:
            self.control = fail_nth.Control(self.library, os.path.join(folder, "control"))
            self.cluster = FaultyCluster(servers=2, partitions=4, times=QUICK, start=False, server_options=[
                "--memtable-bytes", "1M", "--wal-backend", self.backend, "--scheduling", "normal"])
            self.client = None
            try:
                self.play()
            finally:
                self.end()

    def end(self):
        if self.client is not None:
            self.client.kill()
        self.fired = self.control.get("fired") > 0
        base = self.control.get("base")
        self.site = fail_nth.functions(self.binary(), self.control.failed(), base)
        self.crash_site = fail_nth.functions(self.binary(), self.control.crashed(), base)
        if self.arming is None:
            self.places = list(self.control.places())
        crashed = self.control.get("signal")
        self.control.close()
        for node in self.cluster.nodes:
            if node.process is not None and node.process.poll() is not None:
                node.process = None  # told already, or of no interest any more
        self.cluster.close()
        if crashed:
            raise Wrong(f"crash: {signal.Signals(crashed).name} in {'; '.join(self.crash_site[:6])}")

    def binary(self):
        return program({"server": "cairn-server", "manager": "cairn-manager", "client": "cairn"}[self.target])

    def node(self):
        return self.cluster.manager if self.target == "manager" else self.cluster.servers[0]

    def arm(self):
        if self.arming is None:
            self.control.set("noting", 1)
        else:
            self.control.set("lies", int(self.lies))
            self.control.arm(*self.arming)

    def disarm(self):
        self.control.disarm()
        self.control.set("noting", 0)

    def lift(self):
        """The fault ends, since it keeps clients waiting; what it ended and what the script stopped is
        started again: each copy may be one that waits for the other."""
        self.disarm()
        node = self.node()
        if node.process is not None and node.process.poll() is not None:
            self.expect_end(node, stop=False)
            node.command = self.command
            node.start()
        self.start_other()

    def is_hopeless(self):
        """The process with the fault has ended, and the other server cannot go on, or perhaps cannot."""
        process = self.node().process
        return self.other_crashed and process is not None and process.poll() is not None

    def crash_other(self):
        self.other_crashed = True
        self.cluster.servers[1].crash()

    def start_other(self):
        other = self.cluster.servers[1]
        if other.process is None:
            other.start()

    def play(self):
        node = self.cluster.faulty = self.node()
        self.command = node.command
        node.command = [*self.control.before, *node.command]
        self.cluster.manager.start()
        for server in self.cluster.servers:
            server.start()
        self.cluster.wait_ready()
        self.client = Client(self.cluster)
        self.client.is_hopeless = self.is_hopeless
        for n in range(8):
            self.must(self.client.write(f"k{n}", self.value()), "a write before the fault")
        {"run": self.play_run, "start": self.play_start, "alone": self.play_alone}[self.phase](node)
        self.expect_end(node, stop=True)
        self.disarm()
        node.command = self.command
        node.start()
        if self.target == "server" and self.cluster.servers[1].process is None:
            verify(self.cluster, self.client.kept, served=False)
        self.start_other()
        self.after()

    def play_run(self, node):
        self.arm()
        self.script()
        if self.target == "server":
            self.write_alone()

    def play_start(self, node):
        node.crash()
        self.script(quick=True)
        self.arm()
        node.start()
        self.script(quick=True)
        self.wait_up()
        time.sleep(0.3 * SCALE)

    def play_alone(self, node):
        self.write_alone()
        node.crash()
        self.arm()
        node.start()
        self.script(quick=True)
        self.wait_up()

    def wait_up(self):
        """The process listens, or has ended, or does neither for long: before, it knows no way to stop."""
        node, deadline = self.node(), time.monotonic() + FAULT_SECONDS * SCALE
        address = self.cluster.manager_address if self.target == "manager" else self.cluster.addresses[0]
        while node.process.poll() is None and time.monotonic() < deadline:
            try:
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), 0.5).close()
                return
            except OSError:
                time.sleep(0.05)

    def write_alone(self):
        """No other copy has these."""
        self.crash_other()
        for n in range(4):
            self.client.write(f"k{n}", self.value(), on_late=self.lift)

    def must(self, done, what):
        if not done:
            raise Wrong(f"{what} failed: {self.client.errors[-1:]}")

    def script(self, quick=False):
        """What clients do while the fault comes."""
        late = {"on_late": self.lift}
        for n in range(4 if quick else 12):
            self.client.write(f"k{n % 6}", self.value(big=n % 2 == 0 and not quick), **late)
            self.client.read(f"k{(n + 3) % 8}", **late)
        if quick:
            return
        self.cluster.cli("--timeout", "1500", "scan", "k", "l")
        self.cluster.cli("--timeout", "1500", "status")
        # A copy that goes and comes back: takeovers, catching up, what the manager notes of it.
        self.crash_other()
        for n in range(3):
            self.client.write(f"k{n}", self.value(), **late, seconds=2)
        self.start_other()
        for n in range(4):
            self.client.write(f"k{n + 4}", self.value(), **late)
            self.client.read(f"k{n}", **late)
        self.client.call("DELETE k7", **late)
        self.client.kept["k7"] = self.client.kept["k7"] | {"null"}

    def expect_end(self, node, stop):
        """The process with the fault stops, or has ended cleanly by itself."""
        process, node.process = node.process, None
        if process.poll() is None and stop:
            process.terminate()
        try:
            code = process.wait(20 * SCALE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # notes where
            time.sleep(1)
            process.kill()
            process.wait()
            raise Wrong(f"hang: does not stop:\n{node.log()[-600:]}") from None
        if code not in CLEAN_ENDS and not self.control.get("signal"):
            raise Wrong(f"ended with {code}:\n{node.log()[-600:]}")
        if code != 0:
            words = [line for line in node.log().splitlines() if line.strip()]
            # libuv aborts so where it lacks memory or files.
            silent = not words or (code == -signal.SIGABRT and " INFO " in words[-1])
            if silent and code != -signal.SIGABRT:
                raise Wrong(f"ended with {code} without a word")
            self.notes.append("aborted without a word" if silent else f"ended with {code}: {words[-1]}")

    def after(self):
        """Without the fault: all of it is there, on both copies."""
        for n in range(4):
            self.must(self.client.write(f"k{n}", self.value(), seconds=30), "a write after the restart")
        self.cluster.wait_healthy()
        verify(self.cluster, self.client.kept)
        if self.target == "server":
            self.leave_alone()
            verify(self.cluster, self.client.kept)

    def leave_alone(self, tries=5):
        """Crashes the other server. On a machine with much to do the one with the fault may have been
        late just before, and have been dropped: then nobody could go on, and it is tried again."""
        for _ in range(tries):
            self.cluster.servers[1].crash()
            if all(p["primary"] != 1 or p["backups"] for p in self.cluster.status()["partitions"]):
                return
            self.cluster.servers[1].start()
            self.cluster.wait_healthy()
        raise Wrong(f"dropped {tries} times while it was healthy")


class Clients(Case):
    """Many cases of a client against one cluster."""

    def __init__(self, library, cluster, arming=None, seed=1):
        super().__init__(library, "client", "run", arming, seed=seed)
        self.cluster = cluster

    def run(self):
        with tempfile.TemporaryDirectory(prefix="cairn-fail-") as folder:
            self.control = fail_nth.Control(self.library, os.path.join(folder, "control"))
            self.client, keep = None, self.cluster
            clusters.remove_segments(keep.cache_name)
            try:
                self.arm()
                self.client = Client(keep, self.control.before)
                for n in range(3):
                    self.client.kept[f"k{n}"] = self.stored(f"k{n}")
                self.run_client()
                verify(keep, self.client.kept)
            finally:
                self.cluster = _NoCluster
                self.end()
                self.cluster = keep

    def run_client(self):
        """A process of its own for the fault, from its first call to its end."""
        client = self.client
        for n in range(3):
            client.write(f"k{n}", self.value(), on_late=self.disarm)
            for _ in range(6):
                client.read(f"k{n}", on_late=self.disarm)
        self.written_by_another("k1")
        for _ in range(3):
            client.read("k1", on_late=self.disarm)
        client.call("SCAN k l", on_late=self.disarm, seconds=2)
        code = client.end()
        if code not in CLEAN_ENDS and not self.control.get("signal"):
            raise Wrong(f"the client ended with {code}: {client.errors[-2:]}")
        if code == -signal.SIGABRT and not client.errors:
            self.notes.append("aborted without a word")

    def written_by_another(self, key):
        """What this host has cached of the key is of no use any more, to other processes, too."""
        value = self.value()
        result = self.cluster.cli("--no-cache", "put", key, value)
        if result.code != 0:
            raise Wrong(f"another client's write failed: {result}")
        self.client.kept[key] = {value}
        result = self.cluster.cli("get", key)
        if result.text.rstrip("\n") != value:
            raise Wrong(f"stale: another client read {result}, not {short({value})}")

    def stored(self, key):
        result = self.cluster.cli("--no-cache", "get", key)
        return {result.text[:-1] if result.code == 0 else "null"}


class _NoCluster:
    nodes = ()

    @staticmethod
    def close():
        pass
