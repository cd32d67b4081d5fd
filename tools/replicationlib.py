"""A replicated cluster whose nodes are killed and started one by one, clients that write to it all
the while, and the proof that nothing they were told is lost or was done twice.
"""
import ctypes
import ctypes.util
import os
import platform
import random
import re
import selectors
import signal
import subprocess
import sys
import threading
import time

import benchlib
from benchlib import BenchError, Cairn, Process, Workspace, environment

POLL_SECONDS = 0.1


def say(text):
    print(text, file=sys.stderr, flush=True)


def facts(programs, folder):
    return [
        ("date", time.strftime("%Y-%m-%d")),
        ("cairn", benchlib.first_line([os.path.join(programs, "cairn-server"), "--version"])),
        ("kernel", platform.release()),
        ("processors", benchlib.processor()),
        ("load of the machine before (1 minute)", f"{os.getloadavg()[0]:.1f}"),
        ("disk", benchlib.disk(folder)),
        ("synced writes of 200 bytes a second, one after the other",
         f"{benchlib.sync_rate(folder):,.0f}"),
    ]


class Space(Workspace):
    """A Workspace that an impatient second Ctrl-C does not keep from removing everything.

    Stores are killed, not stopped: their data goes anyway. With `keep` the folder stays.
    """

    def __init__(self, parent, keep=False):
        super().__init__(parent)
        self.keep = keep

    def __exit__(self, *unused):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for store in self.stores:
            store.kill()
        if self.keep:
            say(f"data and logs stay in {self.folder}")
            self.stores = []
        else:
            super().__exit__(*unused)


class Cluster(Cairn):
    """Nodes come and go singly; what runs is expected to run on."""

    def start(self):
        self.start_manager()
        self.servers = [None] * len(self.addresses)
        for index in range(len(self.addresses)):
            self.start_server(index)
        self.wait_ready()

    def start_manager(self):
        self.manager = Process("manager", [
            os.path.join(self.programs, "cairn-manager"), "--listen", self.manager_address,
            "--servers", ",".join(self.addresses), "--replicas", str(self.replicas),
            "--partitions", str(self.partitions), "--data", os.path.join(self.folder, "m")],
            self.folder)

    def start_server(self, index):
        self.servers[index] = Process(f"server{index}", [
            os.path.join(self.programs, "cairn-server"), "--id", str(index),
            "--manager", self.manager_address, "--listen", self.addresses[index],
            "--data", os.path.join(self.folder, f"s{index}"), *self.server_options], self.folder)

    @property
    def processes(self):
        return [p for p in [self.manager, *self.servers] if p is not None]

    def check(self):
        for process in self.processes:
            process.check()

    def kill_server(self, index):
        """kill -9; the moment of it."""
        process, self.servers[index] = self.servers[index], None
        moment = time.monotonic()
        process.stop(signal.SIGKILL)
        return moment

    def stop_manager(self):
        process, self.manager = self.manager, None
        process.stop()

    def kill(self):
        for process in self.processes:
            process.stop(signal.SIGKILL)
        self.manager, self.servers = None, []

    def stop(self):
        """Cleanly, which has to succeed."""
        processes = self.processes[1:] + self.processes[:1]
        super().stop()
        for process in processes:
            if process.child.returncode != 0:
                raise BenchError(f"{process.name} ended with {process.child.returncode}:\n"
                                 f"{process.log()[-2000:]}")

    def led_by(self, status):
        """How many partitions each server leads."""
        primaries = [p["primary"] for p in status["partitions"]]
        return [primaries.count(index) for index in range(len(self.addresses))]

    def wait_whole(self, seconds, during=lambda: None):
        """Until every partition has all its copies; `during` is called now and then."""
        def whole():
            self.check()
            during()
            time.sleep(POLL_SECONDS)
            return self.status()["missing_copies"] == 0
        benchlib.wait_until(whole, f"each partition has {self.replicas} copies again", seconds)

    def complaints(self):
        """The lines of level ERROR in all logs, of killed processes too."""
        found = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), encoding="utf-8",
                          errors="replace") as file:
                    found += [f"{name}: {line.rstrip()}" for line in file
                              if re.match(r"\S+ ERROR |ERROR: |.*CHECK failed", line)]
        return found


def partition_hash():
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lambda key: library.XXH3_64bits(key.encode(), len(key))


def keys_of_partitions(prefix, partitions, hashed):
    """One key for each partition."""
    found, number = {}, 0
    while len(found) < partitions:
        key = f"{prefix}{number}"
        found.setdefault(hashed(key) % partitions, key)
        number += 1
    return [found[p] for p in range(partitions)]


class Client:
    """A `cairn workload` process with at most one call under way. It waits for ever, so that no
    outcome is unknown."""

    def __init__(self, programs, manager):
        self.child = subprocess.Popen(
            [os.path.join(programs, "cairn"), "--no-cache", "--manager", manager, "--timeout", "0",
             "workload"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            env=environment(), start_new_session=True)
        self.call, self.received = None, b""

    def send(self, call):
        self.call = call
        os.write(self.child.stdin.fileno(), call.line)

    def receive(self):
        """The answer as words once its line is complete, else None."""
        piece = os.read(self.child.stdout.fileno(), 65536)
        if not piece:
            raise BenchError(f"a client ended with {self.child.wait()}: {self.received.decode()}")
        self.received += piece
        if not self.received.endswith(b"\n"):
            return None
        words, self.received = self.received.decode().split(), b""
        if words[:2] != self.call.words[:2] or len(words) != 3:
            raise BenchError(f"{' '.join(self.call.words)}: answered by {' '.join(words)}")
        return words[2]

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


class Call:
    def __init__(self, words, partition):
        self.words, self.partition = words, partition
        self.line = (" ".join(words) + "\n").encode()
        self.sent = time.monotonic()


class Load(threading.Thread):
    """Clients in a closed loop. Each PUTs values that count up to a key of its own in every
    partition, and SWAPs values never used before into a key of each partition that all share.

    The thread alone writes; others read between pause() and go_on(), or single fields.
    """

    def __init__(self, cluster, clients, seed):
        super().__init__(daemon=True)
        self.cluster, self.random = cluster, random.Random(seed)
        hashed = partition_hash()
        count = cluster.partitions
        self.own = [keys_of_partitions(f"own{c}-", count, hashed) for c in range(clients)]
        self.shared = keys_of_partitions("shared-", count, hashed)
        self.last_put, self.last_swap = {}, {key: "null" for key in self.shared}
        self.swapped = {key: {} for key in self.shared}
        self.number, self.answers, self.first_after = 0, 0, {}
        self.times = []                 # (sent, answered) of each call
        self.mark_at = float("inf")
        self.going, self.ended, self.error = True, False, None
        self.clients, self.reader = [], None
        try:
            for _ in range(clients):
                self.clients.append(Client(cluster.programs, cluster.manager_address))
            self.reader = Client(cluster.programs, cluster.manager_address)
        except BaseException:           # Ctrl-C, too: they wait for ever
            self.kill()
            raise

    # --- the thread -------------------------------------------------------------------------

    def run(self):
        try:
            with selectors.DefaultSelector() as selector:
                for index, client in enumerate(self.clients):
                    selector.register(client.child.stdout, selectors.EVENT_READ, index)
                while not self.ended:
                    self.turn(selector)
        except (BenchError, OSError) as error:
            self.error = error

    def turn(self, selector):
        if self.going:
            for index, client in enumerate(self.clients):
                if client.call is None:
                    client.send(self.next_call(index))
        for key, _ in selector.select(0.02):
            index = key.data
            answer = self.clients[index].receive()
            if answer is not None:
                self.take(self.clients[index], answer)
                if self.going:
                    self.clients[index].send(self.next_call(index))

    def next_call(self, index):
        self.number += 1
        partition = self.random.randrange(self.cluster.partitions)
        if self.random.random() < 0.5:
            return Call(["PUT", self.own[index][partition], str(self.number)], partition)
        return Call(["SWAP", self.shared[partition], str(self.number)], partition)

    def take(self, client, answer):
        call, client.call = client.call, None
        now = time.monotonic()
        verb, key, value = call.words
        if verb == "SWAP":
            self.swapped[key][value] = answer
        else:
            known = "found" if key in self.last_put else "not_found"
            if answer != known:
                raise BenchError(f"PUT {key} {value}: answered {answer} instead of {known}")
            self.last_put[key] = value
        self.answers += 1
        self.times.append((call.sent, now))
        if call.sent >= self.mark_at:
            self.first_after.setdefault(call.partition, now)

    # --- for others -------------------------------------------------------------------------

    def check(self):
        if self.error is not None:
            raise self.error
        self.cluster.check()

    def mark(self, moment):
        """From here on the first answer of each partition to a call sent later is noted."""
        self.mark_at = float("inf")
        self.first_after = {}
        self.mark_at = moment

    def wait_served(self, seconds):
        """Until each partition answered a write sent after the mark; that moment."""
        def served():
            self.check()
            return len(self.first_after) == self.cluster.partitions
        benchlib.wait_until(served, "every partition answers a write", seconds)
        return max(self.first_after.values())

    def run_for(self, seconds):
        """Answers a second in that time."""
        before, started = self.answers, time.monotonic()
        while time.monotonic() < started + seconds:
            time.sleep(min(POLL_SECONDS, max(0, started + seconds - time.monotonic())))
            self.check()
        return (self.answers - before) / (time.monotonic() - started)

    def pause(self):
        self.going = False

        def idle():
            self.check()
            return all(client.call is None for client in self.clients)
        benchlib.wait_until(idle, "all calls are answered", 60)

    def go_on(self):
        self.times = []
        self.going = True

    def verify(self):
        """Reads everything back, while paused. Raises if an acknowledged write is lost, or a SWAP
        was executed twice or not at all."""
        for key, value in self.last_put.items():
            found = self.get(key)
            if found != value:
                raise BenchError(f"acknowledged and lost: PUT {key} {value}; it has {found}")
        for key in self.shared:
            self.verify_chain(key)

    def verify_chain(self, key):
        """From the value there is back to the one of the last time, through every SWAP once."""
        before, end = self.swapped[key], self.last_swap[key]
        last = value = self.get(key)
        while value != end:
            if value not in before:
                raise BenchError(f"{key}: {value} was never written, or returned to two SWAPs")
            value = before.pop(value)
        if before:
            raise BenchError(f"{key}: acknowledged and lost, or skipped: {sorted(before)[:5]}")
        self.last_swap[key] = last

    def get(self, key):
        self.reader.send(Call(["GET", key], None))
        answer = None
        while answer is None:
            answer = self.reader.receive()
        return answer

    def kill(self):
        """Ends thread and processes; nothing is left of them."""
        self.ended = True
        if self.ident is not None:
            self.join()
        for client in [*self.clients, self.reader]:
            if client is not None:
                client.kill()


def waits(times, since):
    """(longest that one client waited, longest that none was answered) in seconds, of calls answered
    after `since`."""
    late = [(sent, answered) for sent, answered in times if answered >= since]
    moments = [since] + sorted(answered for _, answered in late)
    return (max((answered - sent for sent, answered in late), default=0.0),
            max((b - a for a, b in zip(moments, moments[1:])), default=0.0))


class Watcher(threading.Thread):
    """Largest RssAnon in KiB of processes, until stop()."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self.processes, self.ended = processes, threading.Event()
        self.most = {p.name: 0 for p in processes}

    def run(self):
        while not self.ended.wait(POLL_SECONDS):
            for process in self.processes:
                try:
                    self.most[process.name] = max(self.most[process.name], process.resident_kib())
                except (OSError, AttributeError):
                    pass                # it ended; others say so

    def stop(self):
        self.ended.set()
        self.join()


class WholeWatcher(threading.Thread):
    """Sees when no copy is missing any more: `ended`, and `moment` then; until stop()."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.ended, self.moment = cluster, threading.Event(), None
        self.going = True

    def run(self):
        while self.going and self.moment is None:
            time.sleep(5 * POLL_SECONDS)
            try:
                if self.cluster.status()["missing_copies"] == 0:
                    self.moment = time.monotonic()
            except BenchError as error:
                say(f"{error}; asking again")
        self.ended.set()

    def stop(self):
        self.going = False
        self.join()


def replace_section(path, title, heading, lines):
    """Puts one `## heading` section into the page, in place of the one it had."""
    try:
        with open(path, encoding="utf-8") as file:
            parts = re.split(r"^(?=## )", file.read(), flags=re.M)[1:]
    except FileNotFoundError:
        parts = []
    text = f"## {heading}\n\n" + "\n".join(lines).rstrip() + "\n"
    names = [part.split("\n", 1)[0] for part in parts]
    if f"## {heading}" in names:
        parts[names.index(f"## {heading}")] = text
    else:
        parts.append(text)
    whole = f"# {title}\n\n" + "\n".join(part.rstrip() + "\n" for part in parts)
    benchlib.replace_file(path, whole)
    return text
