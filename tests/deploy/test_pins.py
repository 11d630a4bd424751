# SPDX-License-Identifier: MIT
"""The list of exact versions is whole: nothing is left for pip to add as it finds it."""

from __future__ import annotations

from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

DEBIAN = {"12": "3.11", "13": "3.13"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("debian", DEBIAN)
def test_what_the_pinned_packages_need_is_pinned_too(debian: str, machine: str) -> None:
    box = {"python_version": DEBIAN[debian], "platform_machine": machine, "extra": ""}

    def wanted(one: Requirement) -> bool:
        return not one.marker or one.marker.evaluate({**box})

    lines = (REPOSITORY / "deploy" / "requirements.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = {canonicalize_name(one.name) for one in pins if wanted(one)}
    needed = {
        canonicalize_name(one.name)
        for installed in distributions()
        if canonicalize_name(installed.name) in pinned
        for one in map(Requirement, installed.requires or ())
        if wanted(one)
    }
    assert len(needed) > len(pinned) / 4
    assert needed - pinned == set()
