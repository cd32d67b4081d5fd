"""The shared cache of a host with its agent, for a while; measurements that read through it."""
import contextlib
import itertools
import json
import os
import subprocess

import benchlib
from benchlib import Process, environment

_numbers = itertools.count(1)


def cairn(options, store, name, *words):
    return [os.path.join(options.programs, "cairn"), "--manager", store.manager_address, "--cache-name",
            name, *words]


def ask(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(), check=False)


def sessions(options, store, name):
    done = ask(cairn(options, store, name, "--json", "cache", "stat"))
    return json.loads(done.stdout)["sessions"] if done.returncode == 0 else 0


@contextlib.contextmanager
def cache(options, store, folder):
    """The name of a cache that nobody else uses, once its agent has a session with each server; both
    are gone afterwards."""
    name = f"report-{os.getpid()}-{next(_numbers)}"
    agent = Process("agent-" + name, cairn(options, store, name, "agent"), folder)
    try:
        def open_to_all():
            agent.check()
            return sessions(options, store, name) >= len(store.addresses)
        benchlib.wait_until(open_to_all, "the cache's agent has its sessions", 30)
        yield name
    finally:
        agent.stop()
        ask(cairn(options, store, name, "cache", "unlink"))


def through(name):
    """What the driver is told to read through that cache."""
    return ["--cache", "--cache-name", name, "--no-agent"]
