"""Concurrent clients in workload mode and the checker of what they saw, as experiments use them."""
import json
import os
import random
import subprocess
import sys
import time
import types

import benchlib
import replicationlib
from benchlib import BenchError


sys.path.insert(0, os.path.join(benchlib.ROOT, "tests", "lib"))
import cluster  # noqa: E402
import history  # noqa: E402
from workload import Recorder  # noqa: E402

CLIENTS, KEYS = 5, 5
CHECKER = os.path.join(benchlib.ROOT, "build", "release", "tests", "check-history")


def load_fuzz(programs):
    """The parts that experiments take, the clients being those of `programs`."""
    cluster.BIN = os.path.abspath(programs)
    return types.SimpleNamespace(cluster=cluster, history=history, Recorder=Recorder, CLIENTS=CLIENTS,
                                 KEYS=KEYS, CHECKER=CHECKER, write_history=write_history)


def write_history(path, operations):
    with open(path, "w", encoding="utf-8") as file:
        for o in operations:
            lost = o.result is history.UNKNOWN
            file.write(json.dumps({
                "process": o.process, "op": o.kind.lower(), "key": o.key, "value": o.value,
                "result": None if lost else o.result, "start": o.start_ns,
                "end": None if lost else o.end_ns}) + "\n")


def remove_caches(fuzz):
    fuzz.cluster.remove_segments(fuzz.cluster.cache_prefix(os.getpid()))


def choose_keys(store, victims, count):
    """Keys that nobody has used, the first of them held by the victims alone if any can be, the second
    by a victim and another server if any can be. Returns them with how many of each sort there are."""
    partitions = store.status()["partitions"]
    hashed, prefix = replicationlib.partition_hash(), f"fuzz-{os.getpid():x}-{time.time_ns():x}-"
    by_number = {p["partition"]: set(p["members"]) for p in partitions}

    def sort(key):
        members = by_number[hashed(key) % len(by_number)]
        return "lost" if members <= set(victims) else "hurt" if members & set(victims) else "whole"
    keys = [f"{prefix}{number}" for number in range(4096)]
    first = [next((key for key in keys if sort(key) == wanted), None) for wanted in ("lost", "hurt")]
    chosen = [key for key in first if key is not None]
    chosen += [key for key in keys if key not in chosen][:count - len(chosen)]
    sorts = [sort(key) for key in chosen]
    return chosen, sorts.count("lost"), sorts.count("hurt")


def calls(clients, keys, seed):
    """What each client does, from seed and keys alone. Written values are unique."""
    sources = [random.Random(f"{seed}-{client}") for client in range(clients)]

    def next_operation(client, n):
        kind = sources[client].choice(["GET", "GET", "PUT", "SWAP", "SWAP", "DELETE"])
        value = f"c{client}n{n}" if kind in ("PUT", "SWAP") else None
        return kind, sources[client].choice(keys), value
    return next_operation


def check(fuzz, operations, path):
    """(whether one order of all operations fits every answer, the checker's first line)."""
    if not os.access(fuzz.CHECKER, os.X_OK):
        name = os.path.relpath(fuzz.CHECKER, benchlib.ROOT)
        raise BenchError(f"{fuzz.CHECKER} is not built: make {name}")
    fuzz.write_history(path, operations)
    done = subprocess.run([fuzz.CHECKER, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode not in (0, 1):
        raise BenchError(f"the checker could not read the history: {text[:500]}")
    return done.returncode == 0, text.split("\n", 1)[0]
