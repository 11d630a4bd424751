# SPDX-License-Identifier: MIT
"""What the model card says, from what was measured."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from edge.model.classifier import OnnxClassifier
from edge.types import Patch
from tools.training.choice import HOP_SAMPLES, Choice, choose, onsets, rules
from tools.training.evaluate import clip_accuracy, is_right
from tools.training.recordings import FOLDS, LABELS, OTHER, RATE_HZ, Clip
from tools.training.scene import NOISE_HOURS, SCENES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.model.registry import ModelInfo
    from tools.training.choice import Tally
    from tools.training.evaluate import Hearing
    from tools.training.scene import Mistaken

TIMED_PATCHES: Final = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to tell.

    `tallies` are of clips and noise scored by networks that had not heard their fold;
    `scene` and `noise` were heard by the file that is shipped.
    """

    info: ModelInfo
    made_by: str
    tallies: list[Tally]
    scene: dict[str, tuple[int, int]]
    noise: dict[str, Mistaken]

    @property
    def unseen(self) -> list[Hearing]:
        """Everything that was heard, noise too."""
        return [one.hearing for one in self.tallies]

    @property
    def official(self) -> list[Hearing]:
        """ESC-10's own clips."""
        return [one for one in self.unseen if one.clip.official]


def accuracy_line(name: str, unseen: list[Hearing], fold: int | None = None) -> str:
    """Return one fold's clips right, of ESC-10's own ones."""
    official = [one for one in unseen if one.clip.official and fold in {None, one.clip.fold}]
    counts = clip_accuracy(official)
    right, total = _sum(counts.values())
    return f"{name}: {right}/{total} clips right, {_percent(right, total)}"


def card(facts: Facts) -> str:
    """Return CARD.md."""
    parts = [_head, _folds, _classes, _negatives, _noise, _limits]
    return "\n".join(part(facts) for part in parts)


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
- **Made by**: `{facts.made_by}` (PyTorch {torch.__version__.split("+")[0]}, one thread).
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
    info = facts.info
    accuracy = clip_accuracy(facts.official)
    found, wrong = _events(facts.official, Choice(dict(info.thresholds), dict(info.min_hits)))
    rows = []
    for label, (right, total) in sorted(accuracy.items()):
        heard, sections = facts.scene.get(label, (0, 0))
        rows.append(
            f"| {label} | {right}/{total} | {info.thresholds[label]:.2f} | {info.min_hits[label]} "
            f"| {found[label]}/{total} | {wrong[label]} | {heard}/{sections} |"
        )
    table = "\n".join(rows)
    right, total = _sum(accuracy.values())
    heard, sections = _sum(facts.scene.values())
    fair_found, fair_wrong = _fair_events(facts)
    return f"""\
| label | clips right | threshold | patches in a row | clips with an event | wrong events \
| synthesised sections |
|---|---|---|---|---|---|---|
{table}
| **all** | **{right}/{total}** | | | **{found.total()}/{total}** | **{wrong.total()}** \
| **{heard}/{sections}** |

A label's threshold and patches in a row weigh a missed clip like a false event, on these same
unseen clips: the two columns of events are a little flattering. Chosen on two folds and counted
on the third, they give {fair_found}/{total} and {fair_wrong}. *Wrong events* are of this label
in clips of the other nine. *Synthesised sections*: the project's own procedural scenes (`edge synth
scene`, seeds 0-{SCENES.stop - 1}), heard by the shipped file, which was never trained on any.
"""


def _negatives(facts: Facts) -> str:
    negatives = [one for one in facts.unseen if one.clip.label == OTHER and not one.noise]
    own = rules(facts.info.thresholds, facts.info.min_hits)
    count = Counter(event.label for one in negatives for event in onsets(one, own))
    hours = sum(len(one.scores) for one in negatives) * HOP_SAMPLES / RATE_HZ / 3600
    return f"""\
## On what is none of the ten

{len(negatives)} unseen recordings, {hours * 60:.0f} minutes of speech, music, ambience, alarms,
birds, insects, engines, glass, doors, shots, steps and more: {count.total()} false events,
{count.total() / hours:.0f} per hour of such sounds ({_listed(count)}).
They are hard cases, one after the other; a quiet room has far fewer.
"""


def _noise(facts: Facts) -> str:
    rows = "\n".join(
        f"| {kind} | {one.events.total() / NOISE_HOURS:.0f} "
        f"| {one.hasty.total() / NOISE_HOURS:.0f} "
        f"| {_listed(one.events)} |"
        for kind, one in facts.noise.items()
    )
    return f"""\
## On steady noise

{NOISE_HOURS * 60:.0f} minutes of each, at -70 to -20 dB of full scale, heard by the shipped file:

| noise | false events per hour | if one patch were enough | which |
|---|---|---|---|
{rows}

*Tilted*: power falls as frequency to the power of -0.5 to 2.5. *Hum*: harmonics of 50 or 60 Hz or
of a machine, over faint noise. {_other_noise(facts)}
"""


def _other_noise(facts: Facts) -> str:
    """Say what the networks of the folds make of noise: the choice of rules has seen it."""
    noise = [one for one in facts.unseen if one.noise]
    own = rules(facts.info.thresholds, facts.info.min_hits)
    count = sum(len(onsets(one, own)) for one in noise)
    hours = sum(len(one.scores) for one in noise) * HOP_SAMPLES / RATE_HZ / 3600
    return f"Events that the networks of the folds make of {hours:.1f} other hours: {count}."


def _limits(facts: Facts) -> str:
    own = rules(facts.info.thresholds, facts.info.min_hits)
    silent, clips = Counter[str](), Counter[str]()
    for hearing in facts.official:
        label = LABELS[hearing.clip.label]
        clips[label] += 1
        heard = {event.label for event in onsets(hearing, own)}
        silent[label] += is_right(hearing) and label not in heard
    return f"""\
## What it is bad at

- A clip that is right as a whole may yet make no event, when no patch, or not enough in a row,
  reaches the threshold: {_listed(silent)}.
- Steady broadband sounds: rain, surf, wind, a fan and a microphone's own noise are much alike in
  one second without a level. The patches in a row keep noise from becoming events, and cost
  {_delay_s(facts.info):.1f} s at most until an event is known.
- {min(clips.values())} to {max(clips.values())} clips per label are few: an unusual dog, clock
  or aircraft may be missed.
- Sounds less than some 5 dB above the background, and strong echoes, were hardly trained.
- It says nothing of who or what made a sound, and it is no alarm system.
"""


def _events(hearings: list[Hearing], choice: Choice) -> tuple[Counter[str], Counter[str]]:
    """Return per label the clips with an event of it, and events of it in others' clips."""
    found, wrong = Counter[str](), Counter[str]()
    own = rules(choice.thresholds, choice.min_hits)
    for hearing in hearings:
        label = LABELS[hearing.clip.label]
        heard = [event.label for event in onsets(hearing, own)]
        found[label] += label in heard
        wrong.update(other for other in heard if other != label)
    return found, wrong


def _fair_events(facts: Facts) -> tuple[int, int]:
    """Return clips with an event, and wrong events, by rules chosen without the clip's fold."""
    found = wrong = 0
    for fold in FOLDS:
        choice = choose([one for one in facts.tallies if one.hearing.clip.fold != fold])
        counts = _events([one for one in facts.official if one.clip.fold == fold], choice)
        found, wrong = found + counts[0].total(), wrong + counts[1].total()
    return found, wrong


def _listed(count: Counter[str]) -> str:
    return ", ".join(f"{label} {n}" for label, n in count.most_common() if n) or "none"


def _delay_s(info: ModelInfo) -> float:
    hop_s = info.patch_hop * info.front_end.hop_length / info.front_end.rate_hz
    return (max(info.min_hits.values()) - 1) * hop_s


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
