# SPDX-License-Identifier: MIT
"""`edge analyze`: without files the unit's process, with files by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from edge.cli.options import settings_options
from edge.config.lean import PendingSettings
from edge.errors import EXIT_FAILURE, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.cli.watch import Interrupt
    from edge.service.analyze.batch import Outcome, Progress
    from edge.service.analyze.job import Job

EXIT_INTERRUPTED = 130


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="A picture (PNG) of each recording.")
@click.option(
    "--stems", is_flag=True, help="Harmonic part, percussive part and components, as FLAC."
)
@click.option("--json", "as_json", is_flag=True, help="Reports as JSON lines on standard output.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where results go.  [default: beside each recording]",
)
@click.option("--jobs", default=1, type=click.IntRange(1, 256), help="Processes.  [default: 1]")
@click.option("--again", is_flag=True, help="Also what is done already.")
@click.option("--scheduler", metavar="URL", help="A Dask cluster does it: tcp://HOST:PORT.")
@settings_options
def analyze(  # noqa: PLR0917 - click names them
    files: tuple[Path, ...],
    plot: bool,  # noqa: FBT001 - click's way of a flag
    stems: bool,  # noqa: FBT001 - as above
    as_json: bool,  # noqa: FBT001 - as above
    output: Path | None,
    jobs: int,
    again: bool,  # noqa: FBT001 - as above
    scheduler: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Take recordings apart: FILES and folders by hand, or the box's clips in idle time.

    With FILES, each recording gets a report (NAME.analysis.json); what is done already is
    passed over. Without, it is the process of the unit edge-analyze.
    """
    if not files:
        return _run_unit(config_file, overrides)
    from edge.config.load import load_settings
    from edge.service.analyze.collection import jobs_of
    from edge.service.analyze.job import Options, is_done

    settings = load_settings(config_file, overrides)
    options = Options(rate_hz=settings.analysis.rate_hz, picture=plot, stems=stems)
    found = jobs_of(files, options, output)
    left = [job for job in found if again or not is_done(job)]
    if as_json:
        left_over = set(left)
        for job in found:
            if job not in left_over:
                click.echo(_line(json.loads(job.report.read_bytes())))
    return _follow(found, left, as_json=as_json, jobs=jobs, scheduler=scheduler)


def _run_unit(config_file: Path | None, overrides: Sequence[str]) -> int:
    """Run the idle-time unit in a process that carries neither pydantic nor NumPy."""
    pending = PendingSettings(config_file, overrides)
    from edge.service.analyze.unit import analyze as run  # while the settings are being checked
    from edge.service.journal import log_to_manager

    settings = pending.result()
    log_to_manager(settings.log.level, "%(levelname)s %(message)s")
    return run(settings)


def _follow(
    found: Sequence[Job], left: Sequence[Job], *, as_json: bool, jobs: int, scheduler: str | None
) -> int:
    """Show outcomes as they come; return the exit code."""
    from edge.cli.watch import Interrupt
    from edge.service.analyze.batch import Outcome

    interrupt = Interrupt()
    done, failed = 0, []
    with _Bar(len(left)) as bar:
        for item in _outcomes(left, jobs, scheduler, interrupt):
            if not isinstance(item, Outcome):
                bar.show(item.jobs)
            elif item.report is None:
                failed.append(item)
            else:
                done += 1
                bar.say(_line(item.report) if as_json else _summary(item), to_stdout=True)
    for job, _, error in failed:
        name = str(job.sound)
        click.echo(f"edge: {error}" if name in error else f"edge: {name}: {error}", err=True)
    ended = " (interrupted)" if interrupt.came else ""
    counts = f"{done} analysed, {len(found) - len(left)} were done, {len(failed)} failed"
    click.echo(counts + ended, err=True)
    if interrupt.came:
        return EXIT_INTERRUPTED
    return EXIT_FAILURE if failed else EXIT_OK


def _outcomes(
    jobs: Sequence[Job], workers: int, scheduler: str | None, interrupt: Interrupt
) -> Iterator[Outcome | Progress]:
    def more() -> bool:
        return not interrupt.came

    if scheduler:
        from edge.service.analyze.cluster import run_there

        return run_there(jobs, scheduler, more)
    from edge.service.analyze.batch import run_here

    return run_here(jobs, workers, more)


class _Bar:
    """A progress bar on standard error; nothing where that is no terminal."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        self._console = Console(stderr=True)
        columns = [*Progress.get_default_columns()[:-1], MofNCompleteColumn()]
        self._progress = Progress(
            *columns,
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("analysing", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, jobs: float) -> None:
        self._progress.update(self._task, completed=jobs)

    def say(self, line: str, *, to_stdout: bool) -> None:
        """Print a line without tearing the bar."""
        if self._console.is_terminal and sys.stdout.isatty():
            self._progress.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=not to_stdout)


def _summary(outcome: Outcome) -> str:
    """Return one line about a recording, for people."""
    job, report = outcome.job, outcome.report or {}
    levels, onsets = report["levels"], report["onsets"]
    level = levels["rms_dbfs"]
    tones = report["tones"]["strongest"]
    parts = (
        f"{report['source']['duration_s']:.1f} s",
        "silent" if level is None else f"{level:.1f} dBFS",
        f"{onsets['count']} onset{'' if onsets['count'] == 1 else 's'}",
        *(tone["note"] for tone in tones[:1]),
        *(f"note: {note}" for note in report["source"]["notes"]),
        str(job.picture if report["picture"] else job.report),
    )
    return f"{job.sound}: {', '.join(parts)}"


def _line(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, allow_nan=False)
