# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: a release is a private environment with the pinned versions and edge in it.

# Version and digest of what is installed, so that the same tree is the same release, whatever git says.
release_name() {
    local version digest
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' edge/__init__.py)
    digest=$({
        find edge systemd deploy/{requirements.txt,requirements-python313.txt,release.sh,edge-upgrade-check,first-settings,edge.toml} pyproject.toml \
            -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
        "$python" -c 'import sys; print(sys.version_info[:2])'
        dpkg --print-architecture
    } | sha256sum)
    echo "$version-${digest:0:8}"
}

# A release is complete once its mark is on the disk, after everything else of it.
build_release() {
    local place=$RELEASES/$1
    [ -e "$place/complete" ] && [ -s "$place/bin/edge" ] && "$place/bin/edge" --version >/dev/null 2>&1 && return
    remove_halves
    check_space
    need_packages
    act "build release $1 (some minutes)" fill_release "$place"
}

# What a run left that was cut off, before room is asked for.
remove_halves() {
    local place
    for place in "$RELEASES"/*/; do
        [ -d "$place" ] || continue
        case $(basename "$place") in
        "$(current_release)" | "$(head -n 1 "$PENDING" 2>/dev/null | cut -d ' ' -f 1)") continue ;;
        *.old) ;;
        *) [ ! -e "$place/complete" ] || continue ;;
        esac
        act "remove the half release $(basename "$place")" rm -rf "$place"
    done
}

# Built beside and renamed once it is whole: the release in use may be the one that is built again.
fill_release() {
    local place=$1 new=$1.new said
    mkdir -p "$RELEASES"
    # What is temporary lies there, not in memory, where some boxes have /tmp; and whenever this is killed, the next run
    # removes all of it.
    if ! said=$(TMPDIR=$new/tmp make_environment "$new" "$place" 2>&1); then
        # venv and pip do not always say that it was the disk.
        if disk_full "$RELEASES"; then said+=$'\nNo space left'; fi
        rm -rf "$new"
        explain_failure "$said"
    fi
    sync --file-system "$new"
    if [ -e "$place" ]; then mv -T "$place" "$place.old"; fi
    mv -T "$new" "$place"
    touch "$place/complete"
    sync --file-system "$place"
    rm -rf "$place.old"
}

# disk_full FOLDER: no bytes, or no files (some file systems, as btrfs, do not count these).
disk_full() {
    local free_mb files free_files
    read -r free_mb files free_files < <(df --output=avail,itotal,iavail -m "$1" | tail -n 1)
    [ "$free_mb" -lt 20 ] || { [ "${files/-/0}" != 0 ] && [ "$free_files" -lt 20 ]; }
}

# make_environment FOLDER PLACE: in a folder that will be renamed to PLACE.
# Each step's failure counts: `set -e` sleeps inside an `if`.
make_environment() {
    local new=$1 list from=(--disable-pip-version-check --no-input --no-cache-dir --retries 2)
    [ -z "$offline" ] || from+=(--no-index --find-links "$offline")
    for list in deploy/requirements.txt $(newer_pins "$python"); do from+=(--requirement "$list"); done
    mkdir -p "$new/tmp" &&
        "$python" -m venv "$new" &&
        "$new/bin/python" -m pip install "${from[@]}" &&
        rm -rf "$new/tmp" &&
        copy_program "$new" "$2"
}

# copy_program FOLDER PLACE: edge itself needs no building, so no build tools either.
# A tree that was cloned for root's eyes alone is a program for all.
copy_program() {
    local site
    site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') &&
        cp -r edge "$site" &&
        find "$site/edge" -name __pycache__ -prune -exec rm -rf {} + &&
        "$1/bin/python" -m compileall -q "$site/edge" &&
        printf '#!%s/bin/python\nfrom edge.cli import main\n\nmain()\n' "$2" >"$1/bin/edge" &&
        cp -r systemd deploy/{release.sh,edge-upgrade-check,first-settings,edge.toml} README.md "$1" &&
        chmod -R u=rwX,go=rX "$site/edge" "$1"/{systemd,release.sh,edge-upgrade-check,first-settings,edge.toml,README.md} &&
        chmod +x "$1/bin/edge"
}

explain_failure() {
    local said=$1 missing
    missing=$(sed -n 's/^ERROR: No matching distribution found for \([^ ]*\).*/\1/p' <<<"$said")
    tail -n 20 <<<"$said" >&2
    if [[ $said == *'No space left'* ]]; then
        die "the disk is full: make room, then run this again; nothing was changed"
    elif [ -n "$offline" ]; then
        die "$offline does not hold all that is needed, for this Python and processor: ${missing:-see above} (deploy/README.md says how to fill it); nothing was changed"
    elif grep -qE 'NameResolution|NewConnectionError|Network is unreachable|Temporary failure|ReadTimeout|ConnectTimeout' <<<"$said"; then
        die "there is no network: mend it, or bring a folder of wheels (--offline WHEELS); nothing was changed"
    fi
    die "pip could not install (its last lines are above); nothing was changed"
}
