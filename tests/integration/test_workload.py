"""Workload mode: one call a line, one answer a line, in order; garbage costs one line only."""
import random
import subprocess
import time
import unittest

from cluster import CairnTest, clean_environment, program
from workload import Workload


class WorkloadMode(CairnTest):
    """With one copy of each partition, so that calls have to wait for a dead server's return."""

    def setUp(self):
        self.c = self.cluster(servers=2, replicas=1)

    def workload(self, text):
        return self.c.cli("workload", stdin=text if isinstance(text, bytes) else text.encode())

    def errors(self, result):
        return [line for line in result.err.split(b"\n") if line.startswith(b"ERROR: ")]

    def test_every_call_and_its_answer(self):
        result = self.workload("PUT k v\nPUT k w\nSWAP k x\nSWAP n y\nGET k\nGET none\nDELETE n\n"
                               "DELETE n\nSCAN a z\nSCAN q r\nSTOP\n")
        self.expect(result, 0, "PUT k not_found\nPUT k found\nSWAP k w\nSWAP n null\nGET k x\n"
                               "GET none null\nDELETE n found\nDELETE n not_found\n"
                               "SCAN a z BEGIN\n  k x\nSCAN END\nSCAN q r BEGIN\nSCAN END\nSTOP\n")
        self.assertEqual([], self.errors(result))

    def test_end_of_file_is_a_stop_without_an_answer(self):
        self.expect(self.workload("PUT k v\nGET k\n"), 0, "PUT k not_found\nGET k v\n")
        self.expect(self.workload(""), 0, "")

    def test_a_last_line_without_its_end_is_read(self):
        self.expect(self.workload("GET k"), 0, "GET k null\n")

    def test_nothing_after_stop_is_read(self):
        self.expect(self.workload("STOP\nPUT k v\n"), 0, "STOP\n")
        self.expect(self.c.cli("get", "k"), 1)

    def test_the_number_of_spaces_does_not_matter(self):
        self.expect(self.workload("  PUT   k    v  \nGET     k\nSTOP  \n"), 0,
                    "PUT k not_found\nGET k v\nSTOP\n")

    def test_words_are_case_sensitive(self):
        result = self.workload("put k v\nGet k\nstop\nGET k\nSTOP\n")
        self.expect(result, 0, "GET k null\nSTOP\n")
        self.assertEqual(3, len(self.errors(result)))

    def test_garbage_gets_an_error_and_the_next_line_is_read(self):
        garbage = [b"PUT", b"PUT k", b"PUT k v extra", b"GET", b"GET a b", b"SWAP k", b"DELETE",
                   b"SCAN a", b"SCAN a b c", b"STOP now", b"HELLO", b"\x00\x01\x02", b"\xff\xfe",
                   b"PUT k\x00 v", b"GET " + b"k" * 481, b"\tGET k", b"PUT k \x80"]
        for line in garbage:
            result = self.workload(line + b"\nGET k\nSTOP\n")
            self.assertEqual((0, b"GET k null\nSTOP\n"), (result.code, result.out), (line, result))
            self.assertEqual(1, len(self.errors(result)), (line, result))

    def test_over_long_lines_cost_one_error_each(self):
        for length in (1 << 20, (1 << 20) + 600, 3 << 20):
            result = self.workload(b"PUT k " + b"v" * length + b"\nGET n\nSTOP\n")
            self.assertEqual(0, result.code, result)
            if length > 1 << 20:
                self.assertEqual(b"GET n null\nSTOP\n", result.out[-17:])
                self.assertEqual(1, len(self.errors(result)), length)
            else:
                self.assertEqual(b"PUT k not_found\nGET n null\nSTOP\n", result.out)

    def test_random_bytes_never_end_the_client(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        source = random.Random(seed)
        noise = b"\n".join(bytes(b for b in source.randbytes(source.randrange(200)) if b != 10)
                           for _ in range(300))
        result = self.workload(noise + b"\nGET k\nSTOP\n")
        self.assertEqual((0, b"GET k null\nSTOP\n"), (result.code, result.out), result)

    def test_each_answer_is_flushed_before_the_next_call_is_read(self):
        client = Workload(self.c.manager_address)
        self.addCleanup(client.kill)
        self.assertEqual("PUT k not_found", client.call("PUT k v"))
        self.assertEqual("GET k v", client.call("GET k"))
        client.send("SCAN k k")
        self.assertEqual(["SCAN k k BEGIN", "  k v", "SCAN END"], [client.answer() for _ in range(3)])
        self.assertEqual(0, client.stop())

    def test_a_closed_output_ends_the_client(self):
        client = subprocess.Popen([program("cairn"), "--manager", self.c.manager_address, "workload"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env=clean_environment())
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        client.stdout.close()
        try:
            for _ in range(100):
                client.stdin.write(b"GET k\n")
                client.stdin.flush()
                time.sleep(0.01)
            self.fail("the client reads on though nobody hears its answers")
        except BrokenPipeError:
            pass
        try:
            client.stdin.close()
        except BrokenPipeError:
            pass
        self.assertNotEqual(0, client.wait(20))

    def test_calls_wait_while_a_server_is_down_and_succeed_when_it_returns(self):
        key = self.c.key_on(0)
        client = Workload(self.c.manager_address)
        self.addCleanup(client.kill)
        client.call(f"PUT {key} before")
        self.c.servers[0].crash()
        client.send(f"SWAP {key} after")
        self.assertTrue(client.lines.empty())
        self.c.servers[0].start()
        self.assertEqual(f"SWAP {key} before", client.answer())
        self.assertEqual(f"GET {key} after", client.call(f"GET {key}"))
        self.assertEqual(0, client.stop())

    def test_calls_wait_for_a_manager_that_is_not_up_yet(self):
        self.c.manager.crash()
        client = Workload(self.c.manager_address)
        self.addCleanup(client.kill)
        client.send("PUT k v")
        self.c.manager.start()
        self.assertEqual("PUT k not_found", client.answer())
        self.assertEqual(0, client.stop())


if __name__ == "__main__":
    unittest.main()
