"""YCSB's core workloads against a store, and what of a measurement is kept."""
import os

import benchlib

KINDS = {"get": "read", "put": "update", "scan": "scan", "insert": "insert",
         "read-modify-write": "read-modify-write", "delete": "delete"}
PERCENTILES = [("p50_us", 0.5), ("p90_us", 0.9), ("p95_us", 0.95), ("p99_us", 0.99),
               ("p999_us", 0.999), ("p9999_us", 0.9999)]
BEYOND = 5           # fewer operations beyond a percentile say nothing about it
LOAD_CONNECTIONS = 30
KEPT = ["seconds", "executed", "per_second", "missing", "steal", "server_cpu_seconds",
        "driver_cpu_seconds", "cache", "connections", "processes", "repeated"]


def of_workload(name):
    """As a file, so that programs of any directory find it."""
    return ["-P", os.path.join(benchlib.ROOT, "bench", "workloads", "workload" + name)]


def load(options, store, keys):
    benchlib.drive(options.programs, store, "load", *of_workload("a"), "--keys", str(keys),
                   "--connections", str(LOAD_CONNECTIONS))


def run(options, store, workload, keys, clients, seed, *more):
    """One measurement of a workload on records that are loaded, as long as the options say."""
    return measure(options, store, "run", *of_workload(workload), "--keys", str(keys), "--connections",
                   str(clients), "--seed", str(seed), *more)


def plain(options, store, keys, clients, seed, *more):
    """The same of the driver's own operations, keys drawn uniformly from those that are there."""
    return measure(options, store, "--keys", str(keys), "--connections", str(clients), "--no-load",
                   "--seed", str(seed), *more)


def measure(options, store, *words):
    """Repeated while the hypervisor takes much of the processors away; not so in the quick form.
    `words` may ask for another length."""
    length = [] if "--seconds" in words else ["--seconds", str(seconds(options))]

    def once():
        return benchlib.drive(options.programs, store, *words, *length, "--warm-up", warm_up(options))
    return trimmed(once() if options.quick else benchlib.calmly(once))


def trimmed(result):
    """What is kept: the operations and little else."""
    return {"operations": result["operations"],
            **{key: result[key] for key in KEPT if result.get(key) is not None}}


def seconds(options):
    return 1 if options.quick else options.seconds


def whole_seconds(options):
    """A measurement with all that belongs to it, if nothing has it repeated."""
    return seconds(options) + int(warm_up(options)) + 0.2


def warm_up(options):
    return "0" if options.quick else "1"


def rounds(options, most=3):
    return 1 if options.quick else min(options.rounds, most)


def keys(options):
    return min(options.keys, 2000) if options.quick else options.keys


def figure(measured, name):
    """A percentile (or mean_us, max_us) of one kind of operation; None if too few lie beyond it."""
    share = dict(PERCENTILES).get(name)
    if share is not None and measured["count"] * (1 - share) < BEYOND:
        return None
    return measured.get(name)


def figures(runs, kind, name):
    """Of each run that has operations of this kind, and enough of them."""
    found = [figure(run["operations"][kind], name) for run in runs if kind in run["operations"]]
    return [value for value in found if value is not None]
