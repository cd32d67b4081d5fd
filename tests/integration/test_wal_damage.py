"""A damaged log on a real server: everything acknowledged is served, or the start is refused with
file and offset told (W3). Nothing in between."""
import os
import random
import re
import shutil
import unittest

import formats
from cluster import CairnTest, timeout, wait_until

KEYS = 12
# Damage to a few bytes of each region, and cuts; the unit tests go through every byte.
SAMPLES = int(os.environ.get("WAL_SAMPLES", "24"))


class WalDamage(CairnTest):
    def setUp(self):
        """A crashed server's directory, kept as a copy to start from again and again."""
        self.c = self.cluster(servers=1, partitions=4)
        for n in range(KEYS):
            self.expect(self.c.cli("put", f"k{n}", f"v{n}"), 0)
        self.server = self.c.servers[0]
        # What lies below a synced mark cannot be taken for a torn tail (W3).
        wait_until(lambda: formats.ends_with_mark(os.path.join(self.server.data, "wal")),
                   "the idle log writes a mark")
        self.server.crash()
        self.kept = self.server.data + ".kept"
        os.rename(self.server.data, self.kept)

    def start_on(self, damage):
        """Starts on a damaged copy; returns "served" or "refused" after checking that it is so."""
        shutil.rmtree(self.server.data, ignore_errors=True)
        shutil.copytree(self.kept, self.server.data)
        path = formats.last_written(os.path.join(self.server.data, "wal"))
        what = damage(path)
        self.server.start()
        wait_until(lambda: not self.server.running() or " serving " in self.server.log(),
                   f"{what}: starts or refuses")
        if self.server.running():
            self.served(what)
            self.server.crash()
            return "served"
        log = self.server.log()
        self.assertEqual(2, self.server.process.returncode, (what, log[-1500:]))
        self.server.process = None
        lines = re.findall(r"(?m)^ERROR: (.*)$", log)
        self.assertEqual(1, len(lines), (what, log[-1500:]))
        self.assertIn(".seg", lines[0], what)
        self.assertRegex(lines[0], r"offset \d+", what)
        return "refused"

    def served(self, what):
        """Whatever was acknowledged is there."""
        for n in range(KEYS):
            result = self.c.cli("--timeout", "20000", "get", f"k{n}")
            self.assertEqual((0, f"v{n}\n".encode()), (result.code, result.out), (what, result))

    @timeout(240)
    def test_flipped_bytes(self):
        end = formats.used_bytes(formats.last_written(os.path.join(self.kept, "wal")))
        offsets = random.sample(range(formats.BLOCK, end), SAMPLES) + [0, 8, 40]
        outcomes = []
        for offset in offsets:
            def flip(path):
                with open(path, "r+b") as file:
                    file.seek(offset)
                    byte = file.read(1)[0]
                    file.seek(offset)
                    file.write(bytes([byte ^ (1 << random.randrange(8))]))
                return f"bit flipped at {offset} of {end}"
            outcomes.append(self.start_on(flip))
        self.step(f"{len(outcomes)} flips: {outcomes.count('served')} served all, "
                  f"{outcomes.count('refused')} refused")
        self.assertIn("refused", outcomes)

    @timeout(120)
    def test_cut_segments(self):
        end = formats.used_bytes(formats.last_written(os.path.join(self.kept, "wal")))
        for length in (0, 1, 63, formats.BLOCK - 1, formats.BLOCK, formats.BLOCK + 20, end // 2, end - 1):
            def cut(path):
                os.truncate(path, length)
                return f"cut to {length} of {end}"
            self.start_on(cut)

    def test_zeros_behind_the_end_are_no_damage(self):
        self.assertEqual("served", self.start_on(lambda path: "nothing changed"))

    def test_a_missing_segment_is_told(self):
        shutil.rmtree(self.server.data, ignore_errors=True)
        shutil.copytree(self.kept, self.server.data)
        os.remove(formats.segments(os.path.join(self.server.data, "wal"))[0])
        self.server.start()
        log = self.server.expect_exit(2)
        self.assertRegex(log, r"(?m)^ERROR: ")

    def test_garbage_in_the_store_is_told(self):
        shutil.rmtree(self.server.data, ignore_errors=True)
        shutil.copytree(self.kept, self.server.data)
        for folder, _, names in os.walk(os.path.join(self.server.data, "store")):
            for name in names:
                if "lock" not in name:
                    with open(os.path.join(folder, name), "r+b") as file:
                        file.write(os.urandom(16384))
        self.server.start()
        log = self.server.expect_exit(2)
        self.assertRegex(log, r"(?m)^ERROR: ")


if __name__ == "__main__":
    unittest.main()
