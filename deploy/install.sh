#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs edge from the tree it lies in, upgrades it, or removes it: Debian 12 and 13, Raspberry Pi OS 64-bit.
# Each step looks first and leaves alone what is right, so a run that was cut off is run again.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
umask 022

usage() {
    cat <<'USAGE'
deploy/install.sh [--dry-run] [--offline WHEELS]
deploy/install.sh uninstall [--dry-run] [--purge]

  --dry-run         say what would be done, do nothing
  --offline WHEELS  a folder of wheels instead of the network (deploy/README.md says how to fill it)
  uninstall         remove program and units; recordings, settings and the user edge stay
  --purge           ... and these as well
USAGE
}

cd "$(dirname "$(readlink -f "$0")")/.."
# shellcheck source=tools/setup.sh
. tools/setup.sh
# shellcheck source=deploy/release.sh
. deploy/release.sh
# shellcheck source=deploy/installer/act.sh
. deploy/installer/act.sh
# shellcheck source=deploy/installer/box.sh
. deploy/installer/box.sh
# shellcheck source=deploy/installer/build.sh
. deploy/installer/build.sh
# shellcheck source=deploy/installer/system.sh
. deploy/installer/system.sh
# shellcheck source=deploy/installer/upgrade.sh
. deploy/installer/upgrade.sh
# shellcheck source=deploy/installer/remove.sh
. deploy/installer/remove.sh

dry_run=false offline="" purge=false command=install
while [ $# -gt 0 ]; do
    case $1 in
    install | uninstall) command=$1 ;;
    --dry-run) dry_run=true ;;
    --purge) purge=true ;;
    --offline)
        offline=${2:-}
        [ -d "$offline" ] || die "--offline wants a folder of wheels, not '$offline'"
        offline=$(readlink -f "$offline")
        shift
        ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die "what is '$1'?" ;;
    esac
    shift
done
if [ "$command" = install ] && $purge; then die "--purge belongs to uninstall"; fi
$dry_run || [ "$(id -u)" = 0 ] || die "run it as root: sudo deploy/install.sh"

install_edge() {
    local release before
    check_box
    release=$(release_name)
    await_verdict
    make_user "$PWD/systemd/edge.sysusers.conf"
    build_release "$release"
    settings_fit "$release" "$(current_release)"
    # Who loses the terminal from here on loses what is said, not the verdict.
    trap '' HUP INT PIPE
    hold_judge
    before=$(current_release)
    if [ "$release" != "$before" ]; then
        begin_upgrade "$before"
        act "put $release in use" switch_to "$release"
    fi
    put_files
    run_units "$release" "$before"
    remove_old_releases "$release" "$before"
    if [ "$changes" = 0 ]; then say "edge $release is installed: nothing to change"; else $dry_run || sync; fi
}

lock
"${command}_edge"
