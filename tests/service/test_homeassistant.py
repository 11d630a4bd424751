# SPDX-License-Identifier: MIT
"""What a box tells Home Assistant is true, and is told anew: real Mosquitto, real `edge listen`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.config.load import load_defaults
from edge.errors import EXIT_FAILURE
from edge.publish.broker import Refusal
from edge.publish.caution import MOST
from edge.publish.payloads import Topics
from edge.service.homeassistant import FILE, HomeAssistant, shown
from tests.conftest import wait_until
from tests.publish.strict import Answers, StrictBroker, properties
from tests.service.conftest import body_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.types import Message
    from tests.conftest import Mosquitto, Subscriber
    from tests.service.conftest import Listener

Start = "Callable[..., Listener]"
TOPIC = "homeassistant/device/edge/config"


def say(server: Mosquitto, topic: str, payload: str, *options: str) -> None:
    place = ["-p", str(server.port), "-t", topic, "-m", payload]
    subprocess.run(["mosquitto_pub", *place, *options], check=True)


def tell(server: Mosquitto, ear: Subscriber, name: str, payload: str) -> dict[str, Any]:
    """Give a command; return its answer."""
    topic = f"command/{name}/result {{"
    before = sum(topic in line for line in ear.lines())
    say(server, f"edge/edge/command/{name}", payload)

    def answer() -> str | None:
        lines = [line for line in ear.lines() if topic in line]
        return lines[before] if len(lines) > before else None

    body: dict[str, Any] = json.loads(wait_until(answer, f"an answer to {name}").partition(" ")[2])
    return body


def descriptions(ear: Subscriber) -> list[dict[str, Any]]:
    lines = [line for line in ear.lines() if line.startswith(f"{TOPIC} {{")]
    return [json.loads(line.partition(" ")[2]) for line in lines]


@pytest.fixture
def heard(
    listen: Start, mosquitto: Callable[..., Mosquitto]
) -> tuple[Mosquitto, Subscriber, Listener]:
    """Return a broker, an ear at it, and a box that has described itself."""
    server = mosquitto()
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"', "record.post_roll_s=0.0")
    ear.wait_for(TOPIC, timeout_s=60)
    return server, ear, listener


def test_every_entity_shows_what_the_box_really_says(
    heard: tuple[Mosquitto, Subscriber, Listener],
) -> None:
    _, ear, _ = heard
    entities = descriptions(ear)[0]["components"]
    for topic in ("level", "health", "info", "event/last"):
        body = body_of(ear, topic)
        asked = {
            key: re.findall(r"value_json\.get\('(\w+)'\)|value_json\.(\w+)", one["value_template"])
            for key, one in entities.items()
            if one.get("state_topic") == f"edge/edge/{topic}"
        }
        assert asked
        for key, names in asked.items():
            for name in names:
                assert "".join(name).removeprefix("get") in {*body, ""}, key
    event = body_of(ear, "event")
    assert event["label"] in entities["sound"]["event_types"]
    labels = body_of(ear, "info")["thresholds"]
    states = {one["state_topic"] for one in entities.values() if one.get("state_topic")}
    assert {f"edge/edge/detected/{label}" for label in labels} <= states
    said = {line.partition(" ")[0] for line in ear.lines()}
    assert {topic for topic in states if "/detected/" in topic} <= said
    ear.wait_for("edge/edge/paused OFF")


def test_home_assistant_that_starts_is_told_everything_again(
    heard: tuple[Mosquitto, Subscriber, Listener],
) -> None:
    server, ear, _ = heard
    ear.wait_for("detected/rain")
    say(server, "homeassistant/status", "offline")
    say(server, "homeassistant/status", "online")
    ear.wait_for("homeassistant/status online")
    asked = ear.lines().index("homeassistant/status online")
    wait_until(lambda: any(TOPIC in one for one in ear.lines()[asked:]), "it is described again")
    wait_until(lambda: "edge/edge/status online" in ear.lines()[asked:], "its states too")
    later = ear.lines()[asked:]
    answers = [line for line in later if line.startswith("edge/edge/command/")]
    assert not answers, "it is no command"


def test_a_pause_ends_events_and_clips_and_levels_go_on(
    heard: tuple[Mosquitto, Subscriber, Listener],
) -> None:
    server, ear, _ = heard
    ear.wait_for('"event_type":"onset"')
    assert tell(server, ear, "pause", "60") == {"ok": True, "seconds": 60}
    ear.wait_for("edge/edge/paused ON")
    wait_until(lambda: _open_events(ear) == 0, "what sounded is closed")
    since = len(ear.lines())  # a patch that was under way may still be told
    wait_until(lambda: sum("/level {" in one for one in ear.lines()[since:]) >= 2, "it is over")
    since = len(ear.lines())
    refused = tell(server, ear, "record", "1")
    assert refused["ok"] is False
    assert "pauses" in refused["error"]
    wait_until(lambda: sum("/level {" in one for one in ear.lines()[since:]) >= 8, "levels go on")
    assert not any("/event {" in line or "/scores " in line for line in ear.lines()[since:])
    since = len(ear.lines())
    assert tell(server, ear, "resume", "") == {"ok": True}
    wait_until(lambda: any("/event {" in one for one in ear.lines()[since:]), "events again")
    wait_until(lambda: "edge/edge/paused OFF" in ear.lines()[since:], "and it says so")


def test_what_a_person_asked_to_record_ends_where_a_pause_begins(
    heard: tuple[Mosquitto, Subscriber, Listener],
) -> None:
    server, ear, _ = heard
    assert tell(server, ear, "record", "55")["ok"] is True
    wait_until(lambda: sum("/level {" in one for one in ear.lines()) >= 4, "it goes on")
    assert tell(server, ear, "pause", "600")["ok"] is True
    ear.wait_for('"reason":"command"')
    clip = body_of(ear, "clip")
    assert 0.0 < clip["duration_s"] < 50.0


def _open_events(ear: Subscriber) -> int:
    lines = ear.lines()
    onsets = sum('"event_type":"onset"' in line for line in lines if "/event {" in line)
    return onsets - sum('"event_type":"offset"' in line for line in lines if "/event {" in line)


def test_a_threshold_that_is_told_is_obeyed_shown_and_kept(
    heard: tuple[Mosquitto, Subscriber, Listener], listen: Start
) -> None:
    server, ear, listener = heard
    labels = body_of(ear, "info")["thresholds"]
    for label in labels:  # none is loud enough now
        answer = tell(server, ear, "threshold", json.dumps({"label": label, "value": 1.0}))
        assert answer == {"ok": True, "label": label, "value": 1.0}
    wait_until(lambda: _open_events(ear) == 0, "what sounded has ended")

    def told() -> set[float]:
        infos = [line for line in ear.lines() if "/info {" in line]
        return set(json.loads(infos[-1].partition(" ")[2])["thresholds"].values())

    wait_until(lambda: told() == {1.0}, "info tells all of them")
    since = len(ear.lines())  # a patch that was under way may still be told
    wait_until(lambda: sum("/scores {" in one for one in ear.lines()[since:]) > 2, "it is over")
    wait_until(lambda: _open_events(ear) == 0, "and what it began")
    since = len(ear.lines())
    wait_until(lambda: sum("/scores {" in one for one in ear.lines()[since:]) > 15, "it hears")
    assert not any("/event {" in line for line in ear.lines()[since:])
    assert "send 0.01 to 1" in tell(server, ear, "threshold", '{"label":"rain","value":2}')["error"]
    listener.stop()
    since = len(ear.lines())
    listen(f'publish.url="{server.url}"', f'state.directory="{listener.state}"')
    again = wait_until(
        lambda: next((one for one in ear.lines()[since:] if "/info {" in one), None), "info"
    )
    assert set(json.loads(again.partition(" ")[2])["thresholds"].values()) == {1.0}


ACL = """allow_anonymous true
acl_file {file}
"""


def test_a_broker_that_refuses_the_description_is_named_and_the_rest_goes_on(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite edge/#\n")
    server = mosquitto(ACL.format(file=acl))
    ear = server.subscribe()
    listener = listen(f'publish.url="{server.url}"')
    ear.wait_for(f'"broker":"it refuses {TOPIC}"', timeout_s=60)
    assert listener.log().count(f"the broker refuses {TOPIC} (not allowed") == 1
    ear.wait_for("/event {")


def test_two_boxes_of_one_name_are_noticed_and_said(
    heard: tuple[Mosquitto, Subscriber, Listener], listen: Start
) -> None:
    server, ear, listener = heard
    listener.wait_ready()
    twin = listen(f'publish.url="{server.url}"')  # it waits for the microphone of the other
    said = "another box tells as edge/edge too: one needs another node.id"
    wait_until(lambda: said in listener.log() and said in twin.log(), "both say it", 60)
    ear.wait_for(f'"broker":"{said}"', timeout_s=60)
    for one in (listener, twin):
        assert one.log().count(f"ERROR mqtt {said}") == 1


def test_a_box_that_starts_again_is_no_other_box(
    heard: tuple[Mosquitto, Subscriber, Listener], listen: Start
) -> None:
    server, _, listener = heard
    listener.wait_ready()
    listener.send(signal.SIGKILL)
    listener.wait()
    again = listen(f'publish.url="{server.url}"')
    again.wait_ready()
    server.kill()
    server.start()
    wait_until(lambda: again.log().count("the broker is there") == 2, "it is back")
    # A broker that died may remember a run of weeks ago.
    say(server, "edge/edge/run", "of-an-older-run", "-r")
    late = server.subscribe("edge/edge/health")
    assert '"broker":"ok"' in late.wait_for("health")
    assert "another box" not in again.log()


def test_a_box_that_is_forgotten_leaves_nothing_at_its_broker(
    heard: tuple[Mosquitto, Subscriber, Listener],
) -> None:
    server, ear, listener = heard
    ear.wait_for("/event/last {")
    state = f'state.directory="{listener.state}"'
    command = [sys.executable, "-m", "edge", "forget", "--set", f'publish.url="{server.url}"']

    def forget() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--set", state], capture_output=True, text=True, check=False
        )

    running = forget()
    assert running.returncode == EXIT_FAILURE
    assert "the unit 'edge' runs" in running.stderr
    listener.stop()
    old = "homeassistant/device/before/config"
    told = {"topic": old, "root": "edge/before", "withdraw": ["edge/older/status"]}
    told["entities"] = {"detected_cat": "binary_sensor"}  # type: ignore[assignment] # JSON
    (listener.state / FILE).write_text(json.dumps(told))
    say(server, "edge/edge/detected/cat", "ON", "-r")
    say(server, old, "{}", "-r")
    say(server, "edge/older/status", "offline", "-r")
    done = forget()
    assert done.returncode == 0, done.stderr
    late = server.subscribe("#")
    say(server, "end", "end")
    late.wait_for("end end")
    assert late.lines() == ["end end"]
    assert not (listener.state / FILE).exists()


def kept(server: Mosquitto) -> dict[str, str]:
    """Return what a broker retains."""
    late = server.subscribe("#")
    say(server, "end", "end")
    late.wait_for("end end")
    return {topic: text for topic, _, text in (line.partition(" ") for line in late.lines())}


def test_a_box_that_was_renamed_while_its_broker_was_away_leaves_nothing_of_its_old_name(
    heard: tuple[Mosquitto, Subscriber, Listener], listen: Start
) -> None:
    """Though it was started again meanwhile, and its first word there is of no weight."""
    server, ear, listener = heard
    ear.wait_for("/event/last {")
    listener.stop()
    state = f'state.directory="{listener.state}"'
    before = kept(server)
    assert TOPIC in before
    away = listen('publish.url="mqtt://127.0.0.1:1"', state, 'node.id="hive"')
    away.wait_ready()
    away.stop()
    assert TOPIC in json.loads((listener.state / FILE).read_text())["withdraw"]
    again = listen(f'publish.url="{server.url}"', state, 'node.id="hive"')
    again.wait_ready()

    def withdrawn() -> bool:
        return not json.loads((listener.state / FILE).read_text())["withdraw"]

    wait_until(withdrawn, "the broker has said so", 60)
    left = kept(server)
    assert not [topic for topic in left if topic.startswith(("edge/edge/", TOPIC))]
    assert "edge/hive/status" in left


def test_what_a_renamed_box_may_not_take_away_is_said_and_not_asked_for_for_ever(
    heard: tuple[Mosquitto, Subscriber, Listener],
    listen: Start,
    mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
) -> None:
    _, _, listener = heard
    listener.stop()
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite edge/hive/#\ntopic readwrite homeassistant/device/hive/#\n")
    strict = mosquitto(ACL.format(file=acl))
    state = f'state.directory="{listener.state}"'
    renamed = listen(f'publish.url="{strict.url}"', state, 'node.id="hive"')
    stays = f"what it told by a former name stays at the broker (not allowed): {TOPIC}"
    wait_until(lambda: stays in renamed.log(), "it says so", 60)
    wait_until(
        lambda: not json.loads((listener.state / FILE).read_text())["withdraw"], "it gives up"
    )


@pytest.mark.parametrize("ends", [TOPIC, "edge/edge/status"])
def test_a_box_that_is_thrown_out_for_its_old_name_is_soon_shown_by_its_new_one(
    listen: Start, tmp_path: Path, ends: str
) -> None:
    """As by EMQX: `deny_action = disconnect`, each box may tell of its own name only."""
    (tmp_path / "state").mkdir()
    told = {"topic": TOPIC, "root": "edge/edge", "entities": {}, "withdraw": []}
    (tmp_path / "state" / FILE).write_text(json.dumps(told))
    not_allowed = b"\x87" + properties("not_authorized")
    with closing(StrictBroker(Answers(ends={ends: not_allowed}))) as broker:
        listener = listen(
            f'publish.url="{broker.url}"', f'state.directory="{tmp_path}/state"', 'node.id="hive"'
        )

        def shown_as() -> set[str]:
            return {
                topic for topic, payload in broker.taken if topic.endswith("/config") and payload
            }

        stays = "what it told by a former name stays at the broker (for now): "
        wait_until(shown_as, "the broker has it, with an answer", 60)
        wait_until(lambda: stays in listener.log(), "it asks for no more", 60)
        assert listener.log().count(stays) == 1
        assert ends in listener.log().partition(stays)[2]
        assert ends in json.loads((tmp_path / "state" / FILE).read_text())["withdraw"], "next time"
        assert shown_as() == {"homeassistant/device/hive/config"}
        thrown_out = broker.connections - 1
        assert thrown_out == MOST
        wait_until(lambda: any(topic == "edge/hive/event" for topic, _ in broker.taken), "it hears")
        assert broker.connections - 1 == thrown_out


class Box:
    """A box that is described, without a broker."""

    def __init__(self, state: Path, node: str = "edge") -> None:
        settings = load_defaults()
        self.settings = replace(
            settings,
            node=replace(settings.node, id=node),
            state=replace(settings.state, directory=str(state)),
        )
        self.sent: list[Message] = []
        topics = Topics("edge", node)
        self.told = HomeAssistant(self.settings, topics, self.sent.append, lambda: None)

    def entities(self, *labels: str) -> dict[str, Any]:
        what = shown(self.settings, "m", labels, (), calibrated=False, thermometer=False)
        self.told.tell(what)
        body: dict[str, Any] = json.loads([one.payload for one in self.sent if one.payload][-1])
        return dict(body["components"])


def test_what_goes_with_a_model_is_removed_by_name_after_a_restart_too(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert set(box.entities("dog", "rain")) > {"detected_dog", "threshold_dog", "detected_rain"}
    entities = box.entities("rain")
    assert entities["detected_dog"] == {"platform": "binary_sensor"}
    assert entities["threshold_dog"] == {"platform": "number"}
    assert len(entities["detected_rain"]) > 1
    assert Box(tmp_path).entities("rain")["detected_dog"] == {"platform": "binary_sensor"}
    assert len(Box(tmp_path).entities("dog")["detected_dog"]) > 1, "and it may come back"


def removed(box: Box) -> list[str]:
    """Return the devices that a box has removed."""
    gone = [one for one in box.sent if not one.payload]
    assert all(one.retain and one.qos for one in gone)
    return [one.topic for one in gone]


def test_a_box_of_another_name_takes_away_what_was_told_by_the_old_until_it_is_gone(
    tmp_path: Path,
) -> None:
    Box(tmp_path).entities("rain", "dog")
    assert Box(tmp_path).told.is_new is False
    renamed = Box(tmp_path, "hive")
    assert renamed.told.is_new
    assert "detected_dog" not in renamed.entities("rain"), "it was never told there"
    assert removed(renamed) == [TOPIC], "one alone, until that is known to be allowed"
    assert renamed.sent[-1].topic == TOPIC, "behind what it is called now"
    again = Box(tmp_path, "hive")
    again.entities("rain")
    assert removed(again) == [TOPIC], "nobody has said that it is gone"
    gone = all_gone(again)
    assert {TOPIC, "edge/edge/status", "edge/edge/run", "edge/edge/detected/dog"} < {*gone}
    assert not [topic for topic in gone if "hive" in topic]
    later = Box(tmp_path, "hive")
    later.entities("rain")
    assert removed(later) == [], "another box may have the old name now"


def all_gone(box: Box) -> list[str]:
    """Say that each topic is gone that a box asks for; return them."""
    answered: list[str] = []
    while gone := removed(box)[len(answered) :]:
        box.told.forgotten(gone[0], Refusal.NOT)
        answered.append(gone[0])
    return answered


def test_a_box_that_gets_its_old_name_back_takes_nothing_of_it_away(tmp_path: Path) -> None:
    for node in ("edge", "hive", "edge"):
        box = Box(tmp_path, node)
        box.entities("rain")
    gone = all_gone(box)
    assert "edge/hive/status" in gone
    assert not [topic for topic in gone if topic.startswith("edge/edge/") or topic == TOPIC]


def test_who_may_not_take_one_away_asks_for_no_other_of_that_name(tmp_path: Path) -> None:
    for node in ("edge", "yard"):
        Box(tmp_path, node).entities("rain")
    renamed = Box(tmp_path, "hive")
    renamed.entities("rain")
    renamed.told.forgotten(TOPIC, Refusal.NOT_ALLOWED)
    first = removed(renamed)[1]
    assert first.startswith("edge/edge/")
    renamed.told.forgotten(first, Refusal.NOT_ALLOWED)
    assert removed(renamed) == [TOPIC, first, "homeassistant/device/yard/config"]
    later = Box(tmp_path, "hive")
    later.entities("rain")
    assert removed(later) == ["homeassistant/device/yard/config"]
    assert not [topic for topic in all_gone(later) if topic.startswith("edge/edge/")]


def test_what_the_link_leaves_out_is_asked_for_at_the_next_start(tmp_path: Path) -> None:
    Box(tmp_path).entities("rain")
    renamed = Box(tmp_path, "hive")
    renamed.entities("rain")
    renamed.told.forgotten(TOPIC, Refusal.LEFT_OUT)
    renamed.entities("rain")
    assert removed(renamed) == [TOPIC], "not in this run"
    later = Box(tmp_path, "hive")
    later.entities("rain")
    assert removed(later) == [TOPIC]
    assert "edge/edge/status" in all_gone(later)


def test_a_box_that_is_not_shown_any_more_takes_its_device_away_until_it_is_gone(
    tmp_path: Path,
) -> None:
    box = Box(tmp_path)
    box.told.withdraw()
    assert box.sent == [], "it was never shown"
    Box(tmp_path).entities("rain")
    for _ in range(2):
        box = Box(tmp_path)
        box.told.withdraw()
        assert removed(box) == [TOPIC]
    box.told.forgotten(TOPIC, Refusal.NOT)
    later = Box(tmp_path)
    later.told.withdraw()
    assert later.sent == []
    assert later.told.is_new


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1]", "[" * 100_000, '{"topic": 7}', '{"topic": "a", "entities": 1}'),
        '{"topic": "a", "root": 7, "entities": {}, "withdraw": []}',
        f'{{"topic": "{TOPIC}", "root": "a/b", "entities": {{"detected_x": 7}}, "withdraw": []}}',
    ],
)
def test_a_damaged_memory_of_what_was_told_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert "detected_x" not in Box(tmp_path).entities("rain")


def test_a_disk_that_fails_keeps_nobody_from_being_told(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("no folder")
    assert "detected_rain" in Box(state).entities("rain")
