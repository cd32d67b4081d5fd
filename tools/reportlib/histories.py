"""The clients of tools/fuzz and its checker, as experiments use them."""
import importlib.machinery
import importlib.util
import os
import random
import subprocess
import time

import benchlib
import replicationlib
from benchlib import BenchError


def load_fuzz(programs):
    """tools/fuzz as a module, its clients being those of `programs`."""
    path = os.path.join(benchlib.ROOT, "tools", "fuzz")
    loader = importlib.machinery.SourceFileLoader("cairn_fuzz", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("cairn_fuzz", loader))
    loader.exec_module(module)
    module.cluster.BIN = os.path.abspath(programs)
    return module


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
