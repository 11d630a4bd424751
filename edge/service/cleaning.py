# SPDX-License-Identifier: MIT
"""From settings to cleaners: which filters are on the way to which destination."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.dsp.branch import Branches
from edge.dsp.chain import Chain
from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import LINE, AdaptiveSpec, NoiseSpec
from edge.dsp.convert import from_mono, to_mono
from edge.errors import ConfigError
from edge.types import FilterSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.config.schema import Adaptive, Denoise, Destination, Settings
    from edge.record.history import Stretch
    from edge.types import Samples, StreamFormat

    Float32 = NDArray[np.float32]
    Specs = tuple[AdaptiveSpec | None, NoiseSpec | None]

NOTHING: Final = (None, None)
# Of "nlms", all of whose taps move with every sample: 12 % of a core of a server (tools/README.md),
# for each cleaner; not measured on a Pi.
MOST_TAPS_PER_S: Final = 1.6e8
OVER: Final = {"logmmse": 1.2, "wiener": 1.2, "subtract": 3.0}  # what suits each method
LONGEST_LINE_BLOCK_S: Final = (
    0.02  # of "line", whose half a second of taps diverges with longer ones
)
HIGHPASS: Final = FilterSpec("highpass", 10.0)
BLOCK_S: Final = 1.0  # of a clip at a time: its windows are four times as many samples


def specs_for(settings: Settings, where: Destination) -> Specs:
    """Return what is asked for on the way to a destination. Raises `ConfigError`."""
    adaptive, denoise = settings.adaptive, settings.denoise
    return (
        _adaptive(adaptive) if where in adaptive.apply_to else None,
        _noise(denoise) if where in denoise.apply_to else None,
    )


def _adaptive(asked: Adaptive) -> AdaptiveSpec | None:
    if asked.method == "off":
        return None
    base = LINE if asked.method == "line" else AdaptiveSpec(method=asked.method)
    own = asdict(asked)
    names = asdict(base).keys() - {"method"}
    if asked.method == "line" and asked.block_s != "auto" and asked.block_s > LONGEST_LINE_BLOCK_S:
        raise ConfigError(
            f'adaptive.block_s = {asked.block_s:g}: "line" learns nothing in blocks so long',
            f'write {LONGEST_LINE_BLOCK_S:g} or less, or "auto"',
        )
    return replace(base, **{name: own[name] for name in names if own[name] != "auto"})


def _noise(asked: Denoise) -> NoiseSpec | None:
    if asked.method == "off":
        return None
    return NoiseSpec(
        method=asked.method,
        over_subtraction=OVER[asked.method]
        if asked.over_subtraction == "auto"
        else asked.over_subtraction,
        floor_db=asked.floor_db,
        window_s=asked.window_s,
        memory_s=asked.memory_s,
    )


def reference_channel(settings: Settings, stream: StreamFormat) -> int | None:
    """Return the channel that an adaptive filter listens to; None: there is no such filter.

    Raises `ConfigError` for a channel that is not there, or is the one that is listened to.
    """
    adaptive = settings.adaptive
    if adaptive.method in ("off", "line") or not adaptive.apply_to:
        return None
    channel, heard = adaptive.reference_channel, settings.capture.channel
    if channel >= stream.channels or heard in ("mean", channel):
        raise ConfigError(
            f"adaptive.reference_channel = {channel}: the source has {stream.channels} channel(s),"
            f" and capture.channel = {heard!r} is listened to",
            "name two channels: capture.channel for the sound, the other one at the fan",
        )
    return channel


def build_cleaner(specs: Specs, stream: StreamFormat, max_samples: int) -> Cleaner | None:
    """Return a cleaner; None where nothing is asked for.

    Raises `ConfigError` for one that the box has no time for.
    """
    _check_time(specs, stream.rate_hz)
    return None if specs == NOTHING else Cleaner(*specs, stream.rate_hz, max_samples)


def _check_time(specs: Specs, rate_hz: int) -> None:
    adaptive, _ = specs
    most_s = MOST_TAPS_PER_S / rate_hz**2
    if adaptive and adaptive.method == "nlms" and adaptive.length_s > most_s:
        raise ConfigError(
            f'adaptive.length_s = {adaptive.length_s:g}: "nlms" has no time for more than'
            f" {most_s:.4f} s at {rate_hz} Hz",
            f'write adaptive.method = "frequency", or adaptive.length_s = {0.99 * most_s:.4f}',
        )


def build_branches(settings: Settings, stream: StreamFormat, max_samples: int) -> Branches:
    """Return the ways to levels and classifier; the same filters on both work once."""
    levels, classifier = (specs_for(settings, where) for where in ("levels", "classifier"))
    to_levels = build_cleaner(levels, stream, max_samples)
    if classifier == levels:
        return Branches(to_levels, to_levels)
    return Branches(to_levels, build_cleaner(classifier, stream, max_samples))


class ClipCleaner:
    """Cleans every channel of a clip but the reference, which stays as it is.

    A clip is as captured: what a high-pass takes first, offset and rumble, is all that an
    adaptive filter would hear. So filtered copies are cleaned, and what was taken from them is
    taken from the clip, which keeps the rest.

    Parameters
    ----------
    highpass_sos : (n_sections, 6) float64, designed for `HIGHPASS` at the stream's rate.
    reference : the channel that an adaptive filter listens to.

    Raises `ConfigError` as `build_cleaner`.
    """

    def __init__(
        self,
        specs: Specs,
        stream: StreamFormat,
        highpass_sos: NDArray[np.float64],
        reference: int | None,
    ) -> None:
        _check_time(specs, stream.rate_hz)
        self._specs = specs
        self._stream = stream
        self._highpass_sos = highpass_sos
        self._reference = reference
        self._block = round(BLOCK_S * stream.rate_hz)

    def facts(self) -> dict[str, Any]:
        """Return what a sidecar says of it."""
        adaptive, noise = self._specs
        return {
            "adaptive": adaptive.method if adaptive else None,
            "denoise": noise.method if noise else None,
        }

    def __call__(self, stretch: Stretch) -> Samples:
        """Return the cleaned samples, (n_samples, channels), of the clip's own type."""
        cleaned = stretch.samples.copy()
        # The silence of a hole is no noise: behind it a cleaner begins anew.
        edges = [edge - stretch.start for hole in stretch.holes for edge in (hole.start, hole.stop)]
        bounds = [0, *edges, len(cleaned)]
        for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
            for channel in range(cleaned.shape[1]):
                if channel != self._reference:
                    self._clean(stretch.samples[start:stop], channel, cleaned[start:stop])
        return cleaned

    def _clean(self, samples: Samples, channel: int, into: Samples) -> None:
        cleaner = Cleaner(*self._specs, self._stream.rate_hz, self._block)
        signal, other = self._chain(channel), self._chain(self._reference)
        waiting = np.zeros(0, np.float32)  # filtered, and not yet out of the cleaner
        done = 0
        for start in range(0, len(samples), self._block):
            raw = samples[start : start + self._block]
            x, _ = signal.process(raw)
            reference = other.process(raw)[0] if self._reference is not None else None
            waiting = np.concatenate([waiting, x])
            cleaned = cleaner.process(x, reference)
            done = self._take(waiting[: cleaned.size] - cleaned, samples, channel, into, done)
            waiting = waiting[cleaned.size :]
        self._take(waiting - cleaner.flush(), samples, channel, into, done)

    def _chain(self, channel: int | None) -> Chain:
        return Chain(self._highpass_sos, channel, 0.0, self._block)

    @staticmethod
    def _take(taken: Float32, samples: Samples, channel: int, into: Samples, done: int) -> int:
        """Write the next samples of a channel without what was taken from them."""
        end = done + taken.size
        kept, _ = to_mono(samples[done:end], channel, 1.0, np.empty(taken.size, np.float32))
        from_mono(kept - taken, into[done:end, channel])
        return end
