# SPDX-License-Identifier: MIT
"""The lists of exact versions are whole: nothing is left for pip to add as it finds it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution, distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

LISTS = {
    "3.11": ["requirements.txt"],
    "3.13": ["requirements.txt", "requirements-python313.txt"],
}
"""By the Python of Debian 12 and 13."""


def pins(python: str) -> dict[str, str]:
    """Return the versions by the names."""
    lines = [
        line
        for name in LISTS[python]
        for line in (REPOSITORY / "deploy" / name).read_text("utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", LISTS)
def test_what_the_pinned_packages_need_is_pinned_too(python: str, machine: str) -> None:
    box = {"python_version": python, "platform_machine": machine, "extra": ""}
    pinned = pins(python).keys()
    needed = {
        canonicalize_name(one.name)
        for installed in distributions()
        if canonicalize_name(installed.name) in pinned
        for one in map(Requirement, installed.requires or ())
        if not one.marker or one.marker.evaluate({**box})
    }
    assert len(needed) > len(pinned) / 4
    assert needed - pinned == set()


def test_what_is_installed_here_is_what_is_pinned() -> None:
    here = pins("3.11" if sys.version_info < (3, 13) else "3.13")
    assert {name: distribution(name).version for name in here} == here
