#!/bin/sh
# just sim [SEEDS=N] [SEED=S] [FIRST=S] [JOBS=N] [OPTION...]: runs the simulator.
set -eu

program=${BUILD:-build}/${VARIANT:-release}/tests/sim
seeds=2000 first=1 seed='' jobs=$(nproc)
options=''
for argument in "$@"; do
    case $argument in
    SEEDS=*) seeds=${argument#*=} ;;
    SEED=*) seed=${argument#*=} ;;
    FIRST=*) first=${argument#*=} ;;
    JOBS=*) jobs=${argument#*=} ;;
    *) options="$options $argument" ;;
    esac
done
# Options are words without spaces.
# shellcheck disable=SC2086
if [ -n "$seed" ]; then
    exec "$program" --seed "$seed" --trace $options
fi
# shellcheck disable=SC2086
exec "$program" --seeds "$seeds" --first "$first" --jobs "$jobs" $options
