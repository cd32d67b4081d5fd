"""The clients of tools/fuzz and its checker, as experiments use them."""
import importlib.machinery
import importlib.util
import os
import subprocess

import benchlib
from benchlib import BenchError


def load_fuzz(programs):
    """tools/fuzz as a module, its clients being those of `programs`."""
    path = os.path.join(benchlib.ROOT, "tools", "fuzz")
    loader = importlib.machinery.SourceFileLoader("cairn_fuzz", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("cairn_fuzz", loader))
    loader.exec_module(module)
    module.cluster.BIN = os.path.abspath(programs)
    return module


def remove_caches(fuzz):
    fuzz.cluster.remove_segments(fuzz.cluster.cache_prefix(os.getpid()))


def check(fuzz, operations, path):
    """(whether one order of all operations fits every answer, the checker's first line)."""
    if not os.access(fuzz.CHECKER, os.X_OK):
        raise BenchError(f"{fuzz.CHECKER} is not built: make {os.path.relpath(fuzz.CHECKER, benchlib.ROOT)}")
    fuzz.write_history(path, operations)
    done = subprocess.run([fuzz.CHECKER, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode not in (0, 1):
        raise BenchError(f"the checker could not read the history: {text[:500]}")
    return done.returncode == 0, text.split("\n", 1)[0]
