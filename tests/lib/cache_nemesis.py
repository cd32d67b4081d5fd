"""Faults drawn at random for processes that share a cache, and for the cluster behind it."""
import os
import time

from cache_load import agent_of


class CacheNemesis:
    """One fault at a time, or two. Every draw comes from `source`, so that a seed names a run."""

    def __init__(self, load, source):
        self.load, self.cluster, self.source = load, load.cluster, source
        self.kinds = [self.kill_reader] * 3 + [self.stop_reader] * 3 + [self.kill_agent] * 3 \
            + [self.stop_agent] * 3 + [self.kill_writer] * 2 + [self.stop_writer] \
            + [self.kill_server] * 2 + [self.stop_server] * 2 + [self.kill_manager, self.stop_manager,
                                                                self.restart_unheard, self.unlink]
        self.kills = self.stops = self.unlinks = 0

    def cycle(self):
        """Begins a fault or two, lets them last, ends them; returns what they were."""
        victims, texts, undone = set(), [], []
        for _ in range(self.source.choice([1, 1, 2])):
            fault = self.source.choice(self.kinds)(victims)
            if fault is not None:
                texts.append(fault[0])
                undone.append(fault[1])
        time.sleep(self.source.choice([0.02, 0.1, 0.3, 0.6, 1.0]) * (0.5 + self.source.random()))
        for undo in undone:
            undo()
        time.sleep(self.source.random() * 0.3)
        return " and ".join(texts)

    def free(self, processes, victims):
        left = [p for p in processes if p not in victims]
        if not left:
            return None
        victims.add(self.source.choice(left))
        return next(p for p in left if p in victims)

    def killed(self, client):
        if client is None:
            return None
        client.kill()
        self.kills += 1
        return f"kill -9 of {client.name}", client.start

    def paused(self, client):
        if client is None:
            return None
        client.stop()
        self.stops += 1
        return f"{client.name} stopped", client.go_on

    def agent(self, victims):
        paths = self.cluster.segments()
        pid = agent_of(paths[0]) if paths else None
        return self.free([c for c in self.load.clients if c.running() and c.pid == pid], victims)

    def kill_reader(self, victims):
        return self.killed(self.free(self.load.readers, victims))

    def stop_reader(self, victims):
        return self.paused(self.free(self.load.readers, victims))

    def kill_writer(self, victims):
        return self.killed(self.free(self.load.writers, victims))

    def stop_writer(self, victims):
        return self.paused(self.free(self.load.writers, victims))

    def kill_agent(self, victims):
        fault = self.killed(self.agent(victims))
        return fault and (fault[0] + ", the agent", fault[1])

    def stop_agent(self, victims):
        fault = self.paused(self.agent(victims))
        return fault and (fault[0] + ", the agent", fault[1])

    def node_killed(self, node):
        if node is None:
            return None
        node.crash()
        self.kills += 1
        return f"kill -9 of {node.name}", node.start

    def node_stopped(self, node):
        if node is None:
            return None
        node.pause()
        self.stops += 1
        return f"{node.name} stopped", node.resume

    def kill_server(self, victims):
        return self.node_killed(self.free(self.cluster.servers, victims))

    def stop_server(self, victims):
        return self.node_stopped(self.free(self.cluster.servers, victims))

    def kill_manager(self, victims):
        return self.node_killed(self.free([self.cluster.manager], victims))

    def stop_manager(self, victims):
        return self.node_stopped(self.free([self.cluster.manager], victims))

    def restart_unheard(self, victims):
        """A server is killed and back at once, and the agent hears of it only later: meanwhile
        nobody but the restarted server itself keeps old grants from being read (C7)."""
        agent, server = self.stop_agent(victims), self.free(self.cluster.servers, victims)
        if agent is None or server is None:
            return agent
        server.crash()
        server.start()
        self.kills += 1
        return f"{agent[0]}, {server.name} killed and restarted", agent[1]

    def unlink(self, victims):
        paths = self.cluster.segments()
        if not paths:
            return None
        os.unlink(paths[0])
        self.unlinks += 1
        return "the segment unlinked", lambda: None
