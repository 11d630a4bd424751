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
# Files were put that systemd, udev and the journal have not read yet; who is cut off before they have leaves it to the next.
# shellcheck disable=SC2034
UNREAD=$HOME_OF_EDGE/unread
# The settings that the release in use was seen to read, for the way back to it.
KEPT_SETTINGS=$HOME_OF_EDGE/settings

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
        # Until the verdict, the judge's own unit stays that of the release before, too.
        if [ -s "$PENDING" ] && [ -e "$path" ] && [[ $file == *upgrade-check* ]]; then continue; fi
        [ ! -e "$1/$file" ] || cmp --quiet "$1/$file" "$path" || echo "$path $file"
    done < <(files)
}

# put_file FILE PATH [MARK]: whole or not at all, also after a power cut; MARK is there before it is.
put_file() {
    mkdir -p "$(dirname "$2")" &&
        install -m 644 "$1" "$2.new" &&
        sync "$2.new" &&
        { [ -z "${3:-}" ] || : >"$3"; } &&
        mv "$2.new" "$2"
}

# reload_managers: systemd, udev and the journal read what was put for them. Fails where systemd does not.
reload_managers() {
    systemctl daemon-reload || return 1
    # By systemd: the sandbox of edge-upgrade-check keeps it from /sys. Cards that are there already are told, too.
    systemd-run --quiet --collect --property=Type=oneshot sh -c "udevadm control --reload &&
        udevadm trigger --action=change --subsystem-match=sound --sysname-match='card*'" 2>/dev/null ||
        echo "edge: udev takes the new rule at the next boot" >&2 || true
    systemctl restart systemd-journald.service || echo "edge: the journal takes its new bounds at the next boot" >&2 || true
    rm -f "$UNREAD"
}

# settings_in FOLDER: the files that edge reads there.
settings_in() { (cd "$1" && find edge.toml edge.d -name '*.toml' 2>/dev/null) || true; }

# keep_settings: a copy of them, whole or none.
keep_settings() {
    local file
    rm -rf "$KEPT_SETTINGS" "$KEPT_SETTINGS.new"
    mkdir -m 700 "$KEPT_SETTINGS.new"
    while read -r file; do
        (cd /etc/edge && cp -aL --parents "$file" "$KEPT_SETTINGS.new")
    done < <(settings_in /etc/edge)
    sync --file-system "$HOME_OF_EDGE"
    mv -T "$KEPT_SETTINGS.new" "$KEPT_SETTINGS"
}

# restore_settings: what was written for the version that is left stays beside it, under another name.
# Fails where one could not be put back: that one is as it was.
restore_settings() {
    local file at failed=0
    [ -d "$KEPT_SETTINGS" ] || return 0
    while read -r file; do
        at=/etc/edge/$file
        if cmp --quiet "$KEPT_SETTINGS/$file" "$at"; then continue; fi
        if mkdir -p "$(dirname "$at")" && cp -a "$KEPT_SETTINGS/$file" "$at.old" && sync "$at.old" && leave "$at"; then
            mv "$at.old" "$at"
            echo "$at is as before again" >&2
        else
            failed=1
        fi
    done < <(settings_in "$KEPT_SETTINGS")
    while read -r file; do
        [ -e "$KEPT_SETTINGS/$file" ] || leave "/etc/edge/$file" || failed=1
    done < <(settings_in /etc/edge)
    return $failed
}

leave() {
    [ ! -e "$1" ] || { mv --backup=numbered "$1" "$1.new-version" && echo "$1: what it was is in $1.new-version" >&2; }
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
