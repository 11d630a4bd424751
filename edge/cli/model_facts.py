# SPDX-License-Identifier: MIT
"""What a model says of itself, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model.registry import ModelInfo

LABELS_SHOWN: Final = 20


def print_facts(info: ModelInfo, most: int | None = LABELS_SHOWN) -> None:
    """Print the description of a model, of long lists `most` entries; None: all."""
    ears = info.front_end
    seconds = info.patch_frames * ears.hop_length / ears.rate_hz
    if ears.centring == "none":
        seconds += (ears.win_length - ears.hop_length) / ears.rate_hz
    hop_s = info.patch_hop * ears.hop_length / ears.rate_hz
    groups = [f"{name} ({', '.join(of)})" for name, of in info.groups.items()]
    thresholds = [f"{label} {value:.2f}" for label, value in info.thresholds.items()]
    rows = {
        "file": f"{info.path} (sha256 {info.sha256[:12]}…)",
        "model": f"{info.name} {info.version}",
        "licence": info.licence or "not said",
        "hears": f"{ears.rate_hz} Hz, {ears.n_mels} mel bands,"
        f" {ears.fmin_hz:g}..{ears.fmax_hz:g} Hz, window {ears.win_length},"
        f" hop {ears.hop_length}, FFT {ears.n_fft}",
        "patch": f"{info.patch_frames} frames ({seconds:.3f} s), a new one every {hop_s:.3f} s",
        "outputs": ", ".join(filter(None, (info.scores_output, info.embedding_output))),
        "labels": f"{len(info.labels)}: {_some(info.labels, most)}",
        "groups": f"{len(groups)}: {_some(groups, most and 4)}" if groups else "none",
        "thresholds": _some(thresholds, most) or "none",
        "min hits": ", ".join(f"{k} {v}" for k, v in info.min_hits.items()) or "none: 1 each",
    }
    for key, value in rows.items():
        click.echo(f"{key:11}{value}")


def _some(items: Sequence[str], most: int | None) -> str:
    more = len(items) - (len(items) if most is None else most)
    return ", ".join(items[:most]) + (f" … and {more} more" if more > 0 else "")
