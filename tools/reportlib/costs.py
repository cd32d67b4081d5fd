"""What an operation costs: CPU time, and bytes written to disk."""
from benchlib import drive

from . import clusters, written, ycsb
from .texts import median, number, plural, spread, steal_text, table, times

TITLE = "What an operation costs"
CLIENTS = 10
COPIES = [1, 2]          # as many servers as copies, so that each server has everything
# (operation, bytes of a value, how many operations)
CASES = [("put", 100, 200_000), ("put", 1000, 60_000), ("get", 100, 200_000)]
KEY_BYTES = 16


def count_of(options, count):
    return count // 100 if options.quick else count


def rounds(options):
    return 1 if options.quick else min(options.rounds, 2)


def estimate(options):
    one = sum(count_of(options, count) / 14000 + ycsb.keys(options) / 20000 + 2 for _, _, count in CASES)
    return rounds(options) * len(COPIES) * one


def run(options, space, progress):
    runs = []
    for turn in range(rounds(options)):
        for copies in COPIES:
            for case in CASES:
                with clusters.cluster(space, options, copies, copies) as store:
                    runs.append(one(options, store, copies, *case, turn))
                per = runs[-1]["running"] / runs[-1]["executed"]
                progress(f"round {turn + 1}, copies {copies}, {case[0].upper()} of {case[1]} bytes: "
                         f"{per:,.0f} bytes an operation")
    return {"rounds": rounds(options), "clients": CLIENTS, "keys": ycsb.keys(options), "runs": runs}


def one(options, store, copies, operation, value, count, turn):
    """On servers that have just checkpointed what was loaded; then they are ended, which makes them
    write what is left."""
    clusters.put_all(options, store, ycsb.keys(options), value)
    store.stop()
    store.start()
    device = written.to_device(store.folder)
    before = [written.by_process(server) for server in store.servers]
    # Not repeated, whatever is stolen: all bytes from here to the end belong to these operations.
    result = drive(options.programs, store, "--operation", operation, "--connections", str(CLIENTS), "--keys",
                   str(ycsb.keys(options)), "--count", str(count_of(options, count)), "--value-size",
                   str(value), "--warm-up", "0", "--no-load", "--seed", str(turn + 1))
    after = [written.by_process(server) for server in store.servers]
    ended = written.end_cleanly(store.servers)
    on_device = written.to_device(store.folder)
    return {**{key: result[key] for key in ("executed", "per_second", "server_cpu_seconds",
                                            "driver_cpu_seconds", "steal") if key in result},
            "copies": copies, "operation": operation, "value": value,
            "running": sum(after) - sum(before), "whole": sum(ended) - sum(before),
            "device": None if device is None else on_device - device}


def of(results, copies, operation, value):
    return [r for r in results["runs"]
            if (r["copies"], r["operation"], r["value"]) == (copies, operation, value)]


def per_operation(runs, name, scale=1.0, digits=0):
    values = [r[name] * scale / r["executed"] for r in runs if r[name] is not None]
    return spread(values, digits) if values else "–"


def rows(results):
    for operation, value, _ in CASES:
        for copies in COPIES:
            runs = of(results, copies, operation, value)
            payload = (KEY_BYTES + value) * copies
            factor = median([r["whole"] / r["executed"] for r in runs]) / payload
            yield [f"{operation.upper()}, {value} bytes", copies, f"{runs[0]['executed']:,}",
                   spread([r["per_second"] for r in runs]), per_operation(runs, "server_cpu_seconds", 1e6, 1),
                   per_operation(runs, "driver_cpu_seconds", 1e6, 1), per_operation(runs, "running"),
                   per_operation(runs, "whole"), per_operation(runs, "device"),
                   times(factor) if operation == "put" else ""]


def agreement(results):
    """How far the device's count is from the servers', where there is much to count."""
    ratios = [r["device"] / r["whole"] for r in results["runs"]
              if r["operation"] == "put" and r["device"] is not None and r["whole"]]
    if not ratios:
        return "The kernel counts no bytes for this device, so there is nothing to compare with."
    return (f"The device was written {number(min(ratios), 2)} to {number(max(ratios), 2)} times what the "
            "servers' counters say: more for the file system's journal and metadata, and for everybody else "
            "on this machine; less for pages that were written over again before they went to the disk.")


def second_copy(results):
    ratios = [median([r["server_cpu_seconds"] / r["executed"] for r in of(results, 2, operation, value)]) /
              median([r["server_cpu_seconds"] / r["executed"] for r in of(results, 1, operation, value)])
              for operation, value, _ in CASES if operation == "put"]
    return (f"A PUT with two copies takes the servers together {times(min(ratios))} to "
            f"{times(max(ratios))} times the CPU time of one copy.")


def section(results):
    return [
        f"{plural(results['clients'], 'client')}, keys of {KEY_BYTES} bytes chosen uniformly from "
        f"{results['keys']:,} that are there, a fixed number of operations; one server with one copy, and "
        f"two with two. {plural(results['rounds'], 'round')}, each on fresh data. CPU time is that of all "
        "server processes and the manager together, and of the driver, in µs. Bytes written: by all "
        "servers, as the kernel counts them for a process, while the operations ran, and until the "
        "servers had ended cleanly, which checkpoints what the log alone held; and by the device in that "
        "whole time. *× payload*: all bytes that the servers wrote, over those of the key and the value "
        "in all copies.", "",
        *table(["operation", "copies", "operations", "a second", "CPU µs servers", "CPU µs driver",
                "bytes while running", "bytes until the end", "device bytes", "× payload"],
               rows(results)), "",
        "A write is in the log at once, in whole blocks that few clients share, and in the store with the "
        "next checkpoint, where whole pages are written however little of one has changed; so the bytes "
        "belong to "
        "this number of clients, of keys and of operations between two checkpoints. "
        + second_copy(results) + " " + agreement(results), steal_text(results), ""]


def charts(results):
    return []
