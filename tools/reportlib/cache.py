"""Workloads that read, with and without the shared cache of the host."""
from . import clusters, hostcache, ycsb
from .chart import Chart, Series, image
from .texts import median, number, plural, spread, steal_text, table, times

TITLE = "The shared cache"
CLIENTS, SERVERS, COPIES = 10, 3, 2
WORKLOADS = {"a": "50 % updates", "b": "5 % updates", "c": "no updates"}
PROCESSES = [1, 2]


def estimate(options):
    cases = len(WORKLOADS) * len(PROCESSES) * 2
    measured = len(WORKLOADS) + ycsb.rounds(options) * cases
    return 3 + ycsb.keys(options) / 20000 + measured * ycsb.whole_seconds(options)


def measure(options, store, name, workload, processes, turn):
    """`name`: of the cache, or None. The clients are divided among the processes."""
    through = hostcache.through(name) if name else []
    result = ycsb.run(options, store, workload, ycsb.keys(options), CLIENTS // processes, turn,
                      "--processes", str(processes), *through)
    return {"workload": workload, "of_processes": processes, "cached": name is not None, **result}


def run(options, space, progress):
    runs = []
    with clusters.cluster(space, options, SERVERS, COPIES) as store:
        ycsb.load(options, store, ycsb.keys(options))
        with hostcache.cache(options, store, space.folder) as name:
            for turn in range(ycsb.rounds(options)):
                for workload in WORKLOADS:
                    # What is measured is a cache that has been in use: keys that are read are there.
                    if turn == 0:
                        measure(options, store, name, workload, 1, 99)
                    for processes in PROCESSES:
                        for used in (None, name) if turn % 2 == 0 else (name, None):
                            runs.append(measure(options, store, used, workload, processes, turn + 1))
                            progress(f"round {turn + 1}, workload {workload.upper()}, "
                                     f"{plural(processes, 'process', 'es')}, "
                                     f"{'cache' if used else 'no cache'}: {runs[-1]['per_second']:,.0f}/s")
    return {"clients": CLIENTS, "servers": SERVERS, "copies": COPIES, "keys": ycsb.keys(options),
            "seconds": ycsb.seconds(options), "rounds": ycsb.rounds(options), "runs": runs}


def of(results, workload, processes, cached):
    return [r for r in results["runs"] if (r["workload"], r["of_processes"], r["cached"]) ==
            (workload, processes, cached)]


def rate(results, *case):
    return median([r["per_second"] for r in of(results, *case)])


def latency(runs, kind, name):
    """Hits take less than a microsecond, so two digits."""
    found = ycsb.figures(runs, kind, name)
    return number(median(found), 2 if median(found) < 10 else 0) if found else "–"


def rows(results):
    for workload, text in WORKLOADS.items():
        for processes in PROCESSES:
            for cached in (False, True):
                runs = of(results, workload, processes, cached)
                hits = [r["cache"]["hit_rate"] * 100 for r in runs if "cache" in r]
                gain = rate(results, workload, processes, cached) / rate(results, workload, processes, False)
                yield [f"{workload.upper()}, {text}", "yes" if cached else "no", processes,
                       spread([r["per_second"] for r in runs]), times(gain) if cached else "",
                       spread(hits, 1) if hits else "", latency(runs, "get", "p50_us"),
                       latency(runs, "get", "p99_us"), latency(runs, "put", "p50_us")]


def verdicts(results):
    for workload in WORKLOADS:
        gain, pair = (rate(results, workload, p, True) / rate(results, workload, p, False) for p in PROCESSES)
        two = rate(results, workload, 2, True) / rate(results, workload, 1, True)
        word = "more" if gain > 1.05 else "fewer" if gain < 0.95 else "no more"
        yield (f"- Workload {workload.upper()}: {times(gain)} times the operations with the cache in one "
               f"process ({word} than without), {times(pair)} times in two; two processes with the cache "
               f"do {times(two)} times what one does.")


def section(results):
    return [
        f"{results['clients']} clients in one process or divided between two, "
        f"{plural(results['servers'], 'server')}, {results['copies']} copies, {results['keys']:,} records "
        "of 100 bytes, keys by Zipf's law. The cache is one segment of memory with an agent process of "
        "its own, already in use when the measurement begins. Medians of "
        f"{plural(results['rounds'], 'round')} of {results['seconds']} s in turns, in brackets least and "
        "most; latencies in µs.", "",
        *table(["workload", "cache", "processes", "operations/s", "× without", "hits %", "read p50",
                "read p99", "update p50"], rows(results), texts=2), "",
        image("cache", "Throughput with and without the cache"), "", *verdicts(results), "",
        "A hit is a read of memory, a miss a call; a client that only reads cached records takes a "
        "processor for itself, and two processes need two. An update waits for the copies' disks as "
        "before, and first for every host that holds its bucket, so the more updates there are, the less "
        "the cache can give.",
        steal_text(results), ""]


def charts(results):
    def bars(processes, cached):
        word = "one process" if processes == 1 else "two processes"
        return Series(f"{word}, {'cache' if cached else 'no cache'}",
                      [(workload.upper(), rate(results, workload, processes, cached))
                       for workload in WORKLOADS])
    series = [bars(processes, cached) for processes in PROCESSES for cached in (False, True)]
    return [Chart("cache", f"With and without the cache, {results['clients']} clients", "workload",
                  "operations a second", series, kind="bars", log_y=True)]
