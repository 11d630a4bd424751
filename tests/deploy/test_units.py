# SPDX-License-Identifier: MIT
"""How exposed the units are, by systemd's own count."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.conftest import REPOSITORY


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
