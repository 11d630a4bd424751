# SPDX-License-Identifier: MIT
"""What the model card says, from what was measured."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.model.classifier import OnnxClassifier
from edge.types import Patch
from tools.training.evaluate import HOP_SAMPLES, clip_accuracy, events
from tools.training.recordings import FOLDS, LABELS, OTHER, RATE_HZ, Clip
from tools.training.scene import SCENES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.model.registry import ModelInfo
    from tools.training.evaluate import Hearing

TIMED_PATCHES: Final = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to tell: `unseen` was scored by networks that had not heard its fold."""

    info: ModelInfo
    epochs: int
    seed: int
    unseen: list[Hearing]
    scene: dict[str, tuple[int, int]]


def accuracy_line(name: str, unseen: list[Hearing], fold: int | None = None) -> str:
    """Return one fold's clips right, of ESC-10's own ones."""
    official = [one for one in unseen if one.clip.official and fold in {None, one.clip.fold}]
    counts = clip_accuracy(official)
    right, total = _sum(counts.values())
    return f"{name}: {right}/{total} clips right, {_percent(right, total)}"


def card(facts: Facts) -> str:
    """Return CARD.md."""
    return "\n".join([_head(facts), _folds(facts), _classes(facts), _negatives(facts), _LIMITS])


def attribution(clips: list[Clip]) -> str:
    """Return ATTRIBUTION.md: every recording's author, licence and address, once."""
    works = {(clip.author, clip.licence, clip.url) for clip in clips}
    rows = [
        f"| {author.replace('|', '/')} | {licence} | {url} |"
        for author, licence, url in sorted(works, key=lambda work: (work[1], work[0].lower(), work))
    ]
    return "\n".join(
        [
            "# Recordings that the shipped model was trained on",
            "",
            "The model holds no recording. It could not exist without these people's work.",
            "They were cut, resampled to 16 kHz and mixed with each other for training.",
            "",
            "| author | licence | where |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _head(facts: Facts) -> str:
    info = facts.info
    return f"""\
# {info.name} {info.version}

Hears ten sounds of ESC-10 in patches of 0.975 s, one every 0.48 s; everything else is "other"
and makes no events.

- **File**: `{info.path.name}`, {info.path.stat().st_size / 1000:.0f} kB, sha256 `{info.sha256}`.
- **Time**: {_patch_ms(info):.2f} ms of one x86-64 core per patch, one thread; more on a Pi.
- **Network**: a depthwise-separable CNN on 96 frames x 64 bands of log-Mel (60-7800 Hz). The
  patch's mean is taken off, so the level of a microphone that nobody calibrated says nothing.
  Sigmoid per label: several sounds at once are possible, and none.
- **Made by**: `tools/train --epochs {facts.epochs} --seed {facts.seed}` (PyTorch, one thread).
- **Data**: ESC-10, folds 1, 2 and 4 (CC0 and CC BY clips); field recordings of other collections
  as further examples and as counter-examples (CC0, CC BY, public domain, MIT/BSD); synthesised
  noise, hum, tones and silence. Authors and addresses: `ATTRIBUTION.md`.
- **Teacher**: while training, the network also imitates YAMNet's embedding (Google, Apache-2.0,
  trained on AudioSet). None of YAMNet's weights is in the file.
- **Licence**: {info.licence}, as the project.
"""


def _folds(facts: Facts) -> str:
    rows = "\n".join(accuracy_line(f"- fold {fold}", facts.unseen, fold) for fold in FOLDS)
    return f"""\
## On clips that it has not heard

For each fold of ESC-10, a network trained on the other two, whole recordings and authors kept
apart, hears it. A clip's label is the highest mean score of the ten. The shipped network is
trained on all three folds and has no unseen clip left.

{rows}
- **{accuracy_line("all", facts.unseen)}**
"""


def _classes(facts: Facts) -> str:
    official = [hearing for hearing in facts.unseen if hearing.clip.official]
    accuracy = clip_accuracy(official)
    found, wrong = _events(official, facts)
    rows = []
    for label, (right, total) in sorted(accuracy.items()):
        heard, sections = facts.scene.get(label, (0, 0))
        rows.append(
            f"| {label} | {right}/{total} | {facts.info.thresholds[label]:.2f} "
            f"| {found[label]}/{total} | {wrong[label]} | {heard}/{sections} |"
        )
    table = "\n".join(rows)
    right, total = _sum(accuracy.values())
    heard, sections = _sum(facts.scene.values())
    return f"""\
| label | clips right | threshold | clips with an event | wrong events | synthesised sections |
|---|---|---|---|---|---|
{table}
| **all** | **{right}/{total}** | | **{sum(found.values())}/{total}** | **{sum(wrong.values())}** \
| **{heard}/{sections}** |

Thresholds weigh a missed clip like a false alarm, on these same unseen clips: the two columns of
events are a little flattering. *Wrong events* are of this label in clips of the other nine.
*Synthesised sections*: the project's own procedural scenes (`edge synth scene`; these seeds:
0-{SCENES.stop - 1}), heard by the shipped file, which was never trained on any.
"""


def _negatives(facts: Facts) -> str:
    negatives = [hearing for hearing in facts.unseen if hearing.clip.label == OTHER]
    count = Counter(
        event.label for hearing in negatives for event in events(hearing, facts.info.thresholds)
    )
    hours = sum(len(hearing.scores) for hearing in negatives) * HOP_SAMPLES / RATE_HZ / 3600
    which = ", ".join(f"{label} {n}" for label, n in count.most_common()) or "none"
    return f"""\
## On what is none of the ten

{len(negatives)} unseen recordings, {hours * 60:.0f} minutes of speech, music, ambience,
alarms, birds, insects, engines, glass, doors, shots, steps and more, and
synthesised noise, hum and tones: {count.total()} false
events, {count.total() / hours:.0f} per hour of such sounds.
By label: {which}.
They are hard cases, one after the other; a quiet room has far fewer. Some hold what they are
counted against: roosters crow in the farm, helicopters are kin to the hum of machines.
"""


_LIMITS: Final = """\
## What it is bad at

- Many a sneeze or helicopter that is right over a whole clip stays under the threshold of an
  event in each patch.
- Steady broadband sounds: rain, surf, wind, a fan and a microphone's own noise are much alike in
  one second without a level. Rain's threshold is set so that noise seldom makes rain, and real
  rain is the label that it misses most; white noise still reaches the threshold a few times a
  minute, four patches in a row twice an hour (`min_hits`).
- Some 24 clips per label are few: an unusual dog, clock or aircraft may be missed.
- Sounds less than some 5 dB above the background, and strong echoes, were hardly trained.
- It says nothing of who or what made a sound, and it is no alarm system.
"""


def _events(hearings: list[Hearing], facts: Facts) -> tuple[dict[str, int], dict[str, int]]:
    """Return per label the clips with an event of it, and events of it in others' clips."""
    found: dict[str, int] = defaultdict(int)
    wrong: dict[str, int] = defaultdict(int)
    for hearing in hearings:
        own = LABELS[hearing.clip.label]
        heard = [event.label for event in events(hearing, facts.info.thresholds)]
        found[own] += own in heard
        for label in heard:
            wrong[label] += label != own
    return found, wrong


def _patch_ms(info: ModelInfo) -> float:
    classifier = OnnxClassifier(info)
    frames = np.zeros((info.patch_frames, info.front_end.n_mels), np.float32)
    patch = Patch(0, 1, frames)
    start_s = time.process_time()
    for _ in range(TIMED_PATCHES):
        classifier.classify(patch)
    return (time.process_time() - start_s) / TIMED_PATCHES * 1000


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    pairs = list(counts)
    return sum(right for right, _ in pairs), sum(total for _, total in pairs)


def _percent(right: int, total: int) -> str:
    return f"{100 * right / max(total, 1):.1f} %"
