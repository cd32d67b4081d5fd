"""What is measured of the stores, in parts: each is one comparison of stores in interleaved rounds.

A part has measures, which --only chooses from by name. It gives {measure: {store: [result of each
round]}}.
"""
import os
import re
import signal

from reportlib import peers_checkpoint
from reportlib.stores import ALL, CAIRN, ETCD, LMDB, PAIR, SINGLE, Agent

CLIENTS = [1, 10, 30]
HOT_KEYS = 10_000                   # of cached reads
BATCH = 100                         # cached reads between two looks at the clock
PASSES = 4                          # over all keys: one is cached from its first or second miss on
MANY = 5                            # times the keys, where a memtable has to fill: few are overwritten in it
USER_BYTES = 16 + 100               # of a PUT
LOADS_PER_SECOND = {CAIRN: 20_000, PAIR: 15_000, SINGLE: 20_000, ETCD: 4_000, LMDB: 4_000}  # to estimate
START_SECONDS = 4                   # of a store, and its stop
SPEED = [("put", n) for n in CLIENTS] + [("get", n) for n in CLIENTS] + [("mix", 10)]


def warm_up(options):
    return 0 if options.quick else 1


def load_seconds(names, keys):
    return sum(keys / LOADS_PER_SECOND[name] for name in names)


# --- PUT and GET --------------------------------------------------------------------------------------


def speed(bench, chosen):
    options = bench.options

    def measure(store, _, number):
        return {f"{operation} {clients}": bench.drive(
            store, "--operation", operation, "--connections", clients, "--keys", options.keys, "--seconds",
            options.seconds, "--warm-up", warm_up(options), "--no-load", "--seed", number + 1)
            for operation, clients in SPEED if f"{operation} {clients}" in chosen}
    return bench.rounds("speed", ALL, options.rounds, lambda store: bench.load(store, options.keys), measure)


def speed_seconds(options, count):
    each = START_SECONDS + count * (options.seconds + warm_up(options))
    return len(ALL) * options.rounds * each + load_seconds(ALL, options.keys)


# --- reads through the cache --------------------------------------------------------------------------


def cached(bench, _):
    options = bench.options
    reads = ["--operation", "get", "--order", "zipfian", "--keys", HOT_KEYS, "--seconds", options.seconds,
             "--warm-up", warm_up(options), "--no-load"]

    def measure(store, name, number):
        if name == SINGLE:
            return {f"cached {n}": bench.drive(store, *reads, "--connections", n) for n in (1, 30)}
        with Agent(f"peers-{os.getpid()}-{number}", store, options.programs, bench.space.folder) as agent:
            bench.drive(store, *agent.options(), "--operation", "get", "--order", "sequential", "--keys",
                        HOT_KEYS, "--count", HOT_KEYS * PASSES, "--warm-up", 0, "--no-load", repeat=False)
            return {"cached 1": bench.drive(store, *agent.options(), *reads, "--batch", BATCH)}
    return bench.rounds("cached", [CAIRN, SINGLE], options.rounds,
                        lambda store: bench.load(store, HOT_KEYS), measure)


def cached_seconds(options, _):
    return options.rounds * (2 * START_SECONDS + 3 * (options.seconds + warm_up(options)) + 3) + 2


# --- YCSB ---------------------------------------------------------------------------------------------


def ycsb_run(bench, store, workload, number, *more):
    options = bench.options
    # A cache fills in the warm-up; the others have it alike.
    return bench.drive(store, "run", *more, "--workload", workload, "--keys", options.keys, "--connections",
                       10, "--seconds", options.seconds, "--warm-up", 1 if options.quick else 5, "--seed",
                       number + 1)


def ycsb(bench, chosen):
    options = bench.options
    workloads = [title[-1] for title in chosen]

    def measure(store, name, number):
        if name == PAIR:
            return {f"ycsb {w}": ycsb_run(bench, store, w, number) for w in workloads}
        with Agent(f"peers-{os.getpid()}-{number}", store, options.programs, bench.space.folder) as agent:
            return {f"ycsb {w}": ycsb_run(bench, store, w, number, *agent.options()) for w in workloads}
    return bench.rounds("ycsb", [CAIRN, PAIR], options.rounds, lambda store: bench.load(
        store, options.keys, "load", "--workload", "a"), measure)


def ycsb_seconds(options, count):
    each = START_SECONDS + 2 + count * (options.seconds + (1 if options.quick else 5))
    return 2 * options.rounds * each + load_seconds([CAIRN, PAIR], options.keys)


def scans(bench, _):
    options = bench.options
    return bench.rounds("scans", [CAIRN, ETCD], options.rounds, lambda store: bench.load(
        store, options.keys, "load", "--workload", "e"), lambda store, _, number: {
            "ycsb e": ycsb_run(bench, store, "e", number)})


def scans_seconds(options, _):
    each = START_SECONDS + options.seconds + (1 if options.quick else 5)
    return 2 * options.rounds * each + load_seconds([CAIRN, ETCD], options.keys)


# --- bytes written ------------------------------------------------------------------------------------


WRITERS = [CAIRN, PAIR, SINGLE, ETCD]


def device_bytes(folder):
    """Written to the device that holds the folder, by anybody, with what waits in memory; None if the
    kernel has no such device."""
    os.sync()
    number = os.stat(folder).st_dev
    with open("/proc/diskstats", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if (int(words[0]), int(words[1])) == (os.major(number), os.minor(number)):
                return int(words[9]) * 512
    return None


def writes_of(options, name):
    """How many PUTs: more than fill a memtable twice; etcd takes a snapshot of its members after 100,000."""
    return options.keys * MANY * 6 // 5 // (3 if name == ETCD else 1)


def written_to_the_end(process):
    """Ends a server of Cairn, which then checkpoints all that only its log has, and counts that, too: a run
    must not look good because it ended before a checkpoint. A process that has ended can be asked until
    it is waited for."""
    process.child.send_signal(signal.SIGTERM)
    os.waitid(os.P_PID, process.child.pid, os.WEXITED | os.WNOWAIT)
    return process.written_bytes()


def written_since(store, before):
    servers = store.servers if store.name == CAIRN else []
    others = [p for p in store.processes if p not in servers]
    return sum(written_to_the_end(p) for p in servers) + sum(p.written_bytes() for p in others) - before


def written(bench, _):
    options = bench.options

    def measure(store, name, number):
        folder = bench.space.folder
        device, before = device_bytes(folder), sum(p.written_bytes() for p in store.processes)
        result = bench.drive(store, "--operation", "put", "--connections", 30, "--keys", options.keys * MANY,
                             "--count", writes_of(options, name), "--warm-up", 0, "--no-load", "--seed",
                             number + 1, repeat=False)
        result["written"] = written_since(store, before)
        result["device"] = None if device is None else device_bytes(folder) - device
        result["user"] = result["executed"] * USER_BYTES
        if name == CAIRN:
            result["checkpoints"] = sum(len(re.findall("checkpoint done", p.log())) for p in store.servers)
        return {"written": result}
    return bench.rounds("written", WRITERS, written_rounds(options), lambda store: bench.load(
        store, options.keys * MANY), measure, server_options=cairn_options(options, "1M"), snapshots=())


def cairn_options(options, quick_bytes):
    """Its checkpoints are told in its log; the defaults, but where all has to be small."""
    return ["--log-level", "debug", *(["--memtable-bytes", quick_bytes] if options.quick else [])]


def written_rounds(options):
    return min(options.rounds, 3)


def written_seconds(options, _):
    each = sum(START_SECONDS + writes_of(options, name) / LOADS_PER_SECOND[name] for name in WRITERS)
    return written_rounds(options) * each + load_seconds(WRITERS, options.keys * MANY)


# --- a checkpoint meanwhile ---------------------------------------------------------------------------


def checkpoint_keys(options):
    return options.keys * MANY * (5 if options.quick else 1)


def checkpoint_length(options):
    return 8 if options.quick else 20 * options.seconds


def checkpoint(bench, _):
    options, keys = bench.options, checkpoint_keys(bench.options)

    def measure(store, _, number):
        return {"checkpoint": peers_checkpoint.measure(bench, store, [
            "--operation", "put", "--connections", "10", "--keys", str(keys), "--seconds",
            str(checkpoint_length(options)), "--warm-up", "1", "--no-load", "--seed", str(number + 1)])}
    return bench.rounds("checkpoint", [CAIRN], options.rounds, lambda store: bench.load(store, keys), measure,
                        server_options=cairn_options(options, "6M"))


def checkpoint_seconds(options, _):
    return options.rounds * (START_SECONDS + checkpoint_length(options) + 1) + \
        load_seconds([CAIRN], checkpoint_keys(options))


# part: (runs it, seconds it takes, its measures)
PARTS = {
    "speed": (speed, speed_seconds, [f"{operation} {clients}" for operation, clients in SPEED]),
    "cached": (cached, cached_seconds, ["cached"]),
    "ycsb": (ycsb, ycsb_seconds, ["ycsb a", "ycsb b", "ycsb f"]),
    "scans": (scans, scans_seconds, ["ycsb e"]),
    "checkpoint": (checkpoint, checkpoint_seconds, ["checkpoint"]),
    "written": (written, written_seconds, ["written"]),
}
