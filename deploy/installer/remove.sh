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
    fi
    for path in $(files | cut -d ' ' -f 1) "$COMMAND" "$HOME_OF_EDGE"; do
        if [ -e "$path" ] || [ -L "$path" ]; then act "remove $path" rm -rf "$path"; fi
    done
    if [ "$changes" != "$before" ] && managed; then act "tell systemd" systemctl daemon-reload; fi
}

stop_units() {
    local units=("${UNITS[@]}" edge-upgrade-check.service)
    if managed; then systemctl stop "${units[@]}"; fi
    systemctl disable --quiet "${units[@]}"
}

remove_kept() {
    local path
    for path in "${KEPT[@]}"; do
        if [ -e "$path" ]; then act "remove $path" rm -rf "$path"; fi
    done
    if id edge >/dev/null 2>&1; then act "remove the user edge" userdel edge; fi
}
