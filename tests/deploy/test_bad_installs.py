# SPDX-License-Identifier: MIT
"""Installs that go wrong: a person is told what to mend, nothing is lost, a later run is whole."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.deploy.conftest import Box

# Others use the processor too.
pytestmark = pytest.mark.timeout(600)

INSTALL = "/trees/{}/deploy/install.sh --offline /trees/wheels"
NOTHING_LEFT = "! ls /opt/edge/releases/* /tmp/tmp.*"
RUNS = "systemctl is-active edge-listen edge-analyze"
CUTS = 4

# An address that answers nothing: not even that it is not there.
HOLE = """
ip link set lo up; ip link add near type veth peer name far; ip link set near up; ip link set far up
ip addr add 10.9.9.2/24 dev near; ip route add default via 10.9.9.1
ip neigh add 10.9.9.1 lladdr 02:00:00:00:00:09 dev near
cp /etc/hosts /run/hosts; echo '192.0.2.7 pypi.org' >>/run/hosts; mount --bind /run/hosts /etc/hosts
export PIP_DEFAULT_TIMEOUT=1
/trees/first/deploy/install.sh
"""


def test_where_packets_vanish_there_is_no_network_and_soon_an_end(bare: Box) -> None:
    began_s = time.monotonic()
    done = bare.attempt(f"unshare --net --mount --propagation private bash <<'END'\n{HOLE}\nEND")
    assert done.returncode == 1
    # Debian's packages come first, where this machine lacks some.
    assert "there is no network" in done.stdout or "mend network or disk" in done.stdout
    assert time.monotonic() - began_s < 300.0
    bare.run(NOTHING_LEFT)


def test_a_folder_that_lacks_a_wheel_is_told_which(bare: Box) -> None:
    done = bare.attempt("/trees/first/deploy/install.sh --offline /run")
    assert done.returncode == 1
    assert "for this Python and processor: lent-libraries==1" in done.stdout
    bare.run(NOTHING_LEFT)


def test_a_second_installer_leaves_the_first_alone(bare: Box) -> None:
    bare.run(
        f"( {INSTALL.format('first')}; echo rc=$? >/run/first ) >/dev/null 2>&1 &",
    )
    bare.wait("ls -d /opt/edge/releases/*.new")
    done = bare.install("good")
    assert done.returncode == 1
    assert "another run of the installer is under way" in done.stdout
    bare.wait("grep rc=0 /run/first")
    assert bare.run("edge --version").endswith("7.0.0")
    bare.wait(RUNS)


def test_a_disk_that_fills_up_leaves_what_runs_alone(bare: Box) -> None:
    pid = bare.run("systemctl show --value --property=MainPID edge-listen")
    # Room for all bytes, and for too few files.
    bare.run("mount -t tmpfs -o size=2g,nr_inodes=200 none /opt/edge/releases")
    done = bare.install("good")
    bare.run("umount /opt/edge/releases")
    assert done.returncode == 1
    assert "the disk is full: make room, then run this again; nothing was changed" in done.stdout
    assert bare.run("edge --version").endswith("7.0.0")
    assert bare.run("systemctl show --value --property=MainPID edge-listen") == pid
    bare.run("! ls -d /tmp/tmp.*")


def test_whenever_it_is_cut_off_there_is_a_whole_version_and_a_later_run_ends_it(
    bare: Box,
) -> None:
    chance = random.Random(13)  # noqa: S311 - moments
    bare.judge_within(150)
    began_s = time.monotonic()
    assert bare.install("good").returncode == 0
    lasts_s = time.monotonic() - began_s
    for tree in ("first", "good") * (CUTS // 2):
        number = bare.run(f"setsid {INSTALL.format(tree)} >/dev/null 2>&1 & echo $!")
        time.sleep(chance.uniform(0.0, lasts_s))
        bare.attempt(f"kill -KILL -- -{number}")
        assert "edge, version" in bare.run("edge --version")
    done = bare.install("good")
    assert done.returncode == 0, done.stdout
    assert bare.run("edge --version").endswith("8.0.0")
    bare.wait(RUNS)
    left = bare.run("ls /opt/edge /opt/edge/releases").split()
    assert not [name for name in left if name.endswith((".new", ".old")) or name == "pending"]
    assert "nothing to change" in bare.install("good").stdout
