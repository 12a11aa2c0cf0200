# shellcheck shell=bash
# lib.sh: what the scripts share; sourced, never run.

# shellcheck disable=SC2034 # used by those who source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command and shows what it wrote only if it fails: a good run has nothing to say.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status)); then
        printf '%s failed:\n' "$*" >&2
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

# A heading: bold where a person looks on, plain in a log.
step() {
    if [[ -t 1 ]]; then printf '\e[1m%s\e[0m\n' "$*"; else printf '%s\n' "$*"; fi
}

# build PRESET TARGET [cmake's arguments]: configures and builds, saying nothing if all is well.
build() {
    quietly cmake --preset "$1" "${@:3}"
    quietly cmake --build --preset "$1" --target "$2" -- --quiet
}
