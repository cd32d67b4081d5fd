"""Calls into the system that fail in real processes: which one, chosen through the file that
tests/lib/preload/fail_nth.c maps, and what the process did then.

A place is a kind of call and the stack it came from. Address randomization is off, so that a place is
the same in every run of a program.
"""
import collections
import mmap
import os
import struct
import subprocess

from cluster import ROOT

SOURCES = [os.path.join(ROOT, "tests", "lib", "preload", name) for name in ("fail_nth.c", "fail_unsynced.c")]
KINDS = ("alloc", "open", "write", "read", "sync", "rename", "mmap", "size", "socket", "accept",
         "connect", "send", "receive", "thread", "uring", "completion")
FRAMES, PLACES = 12, 4096
_FIELDS = ("armed", "kind", "nth", "stack", "forever", "noting", "lies", "seen", "fired", "base", "signal")
_STACK = 3 + FRAMES
_FAILED = len(_FIELDS)
_CRASHED = _FAILED + _STACK
_COUNTS = _CRASHED + _STACK
_PLACES = _COUNTS + len(KINDS) + 1
_SIZE = 8 * (_PLACES + PLACES * _STACK)

Place = collections.namedtuple("Place", "kind stack count frames base")


def build(folder):
    """The library to preload."""
    made = os.path.join(folder, "fail_nth.so")
    subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", made, *SOURCES], check=True)
    return made


class Control:
    """The file that a program with the library preloaded shares with the test."""

    def __init__(self, library, path):
        self.library, self.path = library, path
        with open(path, "wb") as file:
            file.truncate(_SIZE)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), _SIZE)

    def close(self):
        self.memory.close()

    @property
    def before(self):
        """What stands before a program's command: it alone has the library, at the same addresses always."""
        return ["setarch", "-R", "env", "LD_PRELOAD=" + self.library, "FAIL_NTH=" + self.path]

    def _word(self, index):
        return struct.unpack_from("=Q", self.memory, 8 * index)[0]

    def get(self, field):
        return self._word(_FIELDS.index(field))

    def set(self, field, value):
        struct.pack_into("=Q", self.memory, 8 * _FIELDS.index(field), value)

    def arm(self, kind, nth, stack=0, forever=False):
        self.set("kind", KINDS.index(kind))
        for field, value in (("nth", nth), ("stack", stack), ("forever", int(forever)), ("seen", 0),
                             ("fired", 0), ("armed", 1)):
            self.set(field, value)

    def disarm(self):
        self.set("armed", 0)

    def count(self, kind):
        """How many calls of the kind there were since the program started."""
        return self._word(_COUNTS + KINDS.index(kind))

    def _stack_at(self, index):
        words = struct.unpack_from(f"={_STACK}Q", self.memory, 8 * index)
        return words[0], words[1], words[2], tuple(frame for frame in words[3:] if frame)

    def places(self):
        """Where calls came from while `noting` was set."""
        for n in range(PLACES):
            stack, kind, count, frames = self._stack_at(_PLACES + n * _STACK)
            if stack:
                yield Place(KINDS[kind], stack, count, frames, self.get("base"))

    def failed(self):
        return self._stack_at(_FAILED)[3]

    def crashed(self):
        return self._stack_at(_CRASHED)[3]


def inside(program, frames, base):
    """Those frames that lie in the program itself."""
    size = os.path.getsize(program)
    return [frame for frame in frames if base < frame < base + size]


def _symbols(program, frames, base, *options):
    # A return address lies behind its call.
    done = subprocess.run(["addr2line", *options, "-e", program], stdout=subprocess.PIPE, text=True, check=True,
                          input="".join(f"{frame - 1 - base:#x}\n" for frame in frames))
    return done.stdout.splitlines()


def functions(program, frames, base):
    """["function file:line", ...] of those frames that lie in the program itself, innermost first."""
    frames = inside(program, frames, base)
    if not frames:
        return []
    return [line.replace("(inlined by) ", "").strip().replace(" at ", " ")
            for line in _symbols(program, frames, base, "-f", "-i", "-s", "-p") if "??" not in line]


def files(program, frames, base):
    """{frame: path:line} of those frames that lie in the program itself."""
    frames = inside(program, frames, base)
    return dict(zip(frames, _symbols(program, frames, base))) if frames else {}


def unlike(places, depth=6):
    """One of all places whose innermost functions are the same: code that differs only in how far
    away its caller's caller is needs no case of its own."""
    chosen = {}
    for place in places:
        inside = [frame for frame in place.frames if frame > place.base][:depth]
        chosen.setdefault((place.kind, tuple(inside)), place)
    return list(chosen.values())
