#!/bin/bash
# A tour of Cairn on this machine: installs what is missing, builds, runs a manager and three
# servers on loopback in a temporary directory, and leaves nothing behind.
#
#   ./run_demo.sh                  the tour
#   ./run_demo.sh --mode=golden    the same bytes every run
#   ./run_demo.sh --mode=failure   what clear failures look like; ends with exit code 2
#
# CAIRN_BIN names a directory with programs built elsewhere; then nothing is installed or built.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C
BIN=${CAIRN_BIN:-}
# The programs read their options from variables of these names too.
unset "${!CAIRN_@}"
# What the clients share in this host's memory is the demo's own.
export CAIRN_CACHE_NAME=demo-$$ CAIRN_CACHE_SIZE=8M

SERVERS=3 CLIENTS=3 CALLS=2000 READS=2000
WORK= MANAGER= ADDRESSES=
declare -A pids=()

# --- taking everything down ---------------------------------------------------------------------

cleanup() {
    trap '' INT TERM
    local name
    for name in "${!pids[@]}"; do
        kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    for name in "${!pids[@]}"; do
        end_of "${pids[$name]}"
    done
    [ -z "$WORK" ] || rm -rf "$WORK"
    # Also one that no managers' list leads to, because its maker was interrupted.
    rm -f /dev/shm/cairn-*"$CAIRN_CACHE_NAME"*
}

# Waits five seconds for a child's end, then kills it.
end_of() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

fail() {
    echo "ERROR: $*" >&2
    exit 2
}

# --- processes ----------------------------------------------------------------------------------

start_manager() {
    "$BIN"/cairn-manager --listen "$MANAGER" --servers "$ADDRESSES" --partitions 16 \
        --data "$WORK/m" </dev/null >>"$WORK/m.log" 2>&1 &
    pids[m]=$!
}

start_server() {
    local address
    address=$(cut -d, -f$(($1 + 1)) <<<"$ADDRESSES")
    "$BIN"/cairn-server --id "$1" --manager "$MANAGER" --listen "$address" --data "$WORK/s$1" \
        </dev/null >>"$WORK/s$1.log" 2>&1 &
    pids[s$1]=$!
}

crash_server() {
    kill -KILL "${pids[s$1]}"
    wait "${pids[s$1]}" 2>/dev/null || true
    unset "pids[s$1]"
}

free_ports() {
    local base i
    while true; do
        base=$((15000 + RANDOM % 16000))
        for ((i = 0; i <= SERVERS; i++)); do
            ! (exec 3<>"/dev/tcp/127.0.0.1/$((base + i))") 2>/dev/null || continue 2
        done
        break
    done
    MANAGER=127.0.0.1:$base
    for ((i = 1; i <= SERVERS; i++)); do
        ADDRESSES+=${ADDRESSES:+,}127.0.0.1:$((base + i))
    done
}

wait_ready() {
    local deadline=$((SECONDS + 60)) name
    until "$BIN"/cairn --manager "$MANAGER" --timeout 1000 scan '!' '~' --limit 1 >/dev/null 2>&1; do
        for name in "${!pids[@]}"; do
            kill -0 "${pids[$name]}" 2>/dev/null || fail "$name: $(tail -n 1 "$WORK/$name.log")"
        done
        [ "$SECONDS" -lt "$deadline" ] || fail "the cluster is not ready after 60 s"
    done
}

start_cluster() {
    local i
    free_ports
    start_manager
    for ((i = 0; i < SERVERS; i++)); do
        start_server "$i"
    done
    wait_ready
    wait_copies
}

# Until every partition has all the copies that it shall have.
wait_copies() {
    local deadline=$((SECONDS + 60))
    until "$BIN"/cairn --manager "$MANAGER" --timeout 2000 --json status 2>/dev/null |
        grep -Eq '"missing_copies": *0\b'; do
        [ "$SECONDS" -lt "$deadline" ] || fail "copies are missing after 60 s"
        sleep 0.1
    done
}

# --- showing ------------------------------------------------------------------------------------

say() {
    printf '\n# %s\n' "$*"
}

# A command line as one would type it; long words are cut.
typed() {
    local word
    printf '$'
    for word in "$@"; do
        [ ${#word} -le 80 ] || word=${word:0:60}...
        case $word in
        *[!A-Za-z0-9_.,:/=-]* | '') printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
}

# Prints a command as one would type it, what it prints, and its exit code unless that is 0.
show() {
    local code=0
    typed cairn "$@"
    "$BIN"/cairn --manager "$MANAGER" "$@" 2>&1 || code=$?
    [ "$code" -eq 0 ] || echo "(exit $code)"
}

# details COMMAND...: output that differs from run to run; the golden mode leaves it out.
details() {
    [ "$mode" = golden ] || "$@"
}

# --- the tour -----------------------------------------------------------------------------------

basics() {
    say "Put, get, swap, delete"
    show put greeting hello
    show put greeting "good morning"
    show get greeting
    show swap greeting "good evening"
    show get nobody
    show delete greeting nobody
    say "A scan is ordered, both ends inclusive, over all servers"
    local city
    for city in Oslo Bern Rome Cairo Lima Quito; do
        "$BIN"/cairn --manager "$MANAGER" put "city:$city" "${#city} letters" >/dev/null
    done
    show scan city:B city:Q
    say "A write that holds only if nobody was faster"
    show put lock mine --if-version 0
    show put lock yours --if-version 0
    show get lock
    say "Workload mode: one call a line"
    printf '%s\n' "PUT a 1" "SWAP a 2" "SCAN a b" "STOP" >"$WORK/calls"
    sed 's/^/> /' "$WORK/calls"
    "$BIN"/cairn --manager "$MANAGER" workload <"$WORK/calls"
}

client_calls() {
    local n
    for ((n = 1; n <= CALLS; n++)); do
        echo "SWAP client$1-$((n % 50)) $n"
    done
}

answered() {
    cat "$WORK"/answers.* | wc -l
}

start_clients() {
    local i
    for ((i = 0; i < CLIENTS; i++)); do
        client_calls "$i" >"$WORK/calls.$i"
        "$BIN"/cairn --manager "$MANAGER" workload <"$WORK/calls.$i" >"$WORK/answers.$i" \
            2>"$WORK/client$i.log" &
        pids[c$i]=$!
    done
}

# What each SWAP must answer: the value that the same client wrote to that key 50 calls earlier.
expected_answers() {
    local n
    for ((n = 1; n <= CALLS; n++)); do
        if ((n > 50)); then
            echo "SWAP client$1-$((n % 50)) $((n - 50))"
        else
            echo "SWAP client$1-$((n % 50)) null"
        fi
    done
}

# How many of the keys that client 0 wrote answer a get.
readable() {
    local n count=0
    for ((n = 0; n < 50; n++)); do
        "$BIN"/cairn --manager "$MANAGER" get "client0-$n" >/dev/null 2>&1 && count=$((count + 1))
    done
    echo "$count"
}

# The clients' end, and that every SWAP of theirs was answered as it must be.
join_clients() {
    local i
    for ((i = 0; i < CLIENTS; i++)); do
        wait "${pids[c$i]}" || fail "client $i: $(tail -n 1 "$WORK/client$i.log")"
        unset "pids[c$i]"
        expected_answers "$i" | cmp - "$WORK/answers.$i" || fail "client $i got a wrong answer"
    done
    echo "answers: $(answered) of $((CLIENTS * CALLS)), each SWAP took effect exactly once"
}

failover() {
    say "$CLIENTS clients make $CALLS SWAPs each; server 1 is killed with kill -9 while they run"
    start_clients
    until [ "$(answered)" -ge $((CLIENTS * CALLS / 4)) ]; do sleep 0.02; done
    crash_server 1
    echo "server 1 is dead, and stays so for now"
    say "The others take over what it led, and the clients go on"
    join_clients
    echo "gets that are answered: $(readable) of 50"
    details show status
    say "Server 1 starts again on its data and catches up, without a command"
    start_server 1
    wait_copies
    details sh -c "grep recovered '$WORK/s1.log' | tail -n 1"
    echo "every partition has two copies again"
    say "Now server 0 is killed: server 1 holds what was written while it was dead"
    crash_server 0
    echo "gets that are answered: $(readable) of 50"
    start_server 0
    wait_copies
    echo "server 0 is back, every partition has two copies again"
}

# The number that `cairn cache stat` gives for a name.
cache_number() {
    "$BIN"/cairn --manager "$MANAGER" --json cache stat 2>/dev/null |
        sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

# Until the host's agent has a session with every server.
wait_agent() {
    local deadline=$((SECONDS + 30))
    until [ "$(cache_number sessions)" = "$SERVERS" ]; do
        kill -0 "${pids[agent]}" 2>/dev/null || fail "agent: $(tail -n 1 "$WORK/agent.log")"
        [ "$SECONDS" -lt "$deadline" ] || fail "the agent has no sessions after 30 s"
        sleep 0.05
    done
}

# Two processes that read one key over and over.
cached_readers() {
    local i n
    for ((n = 0; n < READS; n++)); do
        echo "GET motd"
    done >"$WORK/reads"
    for i in 0 1; do
        "$BIN"/cairn --manager "$MANAGER" workload <"$WORK/reads" >"$WORK/read.$i" 2>"$WORK/reader$i.log" &
        pids[r$i]=$!
    done
    for i in 0 1; do
        wait "${pids[r$i]}" || fail "reader $i: $(tail -n 1 "$WORK/reader$i.log")"
        unset "pids[r$i]"
    done
    [ "$(sort -u "$WORK"/read.[01])" = "GET motd one" ] || fail "a reader got a wrong answer"
    echo "2 processes read it $READS times each"
    [ "$(cache_number hits)" -gt 0 ] || fail "nothing was read from the cache"
    echo "reads were answered from this host's memory, without asking a server"
}

# A process that has the value cached reads it after each write of another process.
seen_at_once() {
    local i n answer
    coproc READER { exec "$BIN"/cairn --manager "$MANAGER" workload 2>"$WORK/reader.log"; }
    pids[reader]=$READER_PID
    for ((i = 1; i <= 20; i++)); do
        "$BIN"/cairn --manager "$MANAGER" put motd "$i" >/dev/null
        for ((n = 0; n < 10; n++)); do
            echo "GET motd" >&"${READER[1]}"
            read -r answer <&"${READER[0]}"
            [ "$answer" = "GET motd $i" ] || fail "after $i was written a reader got: $answer"
        done
    done
    echo STOP >&"${READER[1]}"
    wait "${pids[reader]}" || fail "the reader failed"
    unset "pids[reader]"
    echo "20 writes, each by another process: the reader's very next read saw it, each time"
}

shared_cache() {
    say "The processes of a host share a cache; its agent keeps it true"
    "$BIN"/cairn --manager "$MANAGER" agent </dev/null >"$WORK/agent.log" 2>&1 &
    pids[agent]=$!
    wait_agent
    show put motd one
    cached_readers
    details show cache stat
    say "A write revokes what is cached before it is acknowledged"
    seen_at_once
    say "The cache is only memory: it can be emptied or removed at any time"
    details show cache clear
    show get motd
    kill -TERM "${pids[agent]}"
    ended agent
    details show cache unlink
}

manager_restart() {
    say "The manager is killed: healthy servers serve on, and a client that starts now finds the map in memory"
    kill -KILL "${pids[m]}"
    wait "${pids[m]}" 2>/dev/null || true
    unset "pids[m]"
    show swap a 3
    echo "SWAP a 4" >"$WORK/calls.late"
    "$BIN"/cairn --manager "$MANAGER" --no-cache workload <"$WORK/calls.late" >"$WORK/answers.late" \
        2>/dev/null &
    pids[late]=$!
    start_manager
    wait "${pids[late]}" || fail "the waiting client failed"
    unset "pids[late]"
    echo "the manager is back with its map; a client without a cache, which waited for it, got:"
    cat "$WORK/answers.late"
}

tour() {
    say "A manager and $SERVERS servers, two copies of each of 16 partitions"
    start_cluster
    details show status
    basics
    shared_cache
    failover
    manager_restart
    say "A clean stop"
    stop_all
    if [ "$mode" = golden ]; then
        echo "OK: golden scenario completed"
    else
        echo "OK: tour completed"
    fi
}

# ended NAME: waits for a process that was told to end; it must do so with exit code 0.
ended() {
    local code=0
    wait "${pids[$1]}" || code=$?
    unset "pids[$1]"
    [ "$code" -eq 0 ] || fail "$1 ended with exit code $code: $(tail -n 3 "$WORK/$1.log")"
}

stop_all() {
    local i
    for ((i = 0; i < SERVERS; i++)); do
        kill -TERM "${pids[s$i]}"
    done
    for ((i = 0; i < SERVERS; i++)); do
        ended "s$i"
    done
    kill -TERM "${pids[m]}"
    ended m
    echo "all processes ended with exit code 0"
}

# --- failures -----------------------------------------------------------------------------------

# refused PROGRAM ARGS...: must end with 2 or 3 and one line of explanation.
refused() {
    local code=0 name=$1 output
    shift
    typed "$name" "$@"
    output=$("$BIN/$name" "$@" 2>&1 >/dev/null </dev/null) || code=$?
    grep '^ERROR: ' <<<"$output" || fail "no explanation: $output"
    echo "(exit $code)"
    [ "$code" -eq 2 ] || [ "$code" -eq 3 ] || fail "exit code $code"
}

failures() {
    say "Invalid input"
    refused cairn --colour put k v
    refused cairn put "$(printf 'k%.0s' {1..481})" v
    refused cairn put "" v
    refused cairn-manager --listen 127.0.0.1:1 --servers nonsense --data "$WORK/m"
    say "A resource that is not there"
    free_ports
    refused cairn --manager "$MANAGER" --timeout 500 get k
    : >"$WORK/file"
    refused cairn-server --id 0 --manager "$MANAGER" --listen 127.0.0.1:1 --data "$WORK/file"
    say "A data directory that another process uses"
    start_manager
    until [ -e "$WORK/m/IDENTITY" ]; do sleep 0.05; done
    refused cairn-manager --listen "$MANAGER" --servers "$ADDRESSES" --data "$WORK/m"
    kill -TERM "${pids[m]}"
    wait "${pids[m]}" || true
    unset "pids[m]"
    say "A data directory that was made with other settings"
    refused cairn-manager --listen "$MANAGER" --servers "$ADDRESSES" --partitions 99 --data "$WORK/m"
    echo
    echo "ERROR: invalid input or unavailable IPC resource"
    echo "exit=2"
    exit 2
}

mode=tour
while [ $# -gt 0 ]; do
    case $1 in
    --mode=*) mode=${1#--mode=} ;;
    --mode) mode=${2:-} && shift ;;
    -h | --help)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' run_demo.sh
        exit 0
        ;;
    *) fail "$1: unknown option; --mode=tour, golden or failure" ;;
    esac
    shift
done
case $mode in
tour | golden | failure) ;;
*) fail "--mode=$mode: not one of tour, golden, failure" ;;
esac

if [ -z "$BIN" ]; then
    # All that building says goes to stderr: stdout is the tour.
    BIN=bin
    tools/install-deps demo >&2
    make -s -j"$(nproc)" bin/cairn bin/cairn-manager bin/cairn-server >&2
fi
WORK=$(mktemp -d)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ "$mode" = failure ]; then
    failures
else
    tour
fi
