# SPDX-License-Identifier: MIT
"""From recordings to the shipped model, its card and its attributions, in one command."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from edge.model.registry import describe
from tools.training import card
from tools.training.cache import Cache
from tools.training.choice import choose, tally
from tools.training.delivery import delivered
from tools.training.evaluate import listen, listen_to_noise
from tools.training.export import EMBEDDING, SCORES, export
from tools.training.fit import fit, make_lessons
from tools.training.frontend import STUDENT
from tools.training.pool import make_pool
from tools.training.recordings import FOLDS, LABELS, read_clips
from tools.training.scene import mistaken, recognised

if TYPE_CHECKING:
    from edge.model.registry import ModelInfo
    from tools.training.choice import Choice
    from tools.training.evaluate import Hearing
    from tools.training.network import Network
    from tools.training.pool import Pool
    from tools.training.recordings import Clip

MODEL_NAME: Final = "edge-esc10"
VERSION: Final = "0.2.0"
REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    folds: tuple[int, ...]
    epochs: int
    seed: int
    threads: int
    cache: Path
    out: Path


def main() -> None:
    """Train on each pair of folds, then on all, and write what the package ships."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written; filling it takes a fifth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    clips = read_clips(options.data)
    print(f"{len(clips)} recordings, {sum(clip.official for clip in clips)} of ESC-10")
    cache = Cache(options.cache, clips, options.seed, options.threads)
    teacher = options.data / "models" / "yamnet_tfhub_w8.onnx"
    pool = cache.pool(lambda: make_pool(clips, teacher, options.seed))
    unseen: list[Hearing] = []
    for fold in options.folds:
        network = _trained(options, cache, pool, [other for other in FOLDS if other != fold])
        unseen += listen(network, [clip for clip in clips if clip.fold == fold])
        unseen += listen_to_noise(network, fold, options.seed)
        print(card.accuracy_line(f"fold {fold}", unseen, fold))
    network = _trained(options, cache, pool, list(FOLDS))
    _ship(options, network, unseen, clips)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="tools/train", description=__doc__)
    parser.add_argument("--data", type=Path, default=REPOSITORY / "../shared/data")
    parser.add_argument("--folds", type=int, nargs="+", choices=FOLDS, default=list(FOLDS))
    parser.add_argument("--epochs", type=int, default=4, help="times as many patches as the pool")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="other numbers round differently")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "edge-train",
        help="what took minutes is kept here, for a run that was interrupted",
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "edge/model/shipped")
    given = parser.parse_args()
    return Options(**vars(given) | {"folds": tuple(given.folds)})


def _trained(options: Options, cache: Cache, pool: Pool, folds: list[int]) -> Network:
    print(f"training on folds {', '.join(map(str, folds))}")

    def train() -> Network:
        lessons = make_lessons(pool, folds, options.seed)
        return fit(lessons, epochs=options.epochs, seed=options.seed)

    return cache.network(folds, options.epochs, train)


def _ship(options: Options, network: Network, unseen: list[Hearing], clips: list[Clip]) -> None:
    """Write model, card and attributions; they replace the old ones when all are finished."""
    print("choosing rules")
    tallies = tally(unseen)
    with delivered(options.out) as draft:
        info = _describe(options, network, choose(tallies), draft)
        facts = card.Facts(
            info=info,
            made_by=_made_by(options),
            tallies=tallies,
            scene=recognised(info.path),
            noise=mistaken(info.path, options.seed),
        )
        (draft / "CARD.md").write_text(card.card(facts), encoding="utf-8")
        (draft / "ATTRIBUTION.md").write_text(card.attribution(clips), encoding="utf-8")
    print(f"wrote {info.path.name}, CARD.md and ATTRIBUTION.md to {options.out}")


def _describe(options: Options, network: Network, choice: Choice, folder: Path) -> ModelInfo:
    preset = STUDENT
    path = folder / f"{MODEL_NAME}.onnx"
    export(
        network,
        path,
        n_frames=preset.patch_frames,
        n_mels=preset.front_end.n_mels,
        n_labels=len(LABELS),
    )
    return describe(
        path,
        path,
        labels=LABELS,
        negative_labels=["other"],
        front_end=preset.front_end,
        patch_frames=preset.patch_frames,
        patch_hop=preset.patch_hop,
        name=MODEL_NAME,
        version=VERSION,
        licence="MIT",
        source=f"{_made_by(options)}; see CARD.md",
        scores_output=SCORES,
        embedding_output=EMBEDDING,
        thresholds=choice.thresholds,
        min_hits=choice.min_hits,
    )


def _made_by(options: Options) -> str:
    return f"tools/train --epochs {options.epochs} --seed {options.seed}"


if __name__ == "__main__":
    main()
