#!/bin/sh
# Measures a running cluster with a YCSB core workload and keeps the result as a log.
#
#   tools/bench.sh NCLIENTS WORKLOAD NSERVERS MANAGER
#
# WORKLOAD: a (half reads, half updates), b (95% reads), c (reads), d (95% reads of the newest, 5%
# inserts), e (95% scans, 5% inserts), f (half reads, half read-modify-writes). Loads the records,
# then runs; the log is report/bench/bench-NCLIENTS-WORKLOAD-NSERVERS.log, YCSB's summary of the run.
# SECONDS_EACH is its length, 10 unless set; RECORDS how many there are, 100000 unless set. Reads are
# measured at the servers; CACHE=yes measures them through this host's shared cache.
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
[a-f]) ;;
*) fail "$workload: not one of the workloads a, b, c, d, e, f" ;;
esac
case ${CACHE:-no} in
yes) cache=--cache ;;
no) cache= ;;
*) fail "CACHE=$CACHE: neither yes nor no" ;;
esac
# Variables of other programs are none of the benchmark's options.
unset CAIRN_CACHE_NAME CAIRN_CACHE_SIZE CAIRN_NO_CACHE CAIRN_CACHE
status=$("$BIN/cairn" --no-cache --manager "$manager" --timeout 5000 --json status) || exit 2
running=$(printf '%s' "$status" | grep -o '"address"' | wc -l)
[ "$running" -eq "$servers" ] || fail "the cluster at $manager has $running servers, not $servers"
log=report/bench/bench-$clients-$workload-$servers.log
mkdir -p report/bench
set -- --manager "$manager" --workload "$workload" --connections "$clients" \
    --keys "${RECORDS:-100000}"
# Clients enough for the load, however few there are for the run.
"$BIN/cairn-bench" load "$@" --connections "$((clients > 30 ? clients : 30))" >"$log.tmp" ||
    { code=$?; rm -f "$log.tmp"; exit "$code"; }
# No cache is no word.
"$BIN/cairn-bench" run "$@" --seconds "${SECONDS_EACH:-10}" $cache >"$log.tmp" ||
    { code=$?; [ "$code" -eq 130 ] && cat "$log.tmp"; rm -f "$log.tmp"; exit "$code"; }
mv "$log.tmp" "$log"
cat "$log"
echo "log: $log"
