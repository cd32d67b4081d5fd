"""Plain ONC RPC tools can talk to us: rpcinfo, and a client made by rpcgen."""
import os
import shutil
import unittest

from cluster import BIN, ROOT, CairnTest, run

# Built beside the programs' objects: build/<variant>/bin/cairn and build/<variant>/tests/.
CANDIDATES = [os.environ.get("RPCGEN_CLIENT", ""),
              os.path.join(os.path.dirname(BIN), "tests", "rpcgen-client"),
              os.path.join(ROOT, "build", "release", "tests", "rpcgen-client")]


def universal(address):
    """HOST:PORT as rpcinfo wants it: h.h.h.h.p.p"""
    host, port = address.rsplit(":", 1)
    return f"{host}.{int(port) >> 8}.{int(port) & 255}"


class PlainTools(CairnTest):
    def setUp(self):
        self.c = self.cluster(servers=1)

    def test_rpcinfo_sees_the_null_procedure(self):
        tool = shutil.which("rpcinfo", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if tool is None:
            self.skipTest("rpcinfo is not installed")
        for address, program in ((self.c.manager_address, 0x2ca10001), (self.c.addresses[0], 0x2ca10002)):
            done = run([tool, "-a", universal(address), "-T", "tcp", str(program), "1"])
            self.assertEqual(0, done.code, done)
            self.assertIn("ready and waiting", done.text)
            done = run([tool, "-a", universal(address), "-T", "tcp", str(program), "2"])
            self.assertNotEqual(0, done.code, done)

    def client(self):
        for path in CANDIDATES:
            if path and os.access(path, os.X_OK):
                return path
        raise AssertionError("rpcgen-client is not built: make " + CANDIDATES[-1])

    def test_an_rpcgen_client_puts_and_gets(self):
        client, (host, port) = self.client(), self.c.addresses[0].split(":")
        done = run([client, host, port, "put", "key", "value"])
        self.assertEqual(0, done.code, done)
        self.expect(self.c.cli("get", "key"), 0, "value\n")
        done = run([client, host, port, "get", "key"])
        self.assertEqual(0, done.code, done)
        self.assertIn("value", done.text)
        self.expect(self.c.cli("put", "key", "other"), 0)
        self.assertIn("other", run([client, host, port, "get", "key"]).text)


if __name__ == "__main__":
    unittest.main()
