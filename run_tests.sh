#!/bin/bash
# Everything a change has to pass: builds, checks, unit tests (plain, under sanitizers, under
# valgrind) and integration tests. Installs what is missing first. Ends with the total.
#
#   ./run_tests.sh            all of it, under ten minutes on two cores
#   ./run_tests.sh STEP...    only those steps (and the builds they need); names as printed
#
# Logs of the steps stay in build/test-logs/.
set -u
cd "$(dirname "$0")" || exit 2
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
JOBS=$(nproc)
LOGS=build/test-logs
# One build with both sanitizers, beside the variants.
SAN=(BUILD=build/san VARIANT=asan "CFLAGS=-fsanitize=undefined -fno-sanitize-recover=all"
    "LDFLAGS=-fsanitize=undefined")
SERVERS=(cairn cairn-manager cairn-server)

passed=0 failed=0 skipped=0 current=
declare -a waiting=() failures=()
only=("$@")

wanted() {
    [ ${#only[@]} -eq 0 ] && return 0
    local name
    for name in "${only[@]}"; do
        [ "$name" = "$1" ] && return 0
    done
    return 1
}

# count NAME CODE SECONDS: adds what the step's log says ("N passed, N failed[, N skipped]", all such
# lines together); a step without such a line counts as one.
count() {
    local name=$1 code=$2 seconds=$3 p f s
    read -r p f s < <(awk '
        match($0, /[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?/) {
            split(substr($0, RSTART, RLENGTH), word, " ")
            p += word[1]; f += word[3]; s += word[5]
        }
        END { print p + 0, f + 0, s + 0 }' "$LOGS/$name.log")
    if [ $((p + f + s)) -eq 0 ]; then
        [ "$code" -eq 0 ] && p=1 || f=1
    fi
    [ "$code" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-22s %4ds  %d passed, %d failed%s\n' "$name" "$seconds" "$p" "$f" \
        "$([ "$s" -eq 0 ] || echo ", $s skipped")"
    if [ "$f" -gt 0 ]; then
        failures+=("$name")
        grep -avE '^(ok  |(gcc|clang|rm) )' "$LOGS/$name.log" | tail -n 60 | sed 's/^/    /'
    fi
}

# step NAME COMMAND...: runs it now.
step() {
    local name=$1 start=$SECONDS code
    shift
    wanted "$name" || return 0
    now "$name" "$@"
    code=$?
    count "$name" "$code" $((SECONDS - start))
    return "$code"
}

# now NAME COMMAND...: in the background, since a trap waits for what runs in the foreground.
now() {
    "${@:2}" </dev/null >"$LOGS/$1.log" 2>&1 &
    current=$!
    wait "$current"
}

# beside NAME COMMAND...: runs it in the background, for what does not look at the clock.
beside() {
    local name=$1
    shift
    wanted "$name" || return 0
    ("$@" >"$LOGS/$name.log" 2>&1; echo "$? $SECONDS" >"$LOGS/$name.code") &
    waiting+=("$name:$!:$SECONDS")
}

# Waits for what runs in the background.
join() {
    local item name pid start code end
    for item in "${waiting[@]}"; do
        IFS=: read -r name pid start <<<"$item"
        wait "$pid"
        read -r code end <"$LOGS/$name.code" || code=1 end=$SECONDS
        count "$name" "$code" $((end - start))
    done
    waiting=()
}

# A build that a later step needs must succeed, whether or not it was asked for.
build() {
    local name=$1 start=$SECONDS code
    shift
    now "$name" "$@"
    code=$?
    if [ "$code" -ne 0 ] || wanted "$name"; then
        count "$name" "$code" $((SECONDS - start))
    fi
    return "$code"
}

needs() {
    [ ${#only[@]} -eq 0 ] && return 0
    local name
    for name in "$@"; do
        wanted "$name" && return 0
    done
    return 1
}

finish() {
    local tail=
    [ "$skipped" -eq 0 ] || tail=", $skipped skipped"
    [ ${#failures[@]} -eq 0 ] || echo "failed: ${failures[*]}; logs in $LOGS"
    echo "$passed passed, $failed failed$tail"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# Ends a child and what it started, the children first.
end_tree() {
    local child
    for child in $(ps -o pid= --ppid "$1"); do
        end_tree "$child"
    done
    kill "$1" 2>/dev/null
}

interrupted() {
    trap '' INT TERM
    local item pid
    for item in "${waiting[@]}"; do
        IFS=: read -r _ pid _ <<<"$item"
        end_tree "$pid"
    done
    [ -z "$current" ] || end_tree "$current"
    echo "interrupted"
    exit 130
}
trap interrupted INT TERM

export ASAN_OPTIONS=exitcode=99:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1

san_integration() {
    CAIRN_BIN=build/san/asan/bin TEST_SCALE=4 OPERATIONS=400 KILLS=6 WAL_SAMPLES=8 \
        tests/integration/run --jobs $((JOBS * 2)) test_hostile test_workload test_datadir \
        test_membership test_recovery test_wal_damage test_testcase test_kills Expiry HashTags \
        a_primary_killed_and_then all_servers_killed waited_in_a_stopped_primary \
        a_copy_left_far_behind a_learner_killed drain_undrain unsafe_recover_takes \
        a_link_between_servers_cut
}

# Once with io_uring, if the kernel has it, and once with the log's own thread.
tsan_integration() {
    tsan_run "--wal-backend auto" && tsan_run "--wal-backend thread"
}

tsan_run() {
    SERVER_OPTIONS=$1 \
    CAIRN_BIN=build/tsan/bin TEST_SCALE=6 OPERATIONS=400 KILLS=4 \
        TSAN_OPTIONS="exitcode=66 halt_on_error=0" \
        tests/integration/run --jobs $((JOBS * 2)) test_testcase test_kills checkpoints_and_segments \
        test_a_clean_stop_checkpoints test_two_of_five a_primary_killed_and_then \
        a_copy_left_far_behind drain_undrain
}

# units MAKE-VARIABLE...: runs the unit tests of that build. One that was not built has failed its
# build's step; it does not keep the others from running.
units() {
    local program built=()
    for program in $(make -s "$@" print-unit-tests); do
        [ ! -x "$program" ] || [[ $program =~ ${SKIP:-^$} ]] || built+=("$program")
    done
    ${RUN:-} tools/run-unit "${built[@]}"
}

# Whole clusters by seed: the same ones every time, fresh ones, the scripted ones; and each rule
# broken on purpose has to be noticed.
simulations() {
    local sim=build/release/tests/sim fresh passed=0 failed=0
    fresh=$(date +%s)
    echo "fresh seeds from $fresh on: just sim SEED=... repeats one"
    simulation "$sim" --seeds 1000 --first 1 --jobs "$JOBS"
    simulation "$sim" --seeds 4000 --first "$fresh" --jobs "$JOBS"
    simulation "$sim" --scenario tests/sim/scenarios/*.txt
    simulation "$sim" --self-test --jobs "$JOBS"
    echo "simulations: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

simulation() {
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# polite COMMAND...: with the processor's time that others leave: the lowest priority, in its own session
# too, since the kernel may divide time between sessions first.
polite() {
    setsid --wait nice -n 19 bash -c '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec "$@"' polite "$@"
}

# What valgrind adds to the sanitizers is bytes that were never written and reach the disk, the wire, the
# shared memory or a branch. So not the benchmark's and the checker's programs, which keep nothing; nor the
# tests that compute for long there, nor the one that kills its children, who leave valgrind no time to
# report; nor those that count calls within time limits, which mean nothing at the lowest priority; nor the
# one of descriptors, of which valgrind has its own. It looks at what is shipped: the optimized build, which
# is also the faster one. Leaks are found by the sanitizers; here, what an exiting child still holds in a
# register would be called one.
LARGE="test_bench|fuzz_checker|fuzz_watch|fuzz_shrink|server_kill|server_snapshot|server_model"
LARGE="$LARGE|server_memory|server_catch_up|server_lease_model|server_exchange|manager_log"
LARGE="$LARGE|manager_placement|manager_journal|manager_map|manager_service|wal_crash|wal_cursor"
LARGE="$LARGE|wal_damage|wal_failures|client_cache_garbage|client_cache_torn|client_scan|client_line"
LARGE="$LARGE|client_failover|client_retry|client_agent|client_descriptors"
valgrind_units() {
    export WRAPPER="valgrind -q --error-exitcode=9 --leak-check=no"
    export CAIRN_TEST_RUNS=2
    SKIP="$LARGE" RUN=polite units VARIANT=release
}

tools/install-deps || exit 2
mkdir -p "$LOGS"
rm -f "$LOGS"/*
echo "logs in $LOGS"

if needs build-gcc integration checks; then
    build build-gcc make -s -j"$JOBS" VARIANT=release all cache-tests crash-tests fuzz-tests \
        nemesis-tests released-clients \
        build/release/tests/rpcgen-client || finish
fi
if needs unit unit-valgrind; then
    build build-unit make -s -k -j"$JOBS" VARIANT=release unit-build
fi
if needs build-clang; then
    build build-clang make -s -j"$JOBS" CC=clang BUILD=build/clang BIN=build/clang/bin VARIANT=debug all unit-build
fi
if needs unit-sanitizers integration-sanitizers decoders; then
    build build-sanitizers make -s -j"$JOBS" "${SAN[@]}" \
        "${SERVERS[@]/#/build/san/asan/bin/}" || finish
fi
if needs decoders; then
    build build-decoders make -s -j"$JOBS" "${SAN[@]}" feed-targets
fi
if needs unit-sanitizers; then
    build build-unit-sanitizers make -s -k -j"$JOBS" "${SAN[@]}" unit-build
fi
if needs integration-tsan; then
    build build-tsan make -s -j"$JOBS" VARIANT=tsan "${SERVERS[@]/#/build/tsan/bin/}" || finish
fi
if needs simulation; then
    build build-sim make -s -j"$JOBS" VARIANT=release sim
fi

beside checks tools/check
step checks-self-test tools/check --self-test
step unit units VARIANT=release
join
step unit-sanitizers units "${SAN[@]}"
step decoders make -s "${SAN[@]}" feed-corpus
step simulation simulations
# Most of the integration tests wait for time limits most of the time; valgrind takes what they leave.
beside unit-valgrind valgrind_units
step integration tests/integration/run --jobs $((JOBS * 2))
step integration-sanitizers san_integration
step integration-tsan tsan_integration
join
finish
