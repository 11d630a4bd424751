# SPDX-License-Identifier: MIT
"""Settings for a process that can't spare 17 MB for life: checked in a child.

The child reads and checks with pydantic while the parent imports its own needs;
what comes back is known to be right and only has to be put into the records.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

from edge.config.schema import Settings
from edge.errors import EXIT_CONFIG, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHILD_LIMIT_S: Final = 60


class PendingSettings:
    """Settings that a child is reading; `result` waits for them.

    Parameters
    ----------
    file, overrides : as in `edge.config.load.load_settings`.
    """

    def __init__(self, file: Path | None, overrides: Sequence[str]) -> None:
        asked = json.dumps([str(file) if file else None, list(overrides)])
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "edge.config.load", asked], stdout=subprocess.PIPE
        )

    def result(self) -> Settings:
        """Return the settings; raises `ConfigError` with every mistake."""
        answer, _ = self._child.communicate(timeout=CHILD_LIMIT_S)
        if self._child.returncode == EXIT_CONFIG:
            raise ConfigError(*json.loads(answer))
        if self._child.returncode:
            raise ConfigError("the settings could not be read", "`edge config` shows what is wrong")
        return settings_of(json.loads(answer))


def settings_of(tree: dict[str, Any]) -> Settings:
    """Return the records of a tree that has been checked."""
    settings: Settings = _record(Settings, tree)
    return settings


def digest(settings: Settings) -> str:
    """Return 12 hex digits that change with any setting (for the `info` message)."""
    text = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _record(kind: Any, value: Any) -> Any:  # noqa: ANN401 - whatever an annotation says
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _record(hints[name], one) for name, one in value.items()})  # type: ignore[operator] # a class
    if get_origin(kind) is list:
        return [_record(get_args(kind)[0], one) for one in value]
    if get_origin(kind) is dict:
        return {name: _record(get_args(kind)[1], one) for name, one in value.items()}
    return value
