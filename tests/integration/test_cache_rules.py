"""The checks of cached reads can fail: with a rule of the cache broken on purpose, in server and
clients, the same clients and faults as in test_cache_history give a history that fits no order.

CACHE_RULES says which rules (those that show within seconds unless set): names of
tests/lib/cache_client/broken/switch.c.
"""
import os
import random
import time
import unittest

from cache_load import CacheLoad, CacheTest, tool
from cache_nemesis import CacheNemesis
from cluster import QUICK, program, timeout

RULES = os.environ.get("CACHE_RULES", "C1_COUNTER C3_MUTATION C4 C7").split()
ROUNDS = int(os.environ.get("CACHE_ROUNDS", "8"))
# Restarts take effect only where nobody takes over meanwhile, and within a lease.
ORDINARY = {"servers": 2, "times": QUICK}
CLUSTERS = {"C7": {"servers": 1, "times": (100, 1500, 2300)}}
ORDINARY_KINDS = ("stop_agent", "stop_agent", "kill_agent", "stop_reader", "kill_server",
                  "stop_server")
KINDS = {"C7": ("restart_unheard",)}


class CacheRules(CacheTest):
    @timeout(120 * len(RULES))
    def test_a_broken_rule_is_noticed(self):
        for name in ("cache-client-broken", "cairn-server-broken"):
            if tool(name) is None:
                self.skipTest(f"{name} is not built: make cache-tests")
        for rule in RULES:
            with self.subTest(rule):
                self.assertIsNotNone(self.found(rule), f"{ROUNDS} rounds, and nothing was noticed")

    def found(self, rule):
        """What was noticed, within some rounds of faults that the rule is about."""
        seed = random.randrange(1 << 32)
        print(f"{rule}: seed {seed}")
        source, broken = random.Random(seed), {"CACHE_BROKEN_RULE": rule}
        cluster = self.cluster(start=False, partitions=4, **CLUSTERS.get(rule, ORDINARY))
        for server in cluster.servers:
            server.command[server.command.index(program("cairn-server"))] = tool("cairn-server-broken")
            server.environment.update(broken)
        cluster.start()
        for number in range(ROUNDS):
            load = CacheLoad(self, cluster, readers=4, writers=2, prefix=f"round{number}k",
                             program="cache-client-broken", environment=broken)
            nemesis = CacheNemesis(load, source)
            nemesis.kinds = [getattr(nemesis, kind) for kind in KINDS.get(rule, ORDINARY_KINDS)]
            for _ in range(4):
                nemesis.cycle()
            cluster.wait_ready()
            try:
                load.verify()
            except AssertionError as error:
                if "violation" not in str(error):
                    raise
                self.step(f"{rule}: noticed in round {number}: {str(error).splitlines()[0]}")
                return str(error)
            load.forget()
        return None


if __name__ == "__main__":
    unittest.main()
