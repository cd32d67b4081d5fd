"""Clusters as experiments need them: each for a while, on data of its own that goes with it."""
import contextlib
import itertools
import os
import shutil

import benchlib
from benchlib import BenchError
from replicationlib import Cluster

_numbers = itertools.count(1)


@contextlib.contextmanager
def cluster(space, options, servers, copies, server_options=(), partitions=64):
    """A cluster that serves; its nodes can be killed one by one. It is killed in the end, and its data
    removed: the disk is for what comes next."""
    store = started(space, lambda name: Cluster(name, space.folder, options.programs, servers,
                                                server_options, partitions, copies))
    try:
        yield store
    finally:
        drop(space, store)


def started(space, build, tries=3):
    """A port that was free may be somebody else's a moment later: then with other ones."""
    while True:
        store, tries = space.add(build(f"cluster-{next(_numbers)}")), tries - 1
        try:
            store.start()
            return store
        except BaseException as error:  # Ctrl-C, too: nothing is left of it
            drop(space, store)
            taken = isinstance(error, BenchError) and "Address already in use" in str(error)
            if tries == 0 or not taken:
                raise


def drop(space, store):
    store.kill()
    space.stores.remove(store)
    shutil.rmtree(store.folder, ignore_errors=True)


def server_folder(store, index):
    return os.path.join(store.folder, f"s{index}")


def disk_bytes(folder):
    """(bytes of LMDB's files, bytes of all others) that are allocated below `folder`."""
    store = others = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                used = os.stat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                continue                # segments of the log come and go
            if name.endswith(".mdb"):
                store += used
            else:
                others += used
    return store, others


def put_all(options, store, keys, value_bytes=100, first=0, connections=30):
    """Writes that many keys in turn, of 16 bytes; what the driver says."""
    return benchlib.drive(options.programs, store, "--operation", "put", "--order", "sequential",
                          "--connections", str(connections), "--first-key", str(first), "--keys",
                          str(keys), "--count", str(keys), "--value-size", str(value_bytes),
                          "--warm-up", "0", "--timeout", "60000")
