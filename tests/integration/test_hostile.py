"""Hostile and careless peers on every port, while good clients are served."""
import os
import random
import socket
import struct
import time
import unittest

from cluster import SCALE, CairnTest, timeout, wait_until
from workload import Workload

IDLE = 1000
CROWD = 2000
FILES = 64
MANAGER_PROGRAM, SERVER_PROGRAM = 0x2ca10001, 0x2ca10002


def record(body, last=True):
    return struct.pack(">I", len(body) | (0x80000000 if last else 0)) + body


def call(program, version, procedure, arguments=b"", xid=7, rpc_version=2):
    return struct.pack(">IIIIII", xid, 0, rpc_version, program, version, procedure) \
        + bytes(16) + arguments


def opaque(content):
    return struct.pack(">I", len(content)) + content + bytes(-len(content) % 4)


class HostileTest(CairnTest):
    def connect(self, address):
        host, port = address.split(":")
        made = socket.create_connection((host, int(port)), 10)
        self.sockets.append(made)
        return made


class Hostile(HostileTest):
    def setUp(self):
        self.c = self.cluster(servers=2)
        self.sockets = []
        self.addCleanup(lambda: [s.close() for s in self.sockets])
        self.ports = [(self.c.manager_address, MANAGER_PROGRAM)] + [
            (address, SERVER_PROGRAM) for address in self.c.addresses]

    def good_clients_are_served(self):
        self.c.check_alive()
        keys = [self.c.key_on(server) for server in range(2)]
        for key in keys:
            self.expect(self.c.cli("put", key, "v"), 0)
            self.expect(self.c.cli("get", key), 0, "v\n")

    def exchange(self, address, content, wait=0.2):
        """Sends, and returns what comes back before the peer closes or is silent."""
        peer = self.connect(address)
        peer.settimeout(wait)
        back = b""
        try:
            peer.sendall(content)
            while True:
                part = peer.recv(65536)
                if not part:
                    break
                back += part
        except (socket.timeout, ConnectionError):
            pass
        peer.close()
        return back

    @timeout(120)
    def test_random_bytes_on_every_port(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        for address, _ in self.ports:
            for _ in range(60):
                self.exchange(address, source.randbytes(source.randrange(1, 5000)), 0.01)
        self.good_clients_are_served()

    @timeout(120)
    def test_random_arguments_behind_a_good_call_header(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        for address, program in self.ports:
            for procedure in range(9):
                for _ in range(12):
                    body = call(program, 1, procedure, source.randbytes(4 * source.randrange(200)))
                    self.exchange(address, record(body), 0.01)
        self.good_clients_are_served()

    @timeout(120)
    def test_every_truncation_of_a_put(self):
        arguments = struct.pack(">QQQIQQ", 0, 99, 1, 0, 0, 0) + opaque(b"key") + opaque(b"value")
        body = call(SERVER_PROGRAM, 1, 2, arguments)
        for length in range(0, len(body), 2):
            # A whole record with a short body, and a record that promises more than comes.
            self.exchange(self.c.addresses[0], record(body[:length]), 0.005)
            self.exchange(self.c.addresses[0], record(body)[:length], 0.005)
        self.good_clients_are_served()

    def test_lengths_that_lie(self):
        for claimed in (0xffffffff, 0x7fffffff, 0x80000000, 481, 1 << 20):
            arguments = struct.pack(">QQQIQQ", 0, 99, 1, 0, 0, 0) + struct.pack(">I", claimed) + b"k"
            self.exchange(self.c.addresses[0], record(call(SERVER_PROGRAM, 1, 2, arguments)))
        for header in (0xffffffff, 0x7fffffff, 0x80000000, 0):
            for address, _ in self.ports:
                self.exchange(address, struct.pack(">I", header) + b"x" * 100, 0.1)
        self.good_clients_are_served()

    def test_endless_empty_fragments(self):
        for address, _ in self.ports:
            self.exchange(address, record(b"", last=False) * 5000, 0.2)
        self.good_clients_are_served()

    def test_a_call_in_many_fragments_is_answered(self):
        for address, program in self.ports:
            body = call(program, 1, 0)
            pieces = b"".join(record(body[i:i + 1], last=i == len(body) - 1) for i in range(len(body)))
            back = self.exchange(address, pieces)
            # xid, REPLY, MSG_ACCEPTED, no verifier, SUCCESS
            self.assertEqual(struct.pack(">IIIIII", 7, 1, 0, 0, 0, 0), back[4:], address)

    def test_versions_are_refused_as_rfc_5531_says(self):
        for address, program in self.ports:
            for body, status in ((call(program, 9, 0), 2), (call(program + 77, 1, 0), 1),
                                 (call(program, 1, 99), 3), (call(program, 1, 1, b"\1"), 4)):
                back = self.exchange(address, record(body))
                self.assertEqual((7, 1, 0, 0, 0, status), struct.unpack(">IIIIII", back[4:28]),
                                 (address, status))
            back = self.exchange(address, record(call(program, 1, 0, rpc_version=3)))
            # MSG_DENIED, RPC_MISMATCH, versions 2 to 2
            self.assertEqual((7, 1, 1, 0, 2, 2), struct.unpack(">IIIIII", back[4:28]), address)

    @timeout(120)
    def test_a_thousand_idle_connections(self):
        for address, _ in self.ports:
            for _ in range(IDLE):
                self.connect(address)
        self.good_clients_are_served()
        status = self.c.cli("--timeout", "10000", "status")
        self.expect(status, 0)

    def test_a_client_that_sends_one_byte_a_second(self):
        slow = []
        for address, program in self.ports:
            body = record(call(program, 1, 0))
            slow.append((self.connect(address), body))
        for i in range(4):
            for peer, body in slow:
                peer.sendall(body[i:i + 1])
            self.good_clients_are_served()
            time.sleep(1)

    @timeout(120)
    def test_a_client_that_reads_nothing(self):
        """Its replies wait in bounded queues; others go on."""
        key = self.c.key_on(0)
        value = os.urandom(1 << 19).replace(b"\n", b"x")
        self.expect(self.c.cli("put", key, "-", stdin=value), 0)
        peer = self.connect(self.c.addresses[0])
        peer.settimeout(2)
        get = record(call(SERVER_PROGRAM, 1, 1, struct.pack(">QQ", 0, 0) + opaque(key.encode())))
        sent = 0
        try:
            for sent in range(4000):
                peer.sendall(get)
        except (socket.timeout, ConnectionError):
            pass
        self.good_clients_are_served()
        self.assertLess(self.resident(self.c.servers[0]), 1 << 30, f"after {sent} calls")

    def resident(self, node):
        with open(f"/proc/{node.process.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    @timeout(120)
    def test_two_thousand_connections_half_silent_half_garbage(self):
        """On each port. The garbage: random bytes, and large records that never end, of which the
        server may keep no more than its limit of memory."""
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        for address, program in self.ports:
            large = struct.pack(">I", 0x80000000 | 900 << 10) + call(program, 1, 1) + bytes(300 << 10)
            for n in range(CROWD):
                peer = self.connect(address)
                if n % 2 == 0:
                    continue
                peer.setblocking(False)
                try:
                    peer.send(large if n % 4 == 1 else source.randbytes(source.randrange(1, 3000)))
                except (BlockingIOError, ConnectionError):
                    pass
        for _ in range(3):
            self.good_clients_are_served()
        # Sanitizers keep what was freed for a while.
        most = (768 if SCALE == 1 else 1536) << 20
        for node in self.c.nodes:
            self.assertLess(self.resident(node), most, node.name)
        self.expect(self.c.cli("--timeout", "10000", "status"), 0)

    def test_many_short_connections(self):
        for address, _ in self.ports:
            for _ in range(500):
                made = self.connect(address)
                made.close()
        self.good_clients_are_served()

    def test_a_broken_or_silent_server_blocks_no_other(self):
        """Server 0 is stopped in mid-air: it accepts and answers nothing."""
        keys = [self.c.key_on(server) for server in range(2)]
        for key in keys:
            self.expect(self.c.cli("put", key, "v"), 0)
        self.c.servers[0].pause()
        try:
            self.expect(self.c.cli("--timeout", "15000", "get", keys[1]), 0, "v\n")
            self.expect(self.c.cli("--timeout", "700", "get", keys[0]), 3, "")
            result = self.c.cli("--timeout", "700", "put", keys[0], "w")
            self.expect(result, 3, "")
        finally:
            self.c.servers[0].resume()
        self.expect(self.c.cli("get", keys[1]), 0, "v\n")
        self.assertIn(self.c.cli("get", keys[0]).out, (b"v\n", b"w\n"))


class FewFiles(HostileTest):
    """Processes that may open few files (ulimit -n), and peers that want them all."""

    def setUp(self):
        self.sockets = []
        self.addCleanup(lambda: [s.close() for s in self.sockets])
        self.c = self.cluster(servers=2, start=False)
        for node in self.c.nodes:
            node.command = ["prlimit", f"--nofile={FILES}:{FILES}", "--", *node.command]
        self.c.start()

    def processor_seconds(self, node):
        with open(f"/proc/{node.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @timeout(120)
    def test_those_served_go_on_and_nothing_spins(self):
        served = Workload(self.c.manager_address, "--no-cache")
        self.addCleanup(served.kill)
        keys = [self.c.key_on(server) for server in range(2)]
        for key in keys:
            self.assertEqual(f"PUT {key} not_found", served.call(f"PUT {key} v"))
        addresses = [self.c.manager_address, *self.c.addresses]
        for address in addresses:
            for _ in range(3 * FILES):
                self.connect(address)
        before = [self.processor_seconds(node) for node in self.c.nodes]
        time.sleep(2)
        for node, used in zip(self.c.nodes, before):
            self.assertLess(self.processor_seconds(node) - used, 1, f"{node.name} spins")
            self.assertRegex(node.log(), "few files may be open .* files=64 connections=24")
            self.assertIn("cannot accept connections for now: as many are open as may be", node.log())
        # Segments of the log and checkpoints need files while peers hold all that they get.
        for n in range(24):
            value = f"{n}" + "x" * (1 << 19)
            self.assertIn(" found", served.call(f"PUT {keys[n % 2]} {value}"))
            self.assertEqual(f"GET {keys[n % 2]} {value}", served.call(f"GET {keys[n % 2]}"))
        # A new one is told that it cannot be served.
        self.expect(self.c.cli("--timeout", "1000", "get", keys[0]), 3, "")
        for made in self.sockets:
            made.close()
        wait_until(lambda: self.c.cli("--timeout", "1000", "get", keys[0]).code == 0, "all are served again")
        self.c.check_alive()


if __name__ == "__main__":
    unittest.main()
