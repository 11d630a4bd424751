# SPDX-License-Identifier: MIT
"""Commands over MQTT: each is answered, a bad one with the reason."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from edge.errors import EdgeError
from edge.publish import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.publish.payloads import Topics
    from edge.record.recorder import Recorder
    from edge.types import Message

    Body = dict[str, Any]
    Reply = Callable[[Body], None]
    Handler = Callable[[Body, Reply], None]

log = logging.getLogger(__name__)

LONGEST_BYTES: Final = 1000
DEFAULT_RECORD_S: Final = 10.0
MIN_RECORD_S: Final = 0.1
_WORD: Final = re.compile(r"[\w.-]+", re.ASCII)  # a name as a shell passes it on


class CommandError(EdgeError):
    """A command can't be obeyed; the message says why, and what would be."""


class Commands:
    """Takes what arrives under `command/`, checks it and hands it to who obeys.

    A handler gets the body and a `reply` that it calls once, then or later, from any
    thread; what it raises as `EdgeError` is the answer. `request_id` is echoed.

    Parameters
    ----------
    handlers : by command's name. `shorthand` names the key that a bare value stands for.
    send : takes the answers and never blocks.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        handlers: Mapping[str, Handler],
        shorthand: Mapping[str, str],
        send: Callable[[Message], None],
    ) -> None:
        self._topics = topics
        self._handlers = handlers
        self._shorthand = shorthand
        self._send = send

    def received(self, topic: str, payload: bytes) -> None:
        """Obey one message (mqtt thread); never blocks."""
        name = topic.removeprefix(f"{self._topics.command}/")
        identity: Body = {}
        try:
            body = self._parse(name, payload)
            identity = _identity(body)
            self._handler(name)(body, lambda done: self._answer(name, identity | done))
        except EdgeError as error:
            log.warning("command %r refused: %s", name, error)
            self._answer(name, identity | {"ok": False, "error": str(error)})

    def _handler(self, name: str) -> Handler:
        if name not in self._handlers:
            known = ", ".join(sorted(self._handlers))
            raise CommandError(f"there is no command {name!r:.40}", f"commands are: {known}")
        return self._handlers[name]

    def _parse(self, name: str, payload: bytes) -> Body:
        if len(payload) > LONGEST_BYTES:
            raise CommandError(
                f"{len(payload)} bytes are too many", f"send {LONGEST_BYTES} or fewer"
            )
        try:
            value = json.loads(payload or b"{}")
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8
        except (ValueError, RecursionError):
            word = payload.decode("ascii", errors="replace")
            if not self._shorthand.get(name) or not _WORD.fullmatch(word):
                raise CommandError("the payload is not JSON", 'send {} or {"key": value}') from None
            value = word
        if isinstance(value, dict):
            return value
        if key := self._shorthand.get(name):
            return {key: value}
        raise CommandError(f"{value!r:.40} is not a JSON object", 'send {} or {"key": value}')

    def _answer(self, name: str, body: Body) -> None:
        # What a command is called comes from outside: only a known one has a topic of its own.
        topic = name if name in self._handlers else "unknown"
        self._send(payloads.result(self._topics, topic, body))


def _identity(body: Body) -> Body:
    asked = body.pop("request_id", None)
    if asked is None:
        return {}
    if not isinstance(asked, str | int):
        raise CommandError(f"request_id = {asked!r:.40}", "send a text or a whole number")
    return {"request_id": asked}


class Orders:
    """What a box can be told to do.

    Parameters
    ----------
    recorder : None: the box does not record.
    max_record_s : the longest recording that a command may ask for.
    more : other commands by name, and the key that a bare value stands for.
    refuse : raises `CommandError` while nothing is to be recorded.
    """

    def __init__(
        self,
        recorder: Recorder | None,
        max_record_s: float,
        more: Mapping[str, tuple[Handler, str]],
        refuse: Callable[[], None] = lambda: None,
    ) -> None:
        self._recorder = recorder
        self._max_record_s = max_record_s
        self._more = more
        self._refuse = refuse

    def commands(self, topics: Topics, send: Callable[[Message], None]) -> Commands:
        """Return what takes them from the broker."""
        own: dict[str, tuple[Handler, str]] = {
            "record": (self._record, "seconds"),
            "keep": (self._keep, "clip"),
        }
        known = {**own, **self._more}
        return Commands(
            topics=topics,
            handlers={name: handler for name, (handler, _) in known.items()},
            shorthand={name: key for name, (_, key) in known.items()},
            send=send,
        )

    def _record(self, body: Body, reply: Reply) -> None:
        """Record from now on for `seconds`."""
        only(body, "seconds")
        seconds = body.get("seconds", DEFAULT_RECORD_S)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise CommandError(f"seconds = {seconds!r:.40} is no number", 'send {"seconds": 10}')
        if not MIN_RECORD_S <= seconds <= self._max_record_s:
            raise CommandError(
                f"seconds = {seconds!r:.20}", f"send {MIN_RECORD_S:g} to {self._max_record_s:g}"
            )
        recorder = self._require()
        self._refuse()
        reply({"ok": True, "command": recorder.request(seconds), "seconds": seconds})

    def _keep(self, body: Body, reply: Reply) -> None:
        """Never delete a clip by itself, or, with `keep` false, no longer keep it."""
        only(body, "clip", "keep")
        clip, keep = body.get("clip"), body.get("keep", True)
        if isinstance(clip, bool) or not isinstance(clip, int | str) or not isinstance(keep, bool):
            raise CommandError("no clip is named", 'send {"clip": NUMBER} as in the topic `clip`')

        def done(outcome: str | EdgeError) -> None:
            if isinstance(outcome, EdgeError):
                reply({"ok": False, "error": str(outcome)})
            else:
                reply({"ok": True, "clip": outcome, "keep": keep})

        self._require().mark(str(clip), keep=keep, done=done)

    def _require(self) -> Recorder:
        if self._recorder is None:
            raise CommandError("this box does not record", "set record.enabled = true")
        return self._recorder


def only(body: Body, *keys: str) -> None:
    """Raise `CommandError` for a key that is not one of `keys`."""
    if unknown := sorted(set(body) - set(keys)):
        known = f"keys are: {', '.join(keys)}" if keys else "it takes none"
        raise CommandError(f"unknown key {unknown[0]!r:.40}", known)
