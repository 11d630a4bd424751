# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from edge.cli.dashboard import Dashboard, bar, scale, subscription
from edge.cli.heard import Heard, in_words
from edge.publish.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Mosquitto

ROOT = "edge/box"
LEVEL = {"laeq_dbfs": -45.0, "lafmax_dbfs": -30.0, "lcpeak_dbfs": 0.0, "duration_s": 1.0}


def hear(heard: Heard, topic: str, body: dict[str, Any]) -> None:
    heard.take(f"{ROOT}/{topic}", json.dumps(body).encode())


def event(heard: Heard, kind: str, label: str, second: int, **more: float) -> None:
    body = {"event_type": kind, "event_id": f"{label}-{second}", "label": label, "score": 0.8}
    onset = f"2026-01-02T03:04:{second:02}.500Z"
    hear(heard, "event", {**body, "onset_time": onset, **more})


@pytest.fixture
def heard() -> Heard:
    box = Heard(ROOT)
    box.take(f"{ROOT}/status", b"online")
    thresholds = {"rain": 0.5, "dog_bark": 0.75}
    model = {"name": "ears", "version": "3"}
    facts = {"source": "desk", "rate_hz": 48000, "channels": 1, "model": model}
    hear(box, "info", {**facts, "thresholds": thresholds})
    hear(box, "level", {**LEVEL, "time": "2026-01-02T03:04:09.000Z"})
    hear(box, "scores", {"scores": {"rain": 0.9, "dog_bark": 0.2}})
    event(box, "onset", "dog_bark", 1)
    event(box, "offset", "dog_bark", 1, duration_s=2.25)
    event(box, "onset", "rain", 5)
    box.take(f"{ROOT}/detected/rain", b"ON")
    figures = {"xruns": 2, "gaps": 1, "outbox_depth": 7, "microphone": "ok"}
    hear(box, "health", {**figures, "cpu_percent": 3.5, "memory_mb": 86.2, "late_patches": 0})
    return box


def draw(heard: Heard, width: int = 80, height: int = 24, clips: Path | None = None) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, record=True)
    console.print(Dashboard(heard, Broker("mqtt://127.0.0.1:1234", "edge"), ROOT, clips))
    return console.export_text().splitlines()


def test_a_calibrated_box_shows_sound_pressure_levels_on_their_own_scale(heard: Heard) -> None:
    hear(heard, "level", {"laeq_db": 65.0, "lafmax_db": 81.3, "calibrated": True})
    picture = "\n".join(draw(heard))
    for text in ("sound pressure level, dB re 20 µPa", " 65.0", " 81.3", "110"):
        assert text in picture
    row = next(line for line in draw(heard) if "LAeq,1s" in line)
    # 65 dB is the middle of 20 to 110.
    assert row.count("█") == pytest.approx(48 / 2, abs=2)


def test_everything_that_a_box_reports_is_shown(heard: Heard) -> None:
    picture = "\n".join(draw(heard))
    shown = ("online", "desk, 48000 Hz, 1 ch", "ears 3", "-45.0", "-30.0", "0.90 heard", "0.20")
    shown += ("microphone ok", "xruns 2", "gaps 1", "outbox 7", "CPU 3.5 %", "memory 86.2 MB")
    hears = "mosquitto_sub -h 127.0.0.1 -p 1234 -v -t 'edge/box/#' -T 'edge/box/+/picture'"
    shown += (hears, "detected/<label>")
    for text in shown:
        assert text in picture


def test_a_clip_is_shown_and_what_was_found_in_it(heard: Heard) -> None:
    assert "no clip is analysed yet" in "\n".join(draw(heard))
    hear(heard, "health", {"recording": "ok"})
    body = {"clip_id": "c7", "number": 7, "file": "0000007_x.flac", "labels": ["rain", "dog_bark"]}
    hear(heard, "clip", {**body, "duration_s": 12.5})
    picture = "\n".join(draw(heard))
    assert "recording ok  clip 7  12.5 s  rain, dog_bark" in picture
    report: dict[str, Any] = {
        "clip_id": "c7",
        "separation": {"harmonic_share": 0.62, "percussive_share": 0.3},
        "onsets": {"count": 9, "regularity": 0.9, "period_s": 0.5},
        "tones": {"strongest": [{"note": "A4 +3"}]},
    }
    hear(heard, "analysis", report)
    words = "clip 7: harmonic 62%, percussive 30%, 9 onsets, every 0.50 s, tone A4 +3"
    assert words in draw(heard)


def test_only_regular_onsets_have_a_period() -> None:
    onsets = {"count": 1, "regularity": 0.2, "period_s": 0.5}
    assert in_words({"onsets": onsets}) == "1 onset"
    assert in_words({"onsets": {**onsets, "regularity": 0.8}}) == "1 onset, every 0.50 s"


def test_a_picture_is_told_by_its_path_where_the_clips_are_here(heard: Heard) -> None:
    name = "0001007_untimed_rain.analysis.png"
    hear(heard, "clip", {"clip_id": "c", "number": 1007, "labels": ["rain"], "duration_s": 1.0})
    hear(heard, "analysis", {"clip_id": "c", "picture": None})
    assert not any(".png" in line for line in draw(heard, clips=Path("clips")))
    hear(heard, "analysis", {"clip_id": "c", "picture": name})
    assert name in draw(heard)
    assert f"clips/0001/{name}" in draw(heard, clips=Path("clips"))
    far = draw(heard, clips=Path("/" + "far/" * 20))
    assert [len(line) for line in far if line.endswith(name)] == [80]
    assert len(far) == 24


def test_a_clip_that_could_not_be_analysed_says_why(heard: Heard) -> None:
    hear(heard, "clip", {"clip_id": "c", "number": 1, "labels": [], "reason": "command"})
    hear(heard, "analysis", {"clip_id": "c", "error": "it is empty"})
    assert "clip 1: not analysed: it is empty" in "\n".join(draw(heard))


@pytest.mark.parametrize(
    "number", ["1" + "0" * 400, "-1" + "0" * 400, "1e400", "1.7e308", "-1.7e308", "NaN"]
)
def test_a_number_that_nobody_measured_does_no_harm(heard: Heard, number: str) -> None:
    bodies = {
        "level": f'"laeq_dbfs": {number}, "duration_s": {number}',
        "info": f'"thresholds": {{"rain": {number}}}',
        "scores": f'"scores": {{"rain": {number}}}',
        "event": f'"event_id": "e", "label": "rain", "score": {number}, "onset_time": "2026-01-02"',
        "clip": f'"clip_id": "c", "number": {number}, "labels": [], "duration_s": {number}',
        "analysis": f'"clip_id": "c", "separation": {{"harmonic_share": {number}}}',
    }
    for topic, body in bodies.items():
        heard.take(f"{ROOT}/{topic}", f"{{{body}}}".encode())
    assert draw(heard)
    assert heard.summary()[0] == "listened 1 s"


@pytest.mark.parametrize("depth", [300, 600, 900, 100_000])
def test_lists_in_lists_do_no_harm(heard: Heard, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    heard.take(f"{ROOT}/level", f'{{"time": {deep}, "laeq_dbfs": {deep}}}'.encode())
    heard.take(f"{ROOT}/clip", f'{{"clip_id": {deep}, "number": 1, "labels": {deep}}}'.encode())
    heard.take(f"{ROOT}/level", deep.encode())
    assert draw(heard)


def test_a_box_that_can_not_record_says_why(heard: Heard) -> None:
    hear(heard, "health", {"recording": "there is no room for clips"})
    assert "recording there is no room for clips" in "\n".join(draw(heard))


@pytest.mark.parametrize("part", ["separation", "onsets", "tones"])
@pytest.mark.parametrize("value", [None, 3, "x", [], [[]], {"strongest": 4}, {"count": []}])
def test_an_analysis_of_another_form_does_no_harm(heard: Heard, part: str, value: object) -> None:
    hear(heard, "clip", {"clip_id": "c", "number": 1, "labels": []})
    hear(heard, "analysis", {"clip_id": "c", part: value})
    assert "clip 1: " in "\n".join(draw(heard))


def test_an_event_has_one_line_that_grows_until_it_ends(heard: Heard) -> None:
    lines = draw(heard)
    ended = next(line for line in lines if "03:04:01" in line)
    assert "dog_bark" in ended
    assert "2.2 s" in ended
    assert "sounding" not in ended
    sounding = next(line for line in lines if "03:04:05" in line)
    assert "3.5 s  sounding" in sounding, "from its onset to the newest level"
    hear(heard, "level", {**LEVEL, "time": "2026-01-02T03:04:11.000Z"})
    assert any("5.5 s  sounding" in line for line in draw(heard))


def test_a_bar_that_reached_its_threshold_passes_the_mark(heard: Heard) -> None:
    lines = draw(heard)
    rain = next(line for line in lines if "0.90 heard" in line)
    dog = next(line for line in lines if line.rstrip(" │").endswith("0.20"))
    assert "█┃█" in rain
    assert " ┃ " in dog


def test_a_score_is_green_from_its_threshold_on(heard: Heard) -> None:
    hear(heard, "scores", {"scores": {"rain": 0.5, "dog_bark": 0.74}})
    heard.take(f"{ROOT}/detected/rain", b"OFF")
    console = Console(file=StringIO(), width=80, height=24, record=True, color_system="standard")
    console.print(Dashboard(heard, Broker("mqtt://127.0.0.1:1234", "edge"), ROOT))
    lines = console.export_text(styles=True).splitlines()
    rain = next(line for line in lines if "0.50" in line)
    dog = next(line for line in lines if "0.74" in line)
    green = "\x1b[1;32m"
    assert f"{green}rain" in rain
    assert green not in dog


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_it_fills_the_terminal_and_no_more(heard: Heard, width: int, height: int) -> None:
    for n in range(90):
        event(heard, "onset", f"label{n}", n % 60)
    hear(heard, "scores", {"scores": {f"label{n}": 0.5 for n in range(20)}})
    lines = draw(heard, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) == width


def test_before_anything_is_heard_there_is_a_picture_too() -> None:
    assert len(draw(Heard(ROOT))) == 24


def test_the_summary_counts_time_events_and_losses(heard: Heard) -> None:
    event(heard, "onset", "rain", 30)
    assert heard.summary() == [
        "listened 1 s",
        "events: rain 2, dog_bark 1",
        "clips: 0",
        "xruns 2, gaps 1, late patches 0",
    ]


def test_a_message_that_comes_twice_counts_once(heard: Heard) -> None:
    event(heard, "onset", "rain", 5)
    assert heard.events["rain"] == 1


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["level", "scores", "event", "health", "info", "status"]), st.binary())
def test_what_is_no_message_of_ours_is_passed_over(topic: str, payload: bytes) -> None:
    box = Heard(ROOT)
    box.take(f"{ROOT}/{topic}", payload)
    assert len(draw(box)) == 24


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(codec="utf-8")))
def test_no_text_in_a_message_can_steer_the_terminal(text: str) -> None:
    box = Heard(ROOT)
    hear(box, "info", {"source": text, "model": {"name": text, "version": text}})
    hear(box, "health", {"microphone": text})
    hear(box, "scores", {"scores": {text: 0.5}})
    event(box, "onset", text, 1)
    lines = draw(box)
    assert len(lines) == 24
    assert all(line.isprintable() for line in lines)


@settings(deadline=None, max_examples=50)
@given(st.floats(-2, 3), st.integers(8, 300), st.none() | st.floats(0, 1))
def test_a_bar_is_as_wide_as_told(share: float, width: int, mark: float | None) -> None:
    assert len(bar(share, width, mark=mark).plain) == width


def test_the_scale_names_the_ends_of_the_bar() -> None:
    figures = scale(49, -90, 0).plain
    assert figures.startswith("-90")
    assert figures.endswith("0")
    assert figures.index("-45") == pytest.approx(49 / 2, abs=1)


def test_the_live_view_leaves_the_terminal_as_it_was(mosquitto: Callable[..., Mosquitto]) -> None:
    server = mosquitto()
    topic = ("-t", "edge/edge/status", "-m", "online", "-r")
    subprocess.run(["mosquitto_pub", "-p", str(server.port), *topic], check=True)
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "edge", "watch", "--broker", server.url, "--seconds", "4"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdout=terminal, env=environment) as child:
        os.close(terminal)
        drawn = read_all(screen)
    assert child.returncode == 0
    assert "online" in drawn
    assert "level, dB re full scale" in drawn
    before, _, after = drawn.rpartition("\x1b[?1049l")
    assert before.startswith("\x1b[?1049h"), "a screen of its own"
    assert "\x1b[?25h" in before + after[:20], "the cursor is back"
    assert "listened 0 s" in after


def read_all(screen: int) -> str:
    parts = []
    try:
        while part := os.read(screen, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the last writer has gone
        pass
    os.close(screen)
    return b"".join(parts).decode()


@given(
    st.sampled_from(["info", "level", "scores", "event", "health"]),
    st.dictionaries(
        st.sampled_from(
            [
                *("laeq_dbfs", "scores", "thresholds", "model", "microphone", "duration_s"),
                *("score", "onset_time", "time", "event_type", "event_id", "label", "xruns"),
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    ),
)
def test_no_message_of_a_strange_box_breaks_the_view(topic: str, body: dict[str, object]) -> None:
    heard = Heard("edge/x")
    heard.take("edge/x/level", b'{"time": "2027-01-15T12:00:00.000Z"}')
    heard.take(f"edge/x/{topic}", json.dumps(body).encode())
    console = Console(width=80, height=24, file=StringIO())
    console.print(Dashboard(heard, Broker("mqtt://h", "x"), "edge/x"))
    assert heard.summary()


def test_who_subscribes_as_it_says_gets_text_only(mosquitto: Callable[..., Mosquitto]) -> None:
    server = mosquitto()
    command = shlex.split(subscription(Broker(server.url, "ear"), ROOT))
    for topic in ("analysis/picture", "status"):
        tell = ["mosquitto_pub", "-r", "-p", str(server.port), "-t", f"{ROOT}/{topic}"]
        subprocess.run([*tell, "-m", topic], check=True)
    heard = subprocess.run([*command, "-W", "4"], check=False, capture_output=True, text=True)
    assert heard.stdout.splitlines() == ["edge/box/status status"]
