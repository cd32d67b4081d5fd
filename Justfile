# Recipes for people; `just --list` shows them. Those without arguments are make targets too.

default_manager := "127.0.0.1:3666"
default_servers := "127.0.0.1:3777,127.0.0.1:3778,127.0.0.1:3779"

# lists the recipes
default:
    @just --list --unsorted

# installs what building and testing need
deps:
    tools/install-deps

# builds the programs into bin/
build:
    make -j"$(nproc)"

# The answers of what follows go to stdout, so make is quiet there.
_programs:
    @make -s -j"$(nproc)" >&2

# a manager in the foreground, data in ./backer.m; REPLICAS=N: copies of each partition (2)
manager man_port=default_manager servers=default_servers: _programs
    @tools/node.sh manager {{ quote(man_port) }} {{ quote(servers) }}

# a server in the foreground
server id="0" manager=default_manager api_port="127.0.0.1:3777" backer_path=("./backer.s" + id): _programs
    @tools/node.sh server {{ quote(id) }} {{ quote(manager) }} {{ quote(api_port) }} {{ quote(backer_path) }}

# a client in workload mode: one call a line on stdin
client manager=default_manager: _programs
    @tools/node.sh client {{ quote(manager) }}

# one node of a cluster in the foreground: m, s0, s1, ...; data in BACKER_PREFIX.NODE
service node manager=default_manager servers=default_servers backer_prefix="./backer": _programs
    @tools/node.sh service {{ quote(node) }} {{ quote(manager) }} {{ quote(servers) }} {{ quote(backer_prefix) }}

# concurrent clients on the same keys of a running cluster, checked; log in report/fuzz/
fuzz nservers="3" crashing="no" manager=default_manager: _programs
    @tools/fuzz {{ quote(nservers) }} {{ quote(crashing) }} {{ quote(manager) }}

# whether the clients of `just fuzz` notice what they shall: builds with planted faults must be caught
fuzz-selftest *bugs:
    @make -s -j"$(nproc)" all fuzz-tests >&2
    @tools/fuzz-selftest {{ bugs }}

# measures a running cluster; WORKLOAD a to f (YCSB), CACHE=yes; log in report/bench/
bench nclients="30" workload="a" nservers="3" manager=default_manager: _programs
    @tools/bench.sh {{ quote(nclients) }} {{ quote(workload) }} {{ quote(nservers) }} {{ quote(manager) }}

# Cairn beside Redis, etcd and LMDB; writes report/peers.md
bench-peers *options: _programs
    tools/bench-peers {{ options }}

# report/report.md with plots (and a PDF): measures what is missing, takes the rest from report/data/
report *args: _programs
    @tools/report {{ args }}

# the same, everything measured anew, with an estimate of the time left; `just report` goes on if interrupted
report-full: _programs
    @tools/report --full

# the pages of their own in report/: speed and memory beside Redis', failover, catching up, the cache
report-details: _programs
    tools/bench-against-redis speed
    tools/bench-against-redis replication
    tools/bench-against-redis recovery
    tools/bench-against-redis memory
    tools/bench-replication failover
    tools/bench-replication manager-down
    tools/bench-replication catch-up
    tools/bench-cache

# a local cluster of N servers in the background, data in ./data; REPLICAS=N: copies (2)
up n="": _programs
    @tools/cluster.sh up {{ if n == "" { "" } else { quote(n) } }}

# stops that cluster; its data stays
down:
    @tools/cluster.sh down

# ends every process that this checkout started
kill:
    @tools/cluster.sh kill

# the scripted case: crash of one of three servers, and recovery
testcase: _programs
    @tests/integration/run --steps test_testcase

# kill -9 of random servers and the manager under load, N times
soak-kills n="200": _programs
    @KILLS={{ quote(n) }} tests/integration/run --steps test_kills

# faults at random on real processes, N cycles: kills, pauses, cuts, moves; histories checked
soak-faults n="20": _programs
    @tools/soak {{ quote(n) }}

# every call into the system that fails, once and for ever, in real processes; goes on where it stopped
fail-nth *args: _programs
    @make -s -k -j"$(nproc)" unit-build >&2
    @tools/fail-nth {{ args }}

# readers of cached values while processes are killed and stopped, for so many minutes
soak-cache minutes="10": _programs
    @make -s cache-tests >&2
    @tools/soak-cache {{ quote(minutes) }}

# cairn-fuzz on three servers that all stay, 1 copy and 2; logs in report/fuzz/, DURATION=SECONDS each (20)
fuzz-healthy: _programs
    @tools/fuzz-crash 3 0 1
    @tools/fuzz-crash 3 0 2

# the same with server 1 killed half way and relaunched: with 1 copy clients wait for it, with 2 they go on
fuzz-crash: _programs
    @tools/fuzz-crash 3 1 1
    @tools/fuzz-crash 3 1 2

# the same with servers 1 and 2 of five; with 2 copies what only those two hold waits, with 3 all go on
fuzz-crash2: _programs
    @tools/fuzz-crash 5 2 1
    @tools/fuzz-crash 5 2 2
    @tools/fuzz-crash 5 2 3

# cairn-fuzz with so many faults of each kind in turn, or of those named; writes report/nemesis.md
fuzz-nemesis cycles="100" *kinds: _programs
    @tools/fuzz-nemesis {{ quote(cycles) }} {{ kinds }}

# cairn-fuzz with faults of all kinds on a cluster of its own, for so many minutes; log in report/fuzz/
soak minutes="10": _programs
    @tools/soak-nemesis {{ quote(minutes) }}

# every decoder under libFuzzer for so many seconds, or RUNS=N executions; adds to report/fuzz/decoders.md
fuzz-decoders seconds="60" *targets:
    @tools/fuzz-decoders {{ quote(seconds) }} {{ targets }}

# N bits flipped in every kind of page of one copy's store, in both copies', in one copy's log: never a wrong answer
flips n="100": _programs
    @FLIPS={{ n }} tests/integration/run --steps test_flips

# power losses at every write and sync of recorded runs, tens of thousands; writes report/crash-images.md
crash-images *args: _programs
    @make -s crash-tests >&2
    @tools/crash-images {{ args }}

# simulated clusters, each decided by its seed: SEEDS=N of them, or SEED=S alone with its trace
sim *args:
    @make -s sim >&2
    @tools/sim.sh {{ args }}

# everything that a change has to pass
test:
    ./run_tests.sh

# the tour
demo:
    ./run_demo.sh
