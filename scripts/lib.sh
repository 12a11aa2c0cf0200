# shellcheck shell=bash
# lib.sh: functions for the scripts; sourced, never run.

# shellcheck disable=SC2034 # used by scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command and shows its output only if it fails.
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

# A heading: bold on a terminal, plain in a log.
step() {
    if [[ -t 1 ]]; then printf '\e[1m%s\e[0m\n' "$*"; else printf '%s\n' "$*"; fi
}

# build PRESET TARGET [cmake's arguments]: configures and builds; prints only failures.
build() {
    quietly cmake --preset "$1" "${@:3}"
    quietly cmake --build --preset "$1" --target "$2" -- --quiet
}

# The folder for what the scripts fetch.
# shellcheck disable=SC2034
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/ramjet

# open_apt FOLDER SUITE…: private_apt then knows these suites of Debian, with the mirror and the
# keys of the machine's own packages. Its lists, cache and state are below FOLDER: the machine's own
# are not touched, and root is not needed. indextargets knows the mirror for any form of the
# machine's source list, but only after an update; a container image may come without one.
open_apt() {
    local folder=$1 found uri trusted signed_by options suite
    shift
    # shellcheck disable=SC2016 # apt's variables, not the shell's
    mirror() {
        apt-get indextargets --format '$(REPO_URI)|$(TRUSTED)|$(SIGNED_BY)' \
            'Created-By: Packages' 'Codename: bookworm' 'Component: main' 2>/dev/null | head -n 1
    }
    found=$(mirror)
    if [[ -z $found ]] && ((EUID == 0)); then
        quietly apt-get -q update || die "apt-get update failed"
        found=$(mirror)
    fi
    [[ -n $found ]] || die "apt knows no mirror of Debian 12 (apt-get update helps)"
    IFS='|' read -r uri trusted signed_by <<<"$found"
    [[ $signed_by == /* ]] || signed_by=/usr/share/keyrings/debian-archive-keyring.gpg # unset: apt's own
    options="signed-by=$signed_by"
    [[ $trusted != yes ]] || options=trusted=yes
    mkdir -p "$folder"/{lists/partial,cache/archives/partial}
    for suite in "$@"; do echo "deb [$options] $uri $suite main"; done | sort -u >"$folder/sources.list"
    apt_folder=$folder
    quietly private_apt apt-get update || die "the mirror lacks one of: $*"
}

# private_apt PROGRAM ARGUMENTS…: an apt-get or apt-cache that knows only those suites, of
# $apt_architecture where that is set.
private_apt() {
    "$1" -q ${apt_architecture:+-o APT::Architecture="$apt_architecture"} \
        ${apt_architecture:+-o APT::Architectures="$apt_architecture"} \
        -o Dir::Etc::sourcelist="$apt_folder/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$apt_folder/lists" -o Dir::Cache="$apt_folder/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none "${@:2}"
}

# unpack FOLDER PACKAGE/SUITE…: fetches these packages and unpacks them into FOLDER.
unpack() {
    local folder=$1 debs=$apt_folder/debs deb
    mkdir -p "$debs" "$folder"
    (cd "$debs" && quietly private_apt apt-get download "${@:2}") || die "cannot fetch ${*:2}"
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$folder"; done
    rm -r "$debs"
}
