# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: from one release to the next, and back where the next one is not healthy.

# begin_upgrade BEFORE: from here on a power cut leads to edge-upgrade-check at the next boot.
begin_upgrade() {
    local before=$1
    if [ -z "$before" ] || $dry_run; then return; fi
    if managed; then systemctl stop edge-upgrade-check.service || true; fi
    # One that was never judged is nothing to go back to.
    [ ! -s "$PENDING" ] || read -r before _ <"$PENDING"
    echo "$before $(microphone)" >"$PENDING.new"
    mv "$PENDING.new" "$PENDING"
    sync --file-system "$HOME_OF_EDGE"
}

# run_units RELEASE BEFORE
run_units() {
    enable_units
    if ! managed || [ ! -e "$PENDING" ]; then
        if $dry_run && [ -n "$2" ] && [ "$1" != "$2" ]; then
            act "restart the units, watch them for two minutes, and go back to $2 if they do not run"
        fi
        return
    fi
    act "restart the units" restart_units
    act "watch them: half a minute, at most two" systemctl start edge-upgrade-check.service ||
        die "edge $1 was not healthy, $(current_release) is in use again: journalctl -u edge-listen -u edge-upgrade-check says why"
}

restart_units() {
    local unit
    systemctl daemon-reload
    for unit in "${UNITS[@]}"; do
        if systemctl is-enabled --quiet "$unit"; then systemctl restart --no-block "$unit"; fi
    done
}

# remove_old_releases RELEASE BEFORE: all but the two; which is quick to go back to from its own tree.
remove_old_releases() {
    local place
    if [ "$1" = "$2" ] || [ -e "$PENDING" ]; then return; fi
    for place in "$RELEASES"/*/; do
        case $(basename "$place") in
        "$1" | "$2" | '*') ;;
        *) act "remove the old release $(basename "$place")" rm -rf "$place" ;;
        esac
    done
}
