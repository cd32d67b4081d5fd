#!/bin/sh
# Measures a running cluster with a YCSB-like workload and keeps the result as a log.
#
#   tools/bench.sh NCLIENTS WORKLOAD NSERVERS MANAGER
#
# WORKLOAD: a (half GETs, half PUTs), b (95% GETs), c (GETs), e (scans), keys drawn uniformly. The
# log is report/bench/bench-NCLIENTS-WORKLOAD-NSERVERS.log. SECONDS_EACH is the length, 10 unless set.
set -eu
cd "$(dirname "$0")/.."
BIN=${CAIRN_BIN:-./bin}

fail() {
    echo "ERROR: $*" >&2
    exit 2
}

[ $# -eq 4 ] || fail "usage: tools/bench.sh NCLIENTS WORKLOAD NSERVERS MANAGER"
clients=$1 workload=$2 servers=$3 manager=$4
for number in "$clients" "$servers"; do
    case $number in
    '' | *[!0-9]* | 0*) fail "$number: not a number" ;;
    esac
done
case $workload in
a) shares="--operation mix --get-percent 50" ;;
b) shares="--operation mix --get-percent 95" ;;
c) shares="--operation get" ;;
e) shares="--operation scan" ;;
*) fail "$workload: not one of the workloads a, b, c, e" ;;
esac
# Variables of other programs are none of the benchmark's options.
unset CAIRN_CACHE_NAME CAIRN_CACHE_SIZE CAIRN_NO_CACHE
# Reads are measured at the servers: nobody here uses this host's shared cache.
status=$("$BIN/cairn" --no-cache --manager "$manager" --timeout 5000 --json status) || exit 2
running=$(printf '%s' "$status" | grep -o '"address"' | wc -l)
[ "$running" -eq "$servers" ] || fail "the cluster at $manager has $running servers, not $servers"
log=report/bench/bench-$clients-$workload-$servers.log
mkdir -p report/bench
# Word splitting of the shares is meant.
"$BIN/cairn-bench" --manager "$manager" --connections "$clients" $shares \
    --seconds "${SECONDS_EACH:-10}" >"$log.tmp"
mv "$log.tmp" "$log"
cat "$log"
echo "log: $log"
