"""The history check itself: known good histories pass and known bad ones do not."""
import random
import unittest

import history
from history import UNKNOWN, Operation


def op(kind, value, result, start, end):
    return Operation(0, kind, "k", value, result, start, end)


class HistoryTest(unittest.TestCase):
    def test_sequential_operations_follow_the_register(self):
        self.assertTrue(history.linearizable([
            op("GET", None, None, 1, 2), op("PUT", "a", "not_found", 3, 4),
            op("SWAP", "b", "a", 5, 6), op("DELETE", None, "found", 7, 8),
            op("PUT", "c", "not_found", 9, 10), op("GET", None, "c", 11, 12)]))

    def test_concurrent_operations_may_take_either_order(self):
        for seen in ("a", "b"):
            self.assertTrue(history.linearizable([
                op("PUT", "z", "not_found", 0, 1), op("PUT", "a", "found", 2, 9),
                op("PUT", "b", "found", 3, 8), op("GET", None, seen, 10, 11)]))

    def test_a_stale_read_is_found(self):
        self.assertFalse(history.linearizable([
            op("PUT", "a", "not_found", 1, 2), op("PUT", "b", "found", 3, 4),
            op("GET", None, "a", 5, 6)]))

    def test_a_lost_write_is_found(self):
        self.assertFalse(history.linearizable([
            op("PUT", "a", "not_found", 1, 2), op("GET", None, None, 3, 4)]))

    def test_a_swap_executed_twice_is_found(self):
        bad = [op("PUT", "a", "not_found", 1, 2), op("SWAP", "b", "a", 3, 20),
               op("SWAP", "c", "b", 4, 5), op("SWAP", "d", "b", 6, 7)]
        self.assertFalse(history.linearizable(bad))
        self.assertIn("executed twice", history.swap_chain_fault(bad))

    def test_reads_that_go_back_in_time_are_found(self):
        self.assertFalse(history.linearizable([
            op("PUT", "a", "not_found", 1, 2), op("PUT", "b", "found", 3, 20),
            op("GET", None, "b", 4, 5), op("GET", None, "a", 6, 7)]))

    def test_an_unknown_write_may_take_effect_late_or_never(self):
        lost = op("PUT", "b", UNKNOWN, 3, 0)
        start = op("PUT", "a", "not_found", 1, 2)
        for later in ("a", "b"):
            self.assertTrue(history.linearizable([start, lost, op("GET", None, later, 50, 51)]))
        self.assertFalse(history.linearizable(
            [start, lost, op("GET", None, "b", 50, 51), op("GET", None, "a", 52, 53)]))

    def test_a_long_history_is_checked_and_one_wrong_answer_found(self):
        operations, state, now = [], None, 0
        for n in range(5000):
            kind = random.choice(["PUT", "SWAP", "GET"])
            value = None if kind == "GET" else f"v{n}"
            operation = Operation(n % 5, kind, "k", value, None, now, now + 12)
            operation.result, state = history.step(state, operation)
            operations.append(operation)
            now += 5  # each overlaps the next two
        history.check(operations)
        wrong = [o for o in operations[2000:] if o.kind == "GET" and o.result][0]
        wrong.result = "v3"
        with self.assertRaises(AssertionError):
            history.check(operations)


if __name__ == "__main__":
    unittest.main()
