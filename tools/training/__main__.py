# SPDX-License-Identifier: MIT
"""From recordings to the shipped model, its card and its attributions, in one command."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

import torch

from tools.training.course import Options, prepare, trained
from tools.training.recordings import FOLDS, read_clips
from tools.training.shipping import hear_unseen, ship

REPOSITORY: Final = Path(__file__).parents[2]
EPOCHS: Final = 3.0


def main() -> None:
    """Train on each pair of folds, then on all, and write what the package ships."""
    options = _options()
    torch.set_num_threads(1)
    clips = read_clips(options.data)
    print(f"{len(clips)} recordings, {sum(clip.official for clip in clips)} of ESC-10", flush=True)
    courses = {fold: tuple(other for other in FOLDS if other != fold) for fold in FOLDS}
    prepare(options, [FOLDS, *courses.values()])  # the longest first
    unseen = [
        one
        for fold, course in courses.items()
        for one in hear_unseen(trained(options, course), clips, fold, options.seed)
    ]
    made_by = f"tools/train --epochs {options.epochs:g} --seed {options.seed}"
    ship(trained(options, FOLDS), unseen, clips, made_by=made_by, out=options.out)


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


if __name__ == "__main__":
    main()
