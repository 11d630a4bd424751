# SPDX-License-Identifier: MIT
"""Files that belong together: all of them are replaced, or none."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def delivered(folder: Path) -> Iterator[Path]:
    """Give an empty place to write in; what is in it at the end goes to `folder`.

    Whatever ends the writing early leaves `folder` as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Inside it, and so on the same file system: moving is then one step.
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder) as draft:
        yield Path(draft)
        for file in sorted(Path(draft).iterdir()):
            file.replace(folder / file.name)
