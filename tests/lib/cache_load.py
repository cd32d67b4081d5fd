"""Readers and writers on the same hot keys through their host's shared cache, processes that may be
killed and stopped at any time, and the proof that what they saw fits one order.

The processes are cache-client (tests/lib/cache_client), which records what it did by itself. A
process that was killed comes back under another number. Each `round` of a load has keys of its own,
so that its history can be checked while the next one runs.
"""
import collections
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

from cluster import ROOT, SCALE, CairnTest, clean_environment, wait_until

Counts = collections.namedtuple("Counts", "reads writes recorded")


def tool(name):
    """A program that tests are made of: beside those under test, else of the release build.

    Programs in BUILD/VARIANT/bin have it in BUILD/VARIANT/tests; CAIRN_TESTS names another place."""
    from cluster import BIN
    places = [os.environ.get("CAIRN_TESTS"), os.path.join(os.path.dirname(BIN), "tests"),
              os.path.join(os.path.dirname(BIN), "release", "tests"),
              os.path.join(ROOT, "build", "release", "tests")]
    for place in filter(None, places):
        if os.access(os.path.join(place, name), os.X_OK):
            return os.path.join(place, name)
    return None


class Client:
    """One cache-client process and its successors."""

    def __init__(self, cluster, folder, role, number, options, program="cache-client",
                 environment=None):
        self.cluster, self.folder, self.role, self.number = cluster, folder, role, number
        self.options, self.program, self.environment = options, tool(program), environment or {}
        self.starts, self.process, self.stopped = 0, None, False

    @property
    def name(self):
        return f"{self.role}{self.number}"

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.starts += 1
        process = self.number * 100000 + self.starts
        self.path = os.path.join(self.folder, f"{self.name}.{self.starts}.history")
        with open(self.path + ".err", "wb") as err, open(self.path + ".out", "wb") as out:
            self.process = subprocess.Popen(
                [self.program, "--manager", self.cluster.manager_address, "--process", str(process),
                 "--seed", str(process), "--history", self.path, *self.options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=self.cluster.environment(**self.environment))

    def running(self):
        return self.process is not None and self.process.poll() is None

    def progress(self):
        """What grows as the process goes on, and is told also by its death."""
        return self.starts, size_of(self.path)

    def kill(self):
        """kill -9; whatever it had found wrong before is told."""
        self.process.kill()
        self.ended((-signal.SIGKILL,))

    def stop(self):
        self.stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.stopped = False
        self.process.send_signal(signal.SIGCONT)

    def fork(self):
        """Makes it fork; returns the child's process id."""
        self.process.send_signal(signal.SIGUSR1)

        def told():
            with open(self.path + ".out", encoding="utf-8") as file:
                return re.search(r"^child (\d+)\n", file.read())
        return int(wait_until(told, "a child")[1])

    def finish(self):
        """Waits for one that ends by itself."""
        self.ended((0,))

    def end(self):
        """Lets it finish the call it is in."""
        self.process.send_signal(signal.SIGTERM)
        if self.stopped:
            self.go_on()
        self.ended((0,))

    def ended(self, codes):
        code = self.process.wait(60 * SCALE)
        self.process = None
        if code not in codes:
            raise AssertionError(f"{self.name} ended with {code}: {self.errors()}")

    def errors(self):
        with open(self.path + ".err", encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def read_record(path):
    """(lines of the history, counts of reads and writes) of one process, also of a killed one."""
    reads, writes, order, lines = 0, 0, [], {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                break  # cut short by kill -9: a read, or a mutation that stays open
            if line.startswith("#"):
                reads, writes = (int(word) for word in line.split()[1:])
            elif '"op":"get"' in line:
                order.append(line)
            else:  # the answer of a mutation takes the place of its beginning
                call = json.loads(line)
                lines[call["start"]] = (line, call.get("void", False))
    order.extend(line for line, void in lines.values() if not void)
    return order, reads, writes


def check_history(path, seconds=300):
    """The checker's verdict line; raises if it is not `linearizable`."""
    done = subprocess.run([tool("check-history"), path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds * SCALE, check=False,
                          env=clean_environment())
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise AssertionError("not linearizable: " + text[:6000])
    return text.splitlines()[0]


class CacheLoad:
    """`readers` and `writers` processes at work until verify()."""

    def __init__(self, test, cluster, readers=8, writers=2, keys=4, prefix="hot",
                 reader_options=(), writer_options=(), program="cache-client", environment=None):
        self.test, self.cluster, self.folder = test, cluster, test.temporary()
        self.keys = [f"{prefix}{n}" for n in range(keys)]
        self.extra = []
        common = ["--keys", ",".join(self.keys)]
        reading = ["--reads", "100", "--burst", "300", "--pause-us", "1500", *reader_options]
        # Writers rest, so that what they wrote is cached for a while.
        writing = ["--reads", "20", "--burst", "1", "--pause-us", "4000", "--rest-ms", "400",
                   *writer_options]
        self.readers = [Client(cluster, self.folder, "reader", n, common + reading, program,
                               environment) for n in range(readers)]
        self.writers = [Client(cluster, self.folder, "writer", n, common + writing, program,
                               environment) for n in range(readers, readers + writers)]
        test.addCleanup(self.kill)
        for client in self.clients:
            client.start()

    @property
    def clients(self):
        return self.readers + self.writers + self.extra

    def kill(self):
        for client in self.clients:
            if client.running():
                client.process.kill()
            if client.process is not None:
                client.process.wait()
                client.process = None

    def add(self, *options, **more):
        """One more process on the same keys, such as one with a task of its own; not started."""
        number = len(self.clients)
        client = Client(self.cluster, self.folder, "extra", number,
                        ["--keys", ",".join(self.keys), *options], **more)
        self.extra.append(client)
        return client

    def check_alive(self):
        for client in self.clients:
            if client.process is not None and client.process.poll() is not None:
                raise AssertionError(f"{client.name} ended with {client.process.returncode}: "
                                     + client.errors())

    def go_on(self, what, seconds=40, clients=None):
        """Waits until each client has done more. The bound only guards against waiting for ever."""
        before = {c: c.progress() for c in (clients or [c for c in self.clients if c.process is not None])}
        deadline = time.monotonic() + seconds * SCALE
        while any(c.progress() == was for c, was in before.items()):
            self.check_alive()
            if time.monotonic() > deadline:
                stuck = [c.name for c, was in before.items() if c.progress() == was]
                raise AssertionError(f"{what}: {', '.join(stuck)} did nothing for {seconds} s")
            time.sleep(0.02)
        self.test.step(f"{what}: every client went on")

    def end(self):
        """Lets all finish. Everything must be reachable again."""
        failures = []
        for client in self.clients:
            if client.process is not None:
                client.process.send_signal(signal.SIGTERM)
        for client in self.clients:
            try:
                if client.process is not None:
                    client.end()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failures.append(f"{client.name}: {error}")
        if failures:
            raise AssertionError("\n".join(failures))

    def write_history(self):
        """All records as one history; returns (path, counts)."""
        path, reads, writes, recorded = os.path.join(self.folder, "all"), 0, 0, 0
        with open(path, "w", encoding="utf-8") as out:
            for name in sorted(glob.glob(os.path.join(self.folder, "*.history*"))):
                if name.endswith((".err", ".out")):
                    continue
                lines, more_reads, more_writes = read_record(name)
                out.writelines(lines)
                reads, writes = reads + more_reads, writes + more_writes
                recorded += len(lines)
        return path, Counts(reads, writes, recorded)

    def forget(self):
        """Removes what was recorded."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def verify(self):
        """Ends the clients and checks all they saw; returns what they did."""
        self.end()
        path, counts = self.write_history()
        verdict = check_history(path)
        self.test.step(f"{counts.reads} reads, {counts.writes} writes; {verdict}")
        return counts


# --- the segment as the kernel knows it -----------------------------------------------------------


def lock_owners(path):
    """Processes that hold kernel locks on the file now: {pid: [(first byte, last byte), ...]}."""
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return {}
    owners = collections.defaultdict(list)
    for fdinfo in glob.glob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(fdinfo, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        for device_inode, first, last in re.findall(
                r"^lock:.*OFDLCK.* \S+:\S+:(\d+) (\d+) (\d+|EOF)$", text, re.M):
            if int(device_inode) == inode:
                owners[int(fdinfo.split("/")[2])].append((int(first), last))
    return owners


def agent_of(path):
    """The process that has held one and the same lock on the segment for a while: stripes are locked
    for moments only. None: there is none now."""
    first = lock_owners(path)
    time.sleep(0.02)
    for pid, ranges in lock_owners(path).items():
        if set(ranges) & set(first.get(pid, [])):
            return pid
    return None


class CacheTest(CairnTest):
    """Base of the tests of the shared cache."""

    def setUp(self):
        super().setUp()
        for name in ("cache-client", "check-history"):
            if tool(name) is None:
                self.skipTest(f"{name} is not built: make cache-tests")

    def segment(self, cluster):
        """The one file of the cluster's shared cache."""
        return wait_until(lambda: (cluster.segments() or [None])[0], "the segment is there")

    def stat(self, cluster):
        """What `cairn cache stat` tells of the cluster's one segment."""
        result = cluster.cli("--json", "cache", "stat")
        self.assertEqual(0, result.code, result)
        return json.loads(result.out)

    def hits(self, cluster):
        """Reads served from the cluster's segment so far, as far as readers have told."""
        return self.stat(cluster)["hits"]

    def wait_hits(self, cluster, what, more=1000):
        # One that was unlinked is made anew by whoever reads next.
        wait_until(lambda: cluster.cli("cache", "stat").code == 0, "the segment can be read")
        before = self.hits(cluster)
        # Garbage in the segment may have made it any number.
        wait_until(lambda: more <= (self.hits(cluster) - before) % (1 << 64) < 1 << 63, what)

    def wait_agent(self, cluster, what, but=None):
        """The process that is the agent, once there is one that is not `but`."""
        def other():
            pid = agent_of(self.segment(cluster))
            return pid if pid != but else None
        return wait_until(other, what)
