#!/bin/bash
# A local cluster in the background: up [N], down, kill. Data in ./data.
#
# down and kill also remove what the cluster's clients shared in this host's memory.
#
# CLUSTER_DIR, MANAGER_PORT and SERVER_PORT (the first server's) move it elsewhere; REPLICAS and
# PARTITIONS reach a manager that starts a new cluster.
set -eu
cd "$(dirname "$0")/.."
export CLUSTER_DIR=${CLUSTER_DIR:-./data}
RUN_DIR=$CLUSTER_DIR/run
LOG_DIR=$CLUSTER_DIR/log
BIN=${CAIRN_BIN:-./bin}
MANAGER_PORT=${MANAGER_PORT:-3666}
SERVER_PORT=${SERVER_PORT:-3777}
MANAGER=127.0.0.1:$MANAGER_PORT
SERVERS_LIMIT=64
. tools/processes.sh

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# launch NODE PORT: starts one node unless it runs.
launch() {
    local name=up-$1
    noted_pid "$RUN_DIR/$name.pid" >/dev/null && return
    ! answers "$2" || give_up "127.0.0.1:$2 is taken by another program; MANAGER_PORT and" \
        "SERVER_PORT choose other ports"
    rm -f "$RUN_DIR/$name.pid"
    NODE_NAME=$name setsid -f tools/node.sh service "$1" "$MANAGER" "$servers" "$CLUSTER_DIR/node" \
        </dev/null >"$LOG_DIR/$1.log" 2>&1
    started+=("$name")
}

give_up() {
    local name
    for name in "${started[@]}"; do
        stop_noted "$RUN_DIR/$name.pid"
    done
    fail "$@"
}

# All partitions are served when a scan of the whole range has an answer.
wait_ready() {
    local deadline=$((SECONDS + 30)) name
    until "$BIN/cairn" --manager "$MANAGER" --timeout 1000 scan '!' '~' --limit 1 >/dev/null 2>&1; do
        for name in "${started[@]}"; do
            [ -e "$RUN_DIR/$name.pid" ] || continue
            noted_pid "$RUN_DIR/$name.pid" >/dev/null ||
                give_up "${name#up-} stopped: $(tail -n 1 "$LOG_DIR/${name#up-}.log")"
        done
        [ "$SECONDS" -lt "$deadline" ] || give_up "no answer within 30 s; see $LOG_DIR"
        sleep 0.1
    done
}

up() {
    local count=${1:-} kept i
    case $count in
    *[!0-9]* | 0*) fail "$count: not a number of servers" ;;
    esac
    kept=$(cat "$CLUSTER_DIR/servers" 2>/dev/null || true)
    count=${count:-${kept:-3}}
    [ "$count" -le "$SERVERS_LIMIT" ] || fail "$count: at most $SERVERS_LIMIT servers"
    [ -z "$kept" ] || [ "$kept" = "$count" ] ||
        fail "$CLUSTER_DIR holds a cluster of $kept servers: 'just up $kept' starts it;" \
            "'just down' and removing $CLUSTER_DIR makes room for another"
    for program in cairn cairn-manager cairn-server; do
        [ -x "$BIN/$program" ] || fail "$BIN/$program: not built; run 'make'"
    done
    mkdir -p "$RUN_DIR" "$LOG_DIR"
    servers=
    for ((i = 0; i < count; i++)); do
        servers+=${servers:+,}127.0.0.1:$((SERVER_PORT + i))
    done
    started=()
    launch m "$MANAGER_PORT"
    for ((i = 0; i < count; i++)); do
        launch "s$i" $((SERVER_PORT + i))
    done
    wait_ready
    echo "$count" >"$CLUSTER_DIR/servers"
    talk "$count"
}

talk() {
    local with=
    [ "$MANAGER_PORT" = 3666 ] || with=" --manager $MANAGER"
    cat <<END
A cluster of $1 servers runs: manager $MANAGER, data and logs in $CLUSTER_DIR.

    $BIN/cairn$with put greeting hello
    $BIN/cairn$with get greeting
    $BIN/cairn$with scan a z
    $BIN/cairn$with status
    $BIN/cairn$with                     an interactive shell
    just down                       stops it; the data stays
END
}

# The managers of what this checkout has run, as clients name them.
managers_noted() {
    local file pid
    [ ! -e "$CLUSTER_DIR/servers" ] || echo "$MANAGER"
    for file in "$RUN_DIR"/*.pid; do
        pid=$(noted_pid "$file") || continue
        tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | awk '
            NR == 1 { wanted = /cairn-manager$/ ? "--listen" : "--manager" }
            before == wanted { print }
            { before = $0 }' || true
    done
}

# unlink_caches TIMEOUT LISTS: a cache that is not found, or cannot be removed, is no failure here.
unlink_caches() {
    local managers
    for managers in $2; do
        "$BIN/cairn" --manager "$managers" --timeout "$1" cache unlink </dev/null >/dev/null 2>&1 || true
    done
}

# Servers first: they take leave of a manager that still listens. Caches before and after: the manager
# tells the cluster of one that is found by no list, and a client may make another one meanwhile.
down() {
    local lists
    lists=$(managers_noted | sort -u)
    unlink_caches 1000 "$lists"
    stop_noted "$RUN_DIR"/up-s*.pid
    stop_noted "$RUN_DIR"/up-m.pid
    unlink_caches 1 "$lists"
    echo "stopped; the data stays in $CLUSTER_DIR"
}

kill_all() {
    local file ended=0 lists
    lists=$(managers_noted | sort -u)
    for file in "$RUN_DIR"/*.pid; do
        ! noted_pid "$file" >/dev/null || ended=$((ended + 1))
    done
    unlink_caches 1000 "$lists"
    stop_noted "$RUN_DIR"/*.pid
    unlink_caches 1 "$lists"
    echo "processes ended: $ended"
}

case ${1:-}:$# in
up:1 | up:2) up "${2:-}" ;;
down:1) down ;;
kill:1) kill_all ;;
*) fail "usage: tools/cluster.sh up [N] | down | kill" ;;
esac
