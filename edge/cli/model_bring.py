# SPDX-License-Identifier: MIT
"""`edge model describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.model_facts import print_facts

if TYPE_CHECKING:
    from edge.model.description import Activation


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    required=True,
    type=click.Path(path_type=Path),
    help="One label a line, or a CSV with the column display_name.",
)
@click.option(
    "--front-end",
    required=True,
    type=click.Choice(["yamnet", "edge", "mn04"]),
    help="How it hears.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Default: FILE itself.")
@click.option("--name", help="Default: the file's name.")
@click.option("--version", "version", default="1", show_default=True)
@click.option("--licence", default="", help="As the model's author gives it.")
@click.option(
    "--activation",
    default="none",
    type=click.Choice(["none", "sigmoid", "softmax"]),
    help="What turns the output into scores of 0..1.",
    show_default=True,
)
@click.option("--scores-output", help="Default: the model's first output.")
@click.option("--embedding-output", help="Default: none.")
@click.option(
    "--groups",
    "group_kind",
    default="none",
    type=click.Choice(["none", "audioset"]),
    help="audioset: dog is Bark, Howl and more; events are of groups then.",
    show_default=True,
)
def describe(  # noqa: PLR0917 - click names them
    file: Path,
    labels_file: Path,
    front_end: str,
    out: Path | None,
    name: str | None,
    version: str,
    licence: str,
    activation: Activation,
    scores_output: str | None,
    embedding_output: str | None,
    group_kind: str,
) -> None:
    """Write labels and front end into a foreign ONNX FILE, so that it describes itself."""
    from edge.model.frontend import PRESETS
    from edge.model.grouping import audioset_groups
    from edge.model.registry import describe as write
    from edge.model.registry import read_labels

    ears = PRESETS[front_end]
    labels = read_labels(labels_file)
    print_facts(
        write(
            file,
            out or file,
            labels=labels,
            front_end=ears.front_end,
            patch_frames=ears.patch_frames,
            patch_hop=ears.patch_hop,
            bands_first=ears.bands_first,
            name=name or file.stem,
            version=version,
            licence=licence,
            activation=activation,
            scores_output=scores_output,
            embedding_output=embedding_output,
            groups=audioset_groups(labels) if group_kind == "audioset" else {},
        )
    )
