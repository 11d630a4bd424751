# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: a release is a private environment with the pinned versions and edge in it.

# Version and digest of what is installed, so that the same tree is the same release, whatever git says.
release_name() {
    local version digest
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' edge/__init__.py)
    digest=$({
        find edge systemd deploy/requirements.txt deploy/release.sh deploy/edge-upgrade-check pyproject.toml \
            -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
        "$python" -c 'import sys; print(sys.version_info[:2])'
        dpkg --print-architecture
    } | sha256sum)
    echo "$version-${digest:0:8}"
}

# A release is complete once its mark is on the disk, after everything else of it.
build_release() {
    local place=$RELEASES/$1
    [ -e "$place/complete" ] && "$place/bin/edge" --version >/dev/null 2>&1 && return
    check_space
    need_packages
    act "build release $1 (some minutes)" fill_release "$place"
}

fill_release() {
    local place=$1 log
    log=$(mktemp)
    rm -rf "$place" # what a run left that was cut off
    mkdir -p "$RELEASES"
    if ! make_environment "$place" >"$log" 2>&1; then
        rm -rf "$place"
        explain_failure "$log"
    fi
    rm -f "$log"
    cp -r systemd deploy/release.sh deploy/edge-upgrade-check README.md "$place"
    sync --file-system "$place"
    touch "$place/complete"
    sync --file-system "$place"
}

# Each step's failure counts: `set -e` sleeps inside an `if`.
make_environment() {
    local place=$1 from=(--disable-pip-version-check --no-input --no-cache-dir --retries 2)
    [ -z "$offline" ] || from+=(--no-index --find-links "$offline")
    "$python" -m venv "$place" &&
        "$place/bin/python" -m pip install "${from[@]}" --requirement deploy/requirements.txt &&
        copy_program "$place"
}

# edge itself needs no building, so no build tools either.
copy_program() {
    local site
    site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') &&
        cp -r edge "$site" &&
        find "$site/edge" -name __pycache__ -prune -exec rm -rf {} + &&
        "$1/bin/python" -m compileall -q "$site/edge" &&
        printf '#!%s/bin/python\nfrom edge.cli import main\n\nmain()\n' "$1" >"$1/bin/edge" &&
        chmod +x "$1/bin/edge"
}

explain_failure() {
    tail -n 20 "$1" >&2
    if grep -q 'No space left' "$1"; then
        die "the disk is full: make room, then run this again; nothing was changed"
    elif [ -n "$offline" ]; then
        die "$offline does not hold all that is needed, for this Python and processor (deploy/README.md says how to fill it); nothing was changed"
    elif grep -qE 'NameResolution|NewConnectionError|Network is unreachable|Temporary failure|ReadTimeout' "$1"; then
        die "there is no network: mend it, or bring a folder of wheels (--offline WHEELS); nothing was changed"
    fi
    die "pip could not install (its last lines are above); nothing was changed"
}
