# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: what of edge lies outside its own folder.

UNITS=(edge-listen.service edge-analyze.service)
SETTINGS=/etc/edge/edge.toml
COMMAND=/usr/local/bin/edge

make_user() {
    local number
    number=$(id -u edge 2>/dev/null || echo 0)
    [ "$number" -lt 1000 ] ||
        die "the user edge (uid $number) is a person's: the units would run as that person. Give the person another name (usermod --login), then run this again"
    if [[ " $(id -nG edge 2>/dev/null || true) " != *' audio '* ]]; then
        act "make the user edge, of the group audio" systemd-sysusers "$1"
    fi
}

put_files() {
    local path file before=$changes mark=""
    if managed; then mark=$UNREAD; fi # where an image is made nobody has read anything
    while read -r path file; do
        act "write $path" put_file "$PWD/$file" "$path" "$mark"
    done < <(outdated "$PWD")
    if managed && { [ "$changes" != "$before" ] || [ -e "$UNREAD" ]; }; then
        act "tell systemd, udev and the journal" reload_managers
    fi
    if [ ! -d /etc/edge/edge.d ]; then
        act "make /etc/edge" systemd-tmpfiles --create "$PWD/systemd/edge.tmpfiles.conf"
    fi
    if [ ! -e "$COMMAND" ]; then act "link $COMMAND" link_command; fi
    # Where no systemd runs, an image is made: each card of it writes its own at its first boot.
    if managed && [ ! -s "$SETTINGS" ]; then act "write $SETTINGS" systemctl start edge-settings.service; fi
}

link_command() {
    mkdir -p "$(dirname "$COMMAND")"
    ln -s -f "$HOME_OF_EDGE/current/bin/edge" "$COMMAND"
}

# reads_settings RELEASE: says what is wrong with them.
reads_settings() {
    { setpriv --reuid=edge --regid=edge --init-groups timeout 120 "$RELEASES/$1/bin/edge" config >/dev/null; } 2>&1
}

# settings_fit RELEASE BEFORE: a file that the new version can't read is kept, and the old version with it.
settings_fit() {
    local mistakes failed=0
    if [ ! -d /etc/edge ] || [ ! -x "$RELEASES/$1/bin/edge" ]; then return; fi
    if [ "$(id -u)" != 0 ]; then
        say "edge: whether the settings fit $1 is seen when root asks"
        return
    fi
    # Before anybody mends them for the new version.
    # Those of a version that is not judged are not what the way back leads to.
    if [ -n "$2" ] && [ "$1" != "$2" ] && [ ! -s "$PENDING" ] && ! $dry_run && reads_settings "$2" >/dev/null; then keep_settings; fi
    mistakes=$(reads_settings "$1") || failed=$?
    [ "$failed" != 0 ] || return 0
    say "$mistakes"
    [ "$failed" != 124 ] ||
        die "edge $1 did not read the settings within two minutes: ${2:-nothing} goes on running; run this again when the box is less busy"
    die "the settings do not fit edge $1 (above). They are kept as they are, and ${2:-nothing} goes on running: mend them in /etc/edge, then run this again"
}

# Once: what a person has switched off later stays off. The check is the last, as the mark that it is done.
enable_units() {
    if systemctl is-enabled --quiet edge-upgrade-check.service 2>/dev/null; then return; fi
    act "start edge at each boot" systemctl enable --quiet "${UNITS[@]}"
    if managed; then act "start edge" systemctl start --no-block "${UNITS[@]}"; fi
    act "judge upgrades" systemctl enable --quiet edge-upgrade-check.service
}
