"""Memory and disk of a server by key: small values, in key order and in no order."""
import threading

from benchlib import drive

from . import clusters, written
from .texts import number, plural, steal_text, table

TITLE = "Memory and disk"
VALUES = [8, 100]
KEY_BYTES = 16
ORDERS = {"sequential": "in key order", "uniform": "in no order"}
RANGE = 1 << 40          # keys drawn from so many: hardly one comes twice
CONNECTIONS = 64
SAMPLE_SECONDS = 0.1


def count(options):
    return 20_000 if options.quick else 1_000_000


def estimate(options):
    return 2 * len(VALUES) * (count(options) / 35000 + 1.5)


def run(options, space, progress):
    rows = []
    for value in VALUES:
        for order in ORDERS:
            with clusters.cluster(space, options, 1, 1) as store:
                rows.append({"value": value, "order": order, **one(options, store, value, order)})
            progress(f"{order}, values of {value} bytes: at most {rows[-1]['most_kib'] / 1024:,.0f} MiB")
    return {"keys": count(options), "rows": rows}


class Watch(threading.Thread):
    """Largest memory and disk of a server, until stop()."""

    def __init__(self, server, folder):
        super().__init__(daemon=True)
        self.server, self.folder, self.ended = server, folder, threading.Event()
        self.most_kib = self.most_disk = 0

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.look()

    def look(self):
        self.most_kib = max(self.most_kib, self.server.resident_kib())
        self.most_disk = max(self.most_disk, sum(clusters.disk_bytes(self.folder)))

    def stop(self):
        self.ended.set()
        self.join()
        self.look()


def one(options, store, value, order):
    server, folder = store.servers[0], clusters.server_folder(store, 0)
    idle = server.resident_kib()
    keys = count(options) if order == "sequential" else RANGE
    watch = Watch(server, folder)
    watch.start()
    try:
        result = drive(options.programs, store, "--operation", "put", "--order", order, "--connections",
                       str(CONNECTIONS), "--keys", str(keys), "--count", str(count(options)), "--value-size",
                       str(value), "--warm-up", "0", "--no-load", "--timeout", "60000")
    finally:
        watch.stop()
    end = server.resident_kib()
    written.end_cleanly([server])
    data, log = clusters.disk_bytes(folder)
    return {"idle_kib": idle, "most_kib": watch.most_kib, "end_kib": end, "most_disk": watch.most_disk,
            "end_store": data, "end_log": log, "executed": result["executed"],
            "per_second": result["per_second"], "steal": result.get("steal")}


def rows(results):
    keys = results["keys"]
    for row in results["rows"]:
        yield [row["value"], ORDERS[row["order"]],
               number(row["per_second"]), number(row["idle_kib"] / 1024), number(row["most_kib"] / 1024),
               number(row["end_kib"] / 1024), number(row["most_kib"] * 1024 / keys),
               number(row["end_kib"] * 1024 / keys), number(row["most_disk"] / keys),
               number(row["end_store"] / keys), number(row["end_log"] / keys)]


def section(results):
    keys, found = results["keys"], results["rows"]
    factors = [f"{row['end_store'] / keys / (KEY_BYTES + row['value']):.1f} with values of {row['value']} "
               f"bytes {ORDERS[row['order']]}" for row in found]
    most = max(row["most_kib"] for row in found) / 1024
    return [
        f"{keys:,} keys of {KEY_BYTES} bytes put once each by {plural(CONNECTIONS, 'client')} into one "
        "server with one copy, in key order, and in no order (numbers drawn from a range so large that "
        "hardly one comes twice). RssAnon is the server's own memory, without the page cache that it "
        "maps; at most: of samples ten times a second, at the end: when the last PUT was answered. The "
        "disk at most: meanwhile, all files; at the end: the server has checkpointed and ended.", "",
        *table(["value bytes", "written", "PUTs/s", "RssAnon MiB idle", "at most", "at the end",
                "RssAnon bytes a key at most", "at the end", "disk bytes a key at most",
                "store at the end", "log at the end"], rows(results), texts=0), "",
        "The server's own memory holds what was written since the last checkpoint, not all keys "
        f"({most:,.0f} MiB at most), so its bytes a key do not go on for more keys than these. In the end "
        f"the store takes so many times the bytes of keys and values: {', '.join(factors)}; "
        "pages that checkpoints freed, and will use again, are counted. The log is "
        "made of segments of a fixed size, of which some are kept for copies that were away, however "
        "little was written.",
        steal_text(results), ""]


def charts(results):
    return []
