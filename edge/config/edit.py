# SPDX-License-Identifier: MIT
"""Other values in a settings file, line by line: comments and whatever else it holds stay."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Changes = Mapping[tuple[str, str], object]

_HEADER: Final = re.compile(r"\s*\[")
_VALUE: Final = r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'\[{]+)(?P<rest>\s*(?:\#.*)?)"""


def edited(text: str, changes: Changes) -> str:
    """Return TOML text with other values of keys `(section, key)`.

    Raises `ConfigError` where it is no TOML, or written so that a key can't be found line by
    line (as in `node = {id = "x"}`).
    """
    before = _parsed(text)
    for (section, key), value in changes.items():
        text = _with(text, section, key, toml_value(value))
    wanted = copy.deepcopy(before)
    for (section, key), value in changes.items():
        table = wanted.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{section} is no table", f"write [{section}]")
        table[key] = value
    try:
        if tomllib.loads(text) == wanted:
            return text
    except tomllib.TOMLDecodeError:
        pass  # what was added does not fit: as below
    keys = ", ".join(".".join(key) for key in changes)
    raise ConfigError("the file is written in a way that is not edited here", f"set {keys}")


def toml_value(value: object) -> str:
    """Return a value as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return toml_text(value)
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case dict():
            inner = ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items())
            return "{" + inner + "}"
        case _:
            return str(value)


def toml_text(value: str) -> str:
    """Return a basic string: as JSON's, but TOML escapes DEL too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with(text: str, section: str, key: str, value: str) -> str:
    lines = text.splitlines()
    header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(#.*)?")
    start = next((n for n, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, f"[{section}]", f"{key} = {value}"]) + "\n"
    end = next((n for n in range(start + 1, len(lines)) if _HEADER.match(lines[n])), len(lines))
    old = re.compile(rf"(?P<before>\s*{re.escape(key)}\s*=\s*){_VALUE}")
    for place in range(start + 1, end):
        if found := old.fullmatch(lines[place]):
            lines[place] = f"{found['before']}{value}{found['rest']}"
            break
    else:
        lines.insert(start + 1, f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file is not TOML: {error}", "mend it by hand") from None
