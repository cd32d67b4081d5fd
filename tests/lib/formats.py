"""Files as proto/FORMATS.md describes them, for tests that damage or age them."""
import ctypes
import ctypes.util
import os
import struct

BLOCK = 4096


def _xxhash():
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


def checksum(content):
    return _xxhash().XXH3_64bits(content, len(content))


def set_identity_major(path, major):
    """An IDENTITY file of another format version, its checksum right."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    assert content[:8] == b"CAIRNID\n", content[:8]
    struct.pack_into("<H", content, 8, major)
    struct.pack_into("<Q", content, 16, checksum(bytes(content[:16] + content[24:])))
    with open(path, "wb") as file:
        file.write(content)


def segments(directory):
    """The live segments of a log, oldest first."""
    return [os.path.join(directory, name) for name in sorted(os.listdir(directory))
            if name.startswith("wal-") and name.endswith(".seg")]


def set_segment_major(path, major):
    with open(path, "r+b") as file:
        block = bytearray(file.read(BLOCK))
        assert block[8:16] == b"CairnWAL", block[:16]
        struct.pack_into("<H", block, 16, major)
        struct.pack_into("<Q", block, 0, checksum(bytes(block[8:])))
        file.seek(0)
        file.write(block)


def used_bytes(path):
    """Length of a segment without the zeros behind its last record."""
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


def records(path):
    """(offset, kind, LSN) of the records of a segment, in order."""
    with open(path, "rb") as file:
        content = file.read()
    identity, at = struct.unpack_from("<Q", content, 32)[0], BLOCK
    while at + 40 <= len(content):
        length, kind, _, lsn, segment, _ = struct.unpack_from("<IHHQQQ", content, at + 8)
        if segment != identity or lsn == 0:
            return
        yield at, kind, lsn
        at += 40 + (length + 7) // 8 * 8


def last_written(directory):
    """The newest segment that holds records; those after it wait for theirs."""
    return [path for path in segments(directory) if any(records(path))][-1]


def ends_with_mark(directory):
    """Is everything in the log below a synced mark, as it is once the log was idle?"""
    return list(records(last_written(directory)))[-1][1] == 0
