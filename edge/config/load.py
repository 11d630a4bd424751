# SPDX-License-Identifier: MIT
"""From TOML files to `Settings`: layers merged, all mistakes reported at once."""

from __future__ import annotations

import difflib
import json
import re
import signal
import sys
import tomllib
from dataclasses import asdict, fields, is_dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from edge.config.schema import Settings
from edge.errors import EXIT_CONFIG, EXIT_OK, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic_core import ErrorDetails

SYSTEM_FILE: Final = Path("/etc/edge/edge.toml")
DEFAULTS: Final = "default.toml"

_ADAPTER: Final = TypeAdapter(Settings)
# What pydantic adds to a place where a value was tried as one of several types.
_TRIED_AS: Final = r"literal\[.*\]|(constrained-)?(float|int|str)"
_ALARM_NAME: Final = r"[a-z0-9_]{1,40}"
_HOURS: Final = r"(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?"
_NAME: Final = r"[A-Za-z0-9_-]{1,64}"
_LISTENS: Final = r"([0-9A-Za-z.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}|"
_BROKER: Final = r"mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?"


def _is_broker(url: str) -> bool:
    if not url:
        return True
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # as the name look-up will
        port_fits = parts.port is None or parts.port > 0
    except ValueError:  # a port over 65535, an empty label, no IPv6 address
        return False
    return port_fits and re.fullmatch(_BROKER, url) is not None


# What a type can't say: key, what is right, what to write.
_TEXTS: Final[tuple[tuple[tuple[str, str], Callable[[str], object], str], ...]] = (
    (("node", "id"), re.compile(_NAME).fullmatch, "write 1 to 64 of A-Z a-z 0-9 _ -"),
    (
        ("publish", "base_topic"),
        re.compile(rf"{_NAME}(/{_NAME}){{0,3}}").fullmatch,
        "write words of A-Z a-z 0-9 _ -",
    ),
    (
        ("homeassistant", "prefix"),
        re.compile(rf"{_NAME}(/{_NAME}){{0,3}}").fullmatch,
        "write words of A-Z a-z 0-9 _ -",
    ),
    (
        ("publish", "url"),
        _is_broker,
        "write mqtt://HOST[:PORT] or mqtts://HOST[:PORT], or nothing",
    ),
    (
        ("health", "prometheus"),
        lambda text: re.fullmatch(_LISTENS, text) and int(text.rpartition(":")[2] or 0) < 65536,
        "write ADDRESS:PORT, as 127.0.0.1:9324, or nothing",
    ),
)

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
    lines = [*_wrong_values(tree, origins), *_wrong_texts(tree, origins)]
    lines += _wrong_alarms(tree, origins)
    if not lines:
        return _validate(tree)
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    raise ConfigError(
        "\n  ".join([f"{count} in the settings:", *lines]),
        "`edge config` prints every key with the value in force",
    )


def changed(settings: Settings) -> Tree:
    """Return only what differs from the defaults, as a tree."""
    return _difference(asdict(settings), asdict(load_defaults()))


def load_defaults() -> Settings:
    """Return the settings of `default.toml` alone."""
    return _validate(tomllib.loads(_defaults_text()))


def _defaults_text() -> str:
    return Path(__file__).with_name(DEFAULTS).read_text(encoding="utf-8")


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
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _parse_override(override: str) -> Tree:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: no value", "write --set core.gain_db=6.0")
    try:
        return tomllib.loads(override)
    except (tomllib.TOMLDecodeError, RecursionError):
        pass  # then it is a bare word
    try:
        return tomllib.loads(f"{key}={json.dumps(value.strip())}")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--set {override}: {error}", "write --set core.gain_db=6.0") from None


def _merge(into: Tree, layer: Tree, path: tuple[str, ...], name: str, origins: Origins) -> None:
    for key, value in layer.items():
        here = (*path, key)
        origins[here] = name
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, here, name, origins)
        else:
            into[key] = value


def _validate(tree: Tree) -> Settings:
    # As JSON, because only there does the strict mode make records out of tables.
    return _ADAPTER.validate_json(json.dumps(tree, default=str))


def _wrong_values(tree: Tree, origins: Origins) -> Iterator[str]:
    try:
        _validate(tree)
    except ValidationError as error:
        # Where several types are right, each of them has its say.
        for path, details in groupby(error.errors(), key=_path):
            yield _explain(path, list(details), origins)


def _wrong_alarms(tree: Tree, origins: Origins) -> Iterator[str]:
    """Give what is wrong with alarms; what has not even the right type is told elsewhere."""
    level = tree["level"] if isinstance(tree["level"], dict) else {}
    alarms = level.get("alarms")
    names: list[object] = []
    for number, alarm in enumerate(alarms if isinstance(alarms, list) else ()):
        if not isinstance(alarm, dict):
            continue
        key = f"{_origin(('level', 'alarms'), origins)}: level.alarms.{number}"
        name, hours = alarm.get("name"), alarm.get("hours", "")
        if isinstance(name, str) and not re.fullmatch(_ALARM_NAME, name):
            yield f"{key}.name = {name!r}: write 1 to 40 of a-z 0-9 _"
        if name in names:
            yield f"{key}.name = {name!r}: another alarm's"
        if isinstance(hours, str) and not _are_hours(hours):
            yield f"{key}.hours = {hours!r}: write 22:00-06:00, or nothing for always"
        if alarm.get("kind") == "tonal" and level.get("bands") is False:
            yield f"{key}: a tonal alarm needs level.bands = true"
        names.append(name)


def _are_hours(text: str) -> bool:
    start, _, stop = text.partition("-")
    return re.fullmatch(_HOURS, text) is not None and (not text or start != stop)


def _wrong_texts(tree: Tree, origins: Origins) -> Iterator[str]:
    for path, is_right, advice in _TEXTS:
        value = tree[path[0]].get(path[1]) if isinstance(tree[path[0]], dict) else None
        if isinstance(value, str) and not is_right(value):
            yield f"{_origin(path, origins)}: {'.'.join(path)} = {value!r}: {advice}"
    publish = tree["publish"] if isinstance(tree["publish"], dict) else {}
    if bool(publish.get("key_file")) != bool(publish.get("cert_file")):
        origin = _origin(("publish", "key_file"), origins)
        yield f"{origin}: publish.cert_file and publish.key_file belong together: give both or none"


def _origin(path: tuple[str, ...], origins: Origins) -> str:
    return next(
        (origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), DEFAULTS
    )


def _path(detail: ErrorDetails) -> tuple[str, ...]:
    """Return where a mistake is, without the type that the value was tried as."""
    path = tuple(str(part) for part in detail["loc"])
    is_key = detail["type"] == "unexpected_keyword_argument"
    return path if is_key or not re.fullmatch(_TRIED_AS, path[-1]) else path[:-1]


def _explain(path: tuple[str, ...], details: list[ErrorDetails], origins: Origins) -> str:
    origin, key, kind = _origin(path, origins), ".".join(path), details[0]["type"]
    if kind == "unexpected_keyword_argument":
        return f"{origin}: {key}: unknown key{_suggest(path)}"
    if kind.startswith("missing"):
        return f"{origin}: {key} is missing"
    texts = [detail["msg"] for detail in details]
    allowed = [texts[0], *(text.removeprefix("Input should be ") for text in texts[1:])]
    right = " or ".join(allowed)
    return f"{origin}: {key} = {details[0]['input']!r}: {right[0].lower()}{right[1:]}"


def _suggest(path: tuple[str, ...]) -> str:
    known = _keys_at(path[:-1])
    close = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _keys_at(path: tuple[str, ...]) -> list[str]:
    record: type | None = Settings
    for part in path:
        if record and part in (hints := get_type_hints(record)):
            record = _record_in(hints[part])
        # A number is a place in a list, any other word a label: the record is the same.
    return [one.name for one in fields(record)] if record else []


def _record_in(annotation: object) -> type | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and is_dataclass(candidate):
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


def _main(asked: str) -> int:
    """Answer `lean.PendingSettings` on standard output: settings, or message and help."""
    file, overrides = json.loads(asked)
    try:
        settings = load_settings(Path(file) if file else None, overrides)
    except ConfigError as error:
        json.dump([error.message, error.help], sys.stdout)
        return EXIT_CONFIG
    json.dump(asdict(settings), sys.stdout)
    return EXIT_OK


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a parent that was told to end asks no more
    sys.exit(_main(sys.argv[1]))
