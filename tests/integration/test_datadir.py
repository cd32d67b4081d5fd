"""Data directories that cannot be used are refused with one clear line and exit code 2."""
import os
import shutil
import unittest

import formats
from cluster import HOST, CairnTest, free_port, program, run


class DataDirectories(CairnTest):
    def start_and_refuse(self, node, *words):
        node.start()
        log = node.expect_exit(2)
        lines = [line for line in log.splitlines() if line.startswith("ERROR: ")]
        self.assertEqual(1, len(lines), log)
        for word in words:
            self.assertIn(word, lines[0])
        return lines[0]

    def nodes(self):
        """A manager and a server that ran and stopped cleanly, on their data."""
        c = self.cluster(servers=1)
        self.expect(c.cli("put", "k", "v"), 0)
        c.stop()
        return c, c.manager, c.servers[0]

    def test_a_file_instead_of_a_directory(self):
        c = self.cluster(servers=1, start=False)
        for node in (c.manager, c.servers[0]):
            with open(node.data, "w"):
                pass
            self.start_and_refuse(node, node.data)

    def test_a_directory_below_a_missing_one(self):
        c = self.cluster(servers=1, start=False)
        for node in (c.manager, c.servers[0]):
            at = node.command.index("--data") + 1
            node.command[at] = "/dev/null/data"
            self.start_and_refuse(node, "/dev/null")

    def test_another_roles_directory(self):
        c, manager, server = self.nodes()
        for node, other in ((manager, server), (server, manager)):
            node.command[node.command.index("--data") + 1] = other.data
            self.start_and_refuse(node, other.data)

    def test_a_directory_in_use(self):
        c = self.cluster(servers=1)
        for node in (c.manager, c.servers[0]):
            twin = c.add(type(node)("twin-" + node.name, list(node.command), c.folder))
            # Another port, so that it is the directory that is refused.
            self.start_and_refuse(twin, node.data)
        self.expect(c.cli("put", "k", "v"), 0)

    def test_a_newer_identity(self):
        c, manager, server = self.nodes()
        for node in (manager, server):
            formats.set_identity_major(os.path.join(node.data, "IDENTITY"), 9)
            self.start_and_refuse(node, "IDENTITY", "newer")

    def test_a_newer_log(self):
        c, manager, server = self.nodes()
        for node in (manager, server):
            paths = formats.segments(os.path.join(node.data, "wal"))
            self.assertTrue(paths, "no segment below " + node.data)
            for path in paths:
                formats.set_segment_major(path, 9)
            self.start_and_refuse(node, "newer")

    def test_a_damaged_identity(self):
        c, manager, server = self.nodes()
        for node in (manager, server):
            path = os.path.join(node.data, "IDENTITY")
            with open(path, "rb") as file:
                good = file.read()
            for bad in (b"", good[:-1], good[:7], bytes(len(good)), good[:-3] + b"xyz", good + b"z"):
                with open(path, "wb") as file:
                    file.write(bad)
                self.start_and_refuse(node, "IDENTITY")
            with open(path, "wb") as file:
                file.write(good)

    def test_a_directory_that_must_not_be_written(self):
        folder = self.temporary()
        os.chmod(folder, 0o755)
        for name in ("cairn-manager", "cairn-server"):
            shutil.copy(program(name), folder)
        closed = os.path.join(folder, "closed")
        os.mkdir(closed)
        os.chmod(closed, 0o555)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
        for name, arguments in (
                ("cairn-manager", ["--listen", f"{HOST}:{free_port()}", "--servers", "127.0.0.1:1"]),
                ("cairn-server", ["--id", "0", "--manager", "127.0.0.1:1", "--listen",
                                  f"{HOST}:{free_port()}"])):
            for data in (closed, os.path.join(closed, "new")):
                done = run([os.path.join(folder, name), *arguments, "--data", data], cwd="/", **nobody)
                self.expect(done, 2, "")
                self.assertIn(closed, done.err.decode())

    def test_ports_that_are_taken(self):
        c = self.cluster(servers=1)
        twin = c.add(c.make_server(0, name="twin"))
        self.start_and_refuse(twin, c.addresses[0].split(":")[1])


if __name__ == "__main__":
    unittest.main()
