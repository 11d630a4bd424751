# SPDX-License-Identifier: MIT
"""Odd values, and valid documents made odd."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, 1e-320),
    *("", " ", "a", "\0", "\n", "../../etc/passwd", "a/b", "~", "$HOME", "%s", "{}", "é", "\u202e"),
    *("1970-01-01T00:00:00.000Z", "auto", "off", "inf", "NaN", "x" * 5000, "\ud800", "🎤"),
    *([], {}, [[]], [None], {"": ""}, {"a": {"a": {}}}, [1] * 1000),
)


class LossError(Exception):
    """Something was lost, or let through, that must not be."""


def must(is_so: object, what: str) -> None:
    """Raise `LossError` unless it is so."""
    if not is_so:
        raise LossError(what)


def odd(rng: random.Random) -> Any:  # noqa: ANN401 - anything is the point
    """Return something odd."""
    return copy.deepcopy(rng.choice(ODD))


def odd_document(rng: random.Random, document: Any) -> Any:  # noqa: ANN401 - as above
    """Return a copy of a JSON document with some of its values odd, missing, doubled or moved."""
    made = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        made = _once(rng, made)
    return made


def _once(rng: random.Random, node: Any) -> Any:  # noqa: ANN401 - as above
    if not isinstance(node, dict | list) or not node or rng.random() < 0.15:
        return odd(rng)
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    key = rng.choice(keys)
    match rng.randrange(5):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(("", "x", "\0", "name", 'a"b'))] = odd(rng)
        case 2:
            node[key] = node[rng.choice(keys)]
        case _:
            node[key] = _once(rng, node[key])
    return node


def odd_bytes(rng: random.Random, content: bytes) -> bytes:
    """Return content with bits flipped, cut off, doubled, or other bytes in it."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(4):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                del made[at : at + rng.choice((1, 4, 10**6))]
            case 2:
                made[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
            case _:
                made[at:at] = made[at : at + 32]
    return bytes(made)


def odd_text(rng: random.Random, document: Any) -> bytes:  # noqa: ANN401 - as above
    """Return a document as JSON: sound JSON with odd values, or damaged JSON."""
    if rng.random() < 0.7:
        text = json.dumps(odd_document(rng, document), ensure_ascii=rng.random() < 0.5)
        return text.encode(errors="surrogatepass")
    return odd_bytes(rng, json.dumps(document).encode())
