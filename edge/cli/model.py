# SPDX-License-Identifier: MIT
"""`edge model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.model_test import test

if TYPE_CHECKING:
    from edge.model.registry import Activation, ModelInfo

LABELS_SHOWN = 20


@click.group()
def model() -> None:
    """Show models, try one out, or make one describe itself."""


model.add_command(test)


@model.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def show(file: Path | None) -> None:
    """Print what a model FILE says of itself; without FILE the shipped one."""
    from edge.model.registry import read_model, shipped_model

    _print(read_model(file or shipped_model()))


@model.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    required=True,
    type=click.Path(path_type=Path),
    help="One label a line, or a CSV with the column display_name.",
)
@click.option(
    "--front-end", required=True, type=click.Choice(["yamnet", "edge"]), help="How it hears."
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
) -> None:
    """Write labels and front end into a foreign ONNX FILE, so that it describes itself."""
    from edge.model.frontend import PRESETS
    from edge.model.registry import describe as write
    from edge.model.registry import read_labels

    ears = PRESETS[front_end]
    _print(
        write(
            file,
            out or file,
            labels=read_labels(labels_file),
            front_end=ears.front_end,
            patch_frames=ears.patch_frames,
            patch_hop=ears.patch_hop,
            name=name or file.stem,
            version=version,
            licence=licence,
            activation=activation,
            scores_output=scores_output,
            embedding_output=embedding_output,
        )
    )


def _print(info: ModelInfo) -> None:
    ears = info.front_end
    seconds = ((info.patch_frames - 1) * ears.hop_length + ears.win_length) / ears.rate_hz
    hop_s = info.patch_hop * ears.hop_length / ears.rate_hz
    shown = ", ".join(info.labels[:LABELS_SHOWN])
    more = len(info.labels) - LABELS_SHOWN
    rows = {
        "file": f"{info.path} (sha256 {info.sha256[:12]}…)",
        "model": f"{info.name} {info.version}",
        "licence": info.licence or "not said",
        "hears": f"{ears.rate_hz} Hz, {ears.n_mels} mel bands,"
        f" {ears.fmin_hz:g}..{ears.fmax_hz:g} Hz, window {ears.win_length},"
        f" hop {ears.hop_length}, FFT {ears.n_fft}",
        "patch": f"{info.patch_frames} frames ({seconds:.3f} s), a new one every {hop_s:.3f} s",
        "outputs": ", ".join(filter(None, (info.scores_output, info.embedding_output))),
        "labels": f"{len(info.labels)}: {shown}" + (f" … and {more} more" if more > 0 else ""),
        "thresholds": ", ".join(f"{k} {v:.2f}" for k, v in info.thresholds.items()) or "none",
        "min hits": ", ".join(f"{k} {v}" for k, v in info.min_hits.items()) or "none: 1 each",
    }
    for key, value in rows.items():
        click.echo(f"{key:11}{value}")
