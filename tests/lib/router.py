#!/usr/bin/env python3
"""A network between tun devices, in one process: routes IPv4 packets, and loses, delays, repeats,
reorders or cuts them as told.

    router.py ADDRESS=FD...

Each FD is the open end of one node's tun device. Rules come as lines of JSON on stdin, one object
each, and replace all earlier ones; each is answered by "ok" on stdout. End of input ends it.

    {"cut": [[FROM, TO], ...], "loss": 0.1, "repeat": 0.05, "delay_ms": [0, 20]}

A cut is one way. Every packet's delay is drawn by itself from the range, so a range reorders.
"""
import heapq
import json
import os
import random
import selectors
import sys
import time

PACKET_LIMIT = 65536


class Router:
    def __init__(self, ports):
        """ports: {address: fd}"""
        self.ports = {bytes(map(int, address.split("."))): fd for address, fd in ports.items()}
        self.delayed, self.number = [], 0
        self.take_rules({})

    def take_rules(self, rules):
        as_bytes = lambda address: bytes(map(int, address.split(".")))  # noqa: E731
        self.cut = {(as_bytes(a), as_bytes(b)) for a, b in rules.get("cut", [])}
        self.loss, self.repeat = rules.get("loss", 0), rules.get("repeat", 0)
        low, high = rules.get("delay_ms", (0, 0))
        self.delay = (low / 1000, high / 1000)

    def receive(self, fd):
        """Takes in a bounded number of packets, so that no port starves another."""
        for _ in range(32):
            try:
                packet = os.read(fd, PACKET_LIMIT)
            except BlockingIOError:
                return
            if len(packet) < 20 or packet[0] >> 4 != 4:
                continue
            self.route(packet, packet[12:16], packet[16:20])

    def route(self, packet, source, target):
        port = self.ports.get(target)
        if port is None or (source, target) in self.cut or random.random() < self.loss:
            return
        for _ in range(2 if random.random() < self.repeat else 1):
            if self.delay[1] == 0:
                self.send(port, packet)
            else:
                self.number += 1
                at = time.monotonic() + random.uniform(*self.delay)
                heapq.heappush(self.delayed, (at, self.number, port, packet))

    @staticmethod
    def send(port, packet):
        try:
            os.write(port, packet)
        except OSError:
            pass  # full, or taken down: lost, as on any network

    def send_due(self):
        """Sends what is due; returns the seconds until the next one is, or None."""
        now = time.monotonic()
        while self.delayed and self.delayed[0][0] <= now:
            _, _, port, packet = heapq.heappop(self.delayed)
            self.send(port, packet)
        return max(0, self.delayed[0][0] - now) if self.delayed else None

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        for fd in self.ports.values():
            os.set_blocking(fd, False)
            selector.register(fd, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(self.send_due()):
                if key.fd != 0:
                    self.receive(key.fd)
                elif not self.command():
                    return

    def command(self):
        line = sys.stdin.buffer.raw.readline()
        if not line:
            return False
        self.take_rules(json.loads(line))
        os.write(1, b"ok\n")
        return True


if __name__ == "__main__":
    Router({address: int(fd) for address, fd in (word.split("=") for word in sys.argv[1:])}).run()
