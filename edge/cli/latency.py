# SPDX-License-Identifier: MIT
"""`edge latency`."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from edge.cli.options import settings_options
from edge.config.load import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.service.latency import Latencies

ROWS: Final = 16
WIDTH: Final = 50
HANDED: Final = "end of a captured period -> its samples handed to the output"
AROUND: Final = "impulse in -> impulse out, once around the loop"


@click.command()
@click.option("--input", "input_device", metavar="DEVICE", help="[default: capture.device]")
@click.option("--output", "output_device", metavar="DEVICE", default="default", show_default=True)
@click.option("--seconds", default=30.0, type=click.FloatRange(1, 3600), show_default=True)
@click.option(
    "--period-size",
    default=120,
    type=click.IntRange(16, 16384),
    show_default=True,
    help="Samples per read; 120 are 2.5 ms at 48 kHz.",
)
@click.option(
    "--buffer-ms",
    default=5.0,
    type=click.FloatRange(1, 1000),
    show_default=True,
    help="What waits in the output when a period comes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@settings_options
def latency(
    *,
    input_device: str | None,
    output_device: str,
    seconds: float,
    period_size: int,
    buffer_ms: float,
    as_json: bool,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure how long a sound takes through the box, by clicks that it plays and captures.

    The output must be joined to the input: a cable, or a loudspeaker before the microphone. The
    way is that of listening in, with the filters of the settings. Stop the listening unit first.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from edge.service.latency import measure_latency

    settings = load_settings(config_file, overrides)
    measured = measure_latency(
        settings,
        input_device or settings.capture.device,
        output_device,
        seconds=seconds,
        period_size=period_size,
        buffer_ms=buffer_ms,
    )
    if as_json:
        click.echo(json.dumps(_figures(measured)))
    else:
        _show(measured)


def _figures(measured: Latencies) -> dict[str, Any]:
    counts = {key: value for key, value in asdict(measured.figures).items() if "handed" not in key}
    return {
        **measured.facts,
        "handed": _percentiles(measured.handed_s),
        "around": _percentiles(measured.around_s),
        "real_time": measured.real_time,
        "lost_clicks": measured.lost_clicks,
        "xruns": measured.xruns,
        **counts,
    }


def _percentiles(times_s: NDArray[np.float64]) -> dict[str, float | int]:
    import numpy as np

    if not len(times_s):
        return {"count": 0}
    p50, p99, p999 = (round(float(p), 3) for p in 1e3 * np.percentile(times_s, (50, 99, 99.9)))
    most = round(1e3 * float(times_s.max()), 3)
    return {"count": len(times_s), "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": most}


def _show(measured: Latencies) -> None:
    figures = _figures(measured)
    period_ms = 1e3 * figures["period_size"] / figures["rate_hz"]
    click.echo(f"{figures['input']} -> {figures['output']}, {figures['rate_hz']} Hz")
    click.echo(f"periods of {period_ms:.2f} ms, {figures['buffer_ms']:g} ms wait in the output")
    if figures["cleaning_ms"]:
        click.echo(f"{figures['cleaning_ms']:.1f} ms of noise reduction come to what is measured")
    if not figures["real_time"]:
        click.echo("without real-time priority, which this user may not have")
    for title, key, times_s in (
        (HANDED, "handed", measured.handed_s),
        (AROUND, "around", measured.around_s),
    ):
        click.echo(f"\n{title}, ms")
        for line in histogram(1e3 * times_s):
            click.echo(line)
        numbers = figures[key]
        count = numbers.pop("count")
        named = "  ".join(f"{name.removesuffix('_ms')} {ms:.2f}" for name, ms in numbers.items())
        click.echo(f"{count} times: {named}".replace("p99_9", "p99.9"))
    click.echo(
        f"\nunderruns {figures['underruns']}, overruns {figures['xruns']}, blocks left out or cut "
        f"{sum(figures[f'{how}_blocks'] for how in ('dropped', 'left_out', 'cut'))}, clicks lost "
        f"{figures['lost_clicks']}, clocks apart {figures['trim_ppm']:+.0f} ppm"
    )


def histogram(times_ms: NDArray[np.float64]) -> list[str]:
    """Return one line for each step up to the 99.5th percentile, and one for what is beyond."""
    import numpy as np

    if not len(times_ms):
        return []
    low, high = times_ms.min(), np.percentile(times_ms, 99.5)
    edges = np.append(np.linspace(low, max(high, low + 0.01), ROWS), np.inf)
    counts = np.histogram(times_ms, edges)[0].tolist()
    return [
        f"{edge:8.2f} {'..' if edge < edges[-2] else 'up'} {_bar(count / max(counts))} {count}"
        for edge, count in zip(edges, counts, strict=False)
    ]


def _bar(share: float) -> str:
    return f"{'█' * math.ceil(WIDTH * share):<{WIDTH}}"
