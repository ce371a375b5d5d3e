# shellcheck shell=bash
# What the scripts share: messages, and a command that runs with its progress shown.

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# as_root COMMAND...: runs a command as root, through sudo when that works without a question.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

can_be_root() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Where what is fetched or built once is kept.
cache_folder() { echo "${ISCDEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isc}"; }

# The promtool that is on PATH, or else that of setup.sh; fails when there is none.
find_promtool() {
    local cached
    cached=$(cache_folder)/promtool
    command -v promtool || { [ -x "$cached" ] && echo "$cached"; }
}

clock() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

# with_progress LABEL LOG DETAIL COMMAND...: runs the command with its output in LOG and shows LABEL, the
# time it takes and what the function DETAIL prints: one line that moves in a terminal, else a line
# every 15 seconds. On failure the end of the log is shown and the command's status returned.
with_progress() {
    local label=$1 log=$2 detail=$3 every=15 start=$SECONDS shown=-1 took status=0 line
    shift 3
    [ -t 2 ] && every=1
    mkdir -p "$(dirname "$log")"
    # A process group of its own, so that an interrupt ends all of it.
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    local pid=$!
    set +m
    # shellcheck disable=SC2064  # the pid of now
    trap "kill -- -$pid 2>/dev/null || true; exit 130" INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        took=$((SECONDS - start))
        if [ $((took / every)) -ne "$shown" ]; then
            shown=$((took / every))
            line="    $label: $(clock "$took") $("$detail" "$log")"
            if [ -t 2 ]; then printf '\r\033[K%.*s' "$(($(tput cols 2>/dev/null || echo 80) - 1))" "$line" >&2; else printf '%s\n' "$line" >&2; fi
        fi
        sleep 0.2
    done
    wait "$pid" || status=$?
    trap - INT TERM
    [ -t 2 ] && printf '\r\033[K' >&2
    if [ "$status" -ne 0 ]; then
        printf 'error: %s failed with status %d after %s; the end of %s:\n' \
            "$label" "$status" "$(clock $((SECONDS - start)))" "$log" >&2
        tail -n 25 "$log" >&2
        return "$status"
    fi
    printf '    %s: done in %s\n' "$label" "$(clock $((SECONDS - start)))" >&2
}

# A DETAIL for with_progress that has nothing to add.
no_detail() { :; }
