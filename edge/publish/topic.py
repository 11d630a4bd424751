# SPDX-License-Identifier: MIT
"""What may be a topic to publish to. Source: MQTT Version 3.1.1, sections 1.5.3 and 4.7."""

from __future__ import annotations

from typing import Final, TypeGuard

MAX_BYTES: Final = 65535
_FORBIDDEN: Final = frozenset("#+\0")


def is_topic(text: object) -> TypeGuard[str]:
    """Return whether `text` can be published to."""
    if not isinstance(text, str) or set(text) & _FORBIDDEN:
        return False
    try:
        return 0 < len(text.encode()) <= MAX_BYTES
    except UnicodeEncodeError:  # half a surrogate pair
        return False
