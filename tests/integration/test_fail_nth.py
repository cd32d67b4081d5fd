"""Calls into the system that fail: a few of the many cases of tools/fail-nth, others in each run.

Memory, files, connections, threads: one call fails, once or for ever, in a client, a server or a
manager. That is an error or a clean end, never a wrong answer, a lost write, a hang or a crash.
"""
import os
import random
import shutil
import subprocess
import unittest
import unittest.mock

import fail_cases
import fail_nth
import fail_units
from cluster import QUICK, CairnTest, program, timeout

CASES = int(os.environ.get("FAIL_CASES", "0"))


CARELESS = """
#include <stdlib.h>
int main(int argc, char **argv)
{
    char *first = malloc(10), *second = malloc(10);
    while (first == NULL)
        ;
    *second = 'x';
    return 0;
}
"""


class FailNth(CairnTest):
    def setUp(self):
        if shutil.which("cc") is None:
            self.skipTest("no compiler for the library that makes calls fail")
        if os.environ.get("CAIRN_BIN", "").find("san") >= 0:
            self.skipTest("sanitizers have an allocator of their own")
        self.seed = random.randrange(1 << 32)
        print("seed", self.seed)
        self.random = random.Random(self.seed)
        self.library = fail_nth.build(self.temporary())

    def sample(self, places, target, count):
        """Of all kinds, and of kinds that have few places as often as of those that have many."""
        binary = program(target)
        places = fail_nth.unlike(p for p in places if fail_nth.inside(binary, p.frames, p.base))
        self.assertGreater(len(places), 20)
        kinds = sorted({place.kind for place in places})
        for _ in range(CASES or count):
            kind = self.random.choice(kinds)
            place = self.random.choice(sorted(p for p in places if p.kind == kind))
            yield (kind, 1, place.stack, self.random.random() < 0.5), self.random.randrange(1 << 32)

    def tell(self, case):
        self.step(f"{case.arming[0]} {'for ever' if case.arming[3] else 'once'} at {case.site[:1]}"
                  f"{'' if case.fired else ', not met'}")
        return case.fired

    def test_crashes_and_hangs_are_noticed(self):
        folder = self.temporary()
        binary = os.path.join(folder, "careless")
        subprocess.run(["cc", "-g", "-O0", "-x", "c", "-o", binary, "-"], input=CARELESS.encode(), check=True)
        run = fail_units.Run(self.library, binary)
        self.assertEqual((None, False), (run.wrong, run.fired))
        for nth, what in ((1, "hang in main"), (2, "crash: SIGSEGV in main")):
            run = fail_units.Run(self.library, binary, ("alloc", nth), seconds=(1, 1))
            self.assertTrue(run.fired and run.wrong.startswith(what), run.wrong)
            self.assertTrue(run.site[0].startswith("main "), run.site)

    def test_servers_that_look_away_are_noticed(self):
        """The program is told that its sync or write was done, which it was not: as if it did not ask."""
        for phase, kind in (("run", "write"), ("start", "sync")):
            case = fail_cases.Case(self.library, "server", phase, (kind, 1, 0, True), lies=True)
            with unittest.mock.patch.object(fail_cases, "AFTER_SECONDS", 3), \
                    self.assertRaises(AssertionError) as raised:
                case.run()
            self.assertTrue(case.fired)
            self.step(f"{kind}: {str(raised.exception)[:100]}")

    @timeout(60)
    def test_in_clients(self):
        cluster = self.cluster(servers=2, partitions=4, times=QUICK)
        noted = fail_cases.Clients(self.library, cluster)
        noted.run()
        met = 0
        for arming, seed in self.sample(noted.places, "cairn", 12):
            case = fail_cases.Clients(self.library, cluster, arming, seed)
            case.run()
            met += self.tell(case)
        self.assertGreater(met, 0)

    def processes(self, target, phase, count):
        noted = fail_cases.Case(self.library, target, phase)
        noted.run()
        met = 0
        for arming, seed in self.sample(noted.places, "cairn-" + target, count):
            case = fail_cases.Case(self.library, target, phase, arming, seed=seed)
            case.run()
            met += self.tell(case)
        return met

    @timeout(120)
    def test_in_a_server(self):
        self.processes("server", "run", 2)

    @timeout(120)
    def test_in_a_server_that_recovers(self):
        self.processes("server", "start", 1)

    @timeout(120)
    def test_in_a_log_written_through_io_uring(self):
        case = fail_cases.Case(self.library, "server", "run", ("completion", 2), "auto")
        case.run()
        if not case.fired:
            self.skipTest("no io_uring here")
        self.assertTrue(any("ended with" in note for note in case.notes), case.notes)

    @timeout(120)
    def test_in_a_manager(self):
        self.processes("manager", "run", 1)


if __name__ == "__main__":
    unittest.main()
