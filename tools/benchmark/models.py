# SPDX-License-Identifier: MIT
"""Models from elsewhere: what a patch costs, how true they are, and what their groups name."""

from __future__ import annotations

import csv
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile

from edge.dsp.logmel import LogMelPatch, log_mel, normalise
from edge.model.bring import bring
from edge.model.classifier import OnnxClassifier
from edge.model.frontend import PRESETS
from edge.model.registry import describe, read_labels, shipped_model
from edge.types import Patch
from tools.benchmark.scenes import DATA
from tools.benchmark.stopwatch import interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

ROUNDS: Final = 61
# Of each class of the recordings the groups that are right; a class without one is left out.
RIGHT: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("alarm", "smoke_alarm"), ("alarm",)),
    **dict.fromkeys(("bells", "doorbell", "telephone"), ("bell",)),
    **dict.fromkeys(("airplane", "helicopter"), ("aircraft",)),
    **dict.fromkeys(("cow", "sheep"), ("livestock",)),
    **dict.fromkeys(("hen", "rooster"), ("poultry",)),
    **dict.fromkeys(("crowd_cheer", "applause"), ("crowd",)),
    **dict.fromkeys(("crackling_fire", "fire_crackling"), ("fire",)),
    **dict.fromkeys(("dog", "dog_bark"), ("dog",)),
    **dict.fromkeys(("explosion", "fireworks"), ("explosion",)),
    **dict.fromkeys(("chainsaw", "saw_drill"), ("tool",)),
    **dict.fromkeys(("sea_waves", "water"), ("water",)),
    **dict.fromkeys(("rain", "wind"), ("weather",)),
    **{one: (one,) for one in ("cat", "footsteps", "frog", "gunshot", "laughter", "music")},
    **{one: (one,) for one in ("scream", "siren", "snoring", "speech", "thunder", "train")},
    "baby_cry": ("baby",),
    "birds": ("bird",),
    "car_horn": ("horn",),
    "clock_tick": ("clock",),
    "engine": ("vehicle", "machine"),
    "glass_breaking": ("glass",),
    "insects": ("insect",),
    "person_sneeze": ("cough",),
}


class Bench:
    """The shipped model, YAMNet imported and as others export it, and mn04."""

    def __init__(self, directory: Path) -> None:
        models, yamnet, mn04 = DATA / "models", PRESETS["yamnet"], PRESETS["mn04"]
        bring(models / "yamnet.tflite", directory / "yamnet.onnx", name="yamnet")
        for preset, source, labels in (
            (yamnet, "yamnet_tfhub_w8", "yamnet_class_map"),
            (mn04, "mn04_as_fp32", "audioset_class_labels_indices"),
        ):
            describe(
                models / f"{source}.onnx",
                directory / f"{source}.onnx",
                labels=read_labels(models / f"{labels}.csv"),
                front_end=preset.front_end,
                patch_frames=preset.patch_frames,
                patch_hop=preset.patch_hop,
                bands_first=preset.bands_first,
                name=source,
                version="1",
                embedding_output="embedding",
            )
        names = ("yamnet", "yamnet_tfhub_w8", "mn04_as_fp32")
        self._models = {name: OnnxClassifier(directory / f"{name}.onnx") for name in names}
        self._shipped = OnnxClassifier(shipped_model())

    def cost_ms(self) -> dict[str, float]:
        """Return the CPU time of a patch: the front end of mn04, and each classifier."""
        rng = np.random.default_rng(0)
        second = PRESETS["mn04"].front_end
        ears, samples = LogMelPatch(second), rng.standard_normal(96000).astype(np.float32)
        sides: dict[str, Callable[[], object]] = {"mn04's log-Mel": lambda: ears.process(samples)}
        for name, model in {"shipped": self._shipped, **self._models}.items():
            info = model.info
            frames = rng.standard_normal((info.patch_frames, info.front_end.n_mels))
            patch = Patch(0, 1, frames.astype(np.float32))
            sides[name] = partial(model.classify, patch)
        spent = interleave(sides, ROUNDS)
        return {name: 1e3 * statistics.median(times) for name, times in spent.items()}

    def agreement(self) -> dict[str, float]:
        """Return how far scores are from the references, and how often the best label is theirs."""
        figures: dict[str, float] = {}
        with np.load(DATA / "reference/yamnet_ref.npz") as saved:
            official = saved["scores_tflite_int8"]
            ours = self._scores("yamnet", saved["log_mel_tflite"])
            best = ours.argmax(axis=1)
            at_best = official[np.arange(len(best)), best]
            figures["yamnet to float, most"] = float(np.abs(ours - saved["scores_fp32"]).max())
            figures["yamnet to official, most"] = float(np.abs(ours - official).max())
            figures["yamnet, same best"] = float((best == official.argmax(axis=1)).mean())
            figures["yamnet, among the best"] = float((at_best == official.max(axis=1)).mean())
        with np.load(DATA / "reference/mn04_ref.npz") as saved:
            spec = PRESETS["mn04"].front_end
            waves = saved["wave_i16"].astype(np.float32) / 32768
            heard = [normalise(LogMelPatch(spec).process(wave), spec) for wave in waves]
            ours = self._scores("mn04_as_fp32", heard)
            figures["mn04 to original, most"] = float(np.abs(ours - saved["scores"]).max())
        return figures

    def groups(self) -> dict[str, dict[str, float]]:
        """Return what YAMNet's groups name in recordings, at two thresholds."""
        model = self._models["yamnet"]
        names, n_labels = list(model.info.groups), len(model.info.labels)
        rows = []
        for label, frames in _recordings():
            patches = [frames[k : k + 96] for k in range(0, len(frames) - 95, 48)]
            scores = [model.classify(Patch(0, 1, patch)).values[n_labels:] for patch in patches]
            right = np.array([name in RIGHT[label] for name in names])
            rows.append((right, np.max(scores, axis=0)))
        right, best = (np.array(part) for part in zip(*rows, strict=True))
        return {
            f"threshold {threshold}": {
                "recordings": len(rows),
                "named": float(((best >= threshold) & right).any(axis=1).mean()),
                "other groups a recording": float(((best >= threshold) & ~right).sum(1).mean()),
            }
            for threshold in (0.5, 0.3)
        }

    def _scores(self, name: str, patches: list[Float32]) -> Float32:
        model = self._models[name]
        heard = [model.classify(Patch(0, 1, patch)).values for patch in patches]
        return np.array(heard)[:, : len(model.info.labels)]


def measure() -> dict[str, Mapping[str, object]]:
    """Return all figures; about a minute."""
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        return {
            "CPU ms a patch": bench.cost_ms(),
            "scores": bench.agreement(),
            "YAMNet's groups, each recording's best patch": bench.groups(),
        }


def _recordings() -> Iterator[tuple[str, Float32]]:
    """Give the class of each recording that has a group, and its log-Mel as YAMNet hears it."""
    for folder in ("esc10-dev", "field-dev"):
        with (DATA / folder / "meta.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            if row["class"] in RIGHT:
                path = DATA / folder / "audio" / (row.get("flac") or row["file"])
                samples, _ = soundfile.read(path, dtype="float32")
                frames = log_mel(samples, PRESETS["yamnet"].front_end)
                if len(frames) >= 96:
                    yield row["class"], frames
