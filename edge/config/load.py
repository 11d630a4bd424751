# SPDX-License-Identifier: MIT
"""From TOML files to `Settings`: layers merged, all mistakes reported at once."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

from edge.config.schema import Settings
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

SYSTEM_FILE: Final = Path("/etc/edge/edge.toml")
DEFAULTS: Final = "default.toml"

Tree = dict[str, Any]
Origins = dict[tuple[str, ...], str]


def load_settings(file: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Read the defaults, `file`, the `edge.d/*.toml` beside it, and `KEY.PATH=VALUE` overrides.

    Parameters
    ----------
    file : the main file; None: `/etc/edge/edge.toml` where it exists. A file that
        was named must exist.
    overrides : values as TOML (`core.gain_db=6.0`); a bare word is a string.

    Raises
    ------
    ConfigError
        with every mistake of every layer: file, key, value, what is allowed.
    """
    tree: Tree = {}
    origins: Origins = {}
    for name, layer in _layers(file, overrides):
        _merge(tree, layer, (), name, origins)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(detail, origins) for detail in error.errors()]
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise ConfigError(
            "\n  ".join([f"{count} in the settings:", *lines]),
            "`edge config` prints every key with the value in force",
        ) from None


def changed(settings: Settings) -> Tree:
    """Return only what differs from the defaults, as a tree."""
    return _difference(settings.model_dump(mode="json"), load_defaults().model_dump(mode="json"))


def load_defaults() -> Settings:
    """Return the settings of `default.toml` alone."""
    return Settings.model_validate(tomllib.loads(_defaults_text()))


def digest(settings: Settings) -> str:
    """Return 12 hex digits that change with any setting (for the `info` message)."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _defaults_text() -> str:
    return resources.files("edge.config").joinpath(DEFAULTS).read_text(encoding="utf-8")


def _layers(file: Path | None, overrides: Sequence[str]) -> Iterator[tuple[str, Tree]]:
    yield DEFAULTS, tomllib.loads(_defaults_text())
    main = file or SYSTEM_FILE
    if file is not None or main.exists():
        yield str(main), _read(main)
    for extra in sorted((main.parent / f"{main.stem}.d").glob("*.toml")):
        yield str(extra), _read(extra)
    for override in overrides:
        yield f"--set {override}", _parse_override(override)


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}", "name a readable file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason}", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", "strings need quotes") from None


def _parse_override(override: str) -> Tree:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: no value", "write --set core.gain_db=6.0")
    try:
        leaf = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        leaf = value.strip()
    tree: Any = leaf
    for part in reversed(key.strip().split(".")):
        tree = {part: tree}
    return dict(tree)


def _merge(into: Tree, layer: Tree, path: tuple[str, ...], name: str, origins: Origins) -> None:
    for key, value in layer.items():
        here = (*path, key)
        origins[here] = name
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, here, name, origins)
        else:
            into[key] = value


def _explain(detail: ErrorDetails, origins: Origins) -> str:
    path = tuple(str(part) for part in detail["loc"])
    origin = next(
        (origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), DEFAULTS
    )
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"{origin}: {key}: unknown key{_suggest(path)}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{origin}: {key} = {detail['input']!r}: {message[0].lower()}{message[1:]}"


def _suggest(path: tuple[str, ...]) -> str:
    known = _keys_at(path[:-1])
    close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _keys_at(path: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] | None = Settings
    for part in path:
        if model is not None and part in model.model_fields:
            model = _table_of(model.model_fields[part].annotation)
        # A number is a place in a list, any other word a label: the table is the same.
    return list(model.model_fields) if model else []


def _table_of(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _difference(value: Tree, base: Tree) -> Tree:
    out: Tree = {}
    for key, mine in value.items():
        theirs = base.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            if inner := _difference(mine, theirs):
                out[key] = inner
        elif mine != theirs:
            out[key] = mine
    return out
