# SPDX-License-Identifier: MIT
"""What the box plays: alarms on command, and the filtered sound as it is heard."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.capture import generator
from edge.service.commands import CommandError
from edge.service.sounding import SOUNDS, Repeated, Sounding
from tests.conftest import wait_until
from tests.service.conftest import body_of
from tools.lab.loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto

Start = "Callable[..., Listener]"


class Loop:
    """The captured end of a loop of two cards, as a microphone of the listener."""

    def __init__(self, directory: Path) -> None:
        self.cards = VirtualLoop(directory)
        self.name = self.cards.input

    def environment(self) -> dict[str, str]:
        return self.cards.environment()


def test_a_tone_on_command_comes_out_of_one_card_and_into_the_other(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    loop = Loop(tmp_path / "loop")
    server = mosquitto()
    ear = server.subscribe()
    settings = ("record.enabled=false", f'playback.device="{loop.cards.output}"')
    listener = listen(f'publish.url="{server.url}"', *settings, on=loop)
    listener.wait_ready()
    wait_until(lambda: "playback=ok" in listener.log(), "the output is open")
    quiet = body_of(ear, "level")
    assert quiet["laeq_dbfs"] < -80
    say(server, "play", '{"sound": "tone", "seconds": 3, "level_dbfs": -20}')
    answer = body_of(ear, "command/play/result")
    assert (answer["ok"], answer["sound"], answer["seconds"]) == (True, "tone", 3)
    # The peak is told: a sine's RMS is 3 dB under it. One second holds it whole.
    wait_until(lambda: loudest(ear.lines()) > -23.2, "a second of nothing but the tone")
    assert loudest(ear.lines()) < -22.8
    say(server, "play", '"siren"')
    ear.wait_for("sounds are: alarm")
    assert listener.stop() == 0


def test_a_command_to_play_on_a_lost_card_is_answered_with_the_reason(
    listen: Start, mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """Lost in this very moment, and lost for a while."""
    loop = Loop(tmp_path / "loop")
    server = mosquitto()
    ear = server.subscribe("edge/edge/command/play/result")
    settings = ("record.enabled=false", f'playback.device="{loop.cards.output}"')
    listener = listen(f'publish.url="{server.url}"', *settings, on=loop)
    listener.wait_ready()
    wait_until(lambda: "playback=ok" in listener.log(), "the output is open")
    loop.cards.unplug(loop.cards.output)
    for number in range(2):
        say(server, "play", f'{{"sound": "tone", "request_id": {number}}}')
        wait_until(lambda number=number: len(ear.lines()) > number, "an answer")
        answer = json.loads(ear.lines()[number].partition(" ")[2])
        assert (answer["request_id"], answer["ok"]) == (number, False)
        assert loop.cards.output in answer["error"]
    assert listener.stop() == 0


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_a_sound_made_piece_by_piece_is_the_sound_made_whole(name: str, rate_hz: int) -> None:
    """To the rounding of float32, and faded at both ends."""
    make, pattern_s = SOUNDS[name]
    n_samples, fade = round(9.3 * rate_hz), rate_hz // 100
    pattern = make(pattern_s * rate_hz, rate_hz, level_dbfs=-12.0)
    sound = Repeated(pattern, n_samples, fade)
    bounds = [0, 1, 100, *range(1000, n_samples, 7777), n_samples]
    parts = [sound[start:stop] for start, stop in itertools.pairwise(bounds)]
    whole = generator.faded(make(n_samples, rate_hz, level_dbfs=-12.0), rate_hz, 0.01)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-5)
    assert sound[n_samples : n_samples + 9].size == 0


def test_a_long_sound_takes_no_more_memory_than_a_short_one() -> None:
    class Loudspeaker:
        """Keeps what is asked for, as eight sounds may wait."""

        def __init__(self) -> None:
            self.sounds: list[Repeated] = []

        def play_sound(self, sound: Repeated, **_: object) -> None:
            self.sounds.append(sound)

    loudspeaker = Loudspeaker()
    tracemalloc.start()
    for _ in range(8):
        body = {"sound": "evacuation", "seconds": 60}
        Sounding(loudspeaker, 48000).play(body, lambda _: None)  # type: ignore[arg-type]
    kept_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert [len(sound) for sound in loudspeaker.sounds] == [60 * 48000] * 8
    assert kept_mb < 8


def test_who_listens_in_hears_the_room_and_a_lost_card_disturbs_nothing(
    listen: Start, tmp_path: Path
) -> None:
    """What one card hears comes out of another, cleaned; then that one vanishes."""
    loop = Loop(tmp_path / "loop")
    listener = listen(
        'publish.url=""',
        "record.enabled=false",
        f'playback.device="{loop.cards.output}"',
        "playback.listen_in=true",
        "capture.period_size=240",
        'denoise.method="logmmse"',
        on=loop,
    )
    listener.wait_ready()
    wait_until(lambda: re.search(r"playback_queued_ms=\d", listener.log()), "the room is heard")
    loop.cards.unplug(loop.cards.output)
    wait_until(lambda: "playback=away" in listener.log(), "the lost card is told")
    loop.cards.plug(loop.cards.output)
    wait_until(lambda: "is back" in listener.log(), "the card is back")
    assert " xruns=0 " in listener.log().splitlines()[-1] or "xruns=0" in listener.log()
    assert listener.stop() == 0


def say(server: Mosquitto, command: str, payload: str) -> None:
    topic = ("-t", f"edge/edge/command/{command}", "-m", payload)
    subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)


def loudest(lines: list[str]) -> float:
    levels = [json.loads(line.partition(" ")[2]) for line in lines if "/level {" in line]
    return max((level["laeq_dbfs"] for level in levels), default=-200.0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"sound": "siren"}, "sounds are: alarm"),
        ({"sound": ["alarm"]}, "sounds are: alarm"),
        ({"sound": {}}, "sounds are: alarm"),
        ({"seconds": 10**400}, "0.1 to 60"),
        ({"level_dbfs": -(10**400)}, "-80 to 0"),
        ({"seconds": 0}, "0.1 to 60"),
        ({"seconds": "long"}, "no number"),
        ({"level_dbfs": 3}, "-80 to 0"),
        ({"level_dbfs": float("nan")}, "-80 to 0"),
        ({"loudness": 1}, "keys are"),
    ],
)
def test_a_wrong_command_to_play_is_answered_with_the_reason(
    body: dict[str, Any], why: str
) -> None:
    class Loudspeaker:
        """Nothing may reach it."""

    with pytest.raises(CommandError) as refused:
        Sounding(Loudspeaker(), 48000).play(body, lambda _: None)  # type: ignore[arg-type]
    assert why in f"{refused.value} {refused.value.help}"


def test_a_box_without_a_loudspeaker_says_so() -> None:
    with pytest.raises(CommandError, match="no loudspeaker"):
        Sounding(None, 48000).play({}, lambda _: None)
