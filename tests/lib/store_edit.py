"""Edits the store of a server that is off, through LMDB's own library: rows as valid as the server's.

What no checksum can tell, as a page that was lost or came back from long ago: a pair that is gone, or
that is another one. server/value.h has the layout.
"""
import ctypes
import ctypes.util
import os
import struct

from cluster import partition_of

HEADER = struct.Struct("<BQQQQ")  # format, version, modified, expires_ms, checksum


class _Val(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def _val(data):
    """`data` must outlive it."""
    return _Val(len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p))


def xxh3(data):
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(data, len(data))


def record(key, value, version, modified):
    """A value record with the checksum that fits it."""
    parts = struct.pack("<QQQQQII", version, modified, 0, xxh3(key), xxh3(value) if value else 0,
                        len(key), len(value))
    return HEADER.pack(1, version, modified, 0, xxh3(parts)) + value


class Store:
    """The LMDB environment below a server's data directory; use as a context manager."""

    def __init__(self, data, partitions):
        self.folder, self.partitions = os.path.join(data, "store"), partitions
        self.file = os.path.join(self.folder, "data.mdb")
        self.lmdb = ctypes.CDLL(ctypes.util.find_library("lmdb") or "liblmdb.so.0")
        self.env, self.txn, self.dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()

    def _call(self, name, *arguments, missing=False):
        code = getattr(self.lmdb, name)(*arguments)
        if code == -30798 and missing:  # MDB_NOTFOUND
            return False
        if code != 0:
            raise OSError(code, name)
        return True

    def __enter__(self):
        self._call("mdb_env_create", ctypes.byref(self.env))
        self._call("mdb_env_set_maxdbs", self.env, ctypes.c_uint(4))
        self._call("mdb_env_open", self.env, self.folder.encode(), ctypes.c_uint(0), 0o600)
        self._call("mdb_txn_begin", self.env, None, ctypes.c_uint(0), ctypes.byref(self.txn))
        self._call("mdb_dbi_open", self.txn, b"data", ctypes.c_uint(0), ctypes.byref(self.dbi))
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._call("mdb_txn_commit", self.txn)
        else:
            self.lmdb.mdb_txn_abort(self.txn)
        self.lmdb.mdb_env_close(self.env)

    def _key(self, key):
        return struct.pack(">H", partition_of(key, self.partitions)) + key.encode()

    def get(self, key):
        found = _Val()
        name = self._key(key)
        if not self._call("mdb_get", self.txn, self.dbi, ctypes.byref(_val(name)),
                          ctypes.byref(found), missing=True):
            return None
        return ctypes.string_at(found.data, found.size)

    def delete(self, key):
        name = self._key(key)
        self._call("mdb_del", self.txn, self.dbi, ctypes.byref(_val(name)), None)

    def put(self, key, raw):
        name = self._key(key)
        self._call("mdb_put", self.txn, self.dbi, ctypes.byref(_val(name)),
                   ctypes.byref(_val(raw)), ctypes.c_uint(0))

    def replace(self, key, value):
        """Another value, valid: version and index as they were."""
        _, version, modified, _, _ = HEADER.unpack_from(self.get(key))
        self.put(key, record(key.encode(), value, version, modified))

    def flip(self, key):
        """A bit of the value changes, and nothing else."""
        raw = bytearray(self.get(key))
        raw[-1] ^= 1
        self.put(key, bytes(raw))
