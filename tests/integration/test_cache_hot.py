"""A read from the shared cache is no system call."""
import os
import re
import shutil
import subprocess
import unittest

from cache_load import CacheTest, tool
from cluster import QUICK, SCALE, Node, program, timeout

BLOCKS = 40


class CacheHot(CacheTest):
    @timeout(90)
    def test_ten_thousand_cached_reads_make_no_system_call(self):
        """Now and then a reader looks whether the segment is still the host's, or a lease ends: of
        many blocks of 10,000 reads some are without, and none has a call for each read."""
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed (tools/install-deps)")
        cluster = self.cluster(servers=1, partitions=2, times=QUICK)
        cluster.add(Node("agent", [program("cairn"), "--manager", cluster.manager_address, "agent"],
                         cluster.folder, {"CAIRN_CACHE_NAME": cluster.cache_name})).start()
        self.expect(cluster.cli("put", "hot", "value"), 0)
        trace = os.path.join(cluster.folder, "trace")
        done = subprocess.run(
            ["strace", "-o", trace, tool("cache-client"), "--manager", cluster.manager_address,
             "--keys", "hot", "--no-agent", "--blocks", str(BLOCKS)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=80 * SCALE, check=False, env=cluster.environment())
        text = done.stdout.decode(errors="replace")
        if "PTRACE" in text:
            self.skipTest("nothing can be traced here: " + text.splitlines()[-1])
        self.assertEqual(0, done.returncode, text)
        with open(trace, encoding="utf-8", errors="replace") as file:
            blocks = re.findall(r'"block begins".*\n((?:.*\n)*?).*"block ends"', file.read())
        calls = [block.count("\n") for block in blocks]
        self.step(f"system calls in blocks of 10,000 reads: {calls}")
        self.assertEqual(BLOCKS, len(calls))
        self.assertIn(0, calls)


if __name__ == "__main__":
    unittest.main()
