"""Calls that fail in unit test programs (of cmocka), each in the quickest test that comes to it.

The checks of a test may fail then, since its own calls fail too; it may not crash or hang. A test may
wait while a call fails for ever, as the log waits for space; it ends when the call works again. It may
also wait itself, for an answer on a connection that has been closed, say.
"""
import os
import re
import signal
import subprocess
import tempfile
import time

import fail_nth
from cluster import SCALE, remove_segments

TEST = re.compile(r"^\[ RUN      \] (\S+)", re.M)
# Until the call works again, and how long a test may wait from then on: they give up after 20 s.
FAULT_SECONDS, AFTER_SECONDS = 4, 35
# Callers within the product that tell places apart: a test's own lines do not.
DEPTH = 4


class Run:
    """One run of a program: wrong (None: nothing was), fired, site, places."""

    def __init__(self, library, binary, arming=None, test=None, seconds=(FAULT_SECONDS, AFTER_SECONDS)):
        with tempfile.TemporaryDirectory(prefix="cairn-fail-") as folder:
            control = fail_nth.Control(library, os.path.join(folder, "control"))
            if arming is None:
                control.set("noting", 1)
            else:
                control.arm(*arming)
            choice = {"FAIL_TEST": test} if test else {}
            self.hung = not ended([*control.before, binary], folder, choice, seconds, control.disarm)
            self.base, self.fired = control.get("base"), control.get("fired") > 0
            self.site = fail_nth.functions(binary, control.failed(), self.base)
            self.crash = fail_nth.functions(binary, control.crashed(), self.base)
            self.crash_in_tests = any(map(of_tests, fail_nth.files(
                binary, fail_nth.inside(binary, control.crashed(), self.base)[:1], self.base).values()))
            self.signal, self.places = control.get("signal"), list(control.places())
            control.close()

    @property
    def wrong(self):
        if self.hung:
            return f"hang in {'; '.join(self.crash[:6])}"
        if self.signal:
            return f"crash: {signal.Signals(self.signal).name} in {'; '.join(self.crash[:6])}"
        return None

    def outcome(self):
        """(wrong, notes): what the tests' own code does without memory, or waits for, is only noted."""
        own = self.signal and (not self.crash or self.crash_in_tests)
        return (None, ["a test's own " + self.wrong]) if own else (self.wrong, [])


def ended(command, folder, variables, seconds, lift):
    """Runs it in a group of its own, all of which is ended then. Whether it ended within the first of
    `seconds`, or within the second after lift()."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True,
                               env={**os.environ, **variables, "TMPDIR": folder})
    try:
        for limit in seconds:
            try:
                process.wait(limit * SCALE)
                return True
            except subprocess.TimeoutExpired:
                lift()
        process.send_signal(signal.SIGQUIT)  # notes where
        time.sleep(0.5)
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        remove_segments(f"test-{process.pid}-")  # what a test ended early did not


def of_tests(path):
    return "/tests/" in path


def tests(binary):
    """The names of the program's tests."""
    with tempfile.TemporaryDirectory(prefix="cairn-fail-") as folder:
        done = subprocess.run([binary], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, cwd=folder, errors="replace",
                              env={**os.environ, "TMPDIR": folder}, timeout=300 * SCALE)
    return TEST.findall(done.stdout)


def product_part(place, files):
    """The innermost frames of a place up to the tests' own; () if the product has no part in it."""
    part = []
    for frame in place.frames:
        file = files.get(frame)
        if file is not None and of_tests(file):
            break
        part.append(frame)
    return tuple(part[:DEPTH]) if any(frame in files for frame in part) else ()


def places(library, binary):
    """{place: the test that comes there}, one of all whose innermost callers are the same."""
    chosen, files = {}, {}
    for test in tests(binary):
        started = time.monotonic()
        run = Run(library, binary, test=test, seconds=(60, 60))
        took = time.monotonic() - started
        files.update(fail_nth.files(binary, {f for p in run.places for f in p.frames} - files.keys(), run.base))
        for place in run.places:
            part = product_part(place, files)
            if part and took < chosen.get((place.kind, part), (took + 1,))[0]:
                chosen[place.kind, part] = took, place, test
    return {place: test for _, place, test in chosen.values()}
