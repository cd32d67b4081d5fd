"""Ten clients on YCSB's core workloads, with one, three and five servers."""
from . import clusters, ycsb
from .chart import Chart, Series, image
from .texts import median, number, plural, spread, steal_text, table, times

TITLE = "YCSB's workloads"
CLIENTS = 10
SERVERS = [1, 3, 5]
WORKLOADS = {"a": "50 % reads, 50 % updates", "b": "95 % reads, 5 % updates", "c": "reads",
             "d": "95 % reads of the newest, 5 % inserts", "e": "95 % scans, 5 % inserts",
             "f": "50 % reads, 50 % read-modify-writes"}


def copies(servers):
    return min(2, servers)


def estimate(options):
    cluster = 2 + ycsb.keys(options) / 20000 + len(WORKLOADS) * ycsb.whole_seconds(options)
    return len(SERVERS) * ycsb.rounds(options) * cluster


def run(options, space, progress):
    """Each round has clusters of its own: the inserts of one are not found by the next."""
    runs = []
    for turn in range(ycsb.rounds(options)):
        shift = turn % len(SERVERS)
        for servers in SERVERS[shift:] + SERVERS[:shift]:
            with clusters.cluster(space, options, servers, copies(servers)) as store:
                ycsb.load(options, store, ycsb.keys(options))
                for name in WORKLOADS:
                    result = ycsb.run(options, store, name, ycsb.keys(options), CLIENTS, turn + 1)
                    progress(f"round {turn + 1}, {plural(servers, 'server')}, workload "
                             f"{name.upper()}: {result['per_second']:,.0f}/s")
                    runs.append({"servers": servers, "copies": copies(servers), "workload": name, **result})
    return {"clients": CLIENTS, "keys": ycsb.keys(options), "seconds": ycsb.seconds(options),
            "rounds": ycsb.rounds(options), "runs": runs}


def of(results, workload, servers):
    return [r for r in results["runs"] if r["workload"] == workload and r["servers"] == servers]


def rate(results, workload, servers):
    return median([r["per_second"] for r in of(results, workload, servers)])


def throughput_rows(results):
    for name, text in WORKLOADS.items():
        yield [name.upper(), text, *[spread([r["per_second"] for r in of(results, name, servers)])
                                     for servers in SERVERS]]


def latency_rows(results):
    for name in WORKLOADS:
        for kind, word in ycsb.KINDS.items():
            cells = []
            for servers in SERVERS:
                runs = of(results, name, servers)
                for what in ("mean_us", "p99_us"):
                    found = ycsb.figures(runs, kind, what)
                    cells.append(number(median(found) if found else None))
            if any(kind in r["operations"] for r in results["runs"] if r["workload"] == name):
                yield [name.upper(), word, *cells]


def heads(what):
    return [f"{plural(servers, 'server')}, {'1 copy' if copies(servers) == 1 else '2 copies'}{what}"
            for servers in SERVERS]


def section(results):
    one, most = SERVERS[0], SERVERS[-1]
    ratio = {name: rate(results, name, most) / rate(results, name, one) for name in WORKLOADS}
    low, high = min(ratio, key=ratio.get), max(ratio, key=ratio.get)
    return [
        f"{results['clients']} clients (connections of one driver, one operation outstanding on each), "
        f"{results['keys']:,} records of 100 bytes, keys by Zipf's law (D: the newest), no shared cache; "
        "with more than one server two copies of each partition.",
        f"Medians of {plural(results['rounds'], 'round')} of {results['seconds']} s, each on a fresh "
        "cluster, in brackets least and most.", "",
        "Operations a second:", "",
        *table(["workload", "", *heads("")], throughput_rows(results), texts=2), "",
        image("clients", "Throughput of YCSB's workloads"), "",
        "Latency in µs, of each kind of operation (a percentile stands only where at least "
        f"{ycsb.BEYOND} operations lie beyond it; a read-modify-write is a read and a write, one after the "
        "other):", "",
        *table(["workload", "operation", *[f"{what}, {servers} server{'s' * (servers > 1)}"
                                           for servers in SERVERS for what in ("mean", "p99")]],
               latency_rows(results), texts=2), "",
        f"With {most} servers there are {times(ratio[low])} (workload {low.upper()}) to "
        f"{times(ratio[high])} (workload {high.upper()}) times as many operations a second as with one. "
        "All servers and the driver share this machine's processors and its disk, and with more than one "
        "server each write is made twice: these figures say what more servers cost here, not what they "
        "would bring on machines of their own. A key's partition follows from its hash, so a scan asks "
        "every server.",
        steal_text(results), ""]


def charts(results):
    series = [Series(f"{plural(servers, 'server')}",
                     [(name.upper(), rate(results, name, servers)) for name in WORKLOADS])
              for servers in SERVERS]
    return [Chart("clients", f"YCSB's workloads, {results['clients']} clients", "workload",
                  "operations a second", series, kind="bars")]
