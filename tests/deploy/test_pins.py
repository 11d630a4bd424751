# SPDX-License-Identifier: MIT
"""What runs on a box has exact versions, what libraries bring along too."""

from __future__ import annotations

from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY


def pins() -> dict[str, str]:
    """Return the pinned versions of this Python by name."""
    lines = (REPOSITORY / "deploy/requirements.txt").read_text("utf-8").splitlines()
    asked = [Requirement(line) for line in lines if not line.startswith("#")]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in asked
        if not one.marker or one.marker.evaluate()
    }


def test_whatever_a_pinned_library_needs_is_pinned_too() -> None:
    """Of Python 3.13 the libraries need more than of 3.11: each system looks after its own."""
    pinned = pins()
    needed = {
        canonicalize_name(one.name)
        for name in pinned
        for one in map(Requirement, distribution(name).requires or [])
        if not one.marker or one.marker.evaluate({"extra": ""})
    }
    assert needed - pinned.keys() == set()


def test_what_is_installed_here_is_what_is_pinned() -> None:
    assert {name: distribution(name).version for name in pins()} == pins()
