# SPDX-License-Identifier: MIT
"""The installer on a real systemd: install, again, upgrade, back, and away."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

from tools.lab.clock import FaultClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.deploy.conftest import Box

# Others use the processor too.
pytestmark = pytest.mark.timeout(600)

SETTINGS = "/etc/edge/edge.toml"
CLIPS = "/var/lib/edge/clips/*/*.flac"
SETTLED = (
    "[ ! -e /opt/edge/pending ] && systemctl is-active edge-listen"
    " && systemctl is-active edge-analyze"
)
JUDGE = "/opt/edge/judge/edge-upgrade-check"
UNITS = "edge-listen.service edge-analyze.service"
RULE = "/usr/local/lib/udev/rules.d/70-edge.rules"
TOLD = ["control --reload", "trigger --action=change --subsystem-match=sound --sysname-match=card*"]
PYTHON = "$(readlink -f /usr/bin/python3)"


def release(box: Box) -> str:
    return os.path.basename(os.readlink(box.path("/opt/edge/current")))  # noqa: PTH119, PTH115 - a link inside


def main_pid(box: Box) -> str:
    return box.run("systemctl show --value --property=MainPID edge-listen")


def test_a_dry_run_says_what_it_would_do_and_does_nothing(bare: Box) -> None:
    done = bare.install("first", "--dry-run")
    assert done.returncode == 0
    assert "would build release 7.0.0-" in done.stdout
    assert f"would write {SETTINGS}" in done.stdout
    bare.run("[ ! -e /opt/edge ] && [ ! -e /etc/edge ] && ! id edge 2>/dev/null")


@pytest.mark.parametrize(
    ("trouble", "advice"),
    [
        ("echo 'echo armhf' >/run/x; chmod +x /run/x; mount --bind /run/x /usr/bin/dpkg", "64-bit"),
        (f"echo 'exit 1' >/run/x; chmod +x /run/x; mount --bind /run/x {PYTHON}", "3.11 or newer"),
        ("mkdir -p /opt/edge; mount -t tmpfs -o size=50m none /opt/edge", "make room"),
    ],
)
def test_a_box_that_can_not_hold_edge_is_told_why(bare: Box, trouble: str, advice: str) -> None:
    inside = f"{trouble}\n/trees/first/deploy/install.sh --offline /trees/wheels"
    done = bare.attempt(f"unshare --mount --propagation private bash <<'END'\n{inside}\nEND")
    bare.attempt("rmdir /opt/edge")
    assert done.returncode == 1
    assert advice in done.stdout
    assert "build release" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "advice"),
    # Without a network already packages fail, where this machine lacks some.
    [("--offline /run", "/run does not hold all that is needed"), ("", "network")],
)
def test_libraries_that_can_not_be_had_leave_nothing_behind(
    bare: Box, arguments: str, advice: str
) -> None:
    done = bare.attempt(f"/trees/first/deploy/install.sh {arguments}")
    assert done.returncode == 1
    assert advice in done.stdout
    assert bare.run("ls /opt/edge/releases") == ""


def test_an_install_that_was_cut_off_is_begun_again(bare: Box) -> None:
    start = (
        "setsid /trees/first/deploy/install.sh --offline /trees/wheels >/dev/null 2>&1 & echo $!"
    )
    number = bare.run(start)
    bare.wait("ls /opt/edge/releases/*.new/lib")  # pip is being brought, from where venv puts it
    bare.run(f"kill -KILL -- -{number}")
    assert bare.run("ls /opt/edge") == "releases"
    assert bare.run("ls /tmp | grep -v ^systemd-private || true") == "", "the next run removes all"


def test_half_releases_go_before_room_is_asked_for(bare: Box) -> None:
    inside = (
        "mount -t tmpfs -o size=50m none /opt/edge; mkdir -p /opt/edge/releases/6.0.0-half\n"
        "/trees/first/deploy/install.sh --offline /trees/wheels"
    )
    done = bare.attempt(f"unshare --mount --propagation private bash <<'END'\n{inside}\nEND")
    assert "remove the half release 6.0.0-half" in done.stdout
    assert "make room" in done.stdout


def test_it_runs_within_its_sandbox_and_saves_what_it_hears(box: Box) -> None:
    assert release(box).startswith("7.0.0-")
    box.wait(f"ls {CLIPS}")
    assert box.run(
        "systemctl show --value --property=NRestarts edge-listen edge-analyze"
    ).split() == ["0", "0"]


def test_it_knows_within_its_sandbox_whether_its_clock_is_right(box: Box) -> None:
    says = "edge status --json | grep -q '\"clock_synchronised\": {}'"
    box.wait(says.format("false"))
    box.run("mkdir -p /run/systemd/timesync; touch /run/systemd/timesync/synchronized")
    box.wait(says.format("true"))
    box.run("rm -r /run/systemd/timesync")


def test_the_log_has_fields_and_is_readable(box: Box) -> None:
    assert "listening to synthetic scene" in box.run("journalctl --no-pager -u edge-listen")
    about = box.run("journalctl --no-pager -u edge-listen THREAD_NAME=MainThread -o verbose -n 1")
    assert re.search(r"LOGGER=edge\.service", about)
    assert re.search(r"PRIORITY=\d", about)


def test_a_second_run_changes_nothing(box: Box) -> None:
    look = (
        "find /opt/edge/releases -maxdepth 1 -printf '%p %T@ '"
        " ; ls -l --full-time /etc/edge /usr/local/lib/systemd/system"
    )
    before, pid = box.run(look), main_pid(box)
    done = box.install("first")
    assert done.stdout.strip().endswith("nothing to change")
    assert (box.run(look), main_pid(box)) == (before, pid)


@pytest.fixture
def asked_of_udev(box: Box) -> Iterator[Callable[[], list[str]]]:
    """Return what udev has been asked for; in a container runs none."""
    box.run(
        "printf '#!/bin/sh\\necho \"$*\" >>/run/asked\\n' >/run/x; chmod +x /run/x;"
        " : >/run/asked; mount --bind /run/x /usr/bin/udevadm"
    )
    yield lambda: box.run("cat /run/asked").splitlines()
    box.run("umount /usr/bin/udevadm")


def test_udev_is_told_of_sound_cards_that_are_there_already(
    box: Box, asked_of_udev: Callable[[], list[str]]
) -> None:
    box.run(f"rm {RULE}")
    assert "tell systemd, udev and the journal" in box.install("first").stdout
    box.run(f"ls {RULE}")
    assert asked_of_udev() == TOLD


def test_what_a_run_has_put_that_was_killed_before_it_told_of_it_is_told_by_the_next(
    box: Box, asked_of_udev: Callable[[], list[str]]
) -> None:
    inside = (
        "printf '#!/bin/sh\\nkill -KILL $PPID\\n' >/run/kill; chmod +x /run/kill\n"
        "mount --bind /run/kill /usr/bin/systemctl\n"
        f"rm {RULE}\n"
        "/trees/first/deploy/install.sh --offline /trees/wheels"
    )
    killed = box.attempt(f"unshare --mount --propagation private bash <<'END'\n{inside}\nEND")
    assert killed.returncode, killed.stdout
    box.run(f"ls {RULE}")
    assert asked_of_udev() == []
    assert "would tell systemd, udev and the journal" in box.install("first", "--dry-run").stdout
    assert "tell systemd, udev and the journal" in box.install("first").stdout
    assert asked_of_udev() == TOLD
    assert box.install("first").stdout.strip().endswith("nothing to change")


def test_a_release_in_use_is_there_until_it_is_built_again(box: Box) -> None:
    box.run(": >/opt/edge/current/bin/edge")  # as a power cut may leave a file
    done = box.attempt("/trees/first/deploy/install.sh --offline /run")
    assert done.returncode == 1
    box.run("ls /opt/edge/current/complete")
    assert box.install("first").returncode == 0
    assert "7.0.0" in box.run("edge --version")
    assert box.run("ls /opt/edge/releases") == release(box)


def test_settings_that_a_power_cut_emptied_are_written_with_a_name_of_the_box(box: Box) -> None:
    file = box.path(SETTINGS)
    settings = file.read_text()
    file.write_text("")
    assert box.install("first").returncode == 0
    name = box.run("echo $(uname -n)-$(cut -c 1-4 /etc/machine-id)")
    assert f'id = "{name}"' in file.read_text()
    file.write_text(settings)


def test_clips_go_to_another_disk_that_a_drop_in_allows(box: Box) -> None:
    """As systemd/README.md says."""
    box.run(
        "mkdir -p /mnt/clips; chown edge: /mnt/clips;"
        " for unit in edge-listen edge-analyze; do"
        " mkdir -p /etc/systemd/system/$unit.service.d;"
        " printf '[Service]\\nReadWritePaths=/mnt/clips\\n'"
        " >/etc/systemd/system/$unit.service.d/clips.conf; done;"
        " printf '[record]\\ndirectory = \"/mnt/clips\"\\n' >/etc/edge/edge.d/clips.toml;"
        " systemctl daemon-reload; systemctl restart edge-listen edge-analyze"
    )
    box.wait("ls /mnt/clips/*/*.flac")
    box.run(
        "rm /etc/systemd/system/edge-*.service.d/clips.conf /etc/edge/edge.d/clips.toml;"
        " systemctl daemon-reload; systemctl restart edge-listen edge-analyze"
    )


def test_a_dry_run_is_for_everybody(box: Box) -> None:
    box.run("cp -r /trees/good /run/open; chmod -R a+rX /run/open")
    done = box.attempt("setpriv --reuid=65534 /run/open/deploy/install.sh --dry-run")
    assert done.returncode == 0, done.stdout
    assert "do not fit" not in done.stdout


def test_settings_that_do_not_fit_are_kept_and_the_old_version_goes_on(box: Box) -> None:
    before, pid, file = release(box), main_pid(box), box.path(SETTINGS)
    settings = file.read_text()
    misfit = settings.replace("url =", "uri =")
    file.write_text(misfit)
    done = box.install("good")
    assert done.returncode == 1
    assert "publish.uri: unknown key" in done.stdout
    assert f"kept as they are, and {before} goes on running" in done.stdout
    assert (file.read_text(), release(box), main_pid(box)) == (misfit, before, pid)
    file.write_text(settings)


def test_an_upgrade_is_one_turn_of_a_link_and_keeps_the_settings(box: Box) -> None:
    settings, before, pid = box.path(SETTINGS).read_text(), release(box), main_pid(box)
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.0001):
            try:
                seen.add(release(box))
            except OSError:
                seen.add("nothing")

    def hang_up() -> None:
        box.wait("[ -s /opt/edge/pending ] && readlink /opt/edge/current | grep 8.0.0")
        box.run("pkill -HUP -f '[d]eploy/install.sh'")

    box.wait('grep \'"microphone": "ok"\' /run/edge/box.json')
    threads = [threading.Thread(target=what) for what in (look, hang_up)]
    for one in threads:
        one.start()
    box.judge_within(150)
    try:
        done = box.install("good")
    finally:
        ended.set()
        for one in threads:
            one.join()
    assert done.returncode == 0, done.stdout
    assert box.run("find /opt/edge/current/ ! -type l ! -perm -o=r") == ""
    assert release(box).startswith("8.0.0-")
    assert seen == {before, release(box)}
    assert box.path(SETTINGS).read_text() == settings
    assert main_pid(box) != pid
    box.run(SETTLED)


def pend(box: Box, first: str) -> None:
    """Have the release in use be judged."""
    box.run(f"echo {first} {UNITS} >/opt/edge/pending")


def test_a_clock_that_is_stepped_judges_nobody(box: Box, trees: Path) -> None:
    before = release(box)
    pend(box, box.run("basename /opt/edge/releases/7.0.0-*"))
    (trees / "clock").mkdir()
    clock = FaultClock(trees / "clock")
    words = " ".join(clock.wrap()).replace(str(trees.resolve()), "/trees")
    stepper = threading.Timer(2.0, clock.step, [3600.0])
    stepper.start()
    said = box.run(f"{words} EDGE_WITHIN_S=150 EDGE_STEADY_S=5 bash {JUDGE}")
    stepper.join()
    assert "is healthy and stays" in said
    assert release(box) == before


def test_what_is_put_back_while_an_upgrade_is_judged_is_told_from_within_the_sandbox(
    box: Box, asked_of_udev: Callable[[], list[str]]
) -> None:
    """As after a power cut between the turn of the link and the new files."""
    box.judge_within(60)
    box.run(f"rm {RULE}")
    pend(box, box.run("basename /opt/edge/releases/7.0.0-*"))
    box.run("systemctl start edge-upgrade-check")
    box.run(f"ls {RULE}")
    assert asked_of_udev() == TOLD
    box.run("[ ! -e /opt/edge/unread ]")
    box.wait(SETTLED)


def test_units_that_are_switched_off_are_no_part_of_a_verdict(box: Box) -> None:
    box.run(f"systemctl disable --quiet --now {UNITS}")
    box.run(f"echo {box.run('basename /opt/edge/releases/7.0.0-*')} '' >/opt/edge/pending")
    assert "stays" in box.run(f"EDGE_STEADY_S=1 bash {JUDGE}")
    box.run(f"systemctl enable --quiet --now {UNITS}")
    box.wait(SETTLED)


def test_an_upgrade_that_is_deaf_is_left_again(box: Box) -> None:
    before = release(box)
    box.wait('grep \'"microphone": "ok"\' /run/edge/box.json')
    box.judge_within(20)
    done = box.install("deaf")
    assert f"was not healthy, {before} is in use again" in done.stdout
    box.wait(SETTLED)
    assert release(box) == before


def test_an_upgrade_that_does_not_run_is_left_again(box: Box) -> None:
    """Though what judges in it would let it stay."""
    settings, before = box.path(SETTINGS).read_text(), release(box)
    box.judge_within(6)
    done = box.install("failing")
    assert done.returncode == 1
    assert f"was not healthy, {before} is in use again" in done.stdout
    assert "Job for" not in done.stdout, "systemd's own words would lead astray"
    box.wait(SETTLED)
    assert release(box) == before
    assert box.path(SETTINGS).read_text() == settings


def test_settings_mended_for_a_version_that_is_left_are_as_before_again(box: Box) -> None:
    """Though they were mended while the old version ran, which they fit no longer."""
    file, before = box.path(SETTINGS), release(box)
    settings = file.read_text()
    box.judge_within(6)
    box.run(f"chown root:edge {SETTINGS}; chmod 640 {SETTINGS}")
    box.path("/etc/edge/edge.d/own.toml").write_text('[node]\nname = "Hive"\n')
    try:
        assert "publish.url: unknown key" in box.install("misfit").stdout
        misfit = settings.replace("url =", "uri =")
        file.write_text(misfit)
        done = box.install("misfit")
        assert f"was not healthy, {before} is in use again" in done.stdout
        box.wait(SETTLED)
        assert release(box) == before
        assert file.read_text() == settings
        assert box.run(f"stat -c '%U:%G %a' {SETTINGS}") == "root:edge 640"
        assert box.path(f"{SETTINGS}.new-version").read_text() == misfit
    finally:
        file.write_text(settings)
        box.run(f"rm /etc/edge/edge.d/own.toml; chmod 644 {SETTINGS}")


def test_a_new_version_does_not_bring_its_own_judge(box: Box) -> None:
    unit = "/usr/local/lib/systemd/system/edge-upgrade-check.service"
    box.judge_within(6)
    box.run(f"echo '# of before' >>{unit}")
    box.install("failing")
    assert "# of before" in box.run(f"cat {unit}"), "until the verdict, and it was against it"
    box.wait(SETTLED)


def test_a_disk_that_keeps_files_from_being_put_back_does_not_keep_the_units_restarting(
    box: Box,
) -> None:
    before, failing = release(box), box.run("basename $(ls -d /opt/edge/releases/9.0.0-*)")
    place = "/usr/local/lib/systemd/system"
    box.run(f"echo '# of the new version' >>{place}/edge-analyze.service")
    pend(box, before)
    box.run(
        f"ln -sfn releases/{failing} /opt/edge/current; mkdir -p /run/edge-judge;"
        f" mount --bind {place} {place}; mount -o remount,ro,bind {place}"
    )
    assert box.attempt(f"EDGE_WITHIN_S=0 bash {JUDGE}").returncode == 1
    assert release(box) == before
    box.wait("systemctl is-active edge-listen")
    pid = main_pid(box)
    assert box.attempt(f"bash {JUDGE}").returncode == 1
    assert main_pid(box) == pid
    box.run(f"umount {place}")
    assert box.attempt(f"bash {JUDGE}").returncode == 0
    box.run("rm -r /run/edge-judge")
    box.wait(SETTLED)
    assert main_pid(box) == pid
    assert "new version" not in box.run(f"cat {place}/edge-analyze.service")


def test_a_boot_goes_on_judging_an_upgrade_that_was_cut_off(box: Box) -> None:
    """As after a power cut between the turn of the link and the restart of the units."""
    before = release(box)
    failing = box.run("basename $(ls -d /opt/edge/releases/9.0.0-*)")
    pend(box, before)
    box.run(f"cd /opt/edge; ln -sfn releases/{failing} current")
    box.run("systemctl restart edge-listen --no-block")
    box.attempt("systemctl start edge-upgrade-check")
    box.wait(SETTLED)
    assert release(box) == before


def test_a_version_that_takes_the_box_down_is_left_at_the_fourth_boot(box: Box) -> None:
    before = release(box)
    failing = box.run("basename $(ls -d /opt/edge/releases/9.0.0-*)")
    box.run(
        f"printf '{before}\\nbegun\\nbegun\\nbegun\\n' >/opt/edge/pending;"
        f" cd /opt/edge; ln -sfn releases/{failing} current"
    )
    assert box.attempt(f"EDGE_WITHIN_S=0 bash {JUDGE}").returncode == 3
    assert release(box) == before
    box.wait(SETTLED)


def test_systemd_finds_no_fault_with_the_units(box: Box) -> None:
    units = f"{UNITS} edge-settings.service edge-upgrade-check.service"
    assert box.run(f"systemd-analyze verify --man=no {units}") == ""


def test_uninstalling_leaves_what_was_heard_unless_told(box: Box) -> None:
    kept = f"ls {SETTINGS} {CLIPS}"
    box.wait(kept)
    box.run("systemd-run --quiet --unit=lab-broker mosquitto -p 1883")
    box.path("/etc/edge/edge.d/broker.toml").write_text('[publish]\nurl = "mqtt://127.0.0.1"\n')
    box.run("systemctl restart edge-listen")
    box.wait("mosquitto_sub -h 127.0.0.1 -t edge/box/status -C 1 -W 5")
    box.wait("grep '\"broker_connected\": true' /run/edge/box.json")
    done = box.attempt("/trees/first/deploy/install.sh uninstall")
    assert done.returncode == 0, done.stdout
    assert box.attempt("mosquitto_sub -h 127.0.0.1 -t '#' -C 1 -W 2").returncode
    box.run("[ ! -e /opt/edge ] && [ ! -e /usr/local/bin/edge ]")
    assert box.attempt("systemctl cat edge-listen").returncode
    box.run(kept)
    assert box.attempt("/trees/first/deploy/install.sh uninstall --purge").returncode == 0
    box.run("[ ! -e /var/lib/edge ] && [ ! -e /etc/edge ] && ! id edge 2>/dev/null")
    assert "nothing to change" in box.run("/trees/first/deploy/install.sh uninstall --purge")


def test_a_person_who_is_called_edge_is_no_user_for_the_units(bare: Box) -> None:
    bare.run("useradd --uid 1000 --groups audio edge")
    done = bare.attempt("/trees/first/deploy/install.sh --offline /trees/wheels")
    assert done.returncode == 1
    assert "the user edge (uid 1000) is a person's" in done.stdout
    assert bare.run("ls /opt/edge 2>/dev/null || true") == ""
    assert bare.attempt("/trees/first/deploy/install.sh uninstall --purge").returncode == 0
    bare.run("id edge; userdel edge")


def test_half_an_install_is_removed_and_what_is_not_edges_stays(bare: Box) -> None:
    unit = "systemd/system/edge-listen.service"
    bare.run(
        f"install -D /trees/first/systemd/edge-listen.service /usr/local/lib/{unit};"
        " mkdir -p /usr/local/bin /opt/edge; echo mine >/usr/local/bin/edge;"
        " mount -t tmpfs none /opt/edge; touch /opt/edge/some"
    )
    done = bare.attempt("/trees/first/deploy/install.sh uninstall")
    assert done.returncode == 0, done.stdout
    assert "the broker still knows this box" in done.stdout
    assert bare.run("cat /usr/local/bin/edge; ls -A /opt/edge") == "mine"
    assert bare.attempt(f"ls /usr/local/lib/{unit}").returncode
