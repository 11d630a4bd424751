# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by install.sh: doing things, or only saying so.

changes=0

# act WHAT COMMAND...: says what, and does it unless this is a dry run.
act() {
    changes=$((changes + 1))
    if $dry_run; then
        say "would $1"
    else
        say "$1"
        "${@:2}"
    fi
}

# One installer at a time; a dry run disturbs nobody.
lock() {
    $dry_run && return
    exec 9>/run/edge-install.lock
    flock --nonblock 9 || die "another run of the installer is under way, or what one that was killed had begun: wait until it has ended"
}

managed() { [ -d /run/systemd/system ]; } # false in a chroot, where an image is made
