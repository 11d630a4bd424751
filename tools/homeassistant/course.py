# SPDX-License-Identifier: MIT
"""What is done to the box, the broker and Home Assistant, and what must be seen after each."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Final

from edge.publish.broker import Broker
from edge.publish.mqtt import deliver
from edge.types import Message
from tools.homeassistant.server import DEAF_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.homeassistant.box import Box, Ear, MosquittoServer
    from tools.homeassistant.server import HomeAssistant

PATIENCE_S: Final = 150.0  # Home Assistant connects late; the levels of a minute come each minute
AWAY: Final = {"unavailable", "unknown", None}
NEVER_HEARD: Final = {"event", "button"}  # unknown until the first time
ALARMING: Final = "automation.something_breaks_or_an_alarm_sounds"
DEAF: Final = "automation.the_box_does_not_hear_any_more"


class Failure(Exception):  # noqa: N818 - what a check ends with
    """Something was not seen."""


class Course:
    """All steps, in order; `rows` is the table of what was seen."""

    def __init__(
        self, home: HomeAssistant, box: Box, broker: MosquittoServer, ear: Ear, broker_port: int
    ) -> None:
        self._home = home
        self._box = box
        self._broker = broker
        self._ear = ear
        self._url = f"mqtt://127.0.0.1:{broker_port}"
        self.rows: list[tuple[str, str]] = []

    def run(self, before_the_end: Callable[[], None]) -> None:
        """Do everything; `before_the_end` is called while all is there. Raises `Failure`."""
        self._box.start()
        self._home.start()
        self._step("the first start", self._whole)
        self._step("units, uncalibrated", lambda: self._units("dBFS", None))
        self._step("events, labels, the newest event", self._events)
        self._step("the button Record", self._record)
        self._step("a threshold", self._threshold)
        self._step("the switch Pause", self._pause)
        self._step("an alarming sound", self._alarming)
        self._step("events that come twice", self._twice)
        self._step("an event of a label that is gone", self._stranger)
        self._step("what waited for an hour", self._old)
        self._step("Home Assistant started again after an alarming sound", self._again)
        self._broker.stop()
        self._wait(
            lambda: self._state("sensor.edge_laeq_dbfs") == "unavailable", "it is unavailable"
        )
        deaf = self._ran(DEAF)
        self._step("the broker is away", lambda: self._deaf(deaf))
        self._broker.start()
        self._step("the broker started again, which had forgotten everything", self._whole)
        self._box.stop()
        self._wait(self._all_away, "all but events are unavailable")
        self._box.run("calibrate", "--sensitivity=-26")
        self._box.start()
        self._step("the box started again, calibrated", self._whole)
        self._step("units, calibrated", lambda: self._units("dB", "sound_pressure"))
        self._step("the threshold is kept", self._threshold_kept)
        before_the_end()
        self._step("another model", self._model)
        self._box.stop()
        self._box.run("forget")
        self._step("`edge forget`", self._gone)

    def _step(self, what: str, see: Callable[[], str]) -> None:
        began_s = time.monotonic()
        seen = see()
        complaints = self._home.complaints()
        if complaints:
            raise Failure(f"{what}: Home Assistant's log says {complaints[:3]}")
        self.rows.append((what, seen))
        print(f"ok  {what}: {seen} ({time.monotonic() - began_s:.0f} s)", flush=True)

    def _whole(self) -> str:
        """Wait until every entity that the box describes is there and says something."""
        self._wait(self._ear.description, "the box describes itself")
        self._wait(lambda: not self._missing(), lambda: f"all speak; not: {self._missing()}")
        entities = self._entities()
        if strangers := {one for one in self._ours() if one not in entities}:
            raise Failure(f"entities that nobody described: {strangers}")
        return f"{len(entities)} entities, all available"

    def _missing(self) -> list[str]:
        states = self._home.states()
        speaks = {one: states.get(one, {}).get("state") for one in self._entities()}
        return [
            one
            for one, state in speaks.items()
            if state == "unavailable" or (state in AWAY and one.split(".")[0] not in NEVER_HEARD)
        ]

    def _entities(self) -> dict[str, dict[str, Any]]:
        """Return what the box describes, by the entity id that Home Assistant makes of it."""
        described = self._ear.description().values()
        return {
            f"{one['platform']}.edge_{_slug(one['name'])}": one
            for one in described
            if "unique_id" in one
        }

    def _ours(self) -> list[str]:
        return [one for one in self._home.states() if re.match(r"\w+\.edge_", one)]

    def _units(self, unit: str, device_class: str | None) -> str:
        ending = "" if device_class else "_dbfs"
        levels = [f"{one}{ending}" for one in ("laeq", "laeq_1min", "lafmax", "l90", "lcpeak")]
        for name in levels:
            state = self._home.states()[f"sensor.edge_{name}"]
            float(state["state"])
            found = state["attributes"]
            self._same(found["unit_of_measurement"], unit, name)
            self._same(found.get("device_class"), device_class, name)
        for name, entity in self._entities().items():
            found = self._home.states()[name]["attributes"]
            self._same(found.get("unit_of_measurement"), entity.get("unit_of_measurement"), name)
        value = self._state(f"sensor.edge_laeq{ending}")
        return f"{len(levels)} levels in {unit}, LAeq {value}; every other unit as described"

    def _events(self) -> str:
        self._wait(lambda: self._state("event.edge_sound") not in AWAY, "an event")
        heard = self._home.states()["event.edge_sound"]["attributes"]["event_type"]
        self._wait(self._sounding, "a label that sounds")
        last = self._state("sensor.edge_last_event")
        self._wait(lambda: not self._sounding() or self._silent_again(), "one that ends")
        return f"{heard} heard, then {last}"

    def _sounding(self) -> list[str]:
        labels = [one for one in self._entities() if one.startswith("binary_sensor.")]
        clock = "binary_sensor.edge_clock_synchronised"
        states = self._home.states()
        return [one for one in labels if one != clock and states[one]["state"] == "on"]

    def _silent_again(self) -> bool:
        before = self._sounding()
        time.sleep(3.0)
        return before != self._sounding()

    def _record(self) -> str:
        before = self._ear.body("command/record/result")
        self._home.call("button.press", "button.edge_record")
        answered = self._wait(
            lambda: (now := self._ear.body("command/record/result")) != before and now, "an answer"
        )
        name = answered["command"]
        clip = self._wait(
            lambda: name in (body := self._ear.body("clip")).get("commands", ()) and body, "a clip"
        )
        if not list((self._box.state / "clips").rglob(clip["file"].rpartition("/")[2])):
            raise Failure(f"no file {clip['file']}")
        return f"{clip['file'].rpartition('/')[2]}, {clip['duration_s']:.1f} s"

    def _threshold(self) -> str:
        self._home.call("number.set_value", "number.edge_rain_threshold", value=0.91)
        self._threshold_kept()
        return "rain at 0.91, in `info` and in Home Assistant"

    def _threshold_kept(self) -> str:
        self._wait(lambda: self._ear.body("info")["thresholds"]["rain"] == 0.91, "the box says it")
        self._wait(lambda: self._state("number.edge_rain_threshold") == "0.91", "it is shown")
        return "rain at 0.91"

    def _pause(self) -> str:
        self._home.call("switch.turn_on", "switch.edge_pause")
        self._wait(lambda: self._state("switch.edge_pause") == "on", "it pauses")
        self._wait(lambda: not self._sounding(), "nothing is heard")
        events = self._state("event.edge_sound")
        time.sleep(10.0)
        self._same(self._state("event.edge_sound"), events, "no event in a pause")
        float(str(self._state("sensor.edge_laeq_dbfs")))
        self._home.call("switch.turn_off", "switch.edge_pause")
        self._wait(lambda: self._state("switch.edge_pause") == "off", "it goes on")
        self._wait(lambda: self._state("event.edge_sound") != events, "events again")
        return "no event in 10 s, LAeq goes on; then events again"

    def _say(self, label: str, age_s: float = 0.0, *, timeless: bool = False) -> dict[str, Any]:
        """Say as the box that it hears something, the scene has no glass; return what was said."""
        event = self._ear.body("event/last") | {
            "event_type": "onset",
            "message_id": f"test-{time.monotonic_ns()}",
            "label": label,
            "onset_time": "1970-01-01T00:01:00.000Z" if timeless else _ago(age_s),
        }
        self._tell("event", event, timeless=timeless)
        return event

    def _tell(self, topic: str, body: dict[str, Any], *, timeless: bool = False) -> None:
        text = json.dumps(body | {"clock_synchronised": not timeless}).encode()
        message = Message(f"edge/edge/{topic}", text, qos=1)
        deliver(Broker(url=self._url, client_id="test"), [message])

    def _stranger(self) -> str:
        self._say("nonsense")
        time.sleep(1.0)
        heard = self._home.states()["event.edge_sound"]["attributes"]["event_type"]
        if heard == "nonsense":
            raise Failure("an event of a label that is none")
        return "passed over, without a line in the log"

    def _old(self) -> str:
        self._wait(lambda: self._ear.body("level/minute"), "the levels of a minute")
        self._say("glass", age_s=3600.0)
        self._tell("level/minute", self._ear.body("level/minute") | {"time": _ago(3600.0)})
        self._wait(lambda: self._state("sensor.edge_laeq_1min_dbfs") == "unknown", "no old level")
        if self._home.states()["event.edge_sound"]["attributes"]["onset_time"] < _ago(600.0):
            raise Failure("an event of an hour ago")
        return "no event; the level of the minute is unknown"

    def _ran(self, automation: str) -> str:
        """Return when its actions began last."""
        return str(self._home.states()[automation]["attributes"]["last_triggered"])

    def _alarming(self) -> str:
        self._ring()
        self._ring(timeless=True)
        return "the automation ran; and again for a box that has no time"

    def _ring(self, *, timeless: bool = False) -> str:
        before = self._ran(ALARMING)
        self._say("glass", timeless=timeless)
        self._wait(lambda: self._ran(ALARMING) != before, "the automation ran")
        return self._ran(ALARMING)

    def _deaf(self, before: str) -> str:
        self._wait(lambda: self._ran(DEAF) != before, "the automation ran")
        return f"after {DEAF_S} s instead of five minutes the automation ran"

    def _twice(self) -> str:
        self._home.call("switch.turn_on", "switch.edge_pause")  # the scene would come between
        self._wait(lambda: not self._sounding(), "nothing is heard")
        events = [self._say(label) for label in ("rooster", "rain", "dog_bark")]
        newest = events[-1]["message_id"]
        self._wait(lambda: self._told().get("message_id") == newest, "they are told")
        told = self._state("event.edge_sound")
        self._repeat(events, told)
        self._say_status(b"offline")
        self._wait(lambda: self._state("sensor.edge_laeq_dbfs") == "unavailable", "it is away")
        self._repeat(events, told)  # as the client does, before it says that it is there
        self._say_status(b"online")
        self._wait(lambda: self._state("sensor.edge_laeq_dbfs") != "unavailable", "it is back")
        self._same(self._state("event.edge_sound"), told, "nothing new")
        return "three events, none of them again; nor as those of a box that comes back"

    def _repeat(self, events: list[dict[str, Any]], told: str | None) -> None:
        for event in events:
            self._tell("event", event)
        time.sleep(2.0)
        self._same(self._state("event.edge_sound"), told, "nothing new")

    def _say_status(self, status: bytes) -> None:
        message = Message("edge/edge/status", status, qos=1, retain=True)
        deliver(Broker(url=self._url, client_id="test"), [message])

    def _told(self) -> dict[str, Any]:
        return dict(self._home.states()["event.edge_sound"]["attributes"])

    def _again(self) -> str:
        """Let the last event be one that rings; in a pause, since `_twice`, no other comes."""
        ran = self._ring()
        self._home.stop()
        self._home.start()
        seen = self._whole()
        self._same(self._told()["event_type"], "glass", "the last event")
        self._same(self._ran(ALARMING), ran, "the automation rang once")
        self._home.call("switch.turn_off", "switch.edge_pause")
        return f"{seen}; the automation did not run again"

    def _model(self) -> str:
        self._box.shelve("other", lambda label: "drizzle" if label == "rain" else label)
        self._box.run("model", "use", "other")
        self._wait(lambda: "number.edge_drizzle_threshold" in self._home.states(), "new labels")
        self._wait(lambda: not [one for one in self._ours() if "rain" in one], "old ones gone")
        return self._whole() + "; rain is gone, drizzle is there"

    def _gone(self) -> str:
        self._wait(lambda: not self._ours(), lambda: f"all are gone; not: {self._ours()}")
        return "no entity is left"

    def _all_away(self) -> bool:
        states = self._home.states()
        away = {one for one in self._entities() if states[one]["state"] == "unavailable"}
        return away == self._entities().keys() - {"event.edge_sound"}

    def _state(self, entity: str) -> str | None:
        return self._home.states().get(entity, {}).get("state")

    def _same(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            raise Failure(f"{what}: {found!r} instead of {wanted!r}")

    def _wait(self, see: Callable[[], Any], what: str | Callable[[], str]) -> Any:  # noqa: ANN401
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if seen := see():
                return seen
            time.sleep(0.5)
        raise Failure(f"not within {PATIENCE_S:g} s: {what if isinstance(what, str) else what()}")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _ago(age_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - age_s))
