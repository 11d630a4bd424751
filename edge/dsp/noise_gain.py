# SPDX-License-Identifier: MIT
"""The gain of each bin: how much of a spectrum is the noise that was there all along.

Sources: R. Martin, "Noise power spectral density estimation based on optimal smoothing and
minimum statistics", IEEE Trans. SAP 9(5), 2001; I. Cohen, "Noise spectrum estimation in
adverse environments: improved minima controlled recursive averaging", IEEE Trans. SAP 11(5),
2003; T. Gerkmann and R. Hendriks, "Unbiased MMSE-based noise power estimation", IEEE Trans.
ASLP 20(4), 2012; Y. Ephraim and D. Malah, "Speech enhancement using a MMSE log-spectral
amplitude estimator", IEEE Trans. ASSP 33(2), 1985; I. Cohen and B. Berdugo, "Speech
enhancement for non-stationary noise environments", Signal Processing 81, 2001.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.dsp.clean_spec import NoiseSpec

    Float32 = NDArray[np.float32]
    Complex64 = NDArray[np.complex64]

# Far under the noise of 24 bits; silence is a noise of this power, so nothing divides by zero
# and no state becomes denormal.
_TINY: Final = np.float32(1e-22)

# Power in a window's upper bins under which it is a muted microphone's, -115 dBFS: 16 bits alone
# are noisier. Of the lowest bins a filter before this one still rings.
_MUTED: Final = np.float32(1e-12)
_LOWEST: Final = 8  # so small a share of the bins

_SMOOTHING_S: Final = 0.06  # of the power whose minima are sought
_AVERAGING_S: Final = 0.4  # of the noise, while nothing but noise sounds
_FIRST_S: Final = 0.2  # taken for noise, whatever sounds
_STRETCHES: Final = 8  # that the memory of minima is made of
# Smoothed power this far over its minimum holds a sound. With 15 rain loses 1.5 dB more, and
# the hiss of a fire is taken for noise; with 6 it is the other way round.
_SOUND_RATIO: Final = np.float32(10.0)
_PRIOR: Final = np.float32(10.0**1.5)  # power over noise where a sound is, 15 dB
_DIRECTED: Final = np.float32(0.96)  # weight of the last window's result (decision-directed)
_LEAST_PRIOR: Final = np.float32(10.0**-1.8)
_MOST_OVER_NOISE: Final = np.float32(1e6)
_MOST_EXPONENT: Final = np.float32(50.0)
_TABLE_FROM: Final = 1e-6
_TABLE_TO: Final = 60.0
_TABLE_SIZE: Final = 4096
_TABLE_LOG_FROM: Final = np.float32(math.log(_TABLE_FROM))
_TABLE_PER_LOG: Final = np.float32((_TABLE_SIZE - 1) / math.log(_TABLE_TO / _TABLE_FROM))


class NoiseTracker:
    """Power of the steady noise in each bin.

    A window's power is averaged into the noise by how likely it is to be noise alone
    (Gerkmann and Hendriks), but not where the smoothed power stands well over its minimum
    of the last `memory_s` (Cohen). The noise is never under that minimum, so a noise that
    has grown louder is believed after that time (Martin).
    """

    def __init__(self, n_bins: int, hop_s: float, memory_s: float) -> None:
        self._smoothing = np.float32(math.exp(-hop_s / _SMOOTHING_S))
        self._averaging = np.float32(math.exp(-hop_s / _AVERAGING_S))
        self._first = round(_FIRST_S / hop_s)
        self._stretch = max(round(memory_s / hop_s / _STRETCHES), 1)
        self.noise = np.full(n_bins, _TINY)
        self._smoothed = np.empty(n_bins, np.float32)
        self._least = np.empty(n_bins, np.float32)
        self._newest = np.empty(n_bins, np.float32)
        self._stretches = np.empty((_STRETCHES, n_bins), np.float32)
        self._share = np.empty(n_bins, np.float32)
        self._change = np.empty(n_bins, np.float32)
        self._sounds = np.empty(n_bins, bool)
        self.reset()

    def reset(self) -> None:
        """Forget the noise: the next windows are it."""
        self._n_windows = 0
        self.noise[:] = _TINY

    def update(self, power: Float32) -> None:
        """Take the power of one window."""
        self._follow_minima(power)
        if self._n_windows < self._first:
            self._n_windows += 1
            self.noise += (power - self.noise) / np.float32(self._n_windows)
        else:
            self._average(power)
        np.maximum(self.noise, self._least, out=self.noise)

    def _follow_minima(self, power: Float32) -> None:
        if self._n_windows == 0:
            self._count = self._place = 0
            for state in (self._smoothed, self._least, self._newest, self._stretches):
                state[:] = power
            return
        self._smoothed += (1 - self._smoothing) * (power - self._smoothed)
        if self._n_windows < self._first:
            # The power of a few windows still swings far under its mean.
            self._least[:] = self._newest[:] = self._stretches[:] = self._smoothed
            return
        np.minimum(self._newest, self._smoothed, out=self._newest)
        np.minimum(self._least, self._smoothed, out=self._least)
        self._count += 1
        if self._count == self._stretch:
            self._count = 0
            self._stretches[self._place] = self._newest
            self._place = (self._place + 1) % _STRETCHES
            np.min(self._stretches, axis=0, out=self._least)
            self._newest[:] = self._smoothed

    def _average(self, power: Float32) -> None:
        """Average the window in, by 1 - p of `a sound is there with the probability p`."""
        share, change = self._share, self._change
        np.divide(power, self.noise, out=share)
        share *= _PRIOR / (1 + _PRIOR)
        np.minimum(share, _MOST_EXPONENT, out=share)
        np.negative(share, out=share)
        np.exp(share, out=share)
        share *= 1 + _PRIOR  # how much likelier noise alone is: (1 - p) / p
        np.add(share, np.float32(1.0), out=change)
        share /= change
        np.multiply(self._least, _SOUND_RATIO, out=change)
        np.less_equal(self._smoothed, change, out=self._sounds)
        share *= self._sounds
        np.subtract(power, self.noise, out=change)
        change *= share
        change *= 1 - self._averaging
        self.noise += change


class NoiseGain:
    """Gains from the power of each window and the tracked noise, applied to the spectra.

    Keeps the noise and the last window's result; allocates little, and nothing that grows.

    Parameters
    ----------
    window_samples, hop : length and step of the windows, samples at `rate_hz`.
    """

    def __init__(self, spec: NoiseSpec, rate_hz: int, window_samples: int, hop: int) -> None:
        self._method = spec.method
        self._over = np.float32(spec.over_subtraction)
        self._floor = np.float32(10.0 ** (spec.floor_db / 20.0))
        self._log_floor = np.float32(math.log(self._floor))
        n_bins = window_samples // 2 + 1
        self._tracker = NoiseTracker(n_bins, hop / rate_hz, spec.memory_s)
        self._incomplete = window_samples // hop - 1
        self._noise = np.empty(n_bins, np.float32)
        self._over_noise = np.empty(n_bins, np.float32)
        self._prior = np.empty(n_bins, np.float32)
        self._weight = np.empty(n_bins, np.float32)
        self._gain = np.empty(n_bins, np.float32)
        self._exponent = np.empty(n_bins, np.float32)
        self._cleaned = np.zeros(n_bins, np.float32)
        self._place = np.empty(n_bins, np.intp)
        log_v = np.linspace(math.log(_TABLE_FROM), math.log(_TABLE_TO), _TABLE_SIZE)
        self._half_e1 = (0.5 * exponential_integral(np.exp(log_v))).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget noise and sound."""
        self._tracker.reset()
        self._cleaned[:] = 0.0
        self._n_windows = 0

    def apply(self, spectra: Complex64) -> None:
        """Multiply (n_windows, n_bins) spectra, scaled by 1 / window length, in place."""
        powers = np.square(spectra.real)
        powers += np.square(spectra.imag)
        powers += _TINY
        muted = powers[:, powers.shape[1] // _LOWEST :].sum(axis=1) < _MUTED
        for number, power in enumerate(powers):
            # Windows that begin before the first sample hold less than the noise's power.
            self._n_windows += 1
            if self._n_windows > self._incomplete and not muted[number]:
                spectra[number] *= self._next(power)

    def _next(self, power: Float32) -> Float32:
        np.multiply(self._tracker.noise, self._over, out=self._noise)
        np.divide(power, self._noise, out=self._over_noise)
        np.minimum(self._over_noise, _MOST_OVER_NOISE, out=self._over_noise)
        gain = self._subtracted() if self._method == "subtract" else self._estimated(power)
        self._tracker.update(power)
        return np.maximum(gain, self._floor, out=gain)

    def _subtracted(self) -> Float32:
        gain = self._gain
        np.divide(np.float32(1.0), self._over_noise, out=gain)
        np.subtract(np.float32(1.0), gain, out=gain)
        np.maximum(gain, np.float32(0.0), out=gain)
        return np.sqrt(gain, out=gain)

    def _estimated(self, power: Float32) -> Float32:
        """Return the gain for the ratio of sound to noise that the last window foretells."""
        prior, gain, weight = self._prior, self._gain, self._weight
        np.subtract(self._over_noise, np.float32(1.0), out=prior)
        np.maximum(prior, np.float32(0.0), out=prior)
        prior *= 1 - _DIRECTED
        np.divide(self._cleaned, self._noise, out=gain)
        gain *= _DIRECTED
        prior += gain
        np.clip(prior, _LEAST_PRIOR, _MOST_OVER_NOISE, out=prior)
        np.add(prior, np.float32(1.0), out=gain)
        np.divide(prior, gain, out=weight)
        if self._method == "wiener":
            gain[:] = weight
            np.multiply(weight, weight, out=self._cleaned)
            self._cleaned *= power
            return gain
        return self._log_amplitude(power)

    def _log_amplitude(self, power: Float32) -> Float32:
        prior, gain, weight, exponent = self._prior, self._gain, self._weight, self._exponent
        np.multiply(weight, self._over_noise, out=exponent)
        np.clip(exponent, np.float32(_TABLE_FROM), _MOST_EXPONENT, out=exponent)
        # The log of the gain where a sound is ...
        np.log(exponent, out=gain)
        gain -= _TABLE_LOG_FROM
        # The steps of the table are 0.02 dB at most.
        np.multiply(gain, _TABLE_PER_LOG, out=self._place, casting="unsafe")
        np.take(self._half_e1, self._place, out=gain, mode="clip")
        np.log(weight, out=weight)
        gain += weight
        np.minimum(gain, np.float32(0.0), out=gain)
        np.multiply(gain, np.float32(2.0), out=self._cleaned)
        np.exp(self._cleaned, out=self._cleaned)
        self._cleaned *= power
        # ... and the floor's where none is, by how likely each is.
        np.negative(exponent, out=exponent)
        np.exp(exponent, out=exponent)
        prior += np.float32(1.0)
        exponent *= prior
        exponent += np.float32(1.0)
        gain -= self._log_floor
        gain /= exponent
        gain += self._log_floor
        return np.exp(gain, out=gain)


def exponential_integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential integral of x > 0, to 1e-6.

    Source: Abramowitz and Stegun, 5.1.53 and 5.1.56.
    """
    small = np.minimum(x, 1.0)
    series = np.polyval(
        [0.00107857, -0.00976004, 0.05519968, -0.24991055, 0.99999193, -0.57721566], small
    )
    large = np.maximum(x, 1.0)
    above = np.polyval([1.0, 8.5733287401, 18.0590169730, 8.6347608925, 0.2677737343], large)
    below = np.polyval([1.0, 9.5733223454, 25.6329561486, 21.0996530827, 3.9584969228], large)
    fraction = np.exp(-large) / large * above / below
    integral: NDArray[np.float64] = np.where(x <= 1.0, series - np.log(small), fraction)
    return integral
