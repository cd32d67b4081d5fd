"""A network of its own for one cluster: a network namespace for each node, and a router of the
tests between them (router.py) that cuts links one way, loses, delays, repeats and reorders packets.

It needs root, `ip` and /dev/net/tun, but no module of the kernel for any of the faults. The names
of the namespaces begin with the test's process id; close() removes all of them.
"""
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
ROUTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "router.py")
FOLDER = "/run/netns"


class NoNetwork(Exception):
    """Why there are no network namespaces here."""


def namespaces_of(pid):
    """The namespaces that a test's process has made."""
    try:
        return [name for name in os.listdir(FOLDER) if name.startswith(f"cairn{pid}-")]
    except FileNotFoundError:
        return []


def remove_namespace(name):
    subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          check=False)
    if done.returncode != 0:
        raise NoNetwork(f"ip {' '.join(arguments)}: {done.stderr.decode().strip()}")


class Network:
    def __init__(self):
        """Raises NoNetwork with the reason if the machine or its owner does not allow it."""
        if os.geteuid() != 0:
            raise NoNetwork("network namespaces need root")
        if shutil.which("ip") is None:
            raise NoNetwork("ip is not installed (package iproute2)")
        self.addresses, self.ports, self.router = {}, {}, None
        self.probe()

    def probe(self):
        """Whether namespaces and tun devices can be made is found by making them."""
        try:
            self.add("probe")
        except NoNetwork:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise NoNetwork(f"/dev/net/tun: {error.strerror}") from None

    def add(self, name):
        """A namespace for the node `name`, unless there is one; returns its address."""
        if name in self.addresses:
            return self.addresses[name]
        assert self.router is None, "the router knows only nodes made before it started"
        number = len(self.addresses) + 1
        device, space = f"ct{os.getpid()}x{number}", self.namespace(name)
        port = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        address = f"10.99.0.{number}"
        self.addresses[name], self.ports[address] = address, port
        fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        ip("netns", "add", space)
        ip("link", "set", device, "netns", space)
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "address", "add", address + "/24", "dev", device)
        ip("-n", space, "link", "set", device, "up")
        return address

    def namespace(self, name):
        return f"cairn{os.getpid()}-{name}"

    def command(self, name):
        """What runs a program as that node; it keeps its process id."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def start(self):
        """Connects all nodes added so far."""
        self.router = subprocess.Popen(
            [sys.executable, ROUTER, *(f"{a}={fd}" for a, fd in self.ports.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=list(self.ports.values()))
        self.heal()

    def rules(self, **rules):
        """Replaces what is in force; see router.py. Packets under way keep their delay."""
        self.router.stdin.write(json.dumps(rules).encode() + b"\n")
        self.router.stdin.flush()
        if self.router.stdout.readline() != b"ok\n":
            raise AssertionError("the router has ended")

    def heal(self):
        self.rules()

    def cut(self, *links):
        """links: (from, to) pairs of names; each is cut in that direction only."""
        self.rules(cut=[[self.addresses[a], self.addresses[b]] for a, b in links])

    def isolate(self, name, but=()):
        """Cuts a node off from all others, both ways, except those named."""
        others = [n for n in self.addresses if n != name and n not in but]
        self.cut(*[(name, o) for o in others], *[(o, name) for o in others])

    def close(self):
        if self.router is not None:
            self.router.stdin.close()
            self.router.wait(10)
            self.router.stdout.close()
            self.router = None
        for port in self.ports.values():
            os.close(port)
        self.ports = {}
        for name in namespaces_of(os.getpid()):
            remove_namespace(name)
