# SPDX-License-Identifier: MIT
"""Pools and trainings, several at a time, each in a process of its own and kept when done."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from tools.training.cache import Cache
from tools.training.fit import fit, make_lessons
from tools.training.polish import polish
from tools.training.pool import make_pool, make_scene_pool
from tools.training.recordings import FOLDS, read_clips
from tools.training.wild import make_wild_pool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.training.network import Network
    from tools.training.pool import Pool

SCENES: Final = 0  # in the place of a fold: what has none
WILD: Final = 10  # added to a fold: its sounds bent out of shape
POOLS: Final = (*FOLDS, *(WILD + fold for fold in FOLDS), SCENES)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    data: Path
    epochs: float
    seed: int
    jobs: int
    cache: Path
    out: Path


def prepare(options: Options, courses: Sequence[Sequence[int]]) -> None:
    """Make whatever pools and networks are not there yet."""
    # A fresh process each: one thread, and no memory of the one before.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, max_tasks_per_child=1) as workers:
        list(workers.map(_make_pool, [options] * len(POOLS), POOLS))
        list(workers.map(_train, [options] * len(courses), courses))


def trained(options: Options, folds: Sequence[int]) -> Network:
    """Return the network that has learned from these folds."""

    def train() -> Network:
        name = f"folds {', '.join(map(str, folds))}"
        pools = [_pool(options, fold) for fold in (*folds, SCENES)]
        wild = [_pool(options, WILD + fold) for fold in folds]
        lessons = make_lessons([*pools, *wild], options.seed)
        network = fit(lessons, epochs=options.epochs, seed=options.seed, name=name)
        return polish(network, pools, seed=options.seed, name=name)

    cache = Cache(options.cache, read_clips(options.data), options.seed)
    return cache.network(folds, options.epochs, train)


def _make_pool(options: Options, fold: int) -> None:
    torch.set_num_threads(1)
    _pool(options, fold)


def _train(options: Options, folds: Sequence[int]) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written; filling it takes a fifth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    trained(options, folds)


def _pool(options: Options, fold: int) -> Pool:
    clips = read_clips(options.data)
    cache = Cache(options.cache, clips, options.seed)
    models = options.data / "models"
    if fold == SCENES:
        return cache.pool(fold, lambda: make_scene_pool(models, options.seed))
    if fold > WILD:
        return cache.pool(fold, lambda: make_wild_pool(clips, models, fold - WILD, options.seed))
    return cache.pool(fold, lambda: make_pool(clips, models, fold, options.seed))
