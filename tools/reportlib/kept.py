"""What measuring left: one JSON file for each experiment, from which the report is made again.

A file is taken whole or not at all: it is written beside its place and then renamed.
"""
import json
import os
import time

import benchlib
from benchlib import BenchError

PLACES = ("programs", "directory")  # options that name places of this machine: nobody else's business
SCHEMA = 1  # counts up when the meaning of what all experiments keep changes


def path_of(folder, name):
    return os.path.join(folder, name + ".json")


def save(options, name, facts, results, seconds, folder):
    """Writes FOLDER/NAME.json and returns it as load() would. `options`: a dict of what the experiment
    was told; `facts`: (name, text) pairs; `seconds`: how long it took."""
    kept = {"name": name, "schema": SCHEMA, "commit": benchlib.commit(),
            "date": time.strftime("%Y-%m-%d %H:%M:%S"), "facts": [list(pair) for pair in facts],
            "options": {k: v for k, v in options.items() if k not in PLACES},
            "seconds": round(seconds, 1), "results": results}
    text = json.dumps(kept, indent=1) + "\n"
    benchlib.replace_file(path_of(folder, name), text)
    # As it will be read: tuples are lists now, and keys of dicts strings.
    return json.loads(text)


def load(folder, name):
    """The dict that save() wrote, or None if there is none. Raises BenchError for a file that is not
    of this schema or name."""
    path = path_of(folder, name)
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BenchError(f"{path}: {error}") from error
    if not isinstance(kept, dict) or kept.get("schema") != SCHEMA or kept.get("name") != name:
        raise BenchError(f"{path} is not what measuring {name} writes today: measure again")
    return kept
