"""What clients notice of checkpoints: short measurements, with one under way and without."""
import time

import benchlib

from . import clusters, peers_checkpoint
from .chart import Chart, Series, image
from .texts import median, number, percentile, plural, spread, steal_text, table, times

TITLE = "Checkpoints"
CLIENTS = 10
MUCH = 0.5               # of a measurement: so long was a checkpoint under way
KINDS = {"get": "GET", "put": "PUT"}


def plan(options):
    """(measurements, operations of each, keys, bytes of writes between two checkpoints)"""
    return (12, 2000, 5_000, "1M") if options.quick else (120, 6000, 400_000, "8M")


def estimate(options):
    number_of, operations, keys, _ = plan(options)
    return number_of * (operations / 20000 + 0.1) + keys / 25000 + 6


def run(options, space, progress):
    number_of, operations, keys, limit = plan(options)
    with clusters.cluster(space, options, 1, 1, ["--memtable-bytes", limit, "--log-level", "debug"]) as store:
        clusters.put_all(options, store, keys)
        done = peers_checkpoint.count_done(store)
        watch, parts = peers_checkpoint.Watch(store), []
        watch.start()
        try:
            for index in range(number_of):
                parts.append(one(options, store, keys, operations, index))
        finally:
            watch.stop()
        done = peers_checkpoint.count_done(store) - done
    looks = watch.looks
    busy = peers_checkpoint.under_way(peers_checkpoint.slices(looks), 0)
    for part in parts:
        part["busy"] = share(looks, busy, part["began"], part["ended"])
        part["began"], part["ended"] = (round(part[k] - looks[0]["moment"], 3) for k in ("began", "ended"))
    progress(f"{plural(done, 'checkpoint')}, {sum(p['busy'] >= MUCH for p in parts)} of {len(parts)} "
             "measurements with one")
    return {"clients": CLIENTS, "keys": keys, "operations": operations, "limit": limit, "done": done,
            "parts": parts}


def one(options, store, keys, operations, index):
    result = benchlib.drive(options.programs, store, "--operation", "mix", "--connections", str(CLIENTS),
                            "--keys", str(keys), "--count", str(operations), "--warm-up", "0", "--no-load",
                            "--seed", str(index + 1))
    ended = time.monotonic()
    return {"began": ended - result["seconds"], "ended": ended, "per_second": result["per_second"],
            "steal": result.get("steal"),
            **{f"{kind}_{name}": result["operations"][kind][name] for kind in KINDS
               for name in ("p50_us", "p99_us", "max_us")}}


def share(looks, busy, began, ended):
    """Which part of this time a checkpoint was under way, as far as the looks tell."""
    within = 0.0
    for one_look, other, is_busy in zip(looks, looks[1:], busy):
        if is_busy:
            within += max(0.0, min(ended, other["moment"]) - max(began, one_look["moment"]))
    return within / max(ended - began, 1e-9)


def divided(results):
    """(measurements with a checkpoint under way, those without any), but for disturbed ones"""
    calm = [p for p in results["parts"] if not is_disturbed(p)]
    return [p for p in calm if p["busy"] >= MUCH], [p for p in calm if p["busy"] == 0]


def is_disturbed(part):
    return (part["steal"] or 0) > benchlib.STEAL_MOST


def rows(results):
    during, without = divided(results)
    for name, parts in (("a checkpoint under way", during), ("none", without)):
        if parts:
            rates = [p["per_second"] for p in parts]
            yield [name, len(parts), spread(rates), number(percentile(rates, 0.1)),
                   *[spread([p[f"{kind}_p99_us"] for p in parts]) for kind in KINDS],
                   *[number(max(p[f"{kind}_max_us"] for p in parts)) for kind in KINDS]]


def verdict(results):
    during, without = divided(results)
    if not during or not without:
        return ("There were not both measurements with a checkpoint under way and without, so nothing can be "
                "compared.")
    ratio = {key: median([p[key] for p in during]) / median([p[key] for p in without])
             for key in ("per_second", "put_p99_us", "get_p99_us")}
    return (f"While a checkpoint is under way the throughput is {times(ratio['per_second'])} times, the "
            f"99th percentile of a PUT {times(ratio['put_p99_us'])} times and of a GET "
            f"{times(ratio['get_p99_us'])} times that without (medians).")


def section(results):
    parts, (during, without) = results["parts"], divided(results)
    return [
        f"One server with one copy that checkpoints after each {results['limit']} bytes of writes (48M if "
        f"it is not told), so that it does so often: {plural(results['done'], 'checkpoint')} in "
        f"{parts[-1]['ended'] - parts[0]['began']:.0f} s. {plural(results['clients'], 'client')}, half "
        f"GETs, half PUTs of 100 bytes, {results['keys']:,} keys chosen uniformly, {len(parts)} "
        f"measurements of {results['operations']:,} operations, one after the other. A checkpoint was "
        f"under way in at least {MUCH * 100:.0f} % of the time of {len(during)}, at no time of "
        f"{len(without)}. In no row are the others, nor {sum(map(is_disturbed, parts))} during which the "
        f"hypervisor took more than {benchlib.STEAL_MOST * 100:.0f} % of the CPU time. Whether a "
        "checkpoint is under way is seen from the processor time of the server's threads and from the "
        "store's file, five times a second. Latencies in µs.", "",
        *table(["measurements with", "", "operations/s", "slowest tenth below", "GET p99", "PUT p99",
                "GET longest", "PUT longest"], rows(results)), "",
        image("checkpoint", "Throughput and checkpoints"), "",
        image("checkpoint-latency", "p99 of PUTs and checkpoints"), "",
        verdict(results) + " A checkpoint's own work takes a processor and the disk, which server and driver "
        "share here.", steal_text(results), ""]


def points(results, key):
    during, without = divided(results)
    between = [p for p in results["parts"] if 0 < p["busy"] < MUCH and not is_disturbed(p)]
    names = [("a checkpoint under way", during), ("for a part of it", between), ("none", without)]
    return [Series(name, [((p["began"] + p["ended"]) / 2, p[key]) for p in parts]) for name, parts in names
            if parts]


def charts(results):
    return [Chart("checkpoint", "Throughput in short measurements", "seconds", "operations a second",
                  points(results, "per_second"), kind="points"),
            Chart("checkpoint-latency", "99th percentile of PUTs", "seconds", "µs",
                  points(results, "put_p99_us"), kind="points", log_y=True)]
