"""Concurrent clients on the same keys while servers are killed; what they saw is checked."""
import os
import random
import time

import benchlib

from . import clusters, histories
from .texts import plural, table

TITLE = "Concurrent clients, checked"
# (servers, those killed)
SCENARIOS = [(3, []), (3, [1]), (5, [1, 2])]
COPIES = [1, 2]
AWAY_SECONDS = 3         # from the kill until the servers are started again
PATIENCE_SECONDS = 120


def count(options):
    return 1000 if options.quick else 10_000


def estimate(options):
    return len(SCENARIOS) * len(COPIES) * (2 + 5 * count(options) / 5000) + 4 * (AWAY_SECONDS + 1)


def text_of(servers, victims):
    if not victims:
        return f"{servers} servers, all healthy"
    which = " and ".join(str(victim) for victim in victims)
    return f"{servers} servers, {'server' if len(victims) == 1 else 'servers'} {which} killed half way"


def run(options, space, progress):
    fuzz = histories.load_fuzz(options.programs)
    rows = []
    try:
        for copies in COPIES:
            for servers, victims in SCENARIOS:
                with clusters.cluster(space, options, servers, copies) as store:
                    rows.append(scenario(options, space, fuzz, store, victims))
                progress(f"{text_of(servers, victims)}, copies {copies}: {rows[-1]['verdict']}")
    finally:
        histories.remove_caches(fuzz)
    return {"away": AWAY_SECONDS, "keys": fuzz.KEYS, "rows": rows}


def scenario(options, space, fuzz, store, victims):
    """One run of the clients to their end, and whether their answers fit one order."""
    seed = random.randrange(1 << 32)
    keys, lost, hurt = histories.choose_keys(store, victims, fuzz.KEYS)
    row = {"servers": len(store.addresses), "victims": victims, "copies": store.replicas,
           "clients": fuzz.CLIENTS, "seed": seed, "lost": lost, "hurt": hurt}
    next_operation, started = histories.calls(fuzz.CLIENTS, keys, seed), time.monotonic()
    recorder = fuzz.Recorder(store.manager_address, fuzz.CLIENTS, next_operation, count(options))
    try:
        if victims:
            row["killed_at"], row["done_while_away"] = kill_and_relaunch(store, recorder, victims,
                                                                         fuzz.CLIENTS * count(options))
        for thread in recorder.threads:
            thread.join()               # whose server is away waits, for ever
        row["seconds"] = time.monotonic() - started
        operations = recorder.finish()
    except AssertionError as error:     # an answer that fits no call, or a client that ended
        return {**row, "seconds": time.monotonic() - started, "operations": recorder.done(), "checked": 0,
                "longest": None, "passed": False, "verdict": str(error)[:300]}
    finally:
        recorder.kill()
    answered = [o for o in operations if o.result is not fuzz.history.UNKNOWN]
    passed, verdict = histories.check(fuzz, operations, os.path.join(space.folder, "history.jsonl"))
    return {**row, "operations": len(operations), "checked": len(answered),
            "longest": max(o.end_ns - o.start_ns for o in answered) / 1e9, "passed": passed,
            "verdict": verdict}


def kill_and_relaunch(store, recorder, victims, total):
    """(operations begun before the kill, operations answered until the servers were started again)."""
    def half_done():
        return recorder.done() >= total // 2 or not any(t.is_alive() for t in recorder.threads)
    benchlib.wait_until(half_done, "half of the operations are done", PATIENCE_SECONDS)
    before = recorder.done()
    for victim in victims:
        store.kill_server(victim)
    killed = sum(recorder.answered)
    time.sleep(AWAY_SECONDS)
    after = sum(recorder.answered)
    for victim in victims:
        store.start_server(victim)
    return before, after - killed


def rows_of(results):
    for row in results["rows"]:
        longest = "–" if row["longest"] is None else f"{row['longest'] * 1000:,.0f}"
        yield [text_of(row["servers"], row["victims"]), row["copies"], row["clients"],
               f"{row['lost']} / {row['hurt']}" if row["victims"] else "",
               f"{row['operations']:,}", f"{row['checked']:,}", f"{row['seconds']:.1f}", longest,
               f"{row['done_while_away']:,}" if "done_while_away" in row else "",
               "passed" if row["passed"] else "**failed**"]


def longest(results, choose):
    """Of the runs in which servers were killed and that the function chooses, in words."""
    found = [row["longest"] for row in results["rows"]
             if row["victims"] and row["longest"] is not None and choose(row)]
    if not found:
        return None
    low, high = min(found), max(found)
    return f"{low:.2f} s" if len(found) == 1 else f"{low:.2f} s to {high:.2f} s"


def wait_text(results):
    waited, taken = longest(results, lambda row: row["lost"]), longest(results, lambda row: not row["lost"])
    found = []
    if waited:
        found += ["Where all copies of a key were on killed servers, calls for it wait until these are "
                  f"started again, {results['away']} s after the kill, and then go on: the longest call of "
                  f"a run took {waited}."]
    if taken:
        found += ["Where another server had a copy of every key, it takes over, and the longest call of a "
                  f"run took {taken}."]
    return found


def section(results):
    failed = [row for row in results["rows"] if not row["passed"]]
    checked = sum(row["checked"] for row in results["rows"])
    verdict = (f"All {len(results['rows'])} runs passed: {checked:,} answers, none of which contradicts the "
               "others." if not failed else
               f"{plural(len(failed), 'run')} of {len(results['rows'])} failed: " +
               "; ".join(f"{text_of(r['servers'], r['victims'])}, copies {r['copies']}, seed {r['seed']}: "
                         f"`{r['verdict']}`" for r in failed))
    return [
        f"{plural(results['rows'][0]['clients'], 'client')} (`cairn workload`) do GETs, PUTs, SWAPs and "
        f"DELETEs on the same {results['keys']} keys and share a cache of this host. Every call is "
        "recorded with the times when it began and when it was answered; a checker then looks for one "
        "order of all calls that fits these times and every answer (linearizability). Servers are killed "
        "with SIGKILL, all at once, when half of the calls have begun, and started again "
        f"{results['away']} s later on their data. *Lost*: keys that have all their copies on killed "
        "servers, *hurt*: one of two; keys are chosen so that there are such. *Meanwhile*: from the kill to "
        "the start.", "",
        *table(["scenario", "copies", "clients", "keys lost / hurt", "operations", "checked", "seconds",
                "longest call ms", "answered meanwhile", "result"], rows_of(results)), "",
        verdict, *wait_text(results), ""]


def charts(results):
    return []
