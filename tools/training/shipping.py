# SPDX-License-Identifier: MIT
"""From trained networks to what the package ships: model file, card, picture, attributions."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.model.registry import describe, read_model
from edge.model.trial import Rates, try_out
from tools.training import card
from tools.training.certainty import at_temperature, temperature
from tools.training.choice import Choice, choose, count, rules, tally
from tools.training.delivery import delivered
from tools.training.export import EMBEDDING, SCORES, add_aliases, export
from tools.training.facts import Facts
from tools.training.frontend import HOP_SAMPLES, PATCH_SAMPLES, STUDENT
from tools.training.listening import listen
from tools.training.names import aliases
from tools.training.recordings import ESC10, FOLDS, LABELS, OTHER, RATE_HZ
from tools.training.scene import recognised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.model.registry import ModelInfo
    from tools.training.choice import Counted
    from tools.training.listening import Unseen
    from tools.training.network import Network
    from tools.training.recordings import Clip

MODEL_NAME: Final = "edge-esc10"
VERSION: Final = "0.4.0"
RATES: Final = Rates(LABELS, {}, RATE_HZ, PATCH_SAMPLES, HOP_SAMPLES)
LEAST_PRECISION: Final = 0.5  # average, on unseen recordings: under it a gathered label stays out


def hear_unseen(network: Network, clips: Sequence[Clip], fold: int, seed: int) -> Iterator[Unseen]:
    """Give what a network that had nothing of this fold makes of it, as a file of all labels."""
    print(f"fold {fold}: listening", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        info = _describe(network, Path(folder) / "fold.onnx", LABELS, "cross-validation")
        yield from listen(info.path, clips, fold, seed)


def ship(
    network: Network,
    unseen: Sequence[Unseen],
    clips: Sequence[Clip],
    *,
    made_by: str,
    out: Path,
) -> None:
    """Write everything; it replaces the old when all is finished."""
    print("choosing rules", flush=True)
    divisor = temperature(unseen)
    unseen = [at_temperature(one, divisor) for one in unseen]
    precisions = _precisions(unseen)
    offered = [
        label for label in LABELS[:OTHER] if label in ESC10 or precisions[label] >= LEAST_PRECISION
    ]
    unseen = [_judged(one, offered) for one in unseen]
    counted = {fold: _counted(unseen, fold, offered) for fold in FOLDS}
    tallies = tally(
        [one for clips_heard, _ in counted.values() for one in clips_heard],
        [one for _, stream in counted.values() for one in stream],
        offered,
    )
    choice = choose(tallies)
    with delivered(out) as draft:
        info = _describe(
            network, draft / f"{MODEL_NAME}.onnx", (*offered, "other"), made_by, choice, divisor
        )
        facts = Facts(
            info=info,
            temperature=divisor,
            made_by=made_by,
            unseen=unseen,
            clips=clips,
            counted=counted,
            tallies=tallies,
            rates=dataclasses.replace(RATES, rules=rules(choice)),
            precisions=precisions,
            scene=recognised(info.path),
        )
        (draft / "CARD.md").write_text(card.card(facts), encoding="utf-8")
        (draft / "ATTRIBUTION.md").write_text(card.attribution(clips), encoding="utf-8")
        (draft / "crossvalidation.png").write_bytes(card.picture(facts))
    print(f"wrote {MODEL_NAME}.onnx, its card, picture and attributions to {out}")


def _counted(
    unseen: Sequence[Unseen], fold: int, offered: Sequence[str]
) -> tuple[list[Counted], list[Counted]]:
    """Return clips and stream of a fold, with the events by each rule."""
    clips: list[Counted] = []
    stream: list[Counted] = []
    for one in unseen:
        if one.fold == fold and one.kind != "noisy":
            place = stream if one.kind == "stream" else clips
            place.append(count(one.heard, offered, RATES))
    return clips, stream


def _precisions(unseen: Sequence[Unseen]) -> dict[str, float]:
    """Return the average precision of each label on clips that were not heard before."""
    everything = dataclasses.replace(
        RATES, rules=rules(Choice(dict.fromkeys(LABELS[:OTHER], 0.5), {}))
    )
    heard = [one.heard for one in unseen if one.kind in {"official", "field"}]
    result = try_out(heard, everything)
    return {label: one.average_precision for label, one in result.per_label.items()}


def _judged(one: Unseen, offered: Sequence[str]) -> Unseen:
    """Return it as counter-example, if it is of a label that stays out."""
    if one.heard.label is None or one.heard.label in offered:
        return one
    return dataclasses.replace(one, heard=dataclasses.replace(one.heard, label=None))


def _describe(  # noqa: PLR0917
    network: Network,
    path: Path,
    labels: Sequence[str],
    made_by: str,
    choice: Choice | None = None,
    divisor: float = 1.0,
) -> ModelInfo:
    export(
        network,
        path,
        n_frames=STUDENT.patch_frames,
        n_mels=STUDENT.front_end.n_mels,
        rows=[LABELS.index(label) for label in labels],
        temperature=divisor,
    )
    describe(
        path,
        path,
        labels=labels,
        negative_labels=["other"],
        front_end=STUDENT.front_end,
        patch_frames=STUDENT.patch_frames,
        patch_hop=STUDENT.patch_hop,
        name=MODEL_NAME,
        version=VERSION,
        licence="MIT",
        source=f"{made_by}; see CARD.md",
        scores_output=SCORES,
        embedding_output=EMBEDDING,
        thresholds=choice.thresholds if choice else None,
        min_hits=choice.min_hits if choice else None,
    )
    add_aliases(path, aliases(labels))
    return read_model(path)
