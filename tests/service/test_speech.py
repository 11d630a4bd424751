# SPDX-License-Identifier: MIT
from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import CliRunner

from edge.capture.scene import synthesise_scene
from edge.cli import cli
from edge.dsp.spec import CoreSpec
from edge.record.history import Hole, Stretch
from edge.record.logbook import Logbook
from edge.service.designs import core_design
from edge.service.speech import LabelJudge, VoiceJudge
from edge.types import Scores

if TYPE_CHECKING:
    from pathlib import Path

Sound = np.ndarray[Any, Any]


def speech(data: Path, rate_hz: int, seconds: float) -> Sound:
    samples, rate_in_hz = soundfile.read(data / "field/198-209-0000.ogg", dtype="float32")
    return np.asarray(soxr.resample(samples, rate_in_hz, rate_hz))[: round(seconds * rate_hz)]


def quiet(rate_hz: int, seconds: float) -> Sound:
    noise = np.random.default_rng(0).normal(0, 0.003, round(seconds * rate_hz))
    return noise.astype(np.float32)


def stretch(*channels: Sound) -> Stretch:
    samples = np.stack(channels, axis=1)
    return Stretch(0, np.round(samples * 32767).astype(np.int16), ())


@functools.cache
def judge(data: Path, rate_hz: int, *, min_s: float = 0.25, threshold: float = 0.5) -> VoiceJudge:
    return VoiceJudge(
        data / "models/silero_vad.onnx",
        rate_hz=rate_hz,
        taps=core_design(CoreSpec(rate_hz, 16000, ()), None).decimation_taps,
        threshold=threshold,
        min_s=min_s,
    )


@pytest.mark.data
@pytest.mark.parametrize("rate_hz", [48000, 44100, 16000, 8000])
def test_speech_is_found_at_every_rate(data: Path, rate_hz: int) -> None:
    verdict = judge(data, rate_hz)(stretch(speech(data, rate_hz, 4.0)))
    assert verdict.spoken
    assert verdict.judge == "silero_vad"
    assert not judge(data, rate_hz)(stretch(quiet(rate_hz, 4.0))).spoken


@pytest.mark.data
def test_a_word_at_the_very_end_is_enough(data: Path) -> None:
    heard = np.concatenate([quiet(16000, 6.0), speech(data, 16000, 1.5)])
    assert judge(data, 16000)(stretch(heard)).spoken
    assert not judge(data, 16000, min_s=5.0)(stretch(heard)).spoken


@pytest.mark.data
@pytest.mark.parametrize("loud", [True, False])
def test_what_reaches_the_threshold_is_speech_and_what_does_not_is_none(
    data: Path,
    loud: bool,  # noqa: FBT001 - pytest's way
) -> None:
    heard = stretch(speech(data, 16000, 4.0) if loud else quiet(16000, 4.0))
    score = judge(data, 16000)(heard).score
    assert (score > 0.9) is loud
    assert judge(data, 16000, threshold=score)(heard).spoken
    assert not judge(data, 16000, threshold=score + 1e-4)(heard).spoken


@pytest.mark.data
def test_who_speaks_beside_a_clip_does_not_speak_in_it(data: Path) -> None:
    ask = judge(data, 16000)
    voice = speech(data, 16000, 2.0)[8000:]  # in the midst of a word
    beside = voice[: ask.context_samples]
    assert not ask(stretch(np.concatenate([quiet(16000, 3.0), beside]))).spoken
    across = voice[: ask.context_samples + 4 * 512]
    assert ask(stretch(np.concatenate([quiet(16000, 3.0), across]))).spoken


@pytest.mark.data
def test_who_speaks_into_one_channel_only_is_heard(data: Path) -> None:
    voice = speech(data, 16000, 4.0)
    assert judge(data, 16000)(stretch(quiet(16000, 4.0), voice)).spoken
    assert judge(data, 16000)(stretch(-voice, voice)).spoken, "their mean would be silence"


@pytest.mark.data
def test_one_clip_does_not_colour_the_next(data: Path) -> None:
    ask = judge(data, 48000)
    assert ask(stretch(speech(data, 48000, 4.0))).spoken
    assert not ask(stretch(quiet(48000, 4.0))).spoken


@pytest.mark.data
@pytest.mark.parametrize("rate_hz", [48000, 44100, 22050, 16000, 8000])
@pytest.mark.parametrize("n_samples", [1, 441])
def test_a_clip_of_a_few_samples_has_a_verdict(data: Path, rate_hz: int, n_samples: int) -> None:
    assert not judge(data, rate_hz)(stretch(np.zeros(n_samples, np.float32))).spoken


def scores(start: int, *values: float, valid: bool = True) -> Scores:
    return Scores(start, 100, np.array(values, np.float32), valid=valid)


def test_the_classifiers_own_labels_decide_over_every_patch_that_touches_the_clip() -> None:
    book = Logbook(("rain", "speech", "conversation"), 10_000)
    for start, values in ((0, (0.9, 0.1, 0.8)), (100, (0.9, 0.1, 0.1)), (200, (0.9, 0.6, 0.1))):
        book.scores(scores(start, *values))
    ask = LabelJudge(book, ("speech", "conversation"), 0.5)
    sound = np.zeros((50, 1), np.int16)
    assert ask(Stretch(60, sound, ())).spoken, "another label than the first"
    assert not ask(Stretch(120, sound, ())).spoken
    assert ask(Stretch(160, sound, ())).spoken, "the patch of its last samples"
    assert ask(Stretch(5000, sound, ())).spoken, "what nobody has classified could be anything"


def test_what_the_classifier_has_not_heard_could_be_speech() -> None:
    book = Logbook(("rain", "speech"), 10_000)
    for start in (0, 50, 100, 300):
        book.scores(scores(start, 0.9, 0.1))
    ask = LabelJudge(book, ("speech",), 0.5)
    sound = np.zeros((150, 1), np.int16)
    assert not ask(Stretch(20, sound, ())).spoken
    assert ask(Stretch(100, sound, ())).spoken, "from 200 to 300 nobody has listened"
    hole = Hole(200, 300, "xrun")
    assert not ask(Stretch(180, sound, (hole,))).spoken, "but there was nothing to hear"
    assert ask(Stretch(300, sound, ())).spoken, "its end came too late for a patch"


def test_a_patch_whose_scores_were_none_was_not_heard() -> None:
    book = Logbook(("rain", "speech"), 10_000)
    book.scores(scores(0, 0.9, 0.1))
    book.scores(scores(100, 0.0, 0.0, valid=False))
    book.scores(scores(200, 0.9, 0.1))
    ask = LabelJudge(book, ("speech",), 0.5)
    assert ask(Stretch(50, np.zeros((200, 1), np.int16), ())).spoken


@pytest.mark.data
@pytest.mark.parametrize("action", ["strip", "drop"])
def test_a_clip_with_speech_in_its_post_roll_leaves_no_sound(
    data: Path, tmp_path: Path, action: str
) -> None:
    voice = speech(data, 48000, 2.0) * 0.5
    sidecars = clips_of_rain(
        data, tmp_path, [quiet(48000, 0.5), voice], f'speech.action="{action}"'
    )
    assert not list(tmp_path.rglob("*.flac"))
    if action == "drop":
        assert sidecars == []
    else:
        assert [sidecar["file"] for sidecar in sidecars] == [None]
        assert sidecars[0]["speech"]["spoken"] is True


@pytest.mark.data
@pytest.mark.parametrize(("word", "clips"), [(True, 0), (False, 2)])
def test_a_word_across_a_cut_is_heard_by_both_clips(
    data: Path,
    tmp_path: Path,
    word: bool,  # noqa: FBT001 - pytest's way
    clips: int,
) -> None:
    """Each holds less of it than `speech.min_s`."""
    said = speech(data, 48000, 3.4)[-round(0.4 * 48000) :]
    parts = [quiet(48000, 1.3), said if word else quiet(48000, 0.4)]  # from 6.3 to 6.7 s
    settings = ('speech.action="drop"', "record.max_clip_s=6.5")
    assert len(clips_of_rain(data, tmp_path, parts, *settings)) == clips


# Chosen, since what is speech makes no clip by itself.
BY_LABEL = ('speech.model=""', 'speech.labels=["rain"]', 'record.labels=["rain"]')


@pytest.mark.data
@pytest.mark.parametrize(
    ("settings", "clips"),
    [
        ((), 0),
        (("speech.threshold=1.0",), 1),
        (("speech.min_s=5.0",), 1),
        (BY_LABEL, 0),
        ((*BY_LABEL, "speech.threshold=0.95"), 1),
    ],
)
def test_the_settings_decide_what_is_speech(
    data: Path, tmp_path: Path, settings: tuple[str, ...], clips: int
) -> None:
    after = [quiet(48000, 0.5), speech(data, 48000, 2.0)]
    assert len(clips_of_rain(data, tmp_path, after, 'speech.action="drop"', *settings)) == clips


def clips_of_rain(
    data: Path, tmp_path: Path, after: list[Sound], *settings: str
) -> list[dict[str, Any]]:
    """Replay five seconds of rain and what comes `after`; return the sidecars of its clips."""
    rain = synthesise_scene(6.0, 48000, seed=0)[0][: 5 * 48000]
    soundfile.write(
        tmp_path / "rain.wav", np.concatenate([rain, *after, quiet(48000, 10.0)]), 48000
    )
    voice_model = data / "models/silero_vad.onnx"
    # Whatever the shipped model's own rule for rain is: this is about speech.
    heard = ("detector.labels.rain.threshold=0.6", "detector.labels.rain.min_hits=1")
    shared = (f'state.directory="{tmp_path / "state"}"', f'speech.model="{voice_model}"', *heard)
    options = [part for one in (*shared, *settings) for part in ("--set", one)]
    clips = tmp_path / "clips"
    command = ["replay", str(tmp_path / "rain.wav"), "--clips", str(clips), *options]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert '"label": "rain"' in done.output
    return [json.loads(path.read_bytes()) for path in clips.rglob("*.json")]
