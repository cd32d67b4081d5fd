"""The throughput around the death of one of three servers, in slices of a tenth of a second."""
import time

import benchlib
from replicationlib import Load, waits

from . import clusters
from .chart import Chart, Series, image
from .texts import median, plural, spread, steal_text, table

TITLE = "A server dies and comes back"
CLIENTS = [10, 30]
SERVERS, COPIES, VICTIM = 3, 2, 1
SLICE = 0.1
BEFORE, AWAY, AFTER = 3, 4, 3    # seconds shown before the kill, without the server, and when all is whole
PATIENCE_SECONDS = 120


def rounds(options):
    return 1 if options.quick else min(options.rounds, 3)


def estimate(options):
    return rounds(options) * len(CLIENTS) * (BEFORE + AWAY + AFTER + 5)


def run(options, space, progress):
    runs = []
    for turn in range(rounds(options)):
        for clients in CLIENTS:
            with clusters.cluster(space, options, SERVERS, COPIES) as store:
                runs.append({"clients": clients, **one(store, clients, turn + 1)})
            progress(f"round {turn + 1}, {clients} clients: nobody answered for "
                     f"{runs[-1]['silence']:.2f} s, all served after {runs[-1]['served']:.2f} s")
    return {"rounds": rounds(options), "servers": SERVERS, "copies": COPIES, "slice": SLICE, "runs": runs}


def one(store, clients, seed):
    """Kill, service, start, whole copies; times are seconds from the kill. Everything acknowledged is
    read back in the end: what is lost or done twice raises."""
    load = Load(store, clients, seed)
    try:
        load.start()
        load.run_for(1)                 # each client's first calls find the servers
        began, ticks = time.monotonic(), benchlib.processor_ticks()
        led = store.led_by(store.status())[VICTIM]
        load.run_for(BEFORE)
        killed = store.kill_server(VICTIM)
        load.mark(killed)
        served = load.wait_served(PATIENCE_SECONDS) - killed
        load.run_for(max(0.1, killed + AWAY - time.monotonic()))
        started = time.monotonic() - killed
        store.start_server(VICTIM)
        store.wait_whole(PATIENCE_SECONDS, load.check)
        whole = time.monotonic() - killed
        load.run_for(AFTER)
        ended, steal = time.monotonic(), benchlib.stolen_share(ticks, benchlib.processor_ticks())
        times = list(load.times)
        load.pause()
        load.verify()
    finally:
        load.kill()
    until = [(sent, answered) for sent, answered in times if answered < killed + started]
    longest, silence = waits(until, killed)
    return {"led": led, "partitions": store.partitions, "served": served, "started": started, "whole": whole,
            "longest": longest, "silence": silence, "answers": len(times), "steal": steal,
            "before": between(times, began, killed) / (killed - began),
            "while": between(times, killed + served, killed + started) / (started - served),
            "after": between(times, killed + whole, ended) / (ended - killed - whole),
            "slices": slices(times, began, killed, ended)}


def between(times, since, until):
    return sum(1 for _, answered in times if since <= answered < until)


def slices(times, began, killed, ended):
    """[seconds from the kill to the begin of the slice, answers in it], without the broken ones at both
    ends; the kill is between two slices."""
    first, last = -int((killed - began) / SLICE), int((ended - killed) / SLICE)
    counts = dict.fromkeys(range(first, last), 0)
    for _, answered in times:
        index = int((answered - killed) // SLICE)
        if index in counts:
            counts[index] += 1
    return [[round(index * SLICE, 3), number] for index, number in counts.items()]


def low_seconds(run, slice_seconds):
    """How long, from the kill to the start of the server, slices had less than half of the usual."""
    low = [1 for at, number in run["slices"]
           if 0 <= at < run["started"] and number < run["before"] * slice_seconds / 2]
    return len(low) * slice_seconds


def of(results, clients):
    return [r for r in results["runs"] if r["clients"] == clients]


def rows(results):
    for clients in CLIENTS:
        runs = of(results, clients)
        yield [clients, spread([r["before"] for r in runs]), spread([r["led"] for r in runs]),
               spread([r["silence"] for r in runs], 2),
               spread([low_seconds(r, results["slice"]) for r in runs], 1),
               spread([r["longest"] for r in runs], 2), spread([r["served"] for r in runs], 2),
               spread([r["while"] for r in runs]), spread([r["whole"] - r["started"] for r in runs], 2),
               spread([r["after"] for r in runs])]


def section(results):
    runs = results["runs"]
    back = median([r["after"] / r["before"] for r in runs])
    return [
        f"{plural(results['servers'], 'server')}, {results['copies']} copies, clients (`cairn workload`) "
        "that each have one write outstanding: PUTs to keys of their own, SWAPs of keys that all share. "
        f"Server {VICTIM} is killed with SIGKILL and started again {AWAY} s later. Medians of "
        f"{plural(results['rounds'], 'round')}, each on a fresh cluster, in brackets least and most; "
        "seconds.", "",
        *table(["clients", "writes/s before", f"led, of {runs[0]['partitions']}", "nobody answered",
                "below half of the rate", "longest wait", "all served after", "writes/s then",
                "two copies, from its start", "writes/s after"],
               rows(results), texts=0), "",
        *[text for clients in CLIENTS
          for text in (image(f"failover-{clients}", f"Throughput around a kill, {clients} clients"), "")],
        "*Nobody answered*: the longest time without any answer from the kill to the server's start. *All "
        "served*: from the kill until each partition has answered a write sent after it; *then*: until the "
        "server is started. Partitions that lost a copy have one until then, which costs less than two.",
        "A client has one call outstanding, and soon each waits for a partition whose primary or backup "
        "is gone; so the throughput falls much further than by the part of the partitions that is "
        "not served for a while. Most of the time is waiting by design: for the lease of a backup "
        "that died, or for the grace after which a backup takes over.",
        f"{sum(r['answers'] for r in runs):,} acknowledged writes, read back after each round: none lost, "
        f"no SWAP executed twice. When all copies were back, the rate was {back * 100:.0f} % of that "
        "before. One program that drives all clients takes a processor, so these rates are no measure of "
        "speed.", steal_text(results), ""]


def charts(results):
    found = []
    for clients in CLIENTS:
        run = of(results, clients)[0]
        points = [(at, number / results["slice"]) for at, number in run["slices"]]
        marks = [(0, "killed"), (run["served"], "all served"), (run["started"], "started"),
                 (run["whole"], "two copies")]
        found.append(Chart(f"failover-{clients}", f"{clients} clients, server {VICTIM} of "
                           f"{results['servers']} killed (first round)", "seconds from the kill",
                           "writes a second", [Series("answers", points)], kind="steps", marks=marks))
    return found
