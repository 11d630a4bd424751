# SPDX-License-Identifier: MIT
"""The models of a box: files by name under the state directory, and which of them is in use."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from edge import durable
from edge.errors import ModelError, StorageError
from edge.model.registry import shipped_model

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "models"
CHOICE: Final = "model"
SHIPPED: Final = "shipped"
SUFFIX: Final = ".onnx"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_CHOICE: Final = 100  # bytes: what is longer was not written here


class Shelf:
    """Models by name: `shipped`, and `<state>/models/NAME.onnx`.

    Which one is in use is one line in `<state>/model`; without it the shipped one is.
    """

    def __init__(self, state_directory: Path) -> None:
        self.folder = state_directory / FOLDER
        self._choice = state_directory / CHOICE

    def names(self) -> list[str]:
        """Return the names of all models, the shipped one first."""
        own = [one.stem for one in self.folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(one.stem)]
        return [SHIPPED, *sorted(name for name in own if name != SHIPPED)]

    def place(self, name: str) -> Path:
        """Return where a model of that name is, or would be. Raises `ModelError` for a bad name."""
        if name == SHIPPED:
            return shipped_model()
        if not _NAME.fullmatch(name):
            raise ModelError(
                f"{name!r:.80} can't be the name of a model",
                "use 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit",
            )
        return self.folder / f"{name}{SUFFIX}"

    def find(self, name: str) -> Path:
        """Return the file of a model. Raises `ModelError` naming those that are there."""
        path = self.place(name)
        if not path.is_file():
            raise ModelError(f"there is no model {name!r}", f"there are: {', '.join(self.names())}")
        return path

    def room(self, name: str) -> Path:
        """Return where a new model of that name goes, its folder made.

        Raises `ModelError` for the shipped one's name, `StorageError` for a folder that can't be.
        """
        if name == SHIPPED:
            raise ModelError(f"{name!r} is the model in the package", "choose another name")
        path = self.place(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self.folder} can't be made: {error.strerror}") from error
        return path

    def chosen(self) -> str:
        """Return the name of the model in use.

        Raises `ModelError` where the choice can't be read.
        """
        try:
            with self._choice.open("rb") as file:
                name = file.read(_LONGEST_CHOICE).decode("utf-8").strip()
        except FileNotFoundError:
            return SHIPPED
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"which model is in use can't be read: {error}", "choose with `edge model use`"
            ) from error
        return name or SHIPPED

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes whenever something is chosen; costs one look at the file's entry."""
        try:
            entry = self._choice.stat()
        except OSError:
            return None
        return entry.st_mtime_ns, entry.st_ino

    def choose(self, name: str) -> tuple[int, int]:
        """Put a model in use from now on, also after a power cut; return the stamp of that.

        Raises `ModelError` if it is not there, `StorageError` where that can't be written down.
        """
        self.find(name)
        draft = self._choice.with_name(f".{CHOICE}.{os.getpid()}.part")
        try:
            self._choice.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                durable.write_through(file, f"{name}\n".encode())
                entry = os.fstat(file.fileno())
            draft.replace(self._choice)
            durable.sync(self._choice.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StorageError(f"{self._choice} can't be written: {error.strerror}") from error
        return entry.st_mtime_ns, entry.st_ino

    def remove(self, name: str) -> None:
        """Delete a model. Raises `ModelError` for the shipped one, one in use, or none."""
        if name == SHIPPED:
            raise ModelError("the shipped model can't be removed", "it is part of the package")
        path = self.find(name)
        if name == self.chosen():
            raise ModelError(f"{name} is in use", "choose another with `edge model use`")
        try:
            path.unlink()
        except OSError as error:
            raise StorageError(f"{path} can't be removed: {error.strerror}") from error
