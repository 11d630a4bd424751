# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: from one release to the next, and back where the next one is not healthy.

# An upgrade that is being judged, or was cut off, is decided first.
await_verdict() {
    if ! managed || [ ! -s "$PENDING" ]; then return; fi
    act "wait until the upgrade before this one is judged" systemctl start --quiet edge-upgrade-check.service || true
}

# From here on nobody else turns the link.
hold_judge() {
    if ! managed || [ ! -s "$PENDING" ] || $dry_run; then return; fi
    systemctl stop edge-upgrade-check.service || true
}

# begin_upgrade BEFORE: from here on a power cut leads to edge-upgrade-check at the next boot.
begin_upgrade() {
    local note from file
    if [ -z "$1" ] || $dry_run; then return; fi
    # One that was never judged is nothing to go back to, nor is what is wrong with it.
    if [ -s "$PENDING" ]; then note=$(head -n 1 "$PENDING"); else note="$1 $(signs | tr '\n' ' ')"; fi
    from=$RELEASES/${note%% *}
    [ -s "$from/edge-upgrade-check" ] || from=$PWD/deploy
    for file in release.sh edge-upgrade-check; do put_file "$from/$file" "$JUDGE/$file"; done
    echo "$note" >"$PENDING.new"
    sync "$PENDING.new"
    mv "$PENDING.new" "$PENDING"
    sync --file-system "$HOME_OF_EDGE"
}

# run_units RELEASE BEFORE
run_units() {
    enable_units
    if ! managed || [ ! -e "$PENDING" ]; then
        if $dry_run && [ -n "$2" ] && [ "$1" != "$2" ]; then
            act "restart the units, watch them for two minutes, and go back to $2 if they do not do what they did before"
        fi
        return
    fi
    act "restart the units" restart_units
    act "watch them: half a minute, at most two" systemctl start --quiet edge-upgrade-check.service || true
    if [ "$(current_release)" != "$1" ]; then
        die "edge $1 was not healthy, $(current_release) is in use again: journalctl -u edge-listen -u edge-upgrade-check says why"
    elif [ -e "$PENDING" ]; then
        die "edge $1 is in use and not judged yet, which is tried again every 20 s: journalctl -u edge-upgrade-check says why"
    fi
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
