"""Which bytes of an LMDB file are what, for tests that damage them: a walk over its pages.

The layout is LMDB's own (mdb.c: MDB_page, MDB_node, MDB_db, MDB_meta), of version 0.9 with 64-bit pages."""
import struct

PAGE, HEADER = 4096, 16
BRANCH, LEAF = 1, 2
BIGDATA, SUBDATA = 1, 2
META_DBS, DB_BYTES = 40, 48  # in a meta page


class Pages:
    """`places`: kind of byte -> list of (first, end) within the file, which holds what was committed last."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.content = file.read()
        self.places, self.seen = {}, {0, 1}
        last = self._newest_meta()
        for number in (0, 1):
            self._add("meta page", number * PAGE, number * PAGE + META_DBS + 2 * DB_BYTES + 16)
        self._tree(self.dbs[0], "freelist")
        self._tree(self.dbs[1], "main")
        self.used = (last + 1) * PAGE
        for number in set(range(2, last + 1)) - self.seen:
            self._add("free page", number * PAGE, (number + 1) * PAGE)

    def _add(self, kind, first, end):
        if end > first:
            self.places.setdefault(kind, []).append((first, end))

    def _newest_meta(self):
        found = []
        for at in (0, PAGE):
            last, txn = struct.unpack_from("<QQ", self.content, at + META_DBS + 2 * DB_BYTES)
            found.append((txn, last, at))
        _, last, at = max(found)
        self.dbs = [self.content[at + META_DBS + n * DB_BYTES:][:DB_BYTES] for n in (0, 1)]
        return last

    def _tree(self, db, name):
        root = struct.unpack_from("<Q", db, 40)[0]
        if root != 2 ** 64 - 1:
            self._page(root, name)

    def _page(self, number, name):
        at = number * PAGE
        flags, lower = struct.unpack_from("<HH", self.content, at + 10)
        self.seen.add(number)
        kind = f"{name} {'branch' if flags & BRANCH else 'leaf'}"
        self._add(kind + " header", at, at + HEADER)
        self._add(kind + " pointers", at + HEADER, at + lower)
        for n in range((lower - HEADER) // 2):
            self._node(at + struct.unpack_from("<H", self.content, at + HEADER + 2 * n)[0], kind, name, flags)

    def _node(self, at, kind, name, page_flags):
        low, high, flags, key = struct.unpack_from("<HHHH", self.content, at)
        self._add(kind + " node", at, at + 8)
        self._add(kind + " key", at + 8, at + 8 + key)
        data = at + 8 + key
        if page_flags & BRANCH:
            self._page(low | high << 16 | flags << 32, name)
        elif flags & SUBDATA:
            self._add(kind + " table", data, data + DB_BYTES)
            self._tree(self.content[data:data + DB_BYTES], self.content[at + 8:data].decode())
        elif flags & BIGDATA:
            self._add(kind + " overflow", data, data + 8)
            first, = struct.unpack_from("<Q", self.content, data)
            pages, = struct.unpack_from("<I", self.content, first * PAGE + 12)
            self.seen.update(range(first, first + pages))
            self._add(f"{name} overflow header", first * PAGE, first * PAGE + HEADER)
            self._add(f"{name} overflow value", first * PAGE + HEADER,
                      first * PAGE + HEADER + (low | high << 16))
        else:
            self._add(kind + " value", data, data + (low | high << 16))
