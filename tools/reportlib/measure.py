"""Runs experiments one after the other and keeps what each found, so that an interrupted run goes on.

With `full`, all that was asked for counts as missing until it has been measured anew; what of it is
still to do stands in data/.pending, which outlives an interruption.
"""
import dataclasses
import importlib
import json
import os
import sys
import time
import traceback

import benchlib
from benchlib import Workspace

from . import kept
from .progress import Progress

NO_ESTIMATE = 60.0     # seconds, of an experiment that cannot tell
FRESH = 300.0          # seconds for which facts of the machine are taken as still true


class Experiment:
    """One of the catalogue: its module, or why there is none; what is kept of it, and what went wrong."""

    def __init__(self, name, package):
        self.name, self.module, self.kept, self.failure = name, None, None, None
        try:
            self.module = importlib.import_module(package + name)
        except Exception as error:  # whatever a module may do when it is loaded
            self.failure = f"it cannot be loaded: {explain(error)}"

    @property
    def title(self):
        return getattr(self.module, "TITLE", self.name.capitalize())

    def load(self, folder):
        try:
            self.kept = kept.load(folder, self.name)
        except benchlib.BenchError as error:
            print(f"{error}", file=sys.stderr)

    @property
    def quick(self):
        return self.kept is not None and bool(self.kept.get("options", {}).get("quick"))

    def estimate(self, options):
        try:
            return float(self.module.estimate(options))
        except Exception:  # an estimate is not worth a failure
            return NO_ESTIMATE


def explain(error):
    """An exception in a line, with the place where it was raised unless it explains itself."""
    text = str(error).strip()
    if isinstance(error, (benchlib.BenchError, ModuleNotFoundError)):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"


class Pending:
    """The names that a full run has not measured yet, in a file."""

    def __init__(self, folder):
        self.path = os.path.join(folder, ".pending")
        try:
            with open(self.path, encoding="utf-8") as file:
                self.names = set(json.load(file))
        except (OSError, ValueError):
            self.names = set()

    def keep(self):
        if self.names:
            benchlib.replace_file(self.path, json.dumps(sorted(self.names)) + "\n")
        elif os.path.exists(self.path):
            os.unlink(self.path)

    def add(self, names):
        self.names |= set(names)
        self.keep()

    def remove(self, name):
        self.names.discard(name)
        self.keep()


class Machine:
    """The facts of the machine, taken again when they are old: a disk is not equally fast all day."""

    def __init__(self, options):
        self.options, self.taken, self.pairs = options, None, []

    def facts(self):
        now = time.monotonic()
        if self.taken is None or now - self.taken > FRESH:
            self.pairs = benchlib.facts(self.options.programs, self.options.directory)
            self.taken = time.monotonic()
        return self.pairs


def processor_times():
    """(all, stolen) seconds of all processors since the start: what the hypervisor gave to others."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    return sum(fields), fields[7]


def stolen_share(before):
    whole, stolen = (now - then for now, then in zip(processor_times(), before))
    return 100.0 * stolen / whole if whole > 0 else 0.0


def measure(experiment, options, machine, progress, folder):
    """Runs one and keeps what it found; a failure is noted and nobody else's."""
    progress.begin(experiment.title)
    try:
        os.makedirs(options.directory, exist_ok=True)
        facts = machine.facts() + [("load of the machine before (1 minute)", f"{os.getloadavg()[0]:.1f}")]
        before, start = processor_times(), time.monotonic()
        with Workspace(options.directory) as space:
            results = experiment.module.run(options, space, progress.tell)
        seconds = time.monotonic() - start
        facts.append(("processor time stolen by the hypervisor meanwhile", f"{stolen_share(before):.1f}%"))
        experiment.kept = kept.save(dataclasses.asdict(options), experiment.name, facts, results, seconds,
                                    folder)
        progress.end()
        return True
    except Exception as error:  # the others go on, whatever it is
        experiment.failure = explain(error)
        progress.end(experiment.failure)
        return False


def missing(experiments, chosen, pending, options):
    """What has to be measured: the chosen ones of which nothing is kept that may be shown."""
    return [e for e in experiments if e.name in chosen and e.module is not None and
            (e.kept is None or e.name in pending.names or (e.quick and not options.quick))]


def measure_missing(experiments, chosen, full, options, folder):
    """True if none of them failed."""
    pending = Pending(folder)
    if full:
        pending.add(e.name for e in experiments if e.name in chosen and e.module is not None)
    work = missing(experiments, chosen, pending, options)
    if not work:
        return True
    progress = Progress([(e.name, e.estimate(options)) for e in work])
    machine, held = Machine(options), True
    for experiment in work:
        if measure(experiment, options, machine, progress, folder):
            pending.remove(experiment.name)
        else:
            held = False
    return held
