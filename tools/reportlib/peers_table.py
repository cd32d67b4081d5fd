"""The results of peers.py as tables and charts: what is demanded and whether it held, then all figures."""
import statistics
from dataclasses import dataclass

from reportlib.stores import ALL, CAIRN, ETCD, LMDB, PAIR, SINGLE

COPIES = {CAIRN: 2, PAIR: 2, SINGLE: 1, ETCD: 3}


# --- of one result ------------------------------------------------------------------------------------


def rate(result):
    return result["per_second"]


def cpu_us(result):
    return result["server_cpu_seconds"] * 1e6 / max(result["executed"], 1)


def latency(operation, which):
    return lambda result: result["operations"][operation][which]


def amplification(result):
    return result["written"] / result["user"]


def part_of(name):
    return lambda result: result[name]


# --- what is demanded ---------------------------------------------------------------------------------


@dataclass
class Claim:
    text: str
    over: tuple              # (measure, store, what of a result)
    under: tuple
    bound: float
    least: bool = True       # else at most the bound
    aim: str = ""            # in words, if the bound does not say it

    def aim_text(self):
        return self.aim or f"{'at least' if self.least else 'at most'} {self.bound:g}"

    def held(self, ratio):
        return ratio >= self.bound if self.least else ratio <= self.bound


def against(measure, store, text, bound, what=rate, **how):
    """Cairn's figure in a measure over that of another store in the same."""
    return Claim(text, (measure, CAIRN, what), (measure, store, what), bound, **how)


def clients(number):
    return f"{number} client" + ("s" if number > 1 else "")


def puts(store, name, bounds):
    return [against(f"put {n}", store, f"durable PUTs a second, × {name}, {clients(n)}", bound)
            for n, bound in zip((1, 10, 30), bounds)]


PUT_P99 = latency("put", "p99_us")
GET_P50 = latency("get", "p50_us")

CLAIMS = [
    *puts(PAIR, "Redis with a replica", (1.6, 2.5, 2.5)),
    *puts(SINGLE, "a single Redis", (0.85, 0.85, 1.2)),
    *puts(ETCD, "etcd with 3 members", (2.5, 5, 7)),
    *[against(f"put {n}", PAIR, f"99% of PUTs, µs, × Redis with a replica, {clients(n)}", 1, PUT_P99,
              least=False, aim="no higher") for n in (10, 30)],
    *[against(f"put {n}", PAIR, f"CPU of all servers for a PUT, × Redis with a replica, {clients(n)}", 0.5,
              cpu_us, least=False) for n in (10, 30)],
    *[against(f"get {n}", SINGLE, f"GETs a second without a cache, × Redis, {clients(n)}", 1)
      for n in (10, 30)],
    Claim("median of a GET while half of the operations are PUTs, × of GETs alone, 10 clients",
          ("mix 10", CAIRN, GET_P50), ("get 10", CAIRN, GET_P50), 2, least=False),
    against("cached 1", SINGLE, "cached GETs a second in a process, × Redis' GETs on one connection",
            50),
    *[against(f"ycsb {w}", PAIR, f"YCSB {w.upper()} with the cache, × Redis with a replica, 10 clients",
              bound)
      for w, bound in (("a", 2), ("b", 10), ("f", 2))],
    against("ycsb e", ETCD, "YCSB E (scans of up to 100), × etcd's ranges, 10 clients", 3),
    Claim("PUTs a second during a checkpoint, × without, 10 clients",
          ("checkpoint", CAIRN, part_of("during")), ("checkpoint", CAIRN, part_of("without")), 0.8),
    against("written", ETCD, "bytes to the disk for a byte of user data, × etcd", 1, amplification,
            least=False, aim="lower"),
]


def numbers(results, measure, store, what):
    """Of each round, or None if that was not measured."""
    rounds = results["measures"].get(measure, {}).get(store)
    return None if rounds is None else [what(result) for result in rounds]


def ratio(results, claim):
    """(of medians, of each round), or None. A round without one of the two figures is left out."""
    over, under = (numbers(results, *spec) for spec in (claim.over, claim.under))
    pairs = [(a, b) for a, b in zip(over or [], under or []) if a is not None and b]
    if not pairs:
        return None
    medians = [statistics.median(pair[i] for pair in pairs) for i in (0, 1)]
    return medians[0] / medians[1], [a / b for a, b in pairs]


def decimals(number):
    return 2 if number < 10 else 1 if number < 100 else 0


def between(values):
    low, high = min(values), max(values)
    return f"{low:,.{decimals(low)}f}–{high:,.{decimals(high)}f}"


def claim_row(results, claim):
    reached = ratio(results, claim)
    if reached is None:
        return f"| {claim.text} | {claim.aim_text()} | – | – | not measured |"
    value, rounds = reached
    return (f"| {claim.text} | {claim.aim_text()} | {value:,.{decimals(value)}f} | {between(rounds)} | "
            f"{'yes' if claim.held(value) else 'no'} |")


def claims(results):
    lines = ["| measure | aim | ratio | of single rounds | held |", "| --- | --- | ---: | ---: | --- |",
             *[claim_row(results, claim) for claim in CLAIMS
               if claim.over[0] in results["measures"]], ""]
    return [*lines, *redis_factor(results), *cached_beside_many(results)]


def redis_factor(results):
    """What Redis' own GETs suffer from PUTs beside them."""
    factors = [(name, ratio(results, Claim("", ("mix 10", name, GET_P50), ("get 10", name, GET_P50), 0)))
               for name in (PAIR, SINGLE, ETCD)]
    said = [f"{name} {reached[0]:.2f} ({between(reached[1])})" for name, reached in factors if reached]
    return [f"The others' own factor of the median of a GET between PUTs: {', '.join(said)}.", ""] \
        if said else []


def cached_beside_many(results):
    reached = ratio(results, Claim("", ("cached 1", CAIRN, rate), ("cached 30", SINGLE, rate), 0))
    return [f"A process with the cache reads {reached[0]:,.0f} times ({between(reached[1])}) what 30 "
            "connections together read from Redis.", ""] if reached else []


# --- all figures --------------------------------------------------------------------------------------


def spread(values, digits=0):
    return (f"{statistics.median(values):,.{digits}f} "
            f"({min(values):,.{digits}f}–{max(values):,.{digits}f})")


def row(results, measure, store, operation, title):
    of = lambda what: numbers(results, measure, store, what)
    cpu = "–" if store == LMDB else f"{statistics.median(of(cpu_us)):.1f}"
    digits = 3 if statistics.median(of(latency(operation, "p50_us"))) < 10 else 1
    return "| " + " | ".join([
        title, store, spread(of(rate)), spread(of(latency(operation, "p50_us")), digits),
        spread(of(latency(operation, "p99_us")), digits), cpu]) + " |"


TITLES = {"put": "PUT", "get": "GET", "mix": "GET of half GET, half PUT", "cached": "GET, hot keys",
          "ycsb": "YCSB"}
# Whose latency is shown.
OPERATIONS = {"mix": "get", "cached": "get", "ycsb": "get", "ycsb e": "scan"}


def figures(results):
    """A row for each measure and store."""
    lines = ["| workload | store | operations/s | median µs | 99% µs | CPU µs/op of servers |",
             "| --- | --- | ---: | ---: | ---: | ---: |"]
    for measure, stores in results["measures"].items():
        kind, which = (measure.split() + [""])[:2]
        if kind not in TITLES:
            continue
        operation = OPERATIONS.get(measure) or OPERATIONS.get(kind, kind)
        title = f"YCSB {which.upper()}, {clients(10)}, latency of a {operation.upper()}" if kind == "ycsb" \
            else f"{TITLES[kind]}, {clients(int(which))}"
        lines += [row(results, measure, store, operation, title + how_cached(stores[store]))
                  for store in ALL if store in stores]
    return [*lines, ""] if len(lines) > 2 else []


def how_cached(rounds):
    hits = [r["hit_rate"] * 100 for r in rounds if "hit_rate" in r]
    return f", with the cache ({statistics.median(hits):.1f}% hits)" if hits else ""


def checkpoint_text(results):
    rounds = results["measures"].get("checkpoint", {}).get(CAIRN)
    if not rounds:
        return []
    lines = ["| checkpoints ended | PUTs/s during | without | slices during | without | left out |",
             "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    number = lambda value: "–" if value is None else f"{value:,.0f}"
    for r in rounds:
        lines.append(f"| {r['checkpoints']} | {number(r['during'])} | {number(r['without'])} | "
                     f"{r['slices_during']} | {r['slices_without']} | {r['slices_disturbed']} |")
    return ["A row is a round: slices of 0.2 s in which one of the two servers worked at a checkpoint, and "
            "those in which none did;", "slices in which more than 3% of the processors' time was stolen are "
            "left out of both.", "", *lines, ""]


def written_text(results):
    stores = results["measures"].get("written")
    if not stores:
        return []
    lines = ["| store | bytes written for a byte of user data | of each copy | by the device's count | "
             "PUTs | PUTs/s |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for store in [name for name in ALL if name in stores]:
        rounds = stores[store]
        devices = [r["device"] / r["user"] for r in rounds if r["device"] is not None]
        values = [amplification(r) for r in rounds]
        lines.append(f"| {store} | {spread(values, 1)} | {statistics.median(values) / COPIES[store]:.1f} | "
                     f"{spread(devices, 1) if devices else '–'} | {rounds[0]['executed']:,} | "
                     f"{spread([rate(r) for r in rounds])} |")
    cairn = [str(r["checkpoints"]) for r in stores.get(CAIRN, [])]
    return ["User data: key and value of each PUT, 116 bytes, counted once. Random overwrites by 30 clients; "
            "snapshots and rewrites as each", "store does by default. Written: what the kernel charges the "
            "server processes with (`write_bytes` of /proc/PID/io), which is",
            "what is judged. The device's count (/proc/diskstats) has the file system's journal, too, for "
            "files that grow with each sync,", "and whatever else the machine writes. Checkpoints that "
            "Cairn's servers ended in these runs: "
            f"{', '.join(cairn) or 'none'};", "what they write when they are stopped then is counted, too: "
            "the checkpoint of what only the log has.", "", *lines, ""]


def all_results(results):
    return [r for stores in results["measures"].values() for rounds in stores.values() for r in rounds]


def noise(results):
    """How much the hypervisor took, and what was done about it."""
    every = all_results(results)
    if not every:
        return []
    again = sum(r["repeated"] for r in every)
    touched = sum(1 for r in every if r["repeated"])
    most = max(r["steal"] for r in every)
    return [f"{len(every)} measurements. The hypervisor's share of the processors' time is noted in each. "
            "With more than 3% a measurement is", "repeated up to 3 times and the least disturbed one taken "
            "(not where PUTs are counted in slices, or bytes):",
            f"{touched} were repeated, {again} times together; the largest share that stayed is "
            f"{most * 100:.1f}%.", ""]


TOPOLOGY = [
    "- cairn: a manager and two servers, two copies; a PUT is answered when both have it synced",
    "- redis+replica: a server and one replica, both `--appendonly yes --appendfsync always`; each SET is "
    "sent with WAIT 1",
    "- redis: the same without a replica",
    "- etcd: three members; clients take them in turn, the leader first; reads are linearizable. A scan is a "
    "Range with a limit",
    "  and no end, for which etcd 3.4 walks its index to the last key before it looks at the limit",
    "- lmdb: in the driver's process, each PUT a synced transaction: no network, no log, no second copy"]


def head(results):
    lines = ["One driver (`cairn-bench`), one machine for driver and all servers, "
             f"{results['keys']:,} keys of 16 bytes (YCSB: its own), values of", "100 bytes, one operation "
             f"outstanding on each client's connection. Medians of {results['rounds']} interleaved rounds of "
             f"{results['seconds']} s, each begun", "with another store, minimum and maximum in brackets; a "
             "ratio is of medians. A store runs alone and keeps its data", "from round to round.", "",
             *TOPOLOGY, ""]
    if results["absent"]:
        lines += [f"Not installed, and left out: {', '.join(results['absent'])}.", ""]
    if results["quick"]:
        lines += ["**Quick form: proves that all of this works, and measures nothing.**", ""]
    return lines
