# SPDX-License-Identifier: MIT
"""A moment on the command line: a time in UTC, or how long ago it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(
    context: click.Context, option: click.Parameter, text: str | None
) -> datetime | None:
    """Return what `2026-11-22`, `2026-11-22T10:30`, 90m, 12h, 7d or 2w means, in UTC.

    A callback of click. Raises click.BadParameter.
    """
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        told = datetime.fromisoformat(text)
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is neither a time, as 2026-11-22T10:30, nor 90m, 12h, 7d or 2w",
            context,
            option,
        ) from error
