"""Data directories that released versions wrote: how they are made, kept, and what they must hold.

tests/data/VERSION/NAME.tar.xz holds the folders m (the manager's), s0, s1 (the servers'); NAME.json says
where they listened, what is in them, and what was answered to a session's last call. Kept as bytes, so
that what today's programs read is what the old ones really wrote.
"""
import json
import os
import socket
import subprocess
import tarfile
import time

import wire
from cluster import ROOT, SCALE, clean_environment, wait_until

DATA = os.path.join(ROOT, "tests", "data")
# Beside the addresses of every other test: the map in the directories names them for good.
HOST = "127.61.%d.%d"
MANAGER_PORT, SERVER_PORT = 13660, 13661


class Content:
    """What a set of directories holds, as its JSON says."""

    def __init__(self, said):
        self.said = said

    @staticmethod
    def read(version, name):
        with open(os.path.join(DATA, version, name + ".json"), encoding="ascii") as file:
            return Content(json.load(file))

    @property
    def pairs(self):
        """{key: (version, value)}; in the file: key, version, a text, how often it is in the value"""
        return {bytes.fromhex(key): (version, bytes.fromhex(text) * times)
                for key, version, text, times in self.said["pairs"]}

    @property
    def absent(self):
        return [bytes.fromhex(key) for key in self.said["absent"]]


def available():
    """[(version, name)]"""
    return sorted((version, entry[:-len(".tar.xz")]) for version in os.listdir(DATA)
                  for entry in os.listdir(os.path.join(DATA, version)) if entry.endswith(".tar.xz"))


def unpack(version, name, folder):
    with tarfile.open(os.path.join(DATA, version, name + ".tar.xz")) as archive:
        archive.extractall(folder, filter="data")


def pack(folder, names, path):
    """The same bytes for the same files, whoever packs them."""
    def plain(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name in names:
            archive.add(os.path.join(folder, name), name, filter=plain)


def reserve(number):
    """Addresses are fixed, so one test at a time may use them: waits for its turn. Keep the result."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def mine():
        try:
            lock.bind(f"\0cairn-test-released-{number}")
        except OSError:
            return False
        return True
    wait_until(mine, f"the addresses 127.61.{number}.x are free", 120)
    return lock


class Processes:
    """A manager and servers of the programs in `folder_of_programs`, on the directories in `folder`."""

    def __init__(self, programs, folder, said, server_options=()):
        self.programs, self.folder, self.said = programs, folder, said
        self.server_options = list(server_options)
        self.running = []

    def start(self):
        self._start("m", "cairn-manager", "--listen", self.said["manager"], "--partitions",
                    str(self.said["partitions"]), "--replicas", str(self.said["replicas"]),
                    "--servers", ",".join(self.said["servers"]))
        for i, address in enumerate(self.said["servers"]):
            self._start(f"s{i}", "cairn-server", "--id", str(i), "--listen", address, "--manager",
                        self.said["manager"], "--segment-bytes", "4M", "--memtable-bytes", "1M",
                        *self.server_options)

    def _start(self, name, program, *arguments):
        with open(os.path.join(self.folder, name + ".log"), "ab") as log:
            self.running.append(subprocess.Popen(
                [os.path.join(self.programs, program), "--data", os.path.join(self.folder, name),
                 *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment()))

    def kill(self):
        for process in self.running:
            process.kill()
        for process in self.running:
            process.wait()
        self.running = []

    def stop(self):
        """Servers first; each must end cleanly."""
        for process in reversed(self.running):
            process.terminate()
            assert process.wait(60 * SCALE) == 0, process.args
        self.running = []


class Client:
    """Calls whichever server leads the key."""

    def __init__(self, addresses):
        self.addresses, self.open = addresses, {}

    def close(self):
        for connection in self.open.values():
            connection.close()

    def connection(self, address):
        if address not in self.open:
            self.open[address] = wire.Connection(address)
        return self.open[address]

    def call(self, verb, *arguments, **more):
        deadline = time.monotonic() + 30 * SCALE
        while True:
            for address in self.addresses:
                try:
                    return getattr(self.connection(address), verb)(*arguments, **more)
                except OSError:
                    self.open.pop(address, None)
                except wire.Refused as refused:
                    if refused.status not in (wire.NOT_PRIMARY, wire.STARTING):
                        raise
            assert time.monotonic() < deadline, f"{verb}: no server answered"
            time.sleep(0.05)
