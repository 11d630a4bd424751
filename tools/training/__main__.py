# SPDX-License-Identifier: MIT
"""From recordings to the shipped model, its card and its attributions, in one command."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from tools.training.cache import Cache
from tools.training.fit import fit, make_lessons
from tools.training.pool import make_pool, make_scene_pool
from tools.training.recordings import FOLDS, read_clips
from tools.training.shipping import hear_unseen, ship

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.training.network import Network
    from tools.training.pool import Pool

REPOSITORY: Final = Path(__file__).parents[2]
SCENES: Final = 0  # in the place of a fold: what has none
EPOCHS: Final = 7.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    epochs: float
    seed: int
    jobs: int
    cache: Path
    out: Path


def main() -> None:
    """Train on each pair of folds, then on all, and write what the package ships."""
    options = _options()
    clips = read_clips(options.data)
    print(f"{len(clips)} recordings, {sum(clip.official for clip in clips)} of ESC-10")
    courses = [tuple(other for other in FOLDS if other != fold) for fold in FOLDS]
    # The longest first.
    tasks = [FOLDS, *courses]
    # A fresh process each: one thread, and no memory of the one before.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, max_tasks_per_child=1) as workers:
        list(workers.map(_prepare, [options] * 4, [*FOLDS, SCENES]))
        list(workers.map(_train, [options] * len(tasks), tasks))
    unseen = [
        one
        for fold, course in zip(FOLDS, courses, strict=True)
        for one in hear_unseen(_network(options, course), clips, fold, options.seed)
    ]
    made_by = f"tools/train --epochs {options.epochs:g} --seed {options.seed}"
    ship(_network(options, FOLDS), unseen, clips, made_by=made_by, out=options.out)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="tools/train", description=__doc__)
    parser.add_argument("--data", type=Path, default=REPOSITORY / "../shared/data")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="passes through the pools")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a core each")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "edge-train",
        help="what took minutes is kept here, for a run that was interrupted",
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "edge/model/shipped")
    return Options(**vars(parser.parse_args()))


def _prepare(options: Options, fold: int) -> None:
    """Make the pool of a fold, if it is not there yet."""
    torch.set_num_threads(1)
    _pool(options, fold)


def _train(options: Options, folds: Sequence[int]) -> None:
    """Train on these folds, if that has not been done yet."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written; filling it takes a fifth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    _network(options, folds)


def _pool(options: Options, fold: int) -> Pool:
    clips = read_clips(options.data)
    cache = Cache(options.cache, clips, options.seed)
    models = options.data / "models"
    if fold == SCENES:
        return cache.pool(fold, lambda: make_scene_pool(models, options.seed))
    return cache.pool(fold, lambda: make_pool(clips, models, fold, options.seed))


def _network(options: Options, folds: Sequence[int]) -> Network:
    def train() -> Network:
        name = f"folds {', '.join(map(str, folds))}"
        lessons = make_lessons([_pool(options, fold) for fold in (*folds, SCENES)], options.seed)
        return fit(lessons, epochs=options.epochs, seed=options.seed, name=name)

    cache = Cache(options.cache, read_clips(options.data), options.seed)
    return cache.network(folds, options.epochs, train)


if __name__ == "__main__":
    main()
