"""Workload A under more and more clients."""
from . import clusters, ycsb
from .chart import Chart, Series, image
from .texts import median, number, plural, spread, steal_text, table, times

TITLE = "More clients"
SERVERS = [1, 5]


def counts(options):
    return [1, 10] if options.quick else [1, 5, 10, 20, 30]


def estimate(options):
    cluster = 2 + ycsb.keys(options) / 20000 + len(counts(options)) * ycsb.whole_seconds(options)
    return len(SERVERS) * ycsb.rounds(options) * cluster


def run(options, space, progress):
    runs = []
    for turn in range(ycsb.rounds(options)):
        for servers in SERVERS if turn % 2 == 0 else SERVERS[::-1]:
            with clusters.cluster(space, options, servers, min(2, servers)) as store:
                ycsb.load(options, store, ycsb.keys(options))
                for clients in counts(options):
                    result = ycsb.run(options, store, "a", ycsb.keys(options), clients, turn + 1)
                    progress(f"round {turn + 1}, {plural(servers, 'server')}, "
                             f"{plural(clients, 'client')}: {result['per_second']:,.0f}/s")
                    runs.append({"servers": servers, "clients": clients, **result})
    return {"counts": counts(options), "keys": ycsb.keys(options), "seconds": ycsb.seconds(options),
            "rounds": ycsb.rounds(options), "runs": runs}


def of(results, servers, clients):
    return [r for r in results["runs"] if r["servers"] == servers and r["clients"] == clients]


def rate(results, servers, clients):
    return median([r["per_second"] for r in of(results, servers, clients)])


def latency(results, servers, clients, kind, name):
    found = ycsb.figures(of(results, servers, clients), kind, name)
    return median(found) if found else None


def rows(results):
    for servers in SERVERS:
        for clients in results["counts"]:
            yield [servers, clients, spread([r["per_second"] for r in of(results, servers, clients)]),
                   *[number(latency(results, servers, clients, kind, name))
                     for kind in ("get", "put") for name in ("p50_us", "p99_us")]]


def growth(results, servers):
    first, last = results["counts"][0], results["counts"][-1]
    best = max(results["counts"], key=lambda clients: rate(results, servers, clients))
    grown = rate(results, servers, last) / rate(results, servers, first)
    text = (f"{plural(servers, 'server')}: {plural(last, 'client')} do {times(grown)} times what "
            f"{plural(first, 'client')} does")
    if best != last:
        text += f"; the most was done with {best}"
    return text + "."


def section(results):
    return [
        f"Workload A (half reads, half updates), {results['keys']:,} records of 100 bytes; one server "
        "with one copy, and five with two copies of each partition. Medians of "
        f"{plural(results['rounds'], 'round')} of {results['seconds']} s, each on a fresh cluster, in "
        "brackets least and most; latencies in µs.", "",
        *table(["servers", "clients", "operations/s", "read p50", "read p99", "update p50", "update p99"],
               rows(results), texts=0), "",
        image("scaling", "Throughput over clients"), "", image("scaling-latency", "p99 over clients"), "",
        *[f"- {growth(results, servers)}" for servers in SERVERS], "",
        "Clients that wait for a disk cost a server little, so one fsync serves more of them at once; "
        "where the throughput no longer grows, the processors, which servers and driver share, are used "
        "up, and more clients only wait longer.", steal_text(results), ""]


def charts(results):
    def lines(value):
        return [Series(plural(servers, "server"), [(clients, value(servers, clients))
                                                   for clients in results["counts"]])
                for servers in SERVERS]

    def p99(kind, servers):
        points = [(clients, latency(results, servers, clients, kind, "p99_us"))
                  for clients in results["counts"]]
        return [point for point in points if point[1] is not None]
    late = [Series(f"{word}, {plural(servers, 'server')}", p99(kind, servers))
            for servers in SERVERS for kind, word in (("get", "read"), ("put", "update"))]
    return [Chart("scaling", "Workload A: throughput", "clients", "operations a second",
                  lines(lambda servers, clients: rate(results, servers, clients))),
            Chart("scaling-latency", "Workload A: 99th percentile", "clients", "µs", late, log_y=True)]
