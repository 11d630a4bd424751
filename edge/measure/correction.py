# SPDX-License-Identifier: MIT
"""Frequency correction files, as measurement microphones bring them.

Two columns, frequency in Hz and the microphone's response in dB; a third (phase) is not
read. Between them a tab, spaces, a semicolon or a comma; the decimals may have a comma where
that is not what separates. Words stand above the figures only, or in lines that begin with
one of `* # ; " / %`.

Known files: miniDSP UMIK-1 and UMIK-2, Dayton iMM-6 and UMM-6, Behringer's, and what
measurement programs write.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST_BYTES: Final = 1_000_000
MOST_POINTS: Final = 20_000
HIGHEST_HZ: Final = 200_000.0
LARGEST_DB: Final = 60.0

_HELP: Final = "name the text file that came with the microphone: a frequency and a level a line"
_REMARK: Final = ("*", "#", ";", '"', "/", "%")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Correction:
    """The response of a microphone.

    points : (Hz, dB), two or more, Hz rising.
    file, sha256 : where they came from.
    """

    points: tuple[tuple[float, float], ...]
    file: str
    sha256: str

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Correction:
        """Return one from JSON; raises ValueError, KeyError or TypeError for what is none."""
        points = tuple((float(hz), float(db)) for hz, db in line["points"])
        for before, point in zip((None, *points), points, strict=False):
            if reason := _wrong(before, point):
                raise ValueError(reason)
        if len(points) < 2:
            raise ValueError("fewer than two points")
        return cls(points, str(line["file"]), str(line["sha256"]))


def read_correction(path: Path) -> Correction:
    """Return what a file holds. Raises `ConfigError` with the line and the reason."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", _HELP) from error
    return parse_correction(data, path.name)


def parse_correction(data: bytes, name: str) -> Correction:
    """Return what the bytes of a file called `name` hold; raises as `read_correction`."""
    if len(data) > LARGEST_BYTES:
        _refuse(name, f"is larger than {LARGEST_BYTES // 1000} kB")
    points: list[tuple[float, float]] = []
    # Not splitlines: it also cuts at characters that stand within a line.
    lines = re.split(r"\r\n|\n|\r", _text(data, name))
    for number, line in enumerate(lines, 1):
        fields = _fields(line)
        if not fields or not (points or _NUMBER.fullmatch(fields[0])):
            continue  # a remark, or words above the figures
        point = _point(fields, f"{name}, line {number}")
        if reason := _wrong(points[-1] if points else None, point):
            _refuse(f"{name}, line {number}", reason)
        points.append(point)
        if len(points) > MOST_POINTS:
            _refuse(name, f"has more than {MOST_POINTS} points")
    if len(points) < 2:
        _refuse(name, f"has {len(points)} point(s): two or more are needed")
    return Correction(tuple(points), name, hashlib.sha256(data).hexdigest())


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-16") if data.startswith(_UTF16) else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # a degree sign of an old program
    if _NO_TEXT.search(text):
        _refuse(name, "is not a text file")
    return text


def _fields(line: str) -> list[str]:
    """Return the fields of a line with decimal points; none of a remark."""
    line = line.strip(" \t\x1a\f\v")
    if not line or line.startswith(_REMARK):
        return []
    if ";" in line:
        fields = line.split(";")
    elif "\t" in line:
        fields = line.split("\t")
    elif re.search(r",\s", line):
        fields = line.split(",")
    else:
        fields = line.split() if re.search(r"\s", line) else line.split(",")
    return [field.strip().replace(",", ".") for field in fields if field.strip()]


def _point(fields: list[str], where: str) -> tuple[float, float]:
    if len(fields) not in {2, 3}:
        _refuse(where, f"{len(fields)} columns: a frequency and a level are needed")
    for field in fields[:2]:
        if not _NUMBER.fullmatch(field):
            _refuse(where, f"{field!r:.40} is not a number")
    return float(fields[0]), float(fields[1])


def _wrong(before: tuple[float, float] | None, point: tuple[float, float]) -> str:
    """Return what is wrong with a point after another; "": nothing."""
    hz, db = point
    if not 0.0 < hz <= HIGHEST_HZ:
        return f"{hz:g} Hz: 0 to {HIGHEST_HZ:g} are frequencies"
    if not -LARGEST_DB <= db <= LARGEST_DB:
        return f"{db:g} dB: no microphone is off by more than {LARGEST_DB:g}"
    if before and hz <= before[0]:
        return f"{hz:g} Hz comes after {before[0]:g} Hz: frequencies must rise"
    return ""


def _refuse(where: str, reason: str) -> NoReturn:
    raise ConfigError(f"{where}: {reason}", _HELP)
