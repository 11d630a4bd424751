# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the installer and by edge-upgrade-check: which release is in use, and turning to another.

HOME_OF_EDGE=/opt/edge
RELEASES=$HOME_OF_EDGE/releases
# An upgrade that is not decided: the release before it and what was right then, then a line for each
# time the check began.
# shellcheck disable=SC2034 # used by who sources this
PENDING=$HOME_OF_EDGE/pending
# What judges an upgrade comes from the release before it: a new one may not judge itself.
# shellcheck disable=SC2034
JUDGE=$HOME_OF_EDGE/judge

current_release() {
    [ -L "$HOME_OF_EDGE/current" ] || return 0
    basename "$(readlink "$HOME_OF_EDGE/current")"
}

# switch_to RELEASE: by a rename, so that whoever looks finds the one or the other, also after a power cut.
switch_to() {
    rm -f "$HOME_OF_EDGE/current.new"
    ln -s "releases/$1" "$HOME_OF_EDGE/current.new"
    mv -T "$HOME_OF_EDGE/current.new" "$HOME_OF_EDGE/current"
    sync --file-system "$RELEASES"
}

# Where systemd, udev and the journal look for a release's files: path, then file. Copies, not links into
# the release: `systemctl enable` would follow a link and hold on to one release for ever.
files() {
    local unit place=/usr/local/lib
    for unit in edge-listen edge-analyze edge-settings edge-upgrade-check; do
        echo "$place/systemd/system/$unit.service systemd/$unit.service"
    done
    echo "$place/systemd/journald.conf.d/edge.conf systemd/edge.journald.conf"
    echo "$place/udev/rules.d/70-edge.rules systemd/70-edge.rules"
    echo "$place/sysusers.d/edge.conf systemd/edge.sysusers.conf"
    echo "$place/tmpfiles.d/edge.conf systemd/edge.tmpfiles.conf"
}

# outdated TREE: the lines of `files` that are not as in this release, or tree of edge.
outdated() {
    local path file
    while read -r path file; do
        [ ! -e "$1/$file" ] || cmp --quiet "$1/$file" "$path" || echo "$path $file"
    done < <(files)
}

# put_file FILE PATH: whole or not at all, also after a power cut.
put_file() {
    mkdir -p "$(dirname "$2")" &&
        install -m 644 "$1" "$2.new" &&
        sync "$2.new" &&
        mv "$2.new" "$2"
}

# signs: what is right now, and must be after an upgrade: a unit, a microphone that is heard, the broker.
signs() {
    local sign
    for sign in microphone broker; do
        if holds "$sign"; then echo "$sign"; fi
    done
    for sign in edge-listen.service edge-analyze.service; do
        # One on its way up is meant to run; one that failed, or waits to be tried again, does not.
        case $(systemctl show --value --property=SubState "$sign" 2>/dev/null || true) in
        running | reload* | start*) echo "$sign" ;;
        esac
    done
}

holds() {
    case $1 in
    microphone) grep -qs '"microphone": "ok"' /run/edge/*.json ;;
    broker) grep -qs '"broker_connected": true' /run/edge/*.json ;;
    *.service) systemctl is-active --quiet "$1" ;;
    *) ;; # of another version
    esac
}
