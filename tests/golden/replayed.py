# SPDX-License-Identifier: MIT
"""What `edge replay` said of the scene, kept to be compared with what it says now.

A new model, front end or scene changes it for a reason. Then renew it, and read the
difference before it is committed:

    .venv/bin/python -m tests.golden.replayed
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import soundfile

from edge.capture.scene import synthesise_scene
from edge.config.load import load_settings
from edge.service.replay import Replay

GOLDEN: Final = {
    kind: Path(__file__).with_name(f"scene-{kind}s.jsonl") for kind in ("event", "level")
}
SCENE_S: Final = 30.0
RATE_HZ: Final = 48000

Record = dict[str, Any]


def write_scene(directory: Path) -> Path:
    """Return the scene as a recording."""
    file = directory / "scene.wav"
    samples, _ = synthesise_scene(SCENE_S, RATE_HZ, seed=0)
    soundfile.write(file, np.round(samples * 32767).astype("<i2"), RATE_HZ, subtype="PCM_16")
    return file


def replay(directory: Path, *files: Path) -> list[Record]:
    """Return everything that is said of recordings; `directory` keeps the filters."""
    settings = load_settings(None, [f'state.directory="{directory}"'])
    return list(Replay(settings, files).records())


def kept(kind: str) -> list[Record]:
    """Return the kept records of a kind."""
    return [json.loads(line) for line in GOLDEN[kind].read_text().splitlines()]


def renew() -> None:
    """Write what is said now."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        records = replay(directory, write_scene(directory))
    for kind, file in GOLDEN.items():
        lines = [json.dumps(record) + "\n" for record in records if record["type"] == kind]
        file.write_text("".join(lines))


if __name__ == "__main__":
    renew()
