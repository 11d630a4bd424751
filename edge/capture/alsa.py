# SPDX-License-Identifier: MIT
"""A sound card through ALSA: the only file that imports alsaaudio.

Overruns are counted, and located by the card's own clock (`timeline`): the gap that
`read` returns is as long as what the card captured and nobody took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import alsaaudio

from edge.capture.asleep import SleepWatch
from edge.capture.card import read_cards
from edge.capture.selection import inventory, resolve
from edge.capture.timeline import Timeline
from edge.capture.unpack import Unpacker
from edge.errors import DeviceAwayError, DeviceError
from edge.quiet import quiet_alsa
from edge.types import Gap, Period, StreamFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from edge.capture.card import Card
    from edge.types import GapCause, SampleFormat

quiet_alsa()

BEST_FIRST: Final[tuple[SampleFormat, ...]] = (
    "S32_LE",
    "S24_LE",
    "S24_3LE",
    "FLOAT_LE",
    "S16_LE",
)
"""What "auto" prefers: the card's full depth; most I2S microphones speak S32 alone."""

MAX_INTERRUPTIONS: Final = 100
"""In a row, without one sample between them."""

MOST_RATE_HZ: Final = 10_000_000
"""No converter is as quick."""

LOOK_EVERY_S: Final = 0.1
"""How often the card's clock is read: a look costs as much as a read, nobody needs more."""

CLOSE_LOOK_S: Final = 50e-6
CLOSE_LOOKS: Final = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device can do: `rates_hz` is a range where `any_rate`."""

    formats: tuple[str, ...]
    rates_hz: tuple[int, ...]
    any_rate: bool
    channels: tuple[int, ...]

    def __str__(self) -> str:
        """Return it in one line."""
        rates = (" to " if self.any_rate else ", ").join(str(rate) for rate in self.rates_hz)
        channels = ", ".join(str(number) for number in self.channels[:8])
        return f"rates {rates} Hz; channels {channels}; formats {', '.join(self.formats)}"


def pcm_names() -> list[str]:
    """Return the capture devices that ALSA's configuration defines by name."""
    return [str(name) for name in alsaaudio.pcms(alsaaudio.PCM_CAPTURE)]


def probe(pcm_name: str) -> Offer:
    """Return what a device offers; opens it for a moment. Raises `DeviceError`."""
    pcm = _open(pcm_name, (), rate=48000, channels=1)
    try:
        return _offer(pcm)
    finally:
        pcm.close()


class AlsaSource:
    """Periods from a sound card.

    Parameters
    ----------
    device : as `selection.resolve` takes it.
    periods : how many periods the card's buffer holds: so long may a reader be late.
    sample_format : one of `edge.types.SampleFormat`, or "auto": the deepest on offer.
    before : of the stream that the device is to go on with; "auto" takes its samples first.
    root : where /sys and /proc are found.

    Rate, channels and format are granted as asked or refused by `DeviceError` with what
    the device offers; another period size or count is adapted to, and said in `notes`.
    """

    def __init__(
        self,
        device: str,
        *,
        rate_hz: int,
        channels: int,
        period_size: int,
        periods: int,
        sample_format: SampleFormat | Literal["auto"] = "auto",
        before: StreamFormat | None = None,
        root: Path = Path("/"),
    ) -> None:
        self._device = device
        cards = read_cards(root)
        pcm_name = resolve(device, cards, pcm_names())
        wanted = {"rate": rate_hz, "channels": channels}
        sizes = {"periodsize": period_size, "periods": periods}
        self._pcm: Any = None
        try:
            choice = _choice(sample_format, before)
            opened = _open_as(pcm_name, cards, choice, **wanted, **sizes)
            self._pcm, self._sample_format = opened
            granted = self._granted(wanted)
        except DeviceError:
            self.close()
            raise
        except alsaaudio.ALSAAudioError as error:  # pulled out in this very moment
            self.close()
            raise self._lost(error) from error
        self.notes: tuple[str, ...] = _differences(
            granted, {"period_size": period_size, "periods": periods}
        )
        """What ALSA granted otherwise than asked, a sentence each."""
        self.xruns = 0
        """Overruns so far."""
        self._format = StreamFormat(
            rate_hz, channels, int(granted["period_size"]), self._sample_format
        )
        card = next((one for one in cards if one.index == granted["card_no"]), None)
        self._name = card.name if card else pcm_name
        self._identity = card.identity if card else pcm_name
        self._buffer_size = int(granted["buffer_size"])
        self._unpack = Unpacker(self._sample_format, channels, self._format.period_size).unpack
        self._timeline = Timeline(rate_hz)
        self._sleep = SleepWatch()
        self._sample_index = 0
        self._held: Period | None = None
        self._next_look_s = 0.0

    @property
    def format(self) -> StreamFormat:
        """The format as granted."""
        return self._format

    @property
    def name(self) -> str:
        """The card's name, or ALSA's where there is no card."""
        return self._name

    @property
    def identity(self) -> str:
        """What is known of the card wherever it is plugged in; ALSA's name where there is none."""
        return self._identity

    @property
    def measured_hz(self) -> float | None:
        """The card's rate against the monotonic clock; some 15 s of an unbroken stream tell it."""
        return self._timeline.measured_hz

    def read(self) -> Period | Gap:
        """Block until the next period, or return the gap before it.

        Raises `DeviceError` when the device is lost. Does not return None.
        """
        try:
            return self._read()
        except alsaaudio.ALSAAudioError as error:
            raise self._lost(error) from error

    def _read(self) -> Period | Gap:
        if self._held is not None:
            period, self._held = self._held, None
            return period
        data, cause = self._pull()
        mono_s = time.monotonic()
        period = Period(self._sample_index, self._unpack(data), mono_s)
        if cause is None and mono_s < self._next_look_s:
            self._sample_index += len(period.samples)
            return period
        self._next_look_s = mono_s + LOOK_EVERY_S
        if self._sleep.noticed() and cause is None:  # some drivers go on as if nothing had been
            cause = "suspended"
        return self._looked(period, cause)

    def close(self) -> None:
        """Let go of the device; a second call does nothing."""
        if self._pcm is not None:
            self._pcm.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _granted(self, wanted: dict[str, int]) -> dict[str, Any]:
        """Return ALSA's own account; its constructor takes the nearest without a word."""
        info: dict[str, Any] = self._pcm.info()
        refused = [
            f"{asked} {key if key != 'rate' else 'Hz'}"
            for key, asked in wanted.items()
            if info[key] != asked
        ]
        if info["format_name"] != self._sample_format:
            refused.append(self._sample_format)
        if refused:
            raise DeviceError(
                f"{self._device} can't deliver {' and '.join(refused)}",
                f"it offers {_offer(self._pcm)}",
            )
        return info

    def _pull(self) -> tuple[bytes, GapCause | None]:
        """Return the next samples, and why samples before them are missing."""
        cause: GapCause | None = None
        for _ in range(MAX_INTERRUPTIONS):
            try:
                length, data = self._pcm.read()
            except alsaaudio.ALSAAudioError as error:
                self._recover(error)
                cause = "suspended"
                continue
            if length > 0:
                return data, cause
            # -EPIPE: pyalsaaudio has already prepared the stream again.
            self.xruns += 1
            cause = "xrun"
        raise DeviceError(
            f"{self._device} delivers overruns and no samples",
            "unplug it and plug it in again; try a larger period size",
        )

    def _recover(self, error: Exception) -> None:
        """Stop a stream that a sleep of the machine left behind; anything else is a loss."""
        if "Streams pipe error" not in str(error):  # ESTRPIPE, by its only mark: the text
            raise self._lost(error) from error
        self._pcm.drop()
        time.sleep(self._format.period_size / self._format.rate_hz)

    def _lost(self, error: Exception) -> DeviceAwayError:
        return DeviceAwayError(
            f"{self._device} was lost: {error}",
            "plug it in again and look at `dmesg`; a hub or a supply too weak does this",
        )

    def _waiting(self, *, looks: int) -> tuple[float, int]:
        """Return a time and how many samples wait in the card by then, at least.

        Looks until nothing came between the clock and the card. CLOCK_BOOTTIME is the
        monotonic clock that a sleeping machine doesn't stop.
        """
        best = (float("inf"), 0.0, 0)
        for _ in range(looks):
            before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            waiting = self._pcm.avail()
            after_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            # Negative: an overrun, which the next read reports.
            sound = min(max(waiting, 0), self._buffer_size)
            best = min(best, (after_s - before_s, after_s, sound))
            if best[0] < CLOSE_LOOK_S:
                break
        return best[1], best[2]

    def _looked(self, period: Period, cause: GapCause | None) -> Period | Gap:
        """Read the card's clock; hold the period back where a gap comes before it."""
        captured_s, waiting = self._waiting(looks=CLOSE_LOOKS if cause else 1)
        count = len(period.samples)
        gap = self._gap(cause, captured_s, count + waiting, period.mono_s) if cause else None
        period = replace(period, sample_index=self._sample_index)
        self._sample_index += count
        self._timeline.observe(captured_s, self._sample_index + waiting)
        if gap is None:
            return period
        self._held = period
        return gap

    def _gap(self, cause: GapCause, at_s: float, captured: int, mono_s: float) -> Gap | None:
        """Return the hole before a stream that has captured `captured` samples by `at_s`."""
        if not self._timeline.known:  # nothing was delivered yet, so nothing is missing
            return None
        reached = self._timeline.sample_index_at(at_s)
        lost = max(1, round(reached) - captured - self._sample_index)
        gap = Gap(self._sample_index, lost, cause, mono_s)
        self._sample_index += lost
        self._timeline.restart()
        return gap


def _open(pcm_name: str, cards: Sequence[Card], **settings: int) -> Any:  # noqa: ANN401 - alsaaudio has no types
    try:
        return alsaaudio.PCM(type=alsaaudio.PCM_CAPTURE, device=pcm_name, **settings)
    except alsaaudio.ALSAAudioError as error:
        raise _not_opened(pcm_name, cards, str(error)) from error


def _choice(
    sample_format: SampleFormat | Literal["auto"], before: StreamFormat | None
) -> tuple[SampleFormat, ...]:
    """Return the formats that will do, the best one first."""
    if sample_format != "auto":
        return (sample_format,)
    return (before.sample_format, *BEST_FIRST) if before else BEST_FIRST


def _open_as(
    pcm_name: str, cards: Sequence[Card], choice: tuple[SampleFormat, ...], **settings: int
) -> tuple[Any, SampleFormat]:
    """Open with the first format of a choice, or of those on offer."""
    pcm = _open(pcm_name, cards, format=_constant(choice[0]), **settings)
    offered = pcm.getformats()
    if len(choice) == 1 or choice[0] in offered:
        return pcm, choice[0]
    pcm.close()
    chosen: SampleFormat = next((name for name in choice if name in offered), "S16_LE")
    return _open(pcm_name, cards, format=_constant(chosen), **settings), chosen


def _constant(sample_format: SampleFormat) -> int:
    return int(getattr(alsaaudio, f"PCM_FORMAT_{sample_format}"))


def _not_opened(pcm_name: str, cards: Sequence[Card], reason: str) -> DeviceAwayError:
    if "busy" in reason:
        mending = "another program holds it: `fuser -v /dev/snd/*` names it"
    elif "Permission denied" in reason:
        mending = "add the user to the group audio: `sudo usermod -aG audio $USER`"
    else:
        mending = f"{inventory(cards)}; see `edge devices`"
    return DeviceAwayError(f"{pcm_name} can't be opened: {reason}", mending)


def _offer(pcm: Any) -> Offer:  # noqa: ANN401 - alsaaudio has no types
    rates = pcm.getrates()  # a number, a (lowest, highest) tuple, or a list
    # What takes any rate at all is no card but "null": it would count its 2**32 channels.
    takes_all = isinstance(rates, tuple) and rates[1] > MOST_RATE_HZ
    return Offer(
        formats=tuple(sorted(pcm.getformats())),
        rates_hz=(rates,) if isinstance(rates, int) else tuple(rates),
        any_rate=isinstance(rates, tuple),
        channels=(1,) if takes_all else tuple(pcm.getchannels()),
    )


def _differences(granted: dict[str, Any], wanted: dict[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{key} is {granted[key]} where {asked} was asked for"
        for key, asked in wanted.items()
        if granted[key] != asked
    )
