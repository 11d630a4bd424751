# SPDX-License-Identifier: MIT
"""How exposed the units are, by systemd's own count."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("unit", "exposure_below"),
    [
        ("edge-listen", 1.5),
        ("edge-analyze", 2.0),
        ("edge-settings", 2.0),
        ("edge-upgrade-check", 2.0),
    ],
)
def test_a_unit_can_do_little_beside_its_work(unit: str, exposure_below: float) -> None:
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    done = subprocess.run(
        [*asked, REPOSITORY / "systemd" / f"{unit}.service"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found
    assert float(found[1]) < exposure_below
    assert done.stderr == ""


@pytest.mark.parametrize(("fails", "goes_on"), [("daemon-reload", False), ("restart", True)])
def test_only_a_systemd_that_does_not_read_its_units_keeps_an_installer_from_going_on(
    tmp_path: Path, fails: str, *, goes_on: bool
) -> None:
    """A journal that can't be restarted, masked or on a full disk, takes its limits later."""
    unread = tmp_path / "unread"
    unread.touch()
    script = f"""
        set -euo pipefail
        . {REPOSITORY}/deploy/release.sh
        UNREAD={unread}
        systemctl() {{ [ "$1" != {fails} ]; }}
        systemd-run() {{ :; }}
        reload_managers
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is goes_on
    assert unread.exists() is not goes_on
    assert ("at the next boot" in done.stderr) is goes_on
