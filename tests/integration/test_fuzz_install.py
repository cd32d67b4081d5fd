"""What `make install` puts in place works from there, the nemesis included, and `make uninstall` removes
all of it."""
import os
import subprocess

from cache_load import tool
from cluster import BIN, ROOT, CairnTest, run, timeout


class Installed(CairnTest):
    def make(self, target, folder):
        """Of the programs that are tested; nothing is built."""
        if tool("check-history") is None:
            self.skipTest("not built: make fuzz-tests")
        out = os.path.dirname(os.path.dirname(tool("check-history")))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        subprocess.run(["make", "-s", "-C", ROOT, "-o", "all", target, f"BIN={BIN}", f"OUT={out}",
                        "PREFIX=/usr", f"DESTDIR={folder}"], check=True, env=environment)

    def files(self, folder):
        return {os.path.relpath(os.path.join(place, name), folder)
                for place, _, names in os.walk(folder) for name in names}

    @timeout(90)
    def test_the_nemesis_runs_from_where_it_is_installed(self):
        folder = self.temporary()
        self.make("install", folder)
        self.assertLessEqual({"usr/bin/cairn", "usr/bin/cairn-server", "usr/include/cairn.h",
                              "usr/lib/libcairn.so", "usr/lib/cairn/cairn-nemesis.so",
                              "usr/lib/pkgconfig/cairn.pc", "usr/share/man/man1/cairn.1"},
                             self.files(folder))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
        done = run([os.path.join(folder, "usr/bin/cairn-fuzz"), "--nemesis", "pause", "--cycles", "1",
                    "--servers", "2", "--clients", "2"], seconds=60, environment=kept)
        self.assertEqual(0, done.code, done)
        self.assertIn("pause 1\n", done.text)
        os.unlink(os.path.join(folder, "usr/lib/cairn/cairn-nemesis.so"))
        done = run([os.path.join(folder, "usr/bin/cairn-fuzz"), "--nemesis", "pause"], environment=kept)
        self.assertEqual(2, done.code, done)
        self.assertIn(b"cairn-nemesis.so: neither in ", done.err)
        self.make("uninstall", folder)
        self.assertEqual(set(), self.files(folder))


if __name__ == "__main__":
    import unittest
    unittest.main()
