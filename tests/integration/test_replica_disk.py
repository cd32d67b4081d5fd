"""A disk that is full or fails under one server: the others go on, nothing acknowledged is lost, and
the server is a full copy again when its disk is well."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from cluster import QUICK, ROOT, CairnTest, timeout, wait_until
from load import Load

MIB = 1 << 20
SHIM = os.path.join(ROOT, "tests", "lib", "preload", "disk_fault.c")


class FullDisk(CairnTest):
    def small_disk(self, mebibytes):
        """A mounted tmpfs; unmounted after the cluster on it has ended."""
        if os.geteuid() != 0:
            self.skipTest("mounting a small file system needs root")
        folder = tempfile.mkdtemp(prefix="cairn-test-disk-")
        self.addCleanup(os.rmdir, folder)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder],
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            self.skipTest("cannot mount a tmpfs here: " + done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        return folder

    @timeout(120)
    def test_one_server_s_disk_is_full(self):
        """W7: reads go on everywhere; writes are refused clearly or go on, and nothing is lost."""
        disk = self.small_disk(112)
        c = self.cluster(servers=3, partitions=8, times=QUICK, start=False,
                         server_options=["--memtable-bytes", "4M", "--disk-reserve", "24M"])
        os.symlink(disk, c.servers[0].data)
        c.start()
        kept = {}
        for n in range(40):
            self.expect(c.cli("put", f"k{n}", f"v{n}"), 0)
            kept[f"k{n}"] = f"v{n}\n"
        hog = os.path.join(disk, "hog")
        with open(hog, "wb") as file:
            try:
                while True:
                    file.write(bytes(MIB))
                    file.flush()
            except OSError:
                pass  # not a byte is left
        taken = 0
        for n in range(40):
            result = c.cli("--timeout", "8000", "put", f"k{n}", f"w{n}")
            self.assertIn(result.code, (0, 2), result)
            if result.code == 0:
                kept[f"k{n}"] = f"w{n}\n"
                taken += 1
            else:
                self.assertIn(b"disk is full", result.err)
            self.expect(c.cli("get", f"k{n}"), 0, kept[f"k{n}"])
        self.step(f"{taken} of 40 writes taken while one server's disk is full")
        self.assertGreater(taken, 0)
        os.remove(hog)
        for n in range(40):
            wait_until(lambda: c.cli("put", f"k{n}", f"x{n}").code == 0, "writes are taken again")
        c.wait_healthy()
        for server in (1, 0):
            c.servers[server].crash()
            for n in range(40):
                self.expect(c.cli("--timeout", "20000", "get", f"k{n}"), 0, f"x{n}\n")
            c.servers[server].start()
            c.wait_healthy()


class FailingDisk(CairnTest):
    def start(self):
        """A cluster, and the file that makes server 0's disk fail."""
        if shutil.which("cc") is None:
            self.skipTest("no compiler for the library that makes a disk fail")
        folder = self.temporary()
        library, control = os.path.join(folder, "disk_fault.so"), os.path.join(folder, "fault")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SHIM], check=True)
        # The library sees no I/O of io_uring.
        c = self.cluster(servers=3, partitions=8, times=QUICK, start=False,
                         server_options=["--wal-backend", "thread"])
        c.servers[0].environment = {"LD_PRELOAD": library, "DISK_FAULT": control}
        c.start()
        return c, control

    def fails(self, what):
        c, control = self.start()
        load = Load(self, c, clients=6)
        load.go_on("before")
        with open(control, "w") as file:
            file.write(what)
        # W2: a failed sync or write ends the server; it never tries again.
        code = c.servers[0].process.wait(30)
        self.assertIn(code, (2, -signal.SIGABRT))
        c.servers[0].process = None
        self.assertRegex(c.servers[0].log(), r"(?i)input/output error")
        load.go_on(f"server 0 ended: {what} failed")
        os.remove(control)
        c.servers[0].start()
        c.wait_healthy()
        c.servers[1].crash()
        load.go_on("served by what it holds now")
        load.verify()

    @timeout(90)
    def test_syncs_that_fail(self):
        self.fails("sync")

    @timeout(90)
    def test_writes_that_fail(self):
        self.fails("write")


if __name__ == "__main__":
    unittest.main()
