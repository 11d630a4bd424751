# SPDX-License-Identifier: MIT
"""Thresholds that a box is told while it listens, kept for each model.

==========  =====================================================================
thread      calls
==========  =====================================================================
mqtt        `command`
thresholds  writes down what was told; there only while it does
inference   `begin` with each model, `news` at each turn
any         `of`
==========  =====================================================================

Nothing is in force that is not on the disk: an answer that is no error outlasts a restart.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.durable import replace_file
from edge.errors import StorageError
from edge.service.commands import CommandError, only
from edge.service.rules import build_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edge.config.schema import Settings
    from edge.model.detector import Rule
    from edge.model.registry import ModelInfo
    from edge.service.commands import Body, Reply
    from edge.service.supervisor import Supervisor

    Kept = dict[str, dict[str, float]]

log = logging.getLogger(__name__)

FILE: Final = "thresholds.json"
LOWEST: Final = 0.01
HIGHEST: Final = 1.0
WAITING: Final = 200  # commands: as many as a dashboard has sliders, and more


class _Wish(NamedTuple):
    model: ModelInfo
    label: str
    value: float | None
    reply: Reply


class Thresholds:
    """What the command `threshold` has set, over what the settings and the model say.

    A model is known by its own name and version: another one's scores mean something else.

    Parameters
    ----------
    settings : of the model at hand, whatever it is: they may change with it.
    changed : called in the thresholds thread once another one is in force.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        state_directory: Path,
        supervisor: Supervisor,
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._path = state_directory / FILE
        self._supervisor = supervisor
        self._changed = changed
        self._kept = _read(self._path)
        self._model: ModelInfo | None = None
        self._lock = threading.Lock()
        self._wishes: deque[_Wish] = deque()
        self._works = False
        self._news: deque[tuple[ModelInfo, str]] = deque()

    def of(self, model: ModelInfo) -> dict[str, Rule]:
        """Return the rules in force with a model."""
        return build_rules(self._settings(), model, self._kept.get(_key(model), {}))

    def begin(self, model: ModelInfo) -> dict[str, Rule]:
        """Take commands for a model from now on; return the rules that were told for it."""
        self._model = model
        told = self._kept.get(_key(model), {})
        if told:
            listed = ", ".join(f"{label} {value:g}" for label, value in told.items())
            log.info("thresholds that were told by command: %s", listed)
        return {label: rule for label, rule in self.of(model).items() if label in told}

    def news(self) -> Iterator[tuple[str, Rule]]:
        """Give the rules of the model at hand that have changed since the last call."""
        while self._news:
            model, label = self._news.popleft()
            if model is self._model and (rule := self.of(model).get(label)):
                yield label, rule

    def command(self, body: Body, reply: Reply) -> None:
        """Obey {"label": "dog", "value": 0.8}; null gives it back to the settings (mqtt thread).

        Without a label say which are in force.
        """
        only(body, "label", "value")
        if self._model is None:
            raise CommandError("no model hears yet", "try again in a moment")
        rules = self.of(self._model)
        if not body:
            in_force = {label: round(rule.threshold, 3) for label, rule in rules.items()}
            reply({"ok": True, "thresholds": in_force})
            return
        label = body.get("label")
        if not isinstance(label, str) or label not in rules:
            known = ", ".join(rules)
            raise CommandError(f"label = {label!r:.40} makes no events", f"labels are: {known}")
        self._ask(_Wish(self._model, label, _value(body), reply))

    def _ask(self, wish: _Wish) -> None:
        with self._lock:
            if len(self._wishes) >= WAITING:
                raise CommandError("too many thresholds wait for the disk", "try again later")
            self._wishes.append(wish)
            starts, self._works = not self._works, True
        if starts:
            self._supervisor.start("thresholds", self._work)

    def _work(self) -> None:
        """Keep what was told, one after the other (thresholds thread)."""
        while wish := self._next():
            try:
                self._keep(wish)
            except StorageError as error:
                wish.reply({"ok": False, "error": str(error)})
                continue
            self._news.append((wish.model, wish.label))
            threshold = round(self.of(wish.model)[wish.label].threshold, 3)
            wish.reply({"ok": True, "label": wish.label, "value": threshold})
            self._changed()

    def _next(self) -> _Wish | None:
        with self._lock:
            if self._wishes:
                return self._wishes.popleft()
            self._works = False
            return None

    def _keep(self, wish: _Wish) -> None:
        told = dict(self._kept.get(_key(wish.model), {}))
        told.pop(wish.label, None)
        if wish.value is not None:
            told[wish.label] = wish.value
        kept = {**self._kept, _key(wish.model): told}
        try:
            replace_file(self._path, json.dumps(kept, ensure_ascii=False, indent=1).encode())
        except OSError as error:
            raise StorageError(f"{self._path} can't be written: {error.strerror}") from error
        self._kept = kept


def _key(model: ModelInfo) -> str:
    return f"{model.name} {model.version}"


def _value(body: Body) -> float | None:
    if "value" not in body:
        raise CommandError("no value is named", 'send {"label": "dog", "value": 0.8}')
    value = body["value"]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CommandError(f"value = {value!r:.40} is no number", f"send {LOWEST:g} to {HIGHEST:g}")
    if not LOWEST <= value <= HIGHEST:
        raise CommandError(f"value = {value!r:.20}", f"send {LOWEST:g} to {HIGHEST:g}")
    return float(value)


def _read(path: Path) -> Kept:
    """Return what was kept; what is no threshold counts as not told, and is said in the log."""
    try:
        kept: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("thresholds that were told can't be read: %s", error)
        return {}
    models = kept if isinstance(kept, dict) else {}
    return {model: _sane(told) for model, told in models.items() if isinstance(told, dict)}


def _sane(told: Mapping[str, object]) -> dict[str, float]:
    return {
        label: float(value)
        for label, value in told.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and LOWEST <= value <= HIGHEST
    }
