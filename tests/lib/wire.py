"""Calls of a server by their bytes (proto/FORMATS.md): sessions, numbers and times as the caller says.

Only what every release has: the procedures 1 to 4 of CAIRN_SERVER, version 1.
"""
import socket
import struct

from cluster import SCALE

SERVER, VERSION = 0x2CA10002, 1
GET, PUT, SWAP, DELETE = 1, 2, 3, 4
OK, NOT_FOUND, VERSION_MISMATCH, NOT_PRIMARY, STARTING = 0, 1, 2, 3, 4


class Refused(Exception):
    """The server's status, where it is not OK."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


def opaque(content):
    return struct.pack(">I", len(content)) + content + bytes(-len(content) % 4)


def take_opaque(body, at):
    length = struct.unpack_from(">I", body, at)[0]
    return body[at + 4:at + 4 + length]


class Connection:
    """One connection to one server; calls may be sent ahead of their answers."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20 * SCALE)
        self.xid = 0

    def close(self):
        self.socket.close()

    def send(self, procedure, arguments):
        self.xid += 1
        record = struct.pack(">10I", self.xid, 0, 2, SERVER, VERSION, procedure, 0, 0, 0, 0) + arguments
        self.socket.sendall(struct.pack(">I", 1 << 31 | len(record)) + record)
        return self.xid

    def _exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            more = self.socket.recv(min(count - len(parts), 1 << 16))
            if not more:
                raise ConnectionError("the server closed the connection")
            parts += more
        return bytes(parts)

    def receive(self):
        """(xid, status, what follows it)"""
        mark = struct.unpack(">I", self._exactly(4))[0]
        assert mark >> 31, "a reply in several fragments"
        record = self._exactly(mark & 0x7FFFFFFF)
        xid, kind, denied, _, verifier, refused = struct.unpack_from(">6I", record)
        assert (kind, denied, verifier, refused) == (1, 0, 0, 0), record[:24]
        return xid, struct.unpack_from(">I", record, 24)[0], record[28:]

    def call(self, procedure, arguments):
        wanted = self.send(procedure, arguments)
        xid, status, body = self.receive()
        assert xid == wanted
        if status != OK:
            raise Refused(status)
        return body

    def get(self, key):
        """(version, value), or None."""
        try:
            body = self.call(GET, struct.pack(">QQ", 0, 0) + opaque(key))
        except Refused as refused:
            if refused.status == NOT_FOUND:
                return None
            raise
        return struct.unpack_from(">Q", body)[0], take_opaque(body, 32)

    def put(self, client, number, key, value, ttl_ms=0, if_version=None):
        """(existed, version)"""
        return struct.unpack_from(">IQ", self.call(PUT, put_arguments(client, number, key, value,
                                                                      ttl_ms, if_version)))

    def swap(self, client, number, key, value):
        """(existed, version, old value)"""
        body = self.call(SWAP, struct.pack(">QQQ", 0, client, number) + opaque(key) + opaque(value))
        return (*struct.unpack_from(">IQ", body), take_opaque(body, 12))

    def delete(self, client, number, key):
        """Whether it existed."""
        return struct.unpack_from(">I", self.call(DELETE, struct.pack(">QQQ", 0, client, number)
                                                  + opaque(key)))[0]


def put_arguments(client, number, key, value, ttl_ms=0, if_version=None):
    return (struct.pack(">QQQIQQ", 0, client, number, if_version is not None, if_version or 0, ttl_ms)
            + opaque(key) + opaque(value))
