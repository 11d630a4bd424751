# SPDX-License-Identifier: MIT
"""What takes minutes is kept, so that an interrupted training goes on where it was.

A name holds a digest of what the content follows from: other recordings, other settings,
another front end or another program find nothing that is stale. Only a front end that rounds
otherwise finds what the one before it heard.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from tools.training.frontend import STUDENT
from tools.training.network import Network, new_network
from tools.training.pool import Pool
from tools.training.recordings import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tools.training.recordings import Clip

# What decides the pools, and what more decides the weights. Choosing thresholds and writing the
# card come after.
_POOL: Final = (
    *("augment", "frontend", "pool", "recordings", "synthetic", "teacher", "textures", "wild"),
)
_NETWORK: Final = ("fit", "network", "polish")


class Cache:
    """A folder of intermediate results of training on these clips with this seed."""

    def __init__(self, folder: Path, clips: Iterable[Clip], seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        heard = [
            (c.path.name, c.path.stat().st_size, c.label, c.fold, c.unsure, c.trained)
            for c in clips
        ]
        self._facts = [*_programs(_POOL), heard, STUDENT, seed, np.__version__]

    def pool(self, fold: int, make: Callable[[], Pool]) -> Pool:
        """Return the pool of this fold that is kept, or else the one that `make` gives."""
        path = self._path("pool", "npz", fold)
        if not path.exists():
            made = make()
            draft = path.with_suffix(".part.npz")
            fields = {one.name: getattr(made, one.name) for one in dataclasses.fields(made)}
            np.savez(draft, **fields)
            draft.replace(path)
        with np.load(path) as arrays:
            return Pool(**arrays)

    def network(self, folds: Iterable[int], epochs: float, train: Callable[[], Network]) -> Network:
        """Return the network of these folds that is kept, or else the one that `train` gives."""
        more = (tuple(folds), epochs, _programs(_NETWORK), torch.__version__)
        path = self._path("network", "pt", *more)
        if path.exists():
            network = new_network(len(LABELS))
            network.parts.load_state_dict(torch.load(path, weights_only=True))
            network.parts.eval()
            return network
        network = train()
        draft = path.with_suffix(".part")
        torch.save(network.parts.state_dict(), draft)
        draft.replace(path)
        return network

    def _path(self, kind: str, suffix: str, *more: object) -> Path:
        digest = hashlib.sha256(repr((self._facts, more)).encode()).hexdigest()[:16]
        return self._folder / f"{kind}-{digest}.{suffix}"


def _programs(names: Iterable[str]) -> list[str]:
    return [Path(__file__).with_name(f"{name}.py").read_text() for name in names]
