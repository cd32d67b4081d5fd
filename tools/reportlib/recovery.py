"""How long a killed server takes to serve again, by how much log it has to read."""
import re
import time

import benchlib
from benchlib import BenchError

from . import clusters
from .chart import Chart, Series, image
from .texts import median, plural, spread, steal_text, table

TITLE = "Recovery"
RECORD_BYTES = 90        # of the log, beside the value; only decides how much is written
VALUES = [100, 1000]
FEW = 100                # keys, where the log is as good as empty
CONNECTIONS = 64


def sizes(options):
    """Megabytes of log for each size of values."""
    return {value: [8] if options.quick else [64, 256, 1024] for value in VALUES}


def rounds(options):
    return 1 if options.quick else min(options.rounds, 3)


def estimate(options):
    writing = sum(max(few) * 1e6 / (value + RECORD_BYTES) / 35000 for value, few in sizes(options).items())
    starts = rounds(options) * sum(1 + sum(0.5 + 0.006 * size for size in few)
                                   for few in sizes(options).values())
    return writing + starts


def run(options, space, progress):
    rows = []
    for value, wanted in sizes(options).items():
        # No checkpoint: everything that is written has to come back from the log.
        with clusters.cluster(space, options, 1, 1, ["--memtable-bytes", "4096M"]) as store:
            keys = 0
            for size in [0, *wanted]:
                goal = size * 1_000_000 // (value + RECORD_BYTES) if size else FEW
                clusters.put_all(options, store, goal - keys, value, first=keys, connections=CONNECTIONS)
                keys = goal
                starts = [start_again(store) for _ in range(rounds(options))]
                rows.append({"value": value, "keys": keys, "starts": starts})
                progress(f"values of {value} bytes, {starts[0]['log_bytes'] / 1e6:,.0f} MB of log: serves "
                         f"after {median([s['served'] for s in starts]):.2f} s")
    return {"rounds": rounds(options), "rows": rows}


def start_again(store):
    store.kill_server(0)
    started, ticks = time.monotonic(), benchlib.processor_ticks()
    store.start_server(0)
    store.wait_ready()
    return {"served": time.monotonic() - started, **recovered(store.servers[0]),
            "steal": benchlib.stolen_share(ticks, benchlib.processor_ticks())}


def recovered(server):
    """What the server said of its start."""
    found = re.search(r"recovered .*log_records=(\d+) .*log_bytes=(\d+) rewritten=(\d+) .* ms=(\d+)",
                      server.log())
    if found is None:
        raise BenchError("the server did not say what it recovered:\n" + server.log()[-1000:])
    return dict(zip(["records", "log_bytes", "rewritten", "read_ms"], map(int, found.groups())))


def per(row, name):
    return [start[name] for start in row["starts"]]


def megabytes(row):
    return median(per(row, "log_bytes")) / 1e6


def floor(results, value):
    """Seconds that a start takes which has nothing to read."""
    first = next(row for row in results["rows"] if row["value"] == value)
    return median(per(first, "served"))


def rows(results):
    for row in results["rows"]:
        beyond = median(per(row, "served")) - floor(results, row["value"])
        rate = f"{megabytes(row) / beyond:,.0f}" if row["keys"] > FEW and beyond > 0.05 else "–"
        yield [row["value"], f"{row['keys']:,}", f"{megabytes(row):,.1f}", spread(per(row, "read_ms")),
               spread(per(row, "served"), 2), rate]


def section(results):
    floors = [floor(results, value) for value in values(results)]
    return [
        "One server with one copy, loaded without any checkpoint, killed with SIGKILL and started again "
        f"on its data: medians of {plural(results['rounds'], 'start')}, in brackets least and most. *Log "
        "read*: as the server says. *Serves*: from the start of the process to the first scan of all "
        "partitions that succeeds.", "",
        *table(["value bytes", "records written", "log MB", "log read ms", "serves after s",
                "MB/s beyond an empty log's time"], rows(results), texts=0), "",
        image("recovery", "Recovery time over log size"), "",
        f"With next to nothing in the log a start takes {min(floors):.2f} s to {max(floors):.2f} s; what "
        "a long log adds is in the last column. Nobody has cached anything here: a server whose values hosts "
        "have cached first waits until the leases of these caches are over, which is up to a second more. "
        "The log is still in the page cache after a kill; after a failure of power the disk's own speed "
        "would come on top. A server that is not told otherwise checkpoints after 48 MiB of writes and keeps "
        "256 MiB of log for copies that were away, so its log hardly grows beyond some 300 "
        "MiB.", steal_text(results), ""]


def values(results):
    return list(dict.fromkeys(row["value"] for row in results["rows"]))


def charts(results):
    series = [Series(f"values of {value} bytes",
                     [(megabytes(row), median(per(row, "served")))
                      for row in results["rows"] if row["value"] == value]) for value in values(results)]
    return [Chart("recovery", "From the start of the process until it serves", "MB of log", "seconds",
                  series)]
