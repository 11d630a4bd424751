# SPDX-License-Identifier: MIT
"""A moment on the command line: a time in UTC, or how long ago it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class When(click.ParamType[datetime]):
    """`2026-11-22`, `2026-11-22T10:30`, or 90m, 12h, 7d, 2w ago."""

    name = "when"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, in UTC."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d{1,6})([mhdw])", value, re.ASCII)
        try:
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            told = datetime.fromisoformat(value)
            return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time, as 2026-11-22T10:30, nor 90m, 12h, 7d or 2w",
                param,
                ctx,
            )
