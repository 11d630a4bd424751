# SPDX-License-Identifier: MIT
"""What the model card says, from what was measured."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from edge.analysis.trialchart import TrialChart, draw_trial
from edge.model.classifier import OnnxClassifier
from edge.model.trial import detection_error, onsets, try_out
from edge.types import Patch
from tools.training.choice import FALSE_PER_HOUR, choose
from tools.training.recordings import FOLDS, LABELS, RATE_HZ
from tools.training.stream import LABELS_OF_STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model.registry import ModelInfo
    from edge.model.trial import Result
    from tools.training.facts import Facts
    from tools.training.recordings import Clip

TIMED_PATCHES: Final = 500
BUDGETS_PER_HOUR: Final = (0.1, 0.5, 2.0, 10.0, 50.0)


def card(facts: Facts) -> str:
    """Return CARD.md."""
    parts = [_head, _folds, _classes, _false_alarms, _confusion, _left_out, _limits]
    return "\n".join(part(facts) for part in parts)


def attribution(clips: Sequence[Clip]) -> str:
    """Return ATTRIBUTION.md: every recording's author, licence and address, once."""
    works = {(clip.author, clip.licence, clip.url) for clip in clips if clip.trained}
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


def picture(facts: Facts) -> bytes:
    """Return confusion matrix and detection-error curves of what was not heard before."""
    clips = facts.result("official", "field")
    labels = tuple(clips.per_label)
    heard = facts.heard("official", "field", "stream")
    everything, curves = try_out(heard, facts.rates), detection_error(heard, facts.rates)
    stream = facts.result("stream")
    chart = TrialChart(
        title=f"{facts.info.name} {facts.info.version} on clips that it has not heard",
        lines=(
            f"right: {_percent(*_right(clips))} of {clips.clips} clips",
            f"detected: {_percent(_found(clips), clips.clips)} of them",
            f"false events: {stream.false_events_per_hour:.2f} an hour of other sounds",
        ),
        labels=labels,
        confusion=clips.confusion,
        missed=[curves[label].missed for label in labels],
        false_per_hour=[curves[label].false_per_hour for label in labels],
        chosen=[
            (
                1.0 - one.detected / one.clips,
                everything.false_events[label] / max(everything.hours, 1e-9),
            )
            for label, one in clips.per_label.items()
        ],
    )
    return draw_trial(chart)


def _head(facts: Facts) -> str:
    info = facts.info
    return f"""\
# {info.name} {info.version}

Hears {len(facts.tallies)} kinds of sound in patches of 0.975 s, one every 0.48 s: ESC-10's ten,
and {", ".join(facts.gathered)}. Everything else is "other" and makes no events.

- **File**: `{info.path.name}`, {info.path.stat().st_size / 1000:.0f} kB, sha256 `{info.sha256}`.
- **Time**: {_patch_ms(info):.2f} ms of one x86-64 core per patch, one thread; more on a Pi.
- **Network**: a small CNN on 96 frames x 64 bands of log-Mel (60-7800 Hz). The
  patch's mean is taken off, so the level of a microphone that nobody calibrated says nothing.
  Sigmoid per label: several sounds at once are possible, and none. Logits are divided by
  {facts.temperature:g}, so that scores are as sure as they are right on clips that were not
  heard (temperature scaling). Weights are stored in 8 bits and computed with in float. A second
  output, `embedding`, has 256 values for what others teach it.
- **Made by**: `{facts.made_by}` (PyTorch {torch.__version__.split("+")[0]}, one thread each).
- **Data**: ESC-10, folds 1, 2 and 4 (CC0 and CC BY clips); field recordings of other collections
  as further examples and as counter-examples (CC0, CC BY, public domain, MIT/BSD); synthesised
  noise, hum, tones, alarms, tunes, babble, thumps and silence. Beside them, known only by what
  the teachers say: the same recordings bent out of shape, and textures of chance. Authors and
  addresses: `ATTRIBUTION.md`.
- **Teachers**: while training, the network also imitates what two networks of others, trained on
  AudioSet, make of a patch: mn04 of EfficientAT (MIT) and the first blocks of YAMNet (Google,
  Apache-2.0). None of their weights is in the file.
- **Licence**: {info.licence}, as the project.
"""


def _folds(facts: Facts) -> str:
    rows = []
    for fold in (*FOLDS, None):
        clean = facts.result("official", fold=fold)
        noisy = facts.result("noisy", fold=fold)
        right, clips = _right(clean)
        name = f"fold {fold}" if fold else "**all**"
        rows.append(
            f"| {name} | {right}/{clips} | {_percent(right, clips)} | {_percent(*_right(noisy))} |"
        )
    table = "\n".join(rows)
    return f"""\
## On clips that it has not heard

For each fold of ESC-10, a network trained on the other two, whole recordings and authors kept
apart, hears it. A clip's label is the highest mean score of the ten. The shipped network is
trained on all three folds and has no unseen clip left.

| | clips right | | with white or pink noise at 5 dB SNR |
|---|---|---|---|
{table}
"""


def _classes(facts: Facts) -> str:
    info = facts.info
    result = facts.result("official", "field")
    esc10 = facts.result("official")
    heard = Counter(clip.label for clip in facts.clips if clip.trained)
    rows = []
    for label, one in result.per_label.items():
        own = esc10.per_label.get(label)
        found, sections = facts.scene.get(label, (0, 0))
        rows.append(
            f"| {label} | {heard[LABELS.index(label)]} "
            f"| {f'{own.right}/{own.clips}' if own else ''} | {one.average_precision:.2f} "
            f"| {info.thresholds[label]:.2f} | {info.min_hits[label]} "
            f"| {one.detected}/{one.clips} | {one.false_events} "
            f"| {f'{found}/{sections}' if sections else ''} |"
        )
    table = "\n".join(rows)
    recordings = len(facts.heard("official", "field"))
    gathered = [facts.precisions[label] for label in facts.gathered]
    fair_detected, fair_false = facts.fair()
    budgets = " | ".join(f"{one:g}" for one in BUDGETS_PER_HOUR)
    shares = " | ".join(_detected_within(facts, one) for one in BUDGETS_PER_HOUR)
    return f"""\
| label | recordings heard | clips right | average precision | threshold | patches in a row \
| clips with an event | wrong events | synthesised sections |
|---|---|---|---|---|---|---|---|---|
{table}

*Clips right* are ESC-10's, among its ten. *Average precision* is over all {recordings} unseen
recordings, ordered by mean score; its mean over the labels beside ESC-10's is
**{np.mean(gathered):.2f}**. *Wrong events* are of this label in clips of others.
*Synthesised sections*: the project's own procedural scenes (`edge synth scene`), heard by the
shipped file, which was trained on others of their kind.

A label's threshold and patches in a row miss as few of these clips as they can while all labels
together make {FALSE_PER_HOUR} false events in an hour of the sounds below. The clips with an event
are **{_percent(_found(result), result.clips)}** of all. Chosen on two folds and judged on the
third, such rules detect {100 * fair_detected:.0f} % and make {fair_false:.1f} false events an hour.

| false events an hour, all labels together | {budgets} |
|---|{"---|" * len(BUDGETS_PER_HOUR)}
| clips detected | {shares} |

![Confusion and detection error](crossvalidation.png)
"""


def _false_alarms(facts: Facts) -> str:
    rows = []
    for kind in LABELS_OF_STREAM:
        stretches = [one for one in facts.heard("stream") if one.name == kind]
        result = try_out(stretches, facts.rates)
        rows.append(
            f"| {kind} | {result.hours:.1f} | {result.false_events_per_hour:.2f} "
            f"| {_listed(Counter(result.false_events))} |"
        )
    table = "\n".join(rows)
    result = facts.result("stream")
    negatives = [one for one in facts.heard("field") if one.label is None]
    short = try_out(negatives, facts.rates)
    minutes = sum(one.n_samples for one in negatives) / RATE_HZ / 60
    events = sum(short.false_events.values())
    return f"""\
## False alarms

Hours of other sounds, made of recordings that the network had not heard: one after the other, at
levels of chance, in rooms and through microphones of chance, mixed with each other (*mixed*), and
synthesised noise and hum. Events of what may be in them are not counted: speech in speech,
and birds, insects, steps, voices and music in ambience.

| sounds | hours | false events an hour | which |
|---|---|---|---|
{table}
| **all** | **{result.hours:.1f}** | **{result.false_events_per_hour:.2f}** | |

Hours repeat what are minutes of recordings, in ever other rooms. Once each, as they are, with the
hard ones (engines, doors, tools, animals, smashes) among them: {len(negatives)} recordings,
{minutes:.0f} minutes, {events} events ({_listed(Counter(short.false_events))}).
"""


def _confusion(facts: Facts) -> str:
    result = facts.result("official")
    labels = list(result.per_label)
    head = " | ".join(labels)
    rows = "\n".join(
        f"| {label} | {' | '.join(str(n) if n else '' for n in row)} |"
        for label, row in zip(labels, result.confusion.tolist(), strict=True)
    )
    return f"""\
## Taken for another

ESC-10's clips; row: what it is, column: the highest mean score.

| | {head} |
|---|{"---|" * len(labels)}
{rows}
"""


def _left_out(facts: Facts) -> str:
    tried = ", ".join(f"{label} ({facts.precisions[label]:.2f})" for label in facts.left_out)
    return f"""\
## What stays out

Doors, engines, wind, water, cats, sheep, screams and more: too few recordings to show that it
works. They were counter-examples. Tried, and left out for its average precision:
{tried or "nothing"}.
"""


def _limits(facts: Facts) -> str:
    silent, clips = Counter[str](), Counter[str]()
    for one in facts.heard("official", "field"):
        if one.label:
            clips[one.label] += 1
            silent[one.label] += one.label not in onsets(one.scores, facts.rates, facts.rates.rules)
    return f"""\
## What it is bad at

- Clips without an event of their own: {_listed(silent)}.
- Steady broadband sounds: rain, surf, a fan and a microphone's own noise are much alike in
  one second without a level. The patches in a row keep noise from becoming events, and cost
  {_delay_s(facts.info):.1f} s at most until an event is known.
- {min(clips.values())} to {max(clips.values())} recordings per label are few: an unusual dog,
  clock or aircraft may be missed.
- It says nothing of who or what made a sound, and it is no alarm system.
"""


def _detected_within(facts: Facts, per_hour: float) -> str:
    choice = choose(facts.tallies, per_hour)
    missed = clips = 0.0
    count = Counter(one.label for one in facts.heard("official", "field"))
    for label, one in facts.tallies.items():
        missed += count[label] * one.missed_by(choice.min_hits[label], choice.thresholds[label])
        clips += count[label]
    return f"{100 * (1.0 - missed / max(clips, 1.0)):.0f} %"


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


def _right(result: Result) -> tuple[int, int]:
    return sum(one.right for one in result.per_label.values()), result.clips


def _found(result: Result) -> int:
    return sum(one.detected for one in result.per_label.values())


def _percent(right: int, total: int) -> str:
    return f"{100 * right / max(total, 1):.1f} %"
