"""Says on stderr how far measuring is, and how long it will take yet.

An experiment's own estimate is corrected by how true the estimates were so far.
"""
import sys
import time

MIST = 20.0       # seconds that count as if an experiment had taken what it said: tames the first ones
FACTOR = (0.2, 5.0)


def span(seconds):
    """A duration as people say it."""
    seconds = int(round(max(0.0, seconds)))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Progress:
    """`estimates`: (name, seconds) of what will be measured, in order."""

    def __init__(self, estimates, stream=sys.stderr, clock=time.monotonic):
        self.estimates, self.stream, self.clock = list(estimates), stream, clock
        self.began = clock()
        self.at, self.started = -1, self.began
        self.said, self.took = 0.0, 0.0  # of those that came to their end

    def factor(self):
        low, high = FACTOR
        return min(high, max(low, (self.took + MIST) / (self.said + MIST)))

    def left(self):
        """Seconds, from now to the end of all."""
        later = sum(seconds for _, seconds in self.estimates[self.at + 1:])
        now = 0.0
        if 0 <= self.at < len(self.estimates):
            now = max(0.0, self.estimates[self.at][1] * self.factor() - (self.clock() - self.started))
        return later * self.factor() + now

    def line(self, text):
        print(text, file=self.stream, flush=True)

    def begin(self, title):
        self.at, self.started = self.at + 1, self.clock()
        name = self.estimates[self.at][0]
        self.line(f"[{self.at + 1}/{len(self.estimates)}] {name}: {title}; "
                  f"{span(self.clock() - self.began)} passed, about {span(self.left())} left")

    def tell(self, text):
        """What experiments call."""
        self.line(f"[{self.at + 1}/{len(self.estimates)}] {self.estimates[self.at][0]} "
                  f"+{span(self.clock() - self.started)}: {text} (about {span(self.left())} left)")

    def end(self, failure=None):
        """Returns the seconds that it took. A failed one says nothing about estimates."""
        seconds = self.clock() - self.started
        if failure is None:
            self.said += self.estimates[self.at][1]
            self.took += seconds
            self.line(f"[{self.at + 1}/{len(self.estimates)}] {self.estimates[self.at][0]}: "
                      f"done in {span(seconds)}")
        else:
            self.line(f"[{self.at + 1}/{len(self.estimates)}] {self.estimates[self.at][0]}: "
                      f"FAILED after {span(seconds)}: {failure}")
        return seconds
