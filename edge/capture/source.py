# SPDX-License-Identifier: MIT
"""What every source of samples promises: a card, a recording, a synthesiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from edge.types import Gap, Period, StreamFormat


class Source(Protocol):
    """A stream of periods and gaps whose sample index never jumps and never stands still.

    `item.sample_index` of each item is where the one before it ended. Opening
    is construction; it raises `DeviceError` with how to mend it.
    """

    @property
    def format(self) -> StreamFormat:
        """The format as granted."""

    @property
    def name(self) -> str:
        """What is being heard, for people: the card's name or the file's."""

    @property
    def identity(self) -> str:
        """What tells it from another that may take its place; two alike have the same."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was adapted or found damaged, a sentence each; may grow while reading."""

    @property
    def xruns(self) -> int:
        """How often a driver lost data so far; a gap may hold several. 0 without a driver."""

    @property
    def measured_hz(self) -> float | None:
        """Samples that the device really gave a second; None: not known, or there is no device."""

    def read(self) -> Period | Gap | None:
        """Block until the next period; None at the end of a finite stream.

        Raises `DeviceError` when the device is lost.
        """

    def close(self) -> None:
        """Let go of the device; a second call does nothing."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Close."""
