# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: taking edge away. What was heard stays, unless somebody says otherwise.

KEPT=(/etc/edge /etc/credstore/edge.mqtt-password /var/lib/edge /var/cache/edge)

uninstall_edge() {
    local elsewhere
    elsewhere=$("$HOME_OF_EDGE/current/bin/edge" config 2>/dev/null | sed -n 's/^record.directory = "\(.\+\)"/\1/p') || true
    remove_program
    if $purge; then
        remove_kept
        if [ -n "$elsewhere" ]; then say "recordings in $elsewhere, outside of edge's own folder, stay"; fi
    elif [ -e /var/lib/edge ] || [ -e /etc/edge ]; then
        say "settings (/etc/edge), recordings and what waits for the broker (/var/lib/edge) stay: uninstall --purge removes them"
    fi
    if [ "$changes" = 0 ]; then say "edge is not installed: nothing to change"; fi
}

remove_program() {
    local path before=$changes
    if [ -e /usr/local/lib/systemd/system/edge-listen.service ]; then
        act "stop edge" stop_units
        if managed; then act "take the box off its broker" forget_box; fi
    fi
    # Somebody else's command of this name stays.
    if [[ $(readlink "$COMMAND") == "$HOME_OF_EDGE"/* ]]; then act "remove $COMMAND" rm "$COMMAND"; fi
    for path in $(files | cut -d ' ' -f 1) "$HOME_OF_EDGE"; do
        if [ -e "$path" ] || [ -L "$path" ]; then act "remove $path" remove_path "$path"; fi
    done
    if [ "$changes" != "$before" ] && managed; then act "tell systemd" systemctl daemon-reload; fi
}

# Of a half install some units are missing.
stop_units() {
    local unit
    for unit in "${UNITS[@]}" edge-upgrade-check.service; do
        if managed; then systemctl stop "$unit" || true; fi
        systemctl disable --quiet "$unit" || true
    done
}

# Its device in Home Assistant and what the broker keeps of it: only a broker that is there can forget.
forget_box() {
    timeout 60 "$HOME_OF_EDGE/current/bin/edge" forget >&2 ||
        say "edge: the broker still knows this box (above): its retained topics and its device in Home Assistant are to be removed by hand"
}

# A link goes with what it leads to; a disk that is mounted there is emptied.
remove_path() {
    local real
    real=$(readlink -m "$1")
    if [ -d "$real" ]; then
        find "$real" -mindepth 1 -delete || true
        rmdir "$real" || say "edge: $real stays: something is mounted there"
    fi
    if [ -L "$1" ] || [ ! -d "$real" ]; then rm -f "$1"; fi
}

remove_kept() {
    local path
    for path in "${KEPT[@]}"; do
        if [ -e "$path" ]; then act "remove $path" remove_path "$path"; fi
    done
    if [ "$(id -u edge 2>/dev/null || echo 1000)" -lt 1000 ]; then act "remove the user edge" userdel edge; fi
}
