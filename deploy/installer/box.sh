# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: whether edge can live here.

NEEDED_MB=1400 # a release takes some 900, and pip's own work the rest

check_box() {
    local architecture part
    command -v dpkg apt-get systemctl >/dev/null || die "this is no Debian with systemd"
    architecture=$(dpkg --print-architecture)
    case $architecture in
    amd64 | arm64) ;;
    *) die "edge needs a 64-bit system (amd64, arm64), this one is $architecture: write the 64-bit image of Raspberry Pi OS to the card" ;;
    esac
    for part in deploy/requirements.txt systemd/edge-listen.service edge/__init__.py pyproject.toml; do
        [ -e "$part" ] || die "$part is missing: install.sh belongs into a whole tree of edge, cloned or unpacked"
    done
    python=$(find_python) ||
        die "edge needs Python 3.11 or newer, this system has $(python3 --version 2>&1 || echo none): Debian 12 and later, and Raspberry Pi OS from there on, have it"
}

check_space() {
    local folder=$HOME_OF_EDGE free_mb
    [ -d "$folder" ] || folder=/opt
    [ -d "$folder" ] || folder=/
    free_mb=$(df --output=avail -m "$folder" | tail -n 1)
    [ "$free_mb" -ge "$NEEDED_MB" ] ||
        die "$folder has $((free_mb)) MB free and $NEEDED_MB are needed: make room (\`apt-get clean\`, old clips: \`edge clips\`), then run this again; nothing was changed"
}

# Debian packages: with wheels only what they are used with, else what pip needs to build some.
need_packages() {
    if [ -z "$offline" ]; then
        act_if_missing gcc libc6-dev libasound2-dev libsystemd-dev pkg-config
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "python3-venv is missing and --offline fetches nothing: install its .deb file, or run once with a network"
    # No pipe into `grep -q`: it ends at the first hit, and who still writes then fails the whole.
    [[ $(ldconfig -p) == *libasound.so.2* ]] ||
        die "alsa-lib is missing and --offline fetches nothing: install the .deb file of libasound2 (Debian 13: libasound2t64), or run once with a network"
}

act_if_missing() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] || act "install Debian packages: ${missing[*]}" fetch_packages "$@"
}

fetch_packages() {
    (ensure_packages "$@") || die "Debian packages could not be fetched (above): mend network or disk, or bring a folder of wheels (--offline WHEELS); nothing else was changed"
}
