#!/bin/sh
# Runs one program of a cluster in the foreground, noted so that 'just kill' finds it.
#
#   tools/node.sh manager LISTEN SERVERS [DATA]
#   tools/node.sh server ID MANAGER LISTEN DATA
#   tools/node.sh service m|s0|s1|... MANAGER SERVERS PREFIX     data in PREFIX.m, PREFIX.s0, ...
#   tools/node.sh client MANAGER                                 workload mode
#
# REPLICAS (copies of each partition, 2 unless set) and PARTITIONS reach the manager.
set -eu
cd "$(dirname "$0")/.."
CLUSTER_DIR=${CLUSTER_DIR:-./data}
RUN_DIR=$CLUSTER_DIR/run
BIN=${CAIRN_BIN:-./bin}
. tools/processes.sh

# nth INDEX LIST: the INDEX-th (from 0) of a comma-separated list.
nth() {
    case $1 in
    '' | *[!0-9]*) fail "$1: not a server's number" ;;
    esac
    [ "${2#*,}" != "$2" ] || [ "$1" -eq 0 ] || fail "server $1: the list has one server: $2"
    found=$(echo "$2" | cut -d, -f$(($1 + 1)))
    [ -n "$found" ] || fail "server $1: not in the list $2"
    echo "$found"
}

as_manager() {
    become "${NODE_NAME:-manager-$$}" "$BIN/cairn-manager" --listen "$(with_host "$1")" \
        --servers "$2" ${REPLICAS:+--replicas "$REPLICAS"} \
        ${PARTITIONS:+--partitions "$PARTITIONS"} --data "$3"
}

as_server() {
    become "${NODE_NAME:-server-$1-$$}" "$BIN/cairn-server" --id "$1" \
        --manager "$(with_host "$2")" --listen "$(with_host "$3")" --data "$4"
}

[ $# -ge 1 ] || fail "usage: tools/node.sh manager|server|service|client ..."
kind=$1
shift
case $kind:$# in
manager:2) as_manager "$1" "$2" ./backer.m ;;
manager:3) as_manager "$1" "$2" "$3" ;;
server:4) as_server "$1" "$2" "$3" "$4" ;;
service:4)
    case $1 in
    m) as_manager "$2" "$3" "$4.m" ;;
    s[0-9]*)
        address=$(nth "${1#s}" "$3")
        as_server "${1#s}" "$2" "$address" "$4.$1"
        ;;
    *) fail "$1: not a node; m, s0, s1, ... are" ;;
    esac
    ;;
client:1) exec "$BIN/cairn" --manager "$(with_host "$1")" workload ;;
*) fail "$kind: wrong arguments; see the head of tools/node.sh" ;;
esac
