"""The nemesis of cairn-fuzz: each kind of fault begins, does what it says, and is healed; nothing is
left behind, not even when its program is killed; and what is preloaded shapes clocks and disks.

SEED in the environment repeats a run's faults.
"""
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from cluster import BIN, ROOT, SCALE, CairnTest, clean_environment, run, timeout, wait_until

DRIVE = os.environ.get("NEMESIS_DRIVE",
                       os.path.join(ROOT, "build", "release", "tests", "drive-nemesis"))
PRELOAD = os.path.join(BIN, "cairn-nemesis.so")
SECOND = 10 ** 9


class Kinds(CairnTest):
    """One kind each, so that a fault that does nothing is seen."""

    def drive(self, kinds, cycles=1, hold=150, seed=None, *more):
        if not os.access(DRIVE, os.X_OK):
            self.fail(f"{DRIVE} is not built: make nemesis-tests")
        seed = seed or os.environ.get("SEED") or random.randrange(1 << 32)
        self.folder = tempfile.mkdtemp(prefix="cairn-nemesis-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        print("kinds", kinds, "seed", seed)
        done = run([DRIVE, "--nemesis", kinds, "--cycles", str(cycles), "--hold", str(hold), "--seed",
                    str(seed), "--programs", BIN, "--folder", self.folder, "--keep", *more],
                   seconds=80)
        self.step(done.text)
        self.assertEqual(0, done.code, done)
        self.assertEqual(cycles, len(re.findall("whole again", done.text)), done)
        return done.text

    def log(self, node):
        with open(os.path.join(self.folder, node + ".log"), encoding="utf-8") as file:
            return file.read()

    def needs_root(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")

    @timeout(90)
    def test_killed_servers_start_again(self):
        text = self.drive("kill", cycles=2)
        for node in ("s0", "s1", "s2"):
            killed = len(re.findall(rf"kill(?: s\d)*? {node}\b", text))
            self.assertEqual(1 + killed, self.log(node).count(" listening "), node)

    @timeout(90)
    def test_the_manager_is_killed_and_starts_again(self):
        self.drive("restart-manager")
        self.assertEqual(2, self.log("m").count(" listening "), self.log("m"))

    @timeout(90)
    def test_who_is_stopped_for_long_is_replaced_and_comes_back(self):
        self.drive("pause", cycles=2, hold=600)

    @timeout(90)
    def test_links_are_cut(self):
        self.needs_root()
        self.drive("partition", cycles=2, hold=800)

    @timeout(90)
    def test_a_disk_is_slow(self):
        self.drive("slow-disk", cycles=2)

    @timeout(90)
    def test_a_disk_is_full_and_has_room_again(self):
        for _ in range(4):  # until nothing was left, not a little
            if " 0 KiB left" in self.drive("disk-full", hold=800):
                break
        else:
            self.skipTest("no seed left nothing")
        logs = [self.log(node) for node in ("s0", "s1", "s2")]
        self.assertTrue(any("no room: writes are refused" in log for log in logs), logs)
        for log in logs:
            self.assertEqual(log.count("no room: writes are refused"), log.count("room again"), log)

    @timeout(90)
    def test_wall_clocks_jump_and_nobody_minds(self):
        self.drive("clock", cycles=3, hold=300)

    @timeout(90)
    def test_copies_move(self):
        self.drive("move", cycles=2)
        self.assertIn(" asked to ", self.log("m"))


class Ends(CairnTest):
    def test_an_unknown_kind_is_refused_with_those_that_there_are(self):
        done = run([DRIVE, "--nemesis", "kill,flood"])
        self.expect(done, 2, "")
        self.assertIn(b"nemesis flood: no such kind; there are kill,pause,partition,", done.err)

    def nodes_of(self, folder):
        """Processes that have the folder in their command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read()
            except OSError:
                continue
            if folder.encode() in words and b"drive-nemesis" not in words:
                found.append(int(pid))
        return found

    @timeout(60)
    def test_nothing_runs_on_when_the_program_is_killed(self):
        folder = self.temporary()
        data = os.path.join(folder, "data")
        program = subprocess.Popen(
            [DRIVE, "--nemesis", "all", "--cycles", "100", "--programs", BIN, "--folder", data],
            stdout=subprocess.PIPE, env=clean_environment())
        self.addCleanup(program.stdout.close)
        while b"cycle 1" not in program.stdout.readline():
            pass
        self.assertTrue(self.nodes_of(data))
        program.send_signal(signal.SIGKILL)
        program.wait()
        wait_until(lambda: not self.nodes_of(data), "the nodes end with their parent")
        with open("/proc/mounts", encoding="utf-8") as file:
            self.assertNotIn(folder, file.read())


class Preloaded(CairnTest):
    """Any program takes the part of a node: what it sees of its clocks and disk."""

    def control(self, skew=0, wall=0, full=0, write_us=0, sync_us=0):
        """As fuzz/preload/control.h tells."""
        path = os.path.join(self.temporary(), "control")
        with open(path, "wb") as file:
            file.write(struct.pack("<II5qIIII", 0, 0, 0, skew, 0, 0, wall, write_us, sync_us,
                                   full, 0))
        return path

    def python(self, code, control):
        """What a Python program prints that runs with the library and the control file."""
        return run([sys.executable, "-c", code], environment=clean_environment(
            LD_PRELOAD=PRELOAD, NEMESIS_CONTROL=control, NEMESIS_PARENT=str(os.getpid())))

    def test_all_clocks_are_ahead_by_the_skew_and_the_wall_clock_by_its_jump_too(self):
        code = ("import time\n"
                "for name in 'BOOTTIME', 'MONOTONIC', 'MONOTONIC_RAW', 'REALTIME':\n"
                "    print(time.clock_gettime_ns(getattr(time, 'CLOCK_' + name)))")
        before = [time.clock_gettime_ns(c) for c in (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC,
                                                     time.CLOCK_MONOTONIC_RAW, time.CLOCK_REALTIME)]
        done = self.python(code, self.control(skew=10 ** 5 * SECOND, wall=-3 * 10 ** 5 * SECOND))
        ahead = [(int(b) - a) / SECOND for a, b in zip(before, done.text.split())]
        for seconds, expected in zip(ahead, (10 ** 5, 10 ** 5, 10 ** 5, -2 * 10 ** 5)):
            self.assertLess(abs(seconds - expected), 600 * SCALE, ahead)

    def test_a_full_disk_takes_no_write_and_says_so(self):
        folder = self.temporary()
        code = (f"import os\n"
                f"file = os.open({folder!r} + '/file', os.O_CREAT | os.O_RDWR)\n"
                f"print(os.statvfs({folder!r}).f_bavail)\n"
                f"for write in (lambda: os.write(file, b'x'), lambda: os.pwrite(file, b'x', 0)):\n"
                f"    try:\n"
                f"        print(write())\n"
                f"    except OSError as error:\n"
                f"        print(error.errno)\n")
        self.assertEqual(["0", "28", "28"], self.python(code, self.control(full=1)).text.split())
        self.assertEqual(["1", "1"], self.python(code, self.control()).text.split()[1:])

    def test_a_slow_disk_takes_its_time_for_each_write_and_each_sync(self):
        path = os.path.join(self.temporary(), "file")
        code = (f"import os, time\n"
                f"file = os.open({path!r}, os.O_CREAT | os.O_RDWR)\n"
                f"for act in (lambda: os.pwrite(file, b'x', 0), lambda: os.fdatasync(file)):\n"
                f"    begun = time.monotonic()\n"
                f"    act()\n"
                f"    print(time.monotonic() - begun)\n")
        done = self.python(code, self.control(write_us=200000, sync_us=1100000))
        write, sync = map(float, done.text.split())
        self.assertGreaterEqual(write, 0.2)
        self.assertGreaterEqual(sync, 1.1)

    def test_who_lost_its_parent_before_it_started_ends(self):
        done = run([sys.executable, "-c", "print('alive')"], environment=clean_environment(
            LD_PRELOAD=PRELOAD, NEMESIS_PARENT="1"))
        self.assertEqual((1, b""), (done.code, done.out), done)


if __name__ == "__main__":
    import unittest
    unittest.main()
