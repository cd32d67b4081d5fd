"""Faults drawn at random for a running cluster: each begins, lasts a while and ends."""


class Nemesis:
    """One fault, or two at once. Every draw comes from `source`, so that a seed names a run."""

    def __init__(self, cluster, source):
        self.cluster, self.source, self.net = cluster, source, cluster.network
        self.kinds = [self.kill, self.kill, self.kill_all, self.pause, self.pause,
                      self.kill_manager, self.pause_manager]
        if self.net:
            self.kinds += [self.cut, self.cut, self.isolate, self.disturb]
        self.names = ["m", *(s.name for s in cluster.servers)]
        self.busy = set()

    def begin(self, count=1):
        """Begins so many faults; returns (what they are, a function that ends them)."""
        self.busy = set()
        begun = [kind() for kind in self.source.sample(self.kinds, count)]
        begun = [fault for fault in begun if fault]

        def end():
            for _, undo in begun:
                undo()
        return " and ".join(text for text, _ in begun), end

    def free(self, nodes):
        """One of the nodes that no other fault of this round has; None if there is none."""
        left = [n for n in nodes if n.name not in self.busy]
        if not left:
            return None
        node = self.source.choice(left)
        self.busy.add(node.name)
        return node

    def killed(self, node):
        if node is None:
            return None
        node.crash()
        return f"kill -9 of {node.name}", node.start

    def paused(self, node):
        if node is None:
            return None
        node.pause()
        return f"{node.name} stopped", node.resume

    def kill(self):
        return self.killed(self.free(self.cluster.servers))

    def pause(self):
        return self.paused(self.free(self.cluster.servers))

    def kill_manager(self):
        return self.killed(self.free([self.cluster.manager]))

    def pause_manager(self):
        return self.paused(self.free([self.cluster.manager]))

    def kill_all(self):
        faults = [self.killed(n) for n in iter(lambda: self.free(self.cluster.servers), None)]

        def undo():
            for _, start in faults:
                start()
        return ", ".join(text for text, _ in faults), undo

    def network_is_busy(self):
        busy = "network" in self.busy
        self.busy.add("network")
        return busy

    def cut(self):
        if self.network_is_busy():
            return None
        link = tuple(self.source.sample(self.names, 2))
        self.net.cut(link)
        return "{}>{} cut".format(*link), self.net.heal

    def isolate(self):
        if self.network_is_busy():
            return None
        name = self.source.choice(self.names)
        self.net.isolate(name, but=("c0",))
        return f"{name} alone with client 0", self.net.heal

    def disturb(self):
        if self.network_is_busy():
            return None
        self.net.rules(loss=0.05, repeat=0.05, delay_ms=[0, 10])
        return "packets lost, repeated, reordered", self.net.heal
