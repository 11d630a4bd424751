# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_that_is_run_reports_to_nobody(tmp_path: Path) -> None:
    """The telemetry of onnxruntime would keep a device's id and a list to send in the home."""
    unset = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    shown = subprocess.run(
        [sys.executable, "-m", "edge", "model", "show"],
        cwd=REPOSITORY,
        env={**environment, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert not shown.stderr
    assert not list(tmp_path.rglob("*"))
