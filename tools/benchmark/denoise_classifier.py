# SPDX-License-Identifier: MIT
"""What noise reduction does to the shipped classifier: one long recording, as a box hears it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.dsp.clean_spec import NoiseSpec
from edge.dsp.resample import PassThrough
from edge.model.classifier import OnnxClassifier
from edge.model.registry import shipped_model
from edge.patches import PatchCutter
from tools.benchmark.denoisers import stream
from tools.benchmark.scenes import DATA, RATE_HZ, esc10_rows, noises, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

SNR_DB: Final = 5.0
NOISES: Final = ("pink", "fan", "engine")
LEVEL: Final = 10.0 ** (-30.0 / 20.0)  # of every clip, so that a steady noise is 5 dB under it
OTHER: Final = "other"  # what sounds between the events of a clip
CLIP_SAMPLES: Final = 5 * RATE_HZ


def measure() -> dict[str, dict[str, float]]:
    """Return the share of clips named right, as they are and after `NoiseSpec()`.

    All recordings of ESC-10's development folds one after the other in a random order, all at
    one level, alone and with a steady noise 5 dB under that. A clip's name is the label whose
    score is highest in any patch. The shipped model was trained on these clips, so the figures
    flatter it; what counts is the difference.
    """
    rows = list(esc10_rows())
    order = np.random.default_rng(0).permutation(len(rows))
    labels = [rows[number]["class"] for number in order]
    clips = [_even(read(DATA / "esc10-dev/audio" / rows[number]["flac"])) for number in order]
    recording = np.concatenate(clips)
    classifier = OnnxClassifier(shipped_model())
    figures = {}
    backgrounds = noises(recording.size / RATE_HZ)
    for name in ("clean", *NOISES):
        heard = recording
        if name != "clean":
            noise = backgrounds[name]
            gain = LEVEL / noise.std() * 10.0 ** (-SNR_DB / 20.0)
            heard = recording + (noise * gain).astype(np.float32)
        cleaned = stream(heard, None, RATE_HZ, None, NoiseSpec())
        figures[name] = {
            "without": _accuracy(classifier, heard, labels),
            "with": _accuracy(classifier, cleaned, labels),
        }
    return figures


def _even(clip: Float32) -> Float32:
    """Bring a clip to 5 s and the one level."""
    padded = np.zeros(CLIP_SAMPLES, np.float32)
    padded[: min(clip.size, CLIP_SAMPLES)] = clip[:CLIP_SAMPLES]
    return np.asarray(padded * (LEVEL / np.sqrt(np.mean(padded**2.0))), np.float32)


def _accuracy(classifier: OnnxClassifier, heard: Float32, labels: list[str]) -> float:
    info = classifier.info
    cutter = PatchCutter(
        decimator=PassThrough(),
        rate_hz=RATE_HZ,
        spec=info.front_end,
        patch_frames=info.patch_frames,
        patch_hop=info.patch_hop,
        longest_s=5.0,
    )
    named = [at for at, label in enumerate(info.labels) if label != OTHER]
    right = 0
    for number, label in enumerate(labels):
        cutter.restart(0)
        cutter.write(heard[number * CLIP_SAMPLES : (number + 1) * CLIP_SAMPLES])
        peaks = np.max([classifier.classify(patch).values for patch in cutter.cut()], axis=0)
        right += info.labels[named[int(np.argmax(peaks[named]))]] == label
    return right / len(labels)
