# SPDX-License-Identifier: MIT
"""Which model the box hears with, and how it changes to another without losing a sample.

==========  =====================================================================
thread      does
==========  =====================================================================
mqtt        `command`: the command `model`
main        `look`: whether `edge model use` or a signal (`ask`) wants another
model       opens and tries the other one; there only while it does
capture     `cutter`: begins to cut patches for it, beside those for the old one
inference   `take_over` with its first patch: from here on the old one is gone
==========  =====================================================================

Whatever fails fails in the model thread, and the old model goes on. A choice is written down once
it has heard something. One that then gives no scores is given up for the one before it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import EdgeError, ModelError, StorageError
from edge.model.classifier import OnnxClassifier
from edge.model.registry import read_model
from edge.model.shelf import SHIPPED, Shelf
from edge.service import build
from edge.service.commands import CommandError, only
from edge.service.ears import ears_of
from edge.service.fitting import fitted, fitting_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.schema import Settings
    from edge.patches import PatchCutter
    from edge.service.commands import Body, Reply
    from edge.service.ears import Ears, Place
    from edge.service.supervisor import Supervisor

    Stamp = tuple[int, int] | None

log = logging.getLogger(__name__)

LOOK_S: Final = 2.0
GIVE_UP: Final = 10  # patches in a row without scores: then the model before is taken again
WAIT_S: Final = 0.5
# What a model that nobody foresaw may bring about: no reason to stop listening.
_UNFORESEEN: Final = (ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Wish:
    """Another model that is asked for.

    keep : whether it is to be written down as chosen.
    seen : the stamp of the choice when it was asked for: a newer choice is not written over.
    trouble : why it is taken, where that is not as somebody wished.
    """

    path: Path
    name: str
    keep: bool = False
    seen: Stamp = None
    trouble: str = ""


class Models:
    """The model in use, `classifier`, and the way to another.

    The name of one that the settings do not name stands in `<state>/model`. If that one fails
    at the start, the shipped one is used, with `settings` as far as they fit it, and `trouble`
    says why.

    Raises `ModelError` for a model of the settings, or the shipped one, that can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = self.settings = settings
        self._shelf = Shelf(settings.state.path)
        self.trouble = ""
        """Why the model that was asked for last is not in use; empty: it is."""
        self._looked_at = self._shelf.stamp()
        self._look_s = 0.0
        self._asked = False
        self.name, self.classifier = self._first()
        self._before = "" if settings.model.path else SHIPPED
        self._bad_in_a_row = 0
        self.number = 0
        self._next: Ears | None = None
        self._to_cut: PatchCutter | None = None
        self._changing = threading.Lock()  # held from the wish for another until it has taken over

    def _first(self) -> tuple[str, OnnxClassifier]:
        settings = self._settings
        if settings.model.path:
            return settings.model.path, build.open_model(settings)
        shipped = self._shelf.find(SHIPPED)
        name = ""
        try:
            name = self._shelf.chosen()
            if name == SHIPPED:
                return SHIPPED, OnnxClassifier(shipped, settings.model.groups)
            return name, fitting_model(settings, self._shelf.find(name))
        except (EdgeError, *_UNFORESEEN) as error:
            if name == SHIPPED:
                raise
            self.settings, left_out = fitted(settings, read_model(shipped))
            self.trouble = _reason(error)
            if left_out:
                self.trouble += f"; until then without what does not fit: {', '.join(left_out)}"
        log.error("the model that was chosen can't be used, the shipped one is: %s", self.trouble)
        return SHIPPED, OnnxClassifier(shipped, self.settings.model.groups)

    def attach(self, place: Place, supervisor: Supervisor, changed: Callable[[], None]) -> None:
        """Say what the models hear, who starts threads, and who is told of a change.

        `changed` is called in the model thread once another has taken over.
        """
        self._place = place
        self._supervisor = supervisor
        self._changed = changed

    def command(self, body: Body, reply: Reply) -> None:
        """Obey `model`, {"name": "yamnet"} (mqtt thread); without a name say which there are."""
        only(body, "name")
        name = body.get("name")
        if name is None:
            reply({"ok": True, "name": self.name, "models": self._shelf.names()})
            return
        if not isinstance(name, str):
            raise CommandError(f"name = {name!r:.40} is no name", 'send {"name": "shipped"}')
        if self._settings.model.path:
            raise CommandError(
                "the settings say which model is in use", 'set model.path = "" to choose by name'
            )
        wish = Wish(self._shelf.find(name), name, keep=True, seen=self._shelf.stamp())
        if not self._changing.acquire(blocking=False):
            if self._next:
                raise CommandError(
                    "another model waits for the first that the microphone hears",
                    "see whether the microphone is there",
                )
            raise CommandError("another model is just being opened", "try again in a moment")
        self._start(wish, reply)

    def ask(self) -> None:
        """Look at once, and whether the model has changed under its name (a signal handler)."""
        self._asked = True

    def look(self, now_s: float) -> None:
        """See every two seconds whether another model was chosen (main thread)."""
        if now_s < self._look_s and not self._asked:
            return
        if not self._changing.acquire(blocking=False):
            return
        self._look_s = now_s + LOOK_S
        wish = None
        try:
            wish = self._wish()
        except EdgeError as error:
            self._fail(error)
        if wish:
            self._start(wish, lambda _: None)
        else:
            self._changing.release()

    def _wish(self) -> Wish | None:
        """Return the model that is to be opened now: also one of the same name, of new content."""
        if self._bad_in_a_row >= GIVE_UP and self._before not in {"", self.name}:
            return self._go_back()
        asked, self._asked = self._asked, False
        stamp = self._shelf.stamp()
        if stamp == self._looked_at and not asked:
            return None
        self._looked_at = stamp
        if fixed := self._settings.model.path:
            return Wish(Path(fixed), fixed)
        name = self._shelf.chosen()
        return Wish(self._shelf.find(name), name)

    def note(self, *, valid: bool) -> None:
        """Note whether a patch had scores (inference thread)."""
        self._bad_in_a_row = 0 if valid else self._bad_in_a_row + 1

    def cutter(self) -> PatchCutter | None:
        """Return what is to cut patches from now on, once (capture thread)."""
        cutter, self._to_cut = self._to_cut, None
        return cutter

    def take_over(self) -> Ears | None:
        """Return the model whose first patch has come, now in use (inference thread)."""
        ears, self._next = self._next, None
        if ears:
            ears.classifier.bad_outputs += self.classifier.bad_outputs
            self.classifier, self.number = ears.classifier, ears.number
            self._bad_in_a_row = 0
        return ears

    def _go_back(self) -> Wish:
        """Return the model from before, or else the shipped one: this one gives nothing."""
        name, self._before = self._before, SHIPPED
        self._bad_in_a_row = 0
        try:
            path = self._shelf.find(name)
        except ModelError:
            if self.name == SHIPPED:
                raise
            name, path = SHIPPED, self._shelf.find(SHIPPED)
        trouble = f"{self.name} gave no scores of what it heard: {name} is used again"
        log.error("%s", trouble)
        return Wish(path, name, keep=True, seen=self._shelf.stamp(), trouble=trouble)

    def _start(self, wish: Wish, reply: Reply) -> None:
        """Open another model; `_changing` is held."""
        self._supervisor.start("model", lambda: self._open(wish, reply))

    def _open(self, wish: Wish, reply: Reply) -> None:
        """Open another model and see it take over (model thread)."""
        answer = self._outcome(wish)
        self._changing.release()  # first: who is told may ask for the next one
        reply(answer)
        if answer["ok"]:
            self._changed()

    def _outcome(self, wish: Wish) -> Body:
        try:
            another = self._bring(wish)
        except (EdgeError, *_UNFORESEEN) as error:
            self._fail(error)
            return {"ok": False, "error": _reason(error)}
        info = self.classifier.info
        log.info("in use: model %s, %s %s", wish.name, info.name, info.version)
        if wish.trouble or self._settings.model.path:
            self._before = ""  # one that was taken again is not left for the one it stands in for
        elif another and wish.name != self.name:
            self._before = self.name
        self.name, self.trouble, self.settings = wish.name, wish.trouble, self._settings
        self._keep(wish)
        return {"ok": True, "name": wish.name, "model": build.model_facts(info)}

    def _keep(self, wish: Wish) -> None:
        """Write down what was chosen, unless another was chosen meanwhile: that comes next."""
        if not wish.keep or self._shelf.stamp() != wish.seen:
            return
        try:
            self._looked_at = self._shelf.choose(wish.name)
        except (ModelError, StorageError) as error:
            self.trouble = f"{wish.name} is in use until the next start only: {error}"
            log.error("%s", self.trouble)  # noqa: TRY400 - the disk's fault

    def _bring(self, wish: Wish) -> bool:
        """Return whether another model has taken over: else it is the one in use."""
        classifier = fitting_model(self._settings, wish.path)
        if classifier.info == replace(self.classifier.info, path=wish.path):
            return False
        ears = ears_of(self._settings, self._place, classifier, self.number + 1)
        self._next = ears
        self._to_cut = ears.cutter
        del classifier
        while not ears.taken.wait(WAIT_S):
            if self._supervisor.ended.is_set():
                raise ModelError(f"the box stopped before {wish.name} had heard anything")
        return True

    def _fail(self, error: BaseException) -> None:
        self.trouble = _reason(error)
        log.error("the model is not changed: %s", self.trouble)


def _reason(error: BaseException) -> str:
    return (
        str(error)
        if isinstance(error, EdgeError)
        else f"{type(error).__name__}: {str(error)[:200]}"
    )
