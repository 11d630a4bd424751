# SPDX-License-Identifier: MIT
"""What a box has reported: built from its messages alone, as any dashboard is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard

EVENTS_KEPT: Final = 50
CLIPS_KEPT: Final = 200

LEVELS: Final = ("laeq", "lafmax", "lcpeak")
NUMBERS: Final = {f"{name}_{unit}" for name in LEVELS for unit in ("db", "dbfs")} | {
    "duration_s",
    "score",
}
REGULAR: Final = 0.5  # onsets' regularity: clocks have 0.8 and more, rain 0.3 and less
LARGEST: Final = 1e12  # what is larger, or is none, no box has measured
TABLES: Final = {"scores", "thresholds"}  # label: number

Body = dict[str, Any]


@dataclass(slots=True)
class Sound:
    """One event as it stands: `duration_s` grows until it has ended."""

    label: str
    score: float
    onset: datetime
    duration_s: float = 0.0
    ended: bool = False


@dataclass(slots=True)
class Saved:
    """A clip that was saved. `file` is empty where the sound was left out."""

    number: int
    file: str
    labels: str
    duration_s: float
    analysis: str = ""
    """What was found in it, in a few words; empty: it is not analysed yet."""
    picture: str = ""
    """The name of its picture; empty: there is none."""


class Heard:
    """Keeps the newest message of each topic, and counts.

    Parameters
    ----------
    root : the topics' common beginning, `<base>/<node>`.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._newest: dict[str, Body] = {}
        self._sounds: dict[str, Sound] = {}
        self.status = "waiting"
        self.seconds = 0.0
        """Of sound, as the level messages count it."""
        self.events: Counter[str] = Counter()
        """Onsets by label."""
        self.sounding: set[str] = set()
        """Labels that are detected now, as the topics spell them."""
        self.clips: dict[str, Saved] = {}
        """The last clips by their id, newest last."""

    def take(self, topic: str, payload: bytes) -> None:
        """Note a message; what is no message of ours is passed over."""
        name = topic.removeprefix(f"{self._root}/")
        if name == "status":
            self.status = _printable(payload.decode(errors="replace"))
        elif name.startswith("detected/"):
            change = self.sounding.add if payload == b"ON" else self.sounding.discard
            change(name.removeprefix("detected/"))
        elif body := _read(payload):
            self._newest[name] = body
            if name == "level":
                self.seconds += body.get("duration_s", 0.0)
            if name == "event":
                self._take_event(body)
            if name == "clip":
                self._take_clip(body)
            if name == "analysis" and (clip := self.clips.get(str(body.get("clip_id")))):
                clip.analysis = in_words(body)
                clip.picture = str(body.get("picture") or "")

    def newest(self, name: str) -> Body:
        """Return the newest message of a topic, or nothing."""
        return self._newest.get(name, {})

    def sounds(self, count: int) -> list[Sound]:
        """Return the last events, newest last."""
        now = _moment(self.newest("level").get("time"))
        for sound in self._sounds.values():
            if now and not sound.ended:
                sound.duration_s = max((now - sound.onset).total_seconds(), 0.0)
        return list(self._sounds.values())[-count:] if count > 0 else []

    def summary(self) -> list[str]:
        """Return how long, how many events, what was lost: a line each."""
        events = ", ".join(f"{label} {n}" for label, n in self.events.most_common())
        health = self.newest("health")
        figures = (f"{name} {health.get(name, '-')}" for name in ("xruns", "gaps", "late_patches"))
        return [
            f"listened {self.seconds:.0f} s",
            f"events: {events or 'none'}",
            f"clips: {health.get('clips_saved', len(self.clips))}",
            ", ".join(figures).replace("_", " "),
        ]

    def _take_event(self, body: Body) -> None:
        onset = _moment(body.get("onset_time"))
        if onset is None:
            return
        key = str(body.get("event_id"))
        first = key not in self._sounds
        sound = self._sounds.setdefault(key, Sound(str(body.get("label")), 0.0, onset))
        sound.score = float(body.get("score", 0.0))
        if body.get("event_type") == "offset":
            sound.ended = True
            sound.duration_s = float(body.get("duration_s", 0.0))
        elif first:
            self.events[sound.label] += 1
        if len(self._sounds) > EVENTS_KEPT:
            del self._sounds[next(iter(self._sounds))]

    def _take_clip(self, body: Body) -> None:
        number, labels = body.get("number"), body.get("labels")
        if not isinstance(number, int) or not isinstance(labels, list):
            return
        text = ", ".join(map(str, labels)) or str(body.get("reason", ""))
        file, duration_s = str(body.get("file") or ""), float(body.get("duration_s", 0.0))
        self.clips[str(body.get("clip_id"))] = Saved(number, file, text, duration_s)
        if len(self.clips) > CLIPS_KEPT:
            del self.clips[next(iter(self.clips))]


def in_words(report: Body) -> str:
    """Return what an analysis found, in a few words; a report of another form gives less."""
    if "error" in report:
        return f"not analysed: {report['error']}"
    separation, onsets = (_table(report, key) for key in ("separation", "onsets"))
    tones = _table(report, "tones").get("strongest") or []
    harmonic, percussive = (separation.get(f"{part}_share") for part in ("harmonic", "percussive"))
    words = [f"harmonic {harmonic:.0%}"] if _is_number(harmonic) else []
    words += [f"percussive {percussive:.0%}"] if _is_number(percussive) else []
    count = onsets.get("count", 0)
    words.append(f"{count} onset{'' if count == 1 else 's'}")
    regularity, period_s = onsets.get("regularity"), onsets.get("period_s")
    if _is_number(regularity) and regularity >= REGULAR and _is_number(period_s):
        words.append(f"every {period_s:.2f} s")
    if isinstance(tones, list) and tones and isinstance(tones[0], dict):
        words.append(f"tone {tones[0].get('note')}")
    return ", ".join(words)


def _table(body: Body, key: str) -> Body:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _read(payload: bytes) -> Body | None:
    try:
        body = json.loads(payload)
        if not isinstance(body, dict):
            return None
        fitting: Body = _printable({key: value for key, value in body.items() if _fits(key, value)})
    except (ValueError, RecursionError):  # the latter: lists in lists in lists
        return None
    return fitting


def _fits(key: str, value: object) -> bool:
    """Return whether a value is what this key holds; another box may say something else."""
    if key in NUMBERS:
        return _is_number(value)
    if key in TABLES:
        return isinstance(value, dict) and all(map(_is_number, value.values()))
    return isinstance(value, dict) if key == "model" else True


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and abs(value) <= LARGEST


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return `value` without the characters by which a message could steer a terminal."""
    match value:
        case str():
            return "".join(letter if letter.isprintable() else "?" for letter in value)
        case list():
            return [_printable(one) for one in value]
        case dict():
            return {_printable(key): _printable(one) for key, one in value.items()}
    return value


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
