"""`cairn workload` as a test drives it: one call a line, one answer a line."""
import queue
import subprocess
import threading
import time

from cluster import SCALE, clean_environment, program
from history import UNKNOWN, Operation


class Workload:
    """One client process. call() is for one thread at a time."""

    def __init__(self, manager, *options, inside=()):
        """`inside`: what stands before the command, such as a network namespace's."""
        self.process = subprocess.Popen(
            [*inside, program("cairn"), "--manager", manager, *options, "workload"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment())
        self.lines, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=self._read_answers, daemon=True),
                        threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read_answers(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors="replace").rstrip("\n"))
        self.lines.put(None)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace").rstrip("\n"))

    def send(self, line):
        self.process.stdin.write(line if isinstance(line, bytes) else line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds=60):
        """The next line; None at the end of the output."""
        try:
            return self.lines.get(timeout=seconds * SCALE)
        except queue.Empty:
            raise AssertionError(f"no answer within {seconds} s; stderr: {self.errors[-5:]}") from None

    def call(self, line, seconds=60):
        self.send(line)
        answer = self.answer(seconds)
        if answer is None:
            raise AssertionError(f"{line}: the client ended; stderr: {self.errors[-5:]}")
        return answer

    def stop(self):
        """STOP is answered by STOP and exit code 0."""
        answer = self.call("STOP")
        if answer != "STOP":
            raise AssertionError(f"STOP answered by {answer!r}")
        return self.close()

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait(30 * SCALE)
        self._release()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._release()

    def _release(self):
        for reader in self.readers:
            reader.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass


def parse(kind, key, answer):
    """The result in an answer such as `SWAP k OLD`; raises if it is no answer to that call."""
    words = answer.split(" ")
    if len(words) != 3 or words[0] != kind or words[1] != key:
        raise AssertionError(f"{kind} {key} was answered by {answer!r}")
    if kind in ("GET", "SWAP"):
        return None if words[2] == "null" else words[2]
    if words[2] not in ("found", "not_found"):
        raise AssertionError(f"{kind} {key} was answered by {answer!r}")
    return words[2]


class Recorder:
    """Clients in threads, each with a workload process, and the history of all they did."""

    def __init__(self, manager, clients, next_operation, count=None, *options, inside=None):
        """next_operation(client, n) gives (kind, key, value or None). Without a count the clients
        go on until finish() is called. inside(client): see Workload."""
        self.next_operation, self.count = next_operation, count
        self.operations = [[] for _ in range(clients)]
        self.failures, self.stopping = [], threading.Event()
        self.answered = [0] * clients
        self.workloads = [Workload(manager, *options, inside=inside(i) if inside else ())
                          for i in range(clients)]
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, client):
        try:
            n = 0
            while not self.stopping.is_set() and (self.count is None or n < self.count):
                self._one(client, n)
                n += 1
            if self.workloads[client].stop() != 0:
                raise AssertionError("a client ended with an error")
        except Exception as error:  # told by finish(), in the test's thread
            self.failures.append(f"client {client}: {error}")

    def _one(self, client, n):
        kind, key, value = self.next_operation(client, n)
        operation = Operation(client, kind, key, value, UNKNOWN, time.monotonic_ns())
        self.operations[client].append(operation)
        answer = self.workloads[client].call(" ".join(filter(None, (kind, key, value))), 120)
        operation.result = parse(kind, key, answer)
        operation.end_ns = time.monotonic_ns()
        self.answered[client] += 1

    def done(self):
        return sum(len(mine) for mine in self.operations)

    def finish(self, seconds=120):
        """Waits for the clients and returns the history."""
        if self.count is None:
            self.stopping.set()
        for thread in self.threads:
            thread.join(seconds * SCALE)
        if any(thread.is_alive() for thread in self.threads):
            self.failures.append(f"clients did not finish within {seconds} s")
        self.kill()
        if self.failures:
            raise AssertionError("\n".join(self.failures))
        return [operation for mine in self.operations for operation in mine]

    def kill(self):
        for workload in self.workloads:
            workload.kill()
