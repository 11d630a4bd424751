# SPDX-License-Identifier: MIT
"""From settings to cleaners: which filters are on the way to which destination."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.dsp.branch import Branches
from edge.dsp.clean import Cleaner
from edge.dsp.clean_spec import LINE, AdaptiveSpec, NoiseSpec, check_clean_spec
from edge.dsp.convert import from_mono, to_mono
from edge.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.config.schema import Adaptive, Denoise, Destination, Settings
    from edge.record.history import Stretch
    from edge.types import Samples, StreamFormat

    Float32 = NDArray[np.float32]
    Specs = tuple[AdaptiveSpec | None, NoiseSpec | None]

NOTHING: Final = (None, None)
BLOCK_S: Final = 1.0  # of a clip at a time: its windows are four times as many samples


def specs_for(settings: Settings, where: Destination) -> Specs:
    """Return what is asked for on the way to a destination.

    Raises `ConfigError` for a figure that is out of its method's range.
    """
    adaptive, denoise = settings.adaptive, settings.denoise
    try:
        return (
            _adaptive(adaptive) if where in adaptive.apply_to else None,
            _noise(denoise) if where in denoise.apply_to else None,
        )
    except ValueError as error:
        raise ConfigError(str(error), "see [adaptive] and [denoise]; 0 suits the method") from None


def _adaptive(asked: Adaptive) -> AdaptiveSpec | None:
    if asked.method == "off":
        return None
    base = LINE if asked.method == "line" else AdaptiveSpec(method=asked.method)
    own = asdict(asked)
    given = {name: own[name] for name in asdict(base) if name != "method" and own[name]}
    spec = replace(base, **given)
    check_clean_spec(spec)
    return spec


def _noise(asked: Denoise) -> NoiseSpec | None:
    if asked.method == "off":
        return None
    return NoiseSpec(
        method=asked.method,
        over_subtraction=asked.over_subtraction,
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
    """Return a cleaner; None where nothing is asked for."""
    return None if specs == NOTHING else Cleaner(*specs, stream.rate_hz, max_samples)


def build_branches(settings: Settings, stream: StreamFormat, max_samples: int) -> Branches:
    """Return the ways to levels and classifier; the same filters on both work once."""
    levels, classifier = (specs_for(settings, where) for where in ("levels", "classifier"))
    to_levels = build_cleaner(levels, stream, max_samples)
    if classifier == levels:
        return Branches(to_levels, to_levels)
    return Branches(to_levels, build_cleaner(classifier, stream, max_samples))


class ClipCleaner:
    """Cleans every channel of a clip but the reference, which stays as it is.

    Parameters
    ----------
    reference : the channel that an adaptive filter listens to.
    """

    def __init__(self, specs: Specs, stream: StreamFormat, reference: int | None) -> None:
        self._specs = specs
        self._stream = stream
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
        mono, other = np.empty(self._block, np.float32), np.empty(self._block, np.float32)
        done = 0
        for start in range(0, len(samples), self._block):
            raw = samples[start : start + self._block]
            x, _ = to_mono(raw, channel, 1.0, mono)
            reference = None
            if self._reference is not None:
                reference, _ = to_mono(raw, self._reference, 1.0, other)
            done = self._put(cleaner.process(x, reference), channel, into, done)
        self._put(cleaner.flush(), channel, into, done)

    @staticmethod
    def _put(cleaned: Float32, channel: int, into: Samples, done: int) -> int:
        end = done + cleaned.size
        from_mono(cleaned, into[done:end, channel])
        return end
