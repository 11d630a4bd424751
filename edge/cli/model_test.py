# SPDX-License-Identifier: MIT
"""`edge model test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model.trial import Heard, Result
    from edge.service.trial import Trial


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "model_file",
    type=click.Path(path_type=Path),
    help="Default: the model of the settings.",
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="CLASS=LABEL",
    help="The label of a class of the data set; other: none of them. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the figures as PNG.")
@settings_options
def test(  # noqa: PLR0917 - click names them
    dataset: Path,
    model_file: Path | None,
    classes: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - click's way of a flag
    picture: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Try a model on the clips of DATASET, whose classes are known.

    DATASET is a folder with audio/ and meta.csv, which has a line for each clip and the
    columns flac (its file in audio/) and class.
    """
    from edge.service.trial import Trial

    own = (f"model.path={json.dumps(str(model_file))}",) if model_file else ()
    settings = load_settings(config_file, (*overrides, *own))
    trial = Trial(settings, dataset, dict(map(_pair, classes)))
    heard = _heard(trial)
    result = trial.result(heard)
    if picture:
        _draw(trial, heard, dataset, picture)
    if as_json:
        click.echo(json.dumps(_document(trial, result), ensure_ascii=False, allow_nan=False))
    else:
        _print(trial, result)


def _pair(text: str) -> tuple[str, str]:
    kind, equals, label = text.partition("=")
    if not (equals and kind and label):
        raise click.BadParameter(f"{text!r} is not CLASS=LABEL", param_hint="--class")
    return kind, label


def _heard(trial: Trial) -> list[Heard]:
    """Return all that is heard, with a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return list(
        track(
            trial.run(),
            description="listening",
            total=len(trial.clips),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )


def _document(trial: Trial, result: Result) -> dict[str, Any]:
    return {
        "model": trial.model.name,
        "version": trial.model.version,
        "sha256": trial.model.sha256,
        "clips": result.clips,
        "hours": round(result.hours, 4),
        "accuracy": round(result.accuracy, 4),
        "mean_average_precision": round(result.mean_average_precision, 4),
        "detected": round(result.detected, 4),
        "false_events_per_hour": round(result.false_events_per_hour, 3),
        "false_events": {label: n for label, n in result.false_events.items() if n},
        "per_class": {
            label: {
                "classes": [kind for kind, own in trial.labels.items() if own == label],
                "clips": one.clips,
                "accuracy": round(one.right / one.clips, 4),
                "average_precision": round(one.average_precision, 4),
                "detected": round(one.detected / one.clips, 4),
                "false_events": one.false_events,
                "threshold": round(trial.rates.rules[label].threshold, 3),
                "min_hits": trial.rates.rules[label].min_hits,
            }
            for label, one in result.per_label.items()
        },
        "confusion": result.confusion.tolist(),
    }


def _print(trial: Trial, result: Result) -> None:
    click.echo(f"{trial.model.name} {trial.model.version} on {len(trial.clips)} clips")
    for line in _summary(result):
        click.echo(line)
    width = max(len(label) for label in result.per_label) + 2
    click.echo(f"\n{'':{width}}clips    right  precision  detected  false events  threshold")
    for label, one in result.per_label.items():
        rule = trial.rates.rules[label]
        click.echo(
            f"{label:{width}}{one.clips:5}{_percent(one.right, one.clips):>9}"
            f"{one.average_precision:11.2f}{_percent(one.detected, one.clips):>10}"
            f"{one.false_events:14}{rule.threshold:8.2f} x{rule.min_hits}"
        )
    outside = {
        label: n for label, n in result.false_events.items() if n and label not in result.per_label
    }
    if outside:
        named = ", ".join(f"{label} {n}" for label, n in outside.items())
        click.echo(f"\nfalse events of labels that no clip has: {named}")
    _print_confusion(result)


def _print_confusion(result: Result) -> None:
    labels = list(result.per_label)
    mistaken = sorted(
        ((int(n), row, column) for (row, column), n in _off_diagonal(result) if n), reverse=True
    )
    if mistaken:
        click.echo("\ntaken for another:")
    for n, row, column in mistaken:
        click.echo(f"  {labels[row]} as {labels[column]}: {n}")


def _off_diagonal(result: Result) -> list[tuple[tuple[int, int], int]]:
    size = len(result.confusion)
    return [
        ((row, column), int(result.confusion[row, column]))
        for row in range(size)
        for column in range(size)
        if row != column
    ]


def _summary(result: Result) -> Sequence[str]:
    right = sum(one.right for one in result.per_label.values())
    detected = sum(one.detected for one in result.per_label.values())
    return (
        f"right               {right} of {result.clips} clips, {_percent(right, result.clips)}",
        (
            f"detected            {detected} of {result.clips} clips,"
            f" {_percent(detected, result.clips)}"
        ),
        f"average precision   {result.mean_average_precision:.3f}, mean over the labels",
        (
            f"false events        {sum(result.false_events.values())} in {result.hours:.2f} h:"
            f" {result.false_events_per_hour:.1f} an hour"
        ),
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


def _draw(trial: Trial, heard: Sequence[Heard], dataset: Path, picture: Path) -> None:
    from edge.analysis.trialchart import TrialChart, draw_trial

    result, curves = trial.result(heard), trial.curves(heard)
    chart = TrialChart(
        title=f"{trial.model.name} {trial.model.version} on {dataset.resolve().name}",
        lines=tuple(" ".join(line.split()) for line in _summary(result)),
        labels=tuple(result.per_label),
        confusion=result.confusion,
        missed=[curves[label].missed for label in result.per_label],
        false_per_hour=[curves[label].false_per_hour for label in result.per_label],
        chosen=[
            (1.0 - one.detected / one.clips, one.false_events / max(result.hours, 1e-9))
            for one in result.per_label.values()
        ],
    )
    try:
        picture.write_bytes(draw_trial(chart))
    except OSError as error:
        raise StorageError(f"{picture} can't be written: {error.strerror}") from error
