"""A power loss at any moment loses nothing that was acknowledged (W1, W3, W4, W5, R1, R10): a real cluster's
writes and syncs are recorded, and its nodes' recovery starts on what power losses may leave behind each
of them. With syncs that are none it has to notice. `just crash-images` tries many more."""
import os
import random
import tempfile
import unittest

from cache_load import tool
from cluster import CairnTest, timeout
from crash_images import LIES, SERVER_OPTIONS, Recording

# About so many states each; `just crash-images` has its own numbers.
STATES = int(os.environ.get("CRASH_STATES", "120"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.randrange(1, 1 << 32)


class CrashImages(CairnTest):
    def record(self, servers, operations, rounds, **options):
        library = tool("disk-record.so")
        if library is None or tool("crash-images") is None or tool("crash-images-manager") is None:
            self.skipTest("crash-images is not built: make crash-tests")
        self.step(f"CRASH_SEED={SEED}")
        c = self.cluster(servers=servers, partitions=4, start=False, server_options=SERVER_OPTIONS)
        self.recording = Recording(c, self.temporary(), library, SEED, **options)
        self.recording.script(operations, rounds)
        self.assertEqual([], self.recording.differences(), "the recorder missed something")
        return self.recording

    def images(self, **options):
        """In memory where there is room for them."""
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="cairn-images-", dir=place) as folder:
            counts, told = self.recording.images(folder, **options)
        self.step(f"{options}: {counts}")
        return counts, "\n".join(told)

    def keeps_all(self, states, **options):
        counts, told = self.images(limit=states, **options)
        self.assertGreater(counts["kept"], states // 3, told)
        for bad in ("lost", "broke", "refused"):
            self.assertEqual(0, counts[bad], f"CRASH_SEED={SEED}\n{told}")

    @timeout(120)
    def test_one_copy_and_syncs_that_are_none(self):
        self.record(servers=1, operations=600, rounds=3, large=0.2)
        self.keeps_all(STATES)
        self.keeps_all(STATES // 2, node="m")
        self.assertIsNone(self.recording.start_real(self.recording.events(), 0))
        for lie in LIES:
            with self.subTest(f"no sync of the {lie}"):
                counts, told = self.images(limit=STATES // 4, lie=lie)
                self.assertGreater(counts["lost"] + counts["refused"], 0, told)
        counts, told = self.images(limit=STATES // 2, node="m", lie="log")
        self.assertGreater(counts["lost"] + counts["refused"], 0, told)

    @timeout(120)
    def test_two_copies(self):
        self.record(servers=2, operations=400, rounds=2, large=0.2)
        for node in ("s0", "s1"):
            self.keeps_all(STATES, node=node)
        self.keeps_all(STATES // 2, node="m")


if __name__ == "__main__":
    unittest.main()
