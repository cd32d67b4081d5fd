"""Is a history of concurrent operations on single keys linearizable?

The search is Wing and Gong's with Lowe's memoization (G. Lowe, "Testing for linearizability",
2017): repeatedly pick an operation that may come next, and remember each pair of (operations taken,
state) so that none is explored twice. Keys are independent, so each is checked alone.
"""
from dataclasses import dataclass
from typing import Optional

UNKNOWN = object()  # no answer: may have happened at any time after its start, or never


@dataclass
class Operation:
    process: int
    kind: str               # PUT, SWAP, GET, DELETE
    key: str
    value: Optional[str]    # written, if any
    result: object          # found/not_found, the old value or None, or UNKNOWN
    start_ns: int
    end_ns: int = 0


def step(state, operation):
    """(the answer this state gives, the next state)."""
    existed = "not_found" if state is None else "found"
    if operation.kind == "GET":
        return state, state
    if operation.kind == "PUT":
        return existed, operation.value
    if operation.kind == "SWAP":
        return state, operation.value
    return existed, None


class _Event:
    __slots__ = ("operation", "bit", "match", "before", "after")

    def __init__(self, operation, bit):
        self.operation, self.bit, self.match, self.before, self.after = operation, bit, None, None, None


def _events(operations):
    """A doubly linked list of calls and returns in time order; returns its head."""
    timed = []
    for number, operation in enumerate(operations):
        call, back = _Event(operation, 1 << number), _Event(operation, 1 << number)
        call.match = back
        end = float("inf") if operation.result is UNKNOWN else operation.end_ns
        # At equal times calls come first: the operations count as concurrent.
        timed.append((operation.start_ns, 0, number, call))
        timed.append((end, 1, number, back))
    timed.sort(key=lambda item: item[:3])
    head = last = _Event(None, 0)
    for item in timed:
        last.after, item[3].before = item[3], last
        last = item[3]
    return head


def _lift(call):
    for event in (call, call.match):
        event.before.after = event.after
        if event.after is not None:
            event.after.before = event.before


def _unlift(call):
    for event in (call.match, call):
        event.before.after = event
        if event.after is not None:
            event.after.before = event


def linearizable(operations, state=None, limit=20_000_000):
    """True or False for operations on one key that is `state` at first."""
    # A lost GET tells nothing.
    operations = [o for o in operations if not (o.kind == "GET" and o.result is UNKNOWN)]
    head = _events(operations)
    must = sum(1 << n for n, o in enumerate(operations) if o.result is not UNKNOWN)
    taken, seen, stack, steps = 0, set(), [], 0
    event = head.after
    while must & ~taken:
        steps += 1
        if steps > limit:
            raise RuntimeError("the search grew too large")
        if event.match is not None:
            answer, following = step(state, event.operation)
            fits = event.operation.result is UNKNOWN or answer == event.operation.result
            if fits and (taken | event.bit, following) not in seen:
                seen.add((taken | event.bit, following))
                stack.append((event, state))
                taken, state = taken | event.bit, following
                _lift(event)
                event = head.after
            else:
                event = event.after
            continue
        # An operation has returned that cannot come next any more: undo the last choice.
        if not stack:
            return False
        event, state = stack.pop()
        taken &= ~event.bit
        _unlift(event)
        event = event.after
    return True


def check(operations):
    """Raises AssertionError with the key's operations if some key's history is not linearizable."""
    for key in sorted({o.key for o in operations}):
        mine = sorted((o for o in operations if o.key == key), key=lambda o: o.start_ns)
        if not linearizable(mine):
            raise AssertionError(f"key {key}: {len(mine)} operations are not linearizable; "
                                 + swap_chain_fault(mine))


def swap_chain_fault(operations):
    """What a look at the SWAP chain alone finds: each written value is returned at most once."""
    returned, written = {}, {o.value for o in operations if o.value is not None}
    for operation in operations:
        if operation.kind != "SWAP" or operation.result in (UNKNOWN, None):
            continue
        if operation.result not in written:
            return f"value {operation.result} was never written"
        if operation.result in returned:
            return f"value {operation.result} was returned by two SWAPs: executed twice"
        returned[operation.result] = operation
    return "the SWAP chain alone shows no fault"
