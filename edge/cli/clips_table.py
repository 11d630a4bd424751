# SPDX-License-Identifier: MIT
"""Clips as a table, as lines, as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import click

from edge.record.name import REPORT, word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from edge.record.store import Entry

IN_LINES: Final = {"events", "gaps", "files"}  # what takes a line each
HEADINGS: Final = ("clip", "time, UTC", "labels", "score", "s", "MB", "")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip and its sidecar; None: it is damaged."""

    entry: Entry
    sidecar: dict[str, Any] | None

    def has_label(self, labels: Collection[str]) -> bool:
        """Return whether it has one of `labels`, as they are or as file names have them."""
        own = {*self._labels(), self.entry.label}
        return not own.isdisjoint(labels) or self.entry.label in map(word, labels)

    def as_json(self) -> dict[str, Any]:
        """Return the sidecar, and what only the folder knows."""
        entry = self.entry
        return {
            **(self.sidecar if self.sidecar is not None else {"damaged": True}),
            "number": entry.number,
            "kept": entry.kept,
            "size_bytes": entry.size_bytes,
            "path": str(entry.audio or entry.sidecar),
            "files": list(entry.files),
        }

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table, without the size."""
        sidecar = self.sidecar or {}
        scores = sidecar.get("scores")
        values = scores.values() if isinstance(scores, dict) else ()
        return (
            str(self.entry.number),
            when(self.entry.time),
            ", ".join(self._labels()) or self.entry.label,
            _rounded(max(filter(_is_number, values), default=None), 2),
            _rounded(sidecar.get("duration_s"), 1),
        )

    def special(self) -> str:
        """Return what is not as with other clips."""
        return ", ".join(
            words
            for words, holds in (
                ("damaged sidecar", self.sidecar is None),
                ("kept", self.entry.kept),
                ("encrypted", self.entry.sealed),
                ("no sound", self.entry.audio is None),
                ("analysed", any(name.endswith(REPORT) for name in self.entry.files)),
            )
            if holds
        )

    def _labels(self) -> list[str]:
        labels = (self.sidecar or {}).get("labels")
        return [_printable(str(label)) for label in labels] if isinstance(labels, list) else []


def when(time: str) -> str:
    """Return the time of a file name for people; ? is behind one that can't be trusted."""
    if not time[0].isdigit():
        return ""
    day, clock = time[:8], time[9:15]
    trusted = "" if time.endswith("Z") else " ?"
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}:{clock[4:]}{trusted}"


def print_table(clips: Iterable[Clip]) -> int:
    """Print clips, as they come where no terminal is; return how many there were."""
    rows = iter(clips)
    first = next(rows, None)
    if first is None:
        return 0
    rows = chain([first], rows)
    return _print_rich(rows) if sys.stdout.isatty() else _print_plain(rows)


def describe(clip: Clip) -> Iterator[str]:
    """Give what is known of a clip, a line each."""
    files = [str(clip.entry.bucket / name) for name in clip.entry.files]
    for key, value in ((clip.sidecar or {}) | {"kept": clip.entry.kept, "files": files}).items():
        each = value if isinstance(value, list) and key in IN_LINES else [value]
        for line, one in enumerate(each or [None]):
            yield f"{'' if line else _printable(key):20}{_printable(_text(one))}"


def _print_plain(clips: Iterable[Clip]) -> int:
    count = 0
    for clip in clips:
        click.echo("\t".join((*clip.row(), str(clip.entry.size_bytes), clip.special())))
        count += 1
    return count


def _print_rich(clips: Iterable[Clip]) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        right = heading in {"clip", "score", "s", "MB"}
        table.add_column(heading, justify="right" if right else "left")
    for clip in clips:
        cells = (*clip.row(), f"{clip.entry.size_bytes / 1e6:.2f}", clip.special())
        table.add_row(*map(Text, cells))
    Console().print(table)
    return table.row_count


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case dict():
            return ", ".join(f"{key} {_text(each)}" for key, each in value.items()) or "-"
        case list():
            return "; ".join(map(_text, value)) or "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def _printable(text: str) -> str:
    """Return text that can't steer a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _rounded(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if _is_number(value) else ""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
