# SPDX-License-Identifier: MIT
"""The live view of a box, from 80 columns and 24 lines on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.publish.payloads import topic_word
from edge.record.name import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderResult

    from edge.cli.heard import Heard, Saved
    from edge.publish.broker import Broker

RANGES_DB: Final = {"dbfs": (-90, 0), "db": (20, 110)}  # what a bar spans, by the unit
SCALE_STEP_DB: Final = 15
NAME_WIDTH: Final = 16
RIGHT_WIDTH: Final = 12
LABEL_WIDTH: Final = 36
FRAME_WIDTH: Final = 4  # a panel's edges and padding
OTHER_LINES: Final = 17  # everything but scores and events
EVENTS_LEAST: Final = 4
LEVELS: Final = {"LAeq,1s": "laeq", "LAFmax": "lafmax", "LCpeak": "lcpeak"}
TITLES: Final = {"dbfs": "level, dB re full scale", "db": "sound pressure level, dB re 20 µPa"}
TOPICS: Final = "status info level[/…] scores event detected/<label> clip analysis health"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"


class Dashboard:
    """Draws what was heard, as large as the terminal is.

    Parameters
    ----------
    heard : read each time it is drawn.
    broker, root : where others can subscribe, and to what: shown.
    clips : the folder of the clips, where it is on this machine: pictures are told by their path.
    """

    def __init__(self, heard: Heard, broker: Broker, root: str, clips: Path | None = None) -> None:
        self._heard = heard
        self._folder = clips
        self._subscription = subscription(broker, root)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the picture."""
        width = options.max_width - FRAME_WIDTH - NAME_WIDTH - RIGHT_WIDTH
        lines = console.size.height - OTHER_LINES
        scores = self._scores(width, max(lines - EVENTS_LEAST, 1))
        yield self._heading()
        yield _panel(self._levels(width), TITLES[self._unit()])
        yield _panel(scores, "scores, ┃ threshold")
        yield _panel(self._events(lines - scores.row_count), "events, UTC")
        yield self._box()
        yield from self._clips(options.max_width)
        yield Text(self._subscription, style="dim", no_wrap=True)
        yield Text(f"topics: {TOPICS}", style="dim", no_wrap=True)

    def _heading(self) -> Text:
        info = self._heard.newest("info")
        model = info.get("model", {})
        online = self._heard.status == "online"
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f" {self._heard.status} ", style="bold green" if online else "bold red")
        text.append(
            f" {info.get('source', '-')}, {info.get('rate_hz', '-')} Hz,"
            f" {info.get('channels', '-')} ch; model {model.get('name', '-')}"
            f" {model.get('version', '')}"
        )
        return text

    def _levels(self, width: int) -> Table:
        level, unit = self._heard.newest("level"), self._unit()
        lowest, highest = RANGES_DB[unit]
        grid = _grid(width)
        for name, key in LEVELS.items():
            value = level.get(f"{key}_{unit}")
            shown = "-" if value is None else f"{value:6.1f}"
            share = 0.0 if value is None else (value - lowest) / (highest - lowest)
            grid.add_row(name, bar(share, width), shown)
        trouble = "gap" if level.get("gap") else "clipped" if level.get("clipped_samples") else ""
        grid.add_row("", scale(width, lowest, highest), Text(trouble, style="bold red"))
        return grid

    def _unit(self) -> str:
        """Return "db" of a calibrated box, else "dbfs"."""
        return "db" if self._heard.newest("level").get("calibrated") else "dbfs"

    def _scores(self, width: int, most: int) -> Table:
        thresholds = self._heard.newest("info").get("thresholds", {})
        grid = _grid(width)
        scores = self._heard.newest("scores").get("scores", {})
        for label, score in list(scores.items())[:most] or [("-", 0.0)]:
            threshold = thresholds.get(label)
            reached = threshold is not None and score >= threshold
            sounds = "heard" if topic_word(label) in self._heard.sounding else ""
            style = "bold green" if reached or sounds else ""
            grid.add_row(
                Text(label, style=style, no_wrap=True, overflow="ellipsis"),
                bar(score, width, mark=threshold, style="green" if reached else "blue"),
                Text(f"{score:.2f} {sounds}", style=style),
            )
        return grid

    def _events(self, lines: int) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(5):
            table.add_column(no_wrap=True, overflow="ellipsis")
        table.columns[1].max_width = LABEL_WIDTH
        lines = max(lines, 1)
        sounds = self._heard.sounds(lines)
        for sound in sounds:
            table.add_row(
                f"{sound.onset:%H:%M:%S}",
                Text(f"{sound.label:{NAME_WIDTH}}", style="" if sound.ended else "bold green"),
                f"{sound.score:.2f}",
                f"{sound.duration_s:5.1f} s",
                Text("" if sound.ended else "sounding", style="green"),
            )
        for _ in range(lines - len(sounds)):
            table.add_row("")
        return table

    def _clips(self, width: int) -> Iterator[Text]:
        """Yield the newest clip, and the newest that was analysed with its picture."""
        recording = str(self._heard.newest("health").get("recording", "-"))
        clips = list(self._heard.clips.values())
        line = Text("recording ", no_wrap=True, overflow="ellipsis")
        line.append(recording, style="green" if recording == "ok" else "bold red")
        if clips:
            line.append(f"  clip {clips[-1].number}  {clips[-1].duration_s:.1f} s")
            line.append(f"  {clips[-1].labels}")
        yield line
        done = [clip for clip in clips if clip.analysis]
        text = f"clip {done[-1].number}: {done[-1].analysis}" if done else "no clip is analysed yet"
        yield Text(text, style="" if done else "dim", no_wrap=True, overflow="ellipsis")
        picture = self._picture(done[-1]) if done else ""
        # The end of a path says more than its beginning.
        text = picture if len(picture) <= width else f"…{picture[1 - width :]}"
        yield Text(text, no_wrap=True, overflow="ellipsis")

    def _picture(self, clip: Saved) -> str:
        if not clip.picture or self._folder is None:
            return clip.picture
        return str(self._folder / folder_of(clip.number) / clip.picture)

    def _box(self) -> Text:
        health = self._heard.newest("health")
        if not health:
            return Text("box: no figures yet", style="dim")
        microphone = str(health.get("microphone", "-"))
        text = Text("microphone ", no_wrap=True, overflow="ellipsis")
        text.append(microphone, style="green" if microphone == "ok" else "bold red")
        for name, key in (("xruns", "xruns"), ("gaps", "gaps"), ("outbox", "outbox_depth")):
            text.append(f"  {name} ")
            text.append(f"{health.get(key, '-')}", style="bold red" if health.get(key) else "green")
        text.append(
            f"  CPU {health.get('cpu_percent', '-')} % of a core"
            f"  memory {health.get('memory_mb', '-')} MB"
        )
        return text


def subscription(broker: Broker, root: str) -> str:
    """Return the command that hears what is published below `root`, without the pictures."""
    where = f"-h {broker.host} -p {broker.port}"
    return f"mosquitto_sub {where} -v -t '{root}/#' -T '{root}/+/picture'"


def bar(share: float, width: int, *, mark: float | None = None, style: str = "green") -> Text:
    """Return a bar of `share` 0..1 of `width`, to an eighth of a column, with a mark at a share."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    text = Text(f"{'█' * full}{EIGHTHS[part] if part else ''}".ljust(width), style=style)
    if mark is None:
        return text
    at = min(int(mark * width), width - 1)
    return Text.assemble(text[:at], ("┃", "bold"), text[at + 1 :])


def scale(width: int, lowest: int, highest: int) -> Text:
    """Return the figures under a level bar, each beginning where it applies; the last ends it."""
    line = [" "] * width
    for value in range(lowest, highest + 1, SCALE_STEP_DB):
        at = round((value - lowest) / (highest - lowest) * width)
        figure = str(value)
        at = min(at, width - len(figure))
        line[at : at + len(figure)] = figure
    return Text("".join(line), style="dim")


def _grid(width: int) -> Table:
    grid = Table.grid()
    grid.add_column(width=NAME_WIDTH)
    grid.add_column(width=width)
    grid.add_column(width=RIGHT_WIDTH - 1)
    grid.padding = (0, 0, 0, 0)
    return grid


def _panel(content: Table, title: str) -> Panel:
    return Panel(content, title=title, title_align="left")
