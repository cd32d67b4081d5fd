# Processes of this checkout, noted in $RUN_DIR/NAME.pid as "PID START BOOT". Sourced, not run.
#
# A pid alone may have been given to somebody else's process since; together with the time at which
# the process started (field 22 of /proc/PID/stat) and the boot it cannot be.

BOOT=$(cat /proc/sys/kernel/random/boot_id)

fail() {
    echo "ERROR: $*" >&2
    exit 2
}

start_time() {
    # The command's name in parentheses may hold spaces; what follows the last one may not.
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

# noted_pid FILE: prints the pid if the process noted there still runs.
noted_pid() {
    [ -r "$1" ] || return 1
    read -r pid start boot <"$1" || return 1
    [ "$boot" = "$BOOT" ] && [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] || return 1
    case $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) in
    Z*) return 1 ;;
    esac
    echo "$pid"
}

# become NAME PROGRAM ARGS...: notes this very process under NAME and turns it into the program.
become() {
    name=$1
    shift
    mkdir -p "$RUN_DIR"
    if other=$(noted_pid "$RUN_DIR/$name.pid"); then
        fail "$name: already running as process $other"
    fi
    [ -x "$1" ] || fail "$1: not built; run 'make'"
    echo "$$ $(start_time $$) $BOOT" >"$RUN_DIR/$name.pid"
    exec "$@"
}

# stop_noted FILE...: SIGTERM to all, SIGKILL to those that are still there after ten seconds.
stop_noted() {
    for file in "$@"; do
        pid=$(noted_pid "$file") && kill -TERM "$pid" 2>/dev/null
    done
    tries=0
    for file in "$@"; do
        while pid=$(noted_pid "$file"); do
            tries=$((tries + 1))
            [ "$tries" -le 100 ] || kill -KILL "$pid" 2>/dev/null
            sleep 0.1
        done
        [ ! -e "$file" ] || rm -f "$file"
    done
}

# with_host ADDRESS: a bare port means loopback.
with_host() {
    case $1 in
    '' | *[!0-9]*) echo "$1" ;;
    *) echo "127.0.0.1:$1" ;;
    esac
}
