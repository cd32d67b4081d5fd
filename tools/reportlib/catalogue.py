"""The experiments in the order of the report."""
EXPERIMENTS = ["fuzz", "clients", "scaling", "latency", "peers", "cache", "failover", "recovery",
               "costs", "checkpoint", "memory"]
