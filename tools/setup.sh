# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by tools/run, tools/test and tools/bench: makes everything they need,
# and asks for root only when something is missing.

export ORT_DISABLE_TELEMETRY=1 # onnxruntime's, for what imports it besides edge/model/session.py

# shellcheck disable=SC2034 # used by who sources this
PACKAGES=(gcc libc6-dev libasound2-dev libsystemd-dev pkg-config mosquitto)

say() { printf '%s\n' "$*" >&2 || true; } # a terminal that is gone ends nothing
die() { say "edge: $*"; exit 1; }

# The first Python that is new enough; a Debian one needs its venv and headers.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

missing_packages() {
    local package python
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *'ok installed' ]] ||
            echo "$package"
    done
    if ! python=$(find_python); then
        printf '%s\n' python3 python3-venv python3-dev
    elif ! "$python" - 2>/dev/null <<'PROBE'
import ensurepip, os, sysconfig, venv
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
PROBE
    then
        printf '%s\n' python3-venv python3-dev
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# What was cut off in the midst of it, apt-get takes up no more by itself.
take_up_packages() {
    local _
    for _ in 1 2 3 4 5 6; do
        [ -n "$(ls -A /var/lib/dpkg/updates)" ] || return 0
        as_root env DEBIAN_FRONTEND=noninteractive \
            dpkg --force-confdef --force-confold --configure -a >/dev/null 2>&1 && return
        sleep 5 # an apt-get that was killed leaves its dpkg at work
    done
}

ensure_packages() {
    local missing
    command -v dpkg-query >/dev/null || die "this is no Debian: install by hand: $* python3 (3.11 or newer)"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return
    say "installing Debian packages: ${missing[*]}"
    take_up_packages
    as_root apt-get update -qq || say "edge: the package lists could not be renewed; trying with the old ones"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check "$@" >.venv/pip.log 2>&1 || {
        cat .venv/pip.log >&2
        die "pip could not install $*"
    }
}

# newer_pins PYTHON: the list of what its standard library has no longer; nothing where it has all.
newer_pins() {
    if "$1" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then echo deploy/requirements-python313.txt; fi
}

# ensure_environment REQUIREMENTS...: a private environment in .venv with these pinned versions.
ensure_environment() {
    local python stamp wanted
    python=$(find_python) || die "Python 3.11 or newer is needed"
    stamp=.venv/installed.sha256
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        say "making the environment in .venv"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    # shellcheck disable=SC2046 # a name or none
    set -- "$@" $(newer_pins .venv/bin/python)
    # One line a file: what tools/test adds does not make tools/run install again.
    touch "$stamp"
    wanted=$(sha256sum "$@" pyproject.toml)
    if grep -qvxFf "$stamp" <<<"$wanted"; then
        say "installing pinned Python packages (some minutes the first time)"
        pip_install "${@/#/--requirement=}"
        pip_install --no-deps --editable .
        # What is replaced is forgotten, so that going back to an older pin installs again.
        awk '!seen[$2]++' - "$stamp" <<<"$wanted" >"$stamp.new"
        mv "$stamp.new" "$stamp"
    fi
}
