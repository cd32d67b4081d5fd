"""A full disk (W7): writes are refused with a clear error, reads and deletes go on, and writes are
taken again by themselves once there is room. On a small file system of the test's own, which needs
root."""
import os
import subprocess
import tempfile

from cluster import CairnTest, timeout, wait_until

MIB = 1 << 20


class DiskFull(CairnTest):
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

    def start_on(self, disk):
        c = self.cluster(servers=1, start=False,
                         server_options=["--memtable-bytes", "4M", "--disk-reserve", "24M"])
        os.symlink(disk, c.servers[0].data)
        c.start()
        return c

    def fill(self, c, value):
        """Writes until it is refused; returns how many were acknowledged."""
        for number in range(1000):
            result = c.cli("put", f"k{number}", "-", stdin=value)
            if result.code != 0:
                self.assertEqual(2, result.code, result)
                self.assertIn(b"disk is full", result.err)
                return number
        self.fail("the disk never got full")

    @timeout(180)
    def test_writes_are_refused_deletes_make_room_and_nothing_acknowledged_is_lost(self):
        c = self.start_on(self.small_disk(112))
        value = os.urandom(MIB)
        count = self.fill(c, value)
        self.assertGreater(count, 10)
        for number in (0, count - 1):
            self.assertEqual(value + b"\n", c.cli("get", f"k{number}").out)
        half = [f"k{n}" for n in range(count // 2)]
        self.assertEqual(f"{len(half)}\n", c.cli("delete", *half).text)
        wait_until(lambda: c.cli("put", "new", "value").code == 0, "writes are taken again")
        c.servers[0].crash()
        c.servers[0].start()
        c.wait_ready()
        for number in range(count // 2, count):
            self.assertEqual(value + b"\n", c.cli("get", f"k{number}").out)
        self.assertEqual(1, c.cli("get", "k0").code)
        self.assertEqual("value\n", c.cli("get", "new").text)

    @timeout(180)
    def test_a_disk_filled_by_others_stops_writes_and_no_server(self):
        disk = self.small_disk(112)
        c = self.start_on(disk)
        self.assertEqual(0, c.cli("put", "k", "v").code)
        hog = os.path.join(disk, "hog")
        with open(hog, "wb") as file:
            try:
                while True:
                    file.write(bytes(MIB))
                    file.flush()
            except OSError:
                pass  # not a byte is left
        wait_until(lambda: c.cli("put", "k", "v").code == 2, "writes are refused")
        self.assertEqual("v\n", c.cli("get", "k").text)
        self.assertEqual("1\n", c.cli("delete", "k").text)
        os.remove(hog)
        wait_until(lambda: c.cli("put", "k", "x").code == 0, "writes are taken again")
        c.servers[0].stop()
        c.servers[0].start()
        c.wait_ready()
        self.assertEqual("x\n", c.cli("get", "k").text)
