"""Latencies as a distribution: reads alone, writes alone, both, and at a rate that leaves room."""
from . import clusters, ycsb
from .chart import Chart, Series, image
from .texts import median, number, plural, spread, steal_text, table

TITLE = "Latency"
CLIENTS, SERVERS, COPIES = 10, 3, 2
ALONE = {"GET alone": "get", "PUT alone": "put", "mix": "mix"}
SHARES = [50, 80]        # per cent of the throughput of the mix just before
NAMES = [*[name for name, _ in ycsb.PERCENTILES], "max_us"]
HEADS = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "most"]


def case_at(share):
    return f"mix at {share} %"


def length(options):
    """Seconds: one operation in ten thousand has to come often enough, also at half of the rate."""
    return ycsb.seconds(options) * (1 if options.quick else 4)


def estimate(options):
    cases = len(ALONE) + len(SHARES)
    each = ycsb.whole_seconds(options) - ycsb.seconds(options) + length(options)
    return 2 + ycsb.keys(options) / 20000 + ycsb.rounds(options, 2) * cases * each


def run(options, space, progress):
    keys, runs, long = ycsb.keys(options), [], ["--seconds", str(length(options))]
    with clusters.cluster(space, options, SERVERS, COPIES) as store:
        clusters.put_all(options, store, keys)
        for turn in range(ycsb.rounds(options, 2)):
            for case, operation in ALONE.items():
                result = ycsb.plain(options, store, keys, CLIENTS, turn + 1, "--operation", operation, *long)
                runs.append({"case": case, **result})
                progress(f"round {turn + 1}, {case}: {result['per_second']:,.0f}/s")
            whole = runs[-1]["per_second"]
            for share in SHARES:
                rate = max(1, int(whole * share / 100))
                result = ycsb.plain(options, store, keys, CLIENTS, turn + 1, "--operation", "mix",
                                    "--rate", str(rate), *long)
                runs.append({"case": case_at(share), "rate": rate, **result})
                progress(f"round {turn + 1}, {case_at(share)}: {result['per_second']:,.0f}/s")
    return {"clients": CLIENTS, "servers": SERVERS, "copies": COPIES, "keys": keys,
            "seconds": length(options), "rounds": ycsb.rounds(options, 2), "runs": runs}


def lines_of(results):
    """(text, kind of operation, the measured latencies of each round) of each row."""
    for case in [*ALONE, *map(case_at, SHARES)]:
        runs = [r for r in results["runs"] if r["case"] == case]
        for kind in ("get", "put"):
            measured = [r["operations"][kind] for r in runs if kind in r["operations"]]
            if measured:
                yield case, kind.upper(), "begun", measured
            due = [{**m["intended"], "count": m["count"]} for m in measured if "intended" in m]
            if due:
                yield case, kind.upper(), "due", due


def value(measured, name):
    """The median of the rounds; of the longest the longest."""
    found = [v for v in (ycsb.figure(m, name) for m in measured) if v is not None]
    if not found:
        return None
    return max(found) if name == "max_us" else median(found)


def rows(results):
    for case, kind, since, measured in lines_of(results):
        yield [case, kind, since, *[number(value(measured, name)) for name in NAMES]]


def rates(results):
    for case in [*ALONE, *map(case_at, SHARES)]:
        runs = [r for r in results["runs"] if r["case"] == case]
        asked = [r["rate"] for r in runs if "rate" in r]
        yield [case, spread(asked) if asked else "–", spread([r["per_second"] for r in runs])]


def missed(results):
    """Those rates that the store did not keep up with, as a sentence."""
    found = []
    for share in SHARES:
        runs = [r for r in results["runs"] if r["case"] == case_at(share)]
        kept = min(r["per_second"] / r["rate"] for r in runs)
        if kept < 0.99:
            found.append(f"at {share} % only {kept * 100:.1f} % of the rate was reached in a round, so "
                         "operations queued up there, and *due* tells mostly how long the queue was")
    return ("The rates were kept." if not found else
            "The rates were not all kept: " + "; ".join(found) + ".")


def section(results):
    return [
        f"{results['clients']} clients, {plural(results['servers'], 'server')}, {results['copies']} "
        f"copies, {results['keys']:,} keys of 16 bytes chosen uniformly, values of 100 bytes, no shared "
        f"cache; half of the mix is GETs. Medians of {plural(results['rounds'], 'round')} of "
        f"{results['seconds']} s, for the longest the longest of all, in µs. A percentile stands only "
        f"where at least {ycsb.BEYOND} operations of a round lie beyond it.", "",
        "As fast as the clients can, a client that waits sends nothing meanwhile, and one long wait "
        "counts once. So the mix is also measured at a fixed rate, a part of the throughput measured "
        "just before it: *due* is the latency since the operation should have begun, which counts "
        "everybody who would have waited too; *begun* since it did begin.", "",
        *table(["case", "operation", "since", *HEADS], rows(results), texts=3), "",
        *table(["case", "asked/s", "done/s"], rates(results)), "",
        missed(results), "", image("latency", "Latency over percentile"), "",
        image("latency-rate", "Latency over percentile at fixed rates"), "", steal_text(results), ""]


def curve(measured):
    """How slow one operation in N is, over N."""
    points = [(round(1 / (1 - share)), value(measured, name)) for name, share in ycsb.PERCENTILES]
    return [point for point in points if point[1] is not None]


def charts(results):
    full, limited = [], []
    for case, kind, since, measured in lines_of(results):
        points = curve(measured)
        if not points:
            continue
        if case in ALONE:
            full.append(Series(f"{kind}, {case}", points))
        elif since == "due":
            limited.append(Series(f"{kind}, {case}", points))
    label = "one operation in so many is slower (2: median, 100: p99, 10000: p99.99)"
    return [Chart("latency", "Latency, as fast as it goes", label, "µs", full, log_x=True, log_y=True),
            Chart("latency-rate", "Latency at fixed rates, since an operation was due", label, "µs", limited,
                  log_x=True, log_y=True)]
