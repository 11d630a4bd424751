# SPDX-License-Identifier: MIT
"""The house rules: imports point down, siblings never meet, one outside thing has one file."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edge"

# Each room, its floor, and the rooms below that it may see: the picture is in edge/README.md.
BASE = {"types", "errors"}
ROOMS: dict[str, tuple[int, set[str]]] = {
    "cli": (
        5,
        {
            *("service", "config", "capture", "model", "publish", "record", "playback", "analysis"),
            *("measure", "durable", *BASE),
        },
    ),
    "service": (
        4,
        {
            *(
                "pipeline",
                "capture",
                "model",
                "publish",
                "record",
                "analysis",
                "health",
                "usage",
                "led",
                "dsp",
                "measure",
            ),
            *("monitor", "patches", "playback", "config", "clock", "decibels", "durable", *BASE),
        },
    ),
    "pipeline": (3, {"dsp", "model", "patches", "types"}),
    "patches": (2, {"dsp", "ring", "types"}),
    "monitor": (2, {"dsp", "types"}),
    "capture": (2, {"quiet", "sound", *BASE}),
    "model": (2, {"dsp", "durable", *BASE}),
    "publish": (2, {"decibels", "durable", "trust", *BASE}),
    "record": (2, {"decibels", "durable", "dsp", "trust", *BASE}),
    "analysis": (2, {"dsp", "sound", *BASE}),
    "playback": (2, {"quiet", *BASE}),
    "measure": (2, {"dsp", "durable", *BASE}),
    "health": (2, {"clock", "types"}),
    "usage": (2, set()),
    "led": (2, set()),
    "dsp": (1, BASE),
    "config": (1, {"errors"}),
    "clock": (1, {"types"}),
    "ring": (1, {"types"}),
    "sound": (1, set()),
    "quiet": (1, set()),
    "decibels": (1, set()),
    "durable": (1, set()),
    "trust": (1, {"types"}),
    "types": (0, set()),
    "errors": (0, set()),
}
ENTRANCES = {"__init__", "__main__"}  # the version, and `python -m edge`

# Outside things and the files, or rooms, that alone may know each.
OWNERS = {
    "alsaaudio": ("capture/alsa.py", "playback/alsa.py"),
    "onnxruntime": ("model/session.py",),
    "onnx": ("model/registry.py", "model/converter.py"),
    "paho": ("publish/mqtt.py",),
    "sqlite3": ("publish/outbox.py",),
    "systemd": ("service/notify.py", "service/journal.py"),
    "scipy": ("dsp/design.py", "dsp/standard.py", "dsp/correction_design.py"),
    "matplotlib": ("analysis/picture.py", "analysis/daychart.py", "analysis/trialchart.py"),
    "prometheus_client": ("service/exposition.py",),
    "pyrage": ("record/sealing.py",),
    "distributed": ("service/analyze/cluster.py",),
}
NOBODY = {"librosa", "numba", "sklearn", "torch"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            # `from edge.capture import scene` names a module too.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_sees_only_the_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    if room in ENTRANCES:
        return
    seen = {name.split(".")[1] for name in imported(path) if name.startswith("edge.")}
    strangers = seen - ROOMS[room][1] - {room, "__version__"}
    assert not strangers, f"{room} may not import {strangers}"


def test_what_a_room_may_see_is_on_a_lower_floor() -> None:
    for room, (floor, below) in ROOMS.items():
        assert all(ROOMS[other][0] < floor for other in below), room


def test_every_file_is_in_a_room_that_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} - ENTRANCES <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_outside_thing_is_known_to_one_file_only(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    outside = {name.split(".")[0] for name in imported(path)}
    for thing in outside & set(OWNERS):
        assert here.startswith(OWNERS[thing]), f"{thing} belongs to {OWNERS[thing]}"
    assert not outside & NOBODY


def test_the_listener_carries_nothing_that_reads_models_from_elsewhere() -> None:
    """Neither onnx nor what reads foreign files or fetches them: only a command needs these."""
    parts = ("flatbuffer", "tflite", "importer", "converter", "bring", "fetch")
    heavy = ["onnx", "flatbuffers", *(f"edge.model.{part}" for part in parts)]
    code = f"import sys, edge.service.unit; print([x for x in {heavy} if x in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
