# SPDX-License-Identifier: MIT
"""The live view of a box: built from its messages alone, as any dashboard is."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from rich.bar import Bar
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

LOWEST_DB: Final = -90.0
BAR_WIDTH: Final = 40
EVENTS_SHOWN: Final = 8
HEADING_FIGURES: Final = ("xruns", "gaps", "cpu_percent", "memory_mb", "microphone")


class Dashboard:
    """Keeps the newest of each topic and draws it.

    Parameters
    ----------
    root : the topics' common beginning, `edge/<node>`.
    url : the broker's address, shown so that others can subscribe.
    """

    def __init__(self, root: str, url: str) -> None:
        self._root = root
        self._url = url
        self._newest: dict[str, dict[str, Any]] = {}
        self._status = "waiting"
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_SHOWN)
        self._detected: dict[str, bool] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """Note a message; what is no message of ours is passed over."""
        name = topic.removeprefix(f"{self._root}/")
        if name == "status":
            self._status = payload.decode(errors="replace")
        elif name.startswith("detected/"):
            self._detected[name.removeprefix("detected/")] = payload == b"ON"
        else:
            self._take_json(name, payload)

    def render(self) -> RenderableType:
        """Return the picture."""
        return Group(
            Panel(self._heading(), title="edge", title_align="left"),
            Panel(self._levels(), title="level, dB re full scale", title_align="left"),
            Panel(self._scores(), title="heard", title_align="left"),
            Panel(self._event_table(), title="events", title_align="left"),
            Text(self._subscribe(), style="dim"),
        )

    def _take_json(self, name: str, payload: bytes) -> None:
        try:
            body = json.loads(payload)
        except ValueError:
            return
        if not isinstance(body, dict):
            return
        self._newest[name] = body
        if name == "event":
            self._events.append(body)

    def _heading(self) -> Text:
        info, health = self._newest.get("info", {}), self._newest.get("health", {})
        model = info.get("model", {})
        show = {key: health.get(key, "-") for key in HEADING_FIGURES}
        lines = [
            f"{self._status}   {info.get('source', '-')}",
            " ".join(
                [
                    f"{info.get('rate_hz', '-')} Hz, {info.get('channels', '-')} channel(s),",
                    f"model {model.get('name', '-')} {model.get('version', '')}",
                ]
            ),
            "   ".join(f"{name} {value}" for name, value in show.items()),
        ]
        return Text("\n".join(lines))

    def _levels(self) -> Table:
        level = self._newest.get("level", {})
        grid = Table.grid(padding=(0, 1))
        for key, name in (
            ("laeq_dbfs", "LAeq,1s"),
            ("lafmax_dbfs", "LAFmax"),
            ("lcpeak_dbfs", "LCpeak"),
        ):
            value = level.get(key)
            grid.add_row(
                name, _bar(value, LOWEST_DB, 0.0), "-" if value is None else f"{value:6.1f}"
            )
        return grid

    def _scores(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        for label, score in self._newest.get("scores", {}).get("scores", {}).items():
            style = "bold green" if self._detected.get(label) else ""
            grid.add_row(Text(f"{label:16}", style=style), _bar(score, 0.0, 1.0), f"{score:.2f}")
        return grid

    def _event_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for event in self._events:
            onset = event.get("event_type") == "onset"
            at = event.get("onset_time" if onset else "offset_time", "")
            length = "" if onset else f"{event.get('duration_s', 0):.1f} s"
            table.add_row(
                str(at)[11:23],
                Text("begins" if onset else "ends", style="green" if onset else "dim"),
                str(event.get("label", "")),
                f"{event.get('score', 0):.2f}",
                length,
            )
        return table

    def _subscribe(self) -> str:
        host, _, port = self._url.rsplit("/", 1)[-1].partition(":")
        topics = "level scores event detected/# health status info"
        return f"mosquitto_sub -h {host} -p {port or 1883} -v -t '{self._root}/#'   ({topics})"


def _bar(value: float | None, low: float, high: float) -> Bar:
    share = 0.0 if value is None else (value - low) / (high - low)
    return Bar(1.0, 0.0, min(max(share, 0.0), 1.0), width=BAR_WIDTH, color="green")
