"""PUTs in slices of time, with and without a checkpoint under way.

The driver says how fast it was on the whole. How it went is seen from outside: the kernel counts the
bytes that each of the driver's connections sent, and all PUTs of a run have the same length. A server
says only that a checkpoint is done; when it works is seen from the processor time of the thread that
does it, found as the one that works when, and only when, the store's file changes.
"""
import glob
import os
import re
import subprocess
import threading
import time

import benchlib
from benchlib import BenchError

SLICE_SECONDS = 0.2
WORKED_NS = 200_000                 # of processor time in a slice: less is waking up for something else
PAUSE_SLICES = 2                    # in which a checkpoint only waits for the disk


def sent_bytes(ports):
    """{(local address, peer): bytes sent} of established connections to these ports of this machine."""
    done = subprocess.run(["ss", "-tinHO", "state", "established"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    found = {}
    for line in done.stdout.decode().splitlines():
        match = re.match(r"\s*\d+\s+\d+\s+(\S+)\s+(\S+:(\d+))\s.*\bbytes_sent:(\d+)", line)
        if match and int(match[3]) in ports:
            found[match[1], match[2]] = int(match[4])
    return found


def worked_ns(process):
    """{thread: processor time} of a server."""
    found = {}
    for path in glob.glob(f"/proc/{process.child.pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as file:
                found[path.split("/")[-2]] = int(file.read().split()[0])
        except (OSError, IndexError):
            pass                    # it ended
    return found


class Watch(threading.Thread):
    """Looks at connections, threads and files, once in each slice, until stop()."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.servers = store.servers
        self.ports = {int(address.rsplit(":", 1)[1]) for address in store.addresses}
        self.files = [os.path.join(store.folder, f"s{i}") for i in range(len(store.servers))]
        # Those between the servers, which are not asked here.
        self.before = set(sent_bytes(self.ports))
        self.looks, self.ended = [], threading.Event()

    def run(self):
        following = time.monotonic()
        while not self.ended.wait(max(0, following - time.monotonic())):
            self.looks.append(self.look())
            following = max(following + SLICE_SECONDS, time.monotonic())

    def look(self):
        sent = {c: n for c, n in sent_bytes(self.ports).items() if c not in self.before}
        return {"moment": time.monotonic(), "sent": sent, "ticks": benchlib.processor_ticks(),
                "worked": [worked_ns(server) for server in self.servers],
                "changed": [changed(folder) for folder in self.files]}

    def stop(self):
        self.ended.set()
        self.join()


def changed(folder):
    """When the store's file was written last."""
    return max((os.stat(path).st_mtime_ns for path in
                glob.glob(os.path.join(folder, "**", "*.mdb"), recursive=True)
                if not path.endswith("lock.mdb")), default=0)


def slices(looks):
    """Between two looks: bytes sent a second, share stolen, and for each server what its threads worked
    and whether its file changed."""
    found = []
    for one, other in zip(looks, looks[1:]):
        common = [c for c in other["sent"] if c in one["sent"]]
        seconds = other["moment"] - one["moment"]
        found.append({
            "rate": sum(other["sent"][c] - one["sent"][c] for c in common) / seconds,
            "connections": len(common), "seconds": seconds,
            "steal": benchlib.stolen_share(one["ticks"], other["ticks"]),
            "worked": [{t: now[t] - was.get(t, 0) for t in now}
                       for was, now in zip(one["worked"], other["worked"])],
            "changed": [was != now for was, now in zip(one["changed"], other["changed"])]})
    return found


def checkpointer(parts, server):
    """The thread that works in more of the slices in which the file changed than of the others."""
    def score(thread):
        shares = []
        for what in (True, False):
            those = [p["worked"][server].get(thread, 0) > WORKED_NS for p in parts
                     if p["changed"][server] == what]
            shares.append(sum(those) / max(len(those), 1))
        return shares[0] - shares[1]
    threads = {thread for part in parts for thread in part["worked"][server]}
    return max(threads, key=score, default=None)


def under_way(parts, server):
    """For each slice: whether this server worked at a checkpoint in it."""
    thread = checkpointer(parts, server)
    busy = [p["changed"][server] or p["worked"][server].get(thread, 0) > WORKED_NS for p in parts]
    for i in range(len(busy)):
        near = busy[max(0, i - PAUSE_SLICES):i], busy[i + 1:i + 1 + PAUSE_SLICES]
        busy[i] = busy[i] or (any(near[0]) and any(near[1]))
    return busy


def mean(parts):
    return sum(p["rate"] * p["seconds"] for p in parts) / sum(p["seconds"] for p in parts)


def measure(bench, store, words):
    """Drives PUTs and tells those of slices with a checkpoint from the others."""
    done_before = count_done(store)
    watch = Watch(store)
    watch.start()
    try:
        result = bench.drive(store, *words, repeat=False)
    finally:
        watch.stop()
    return {**result, **compare(watch.looks, result, int(words[words.index("--connections") + 1])),
            "checkpoints": count_done(store) - done_before}


def count_done(store):
    return sum(len(re.findall("checkpoint done", server.log())) for server in store.servers)


def compare(looks, result, connections):
    """Disturbed slices and those in which not all clients were at work are left out."""
    parts = slices(looks)
    while parts and parts[0]["connections"] < connections:
        parts.pop(0)
    while parts and parts[-1]["connections"] < connections:
        parts.pop()
    if not parts:
        raise BenchError("the driver's connections were not seen (is `ss` of iproute2 there?)")
    servers = [under_way(parts, i) for i in range(len(parts[0]["changed"]))]
    calm = [i for i, p in enumerate(parts) if p["steal"] <= benchlib.STEAL_MOST]
    during = [parts[i] for i in calm if any(busy[i] for busy in servers)]
    without = [parts[i] for i in calm if not any(busy[i] for busy in servers)]
    scale = result["per_second"] / mean(parts)
    return {"during": mean(during) * scale if during else None,
            "without": mean(without) * scale if without else None,
            "slices_during": len(during), "slices_without": len(without),
            "slices_disturbed": len(parts) - len(calm),
            "series": [[round(p["rate"] * scale), int(any(b[i] for b in servers))]
                       for i, p in enumerate(parts)]}
