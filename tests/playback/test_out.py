# SPDX-License-Identifier: MIT
"""The stream out on the real alsa-lib: what is heard is captured from the cable."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.capture.alsa import AlsaSource
from edge.errors import DeviceError
from edge.playback.out import ASK_S, LAST_RETRY_S, PlaybackOut
from edge.playback.sounds import MAX_SOUNDS
from edge.service.priority import hurry
from edge.types import Period
from tests.conftest import wait_until
from tests.playback.conftest import hearing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.lab.loop import VirtualLoop

    Join = Callable[..., VirtualLoop]

TARGET_S = 0.06
"""Much, so that others who use this machine are not measured."""


@contextmanager
def playing(
    device: str,
    rate_hz: int = 48000,
    block_size: int = 480,
    target_s: float = TARGET_S,
    **settings: int,
) -> Iterator[PlaybackOut]:
    asked = {"rate_hz": rate_hz, "block_size": block_size, **settings}
    out = PlaybackOut(device, target_s=target_s, **asked)

    def play() -> None:
        hurry()  # as in the listener
        out.run()

    thread = threading.Thread(target=play, name="playback")
    thread.start()
    try:
        yield out
    finally:
        out.stop()
        thread.join(10.0)
        assert not thread.is_alive(), "it stops, whatever the card does"


def give(out: PlaybackOut, seconds: float, rate_hz: int = 48000, block_size: int = 480) -> float:
    """Hand a 1 kHz tone of half of full scale on as it would be captured.

    Returns the longest time that one hand-over took, in s.
    """
    tone = 0.5 * np.sin(2 * np.pi * 1000 / rate_hz * np.arange(rate_hz // block_size * block_size))
    blocks = tone.astype(np.float32).reshape(-1, block_size)
    began_s, longest_s = time.monotonic(), 0.0
    for number in range(round(seconds * rate_hz / block_size)):
        due_s = began_s + number * block_size / rate_hz
        time.sleep(max(due_s - time.monotonic(), 0.0))
        before_s = time.thread_time()
        out.take(blocks[number % len(blocks)], time.monotonic())
        longest_s = max(longest_s, time.thread_time() - before_s)
    return longest_s


def is_heard(heard: list[np.ndarray]) -> bool:
    """Whether something loud was heard in the last half second."""
    return bool(heard) and np.abs(np.concatenate(heard[-50:])).max() > 8000


def is_away(out: PlaybackOut) -> bool:
    return out.figures().state == "away"


def is_ok(out: PlaybackOut) -> bool:
    return out.figures().state == "ok"


@pytest.mark.parametrize(
    ("rate_hz", "channels", "sample_format"),
    [
        (8000, 1, "S16_LE"),
        (48000, 1, "S32_LE"),
        (48000, 2, "S16_LE"),
        (96000, 8, "S32_LE"),
        (192000, 2, "S32_LE"),
    ],
)
def test_what_is_given_is_heard_in_every_channel(
    join: Join, rate_hz: int, channels: int, sample_format: str
) -> None:
    loop = join(
        **{f"{end}_rate_hz": rate_hz for end in ("output", "input")},
        **{f"{end}_channels": channels for end in ("output", "input")},
        **{f"{end}_format": sample_format for end in ("output", "input")},
    )
    block_size = rate_hz // 100
    with (
        hearing(loop, rate_hz=rate_hz, channels=channels, period_size=block_size) as heard,
        playing(loop.output, rate_hz, block_size) as out,
    ):
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 1.0, rate_hz, block_size)
        assert out.figures().underruns == 0
    samples = np.concatenate(heard) / (2.0**15 if sample_format == "S16_LE" else 2.0**31)
    first = int(np.flatnonzero(np.abs(samples[:, 0]) > 0.1)[0]) + rate_hz // 10
    tone = samples[first : first + rate_hz // 2]
    assert (tone == tone[:, :1]).all(), "the same in each channel"
    # The clocks are the same, so the tone is; what is left of it are the control's few ppm.
    turns = np.exp(-2j * np.pi * 1000 / rate_hz * np.arange(rate_hz // 50))
    each = tone[:, 0].reshape(-1, rate_hz // 50) @ turns / (rate_hz // 100)
    assert np.abs(each) == pytest.approx(0.5, abs=2e-3)


def test_a_card_of_another_rate_plays_at_the_right_pitch(join: Join) -> None:
    loop = join(output_rate_hz=44100, input_rate_hz=44100)
    with hearing(loop, rate_hz=44100) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 1.0)
        assert out.figures().underruns == 0
    mono = np.concatenate(heard)[:, 0] / 2.0**15
    first = int(np.flatnonzero(np.abs(mono) > 0.1)[0]) + 4410
    spectrum = np.abs(np.fft.rfft(mono[first : first + 22050]))
    assert spectrum.argmax() == 500


def test_alsa_converts_for_a_card_that_can_little(join: Join) -> None:
    """As `plughw:` does; a loss is noticed through it too."""
    loop = join(output_rate_hz=44100, output_channels=8, input_rate_hz=44100)
    with hearing(loop, rate_hz=44100) as heard, playing(f"plug:{loop.output}") as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 1.0)
        assert is_heard(heard)
        assert out.figures().underruns == 0
        loop.unplug(loop.output)
        give(out, 0.3)
        wait_until(lambda: is_away(out), "the loss is noticed")


def test_clocks_200_ppm_apart_never_run_dry(join: Join) -> None:
    """Twenty seconds, a card that is too fast and one that is too slow; captured and played."""
    target_s = 0.2  # longer than a shared machine stands still
    loops = [join(output_ppm=100 * sign, input_ppm=-100 * sign) for sign in (1, -1)]
    queues: list[list[float]] = [[], []]
    with ExitStack() as stack:
        outs = [stack.enter_context(playing(loop.output, target_s=target_s)) for loop in loops]
        ended = threading.Event()

        def listen_in(loop: VirtualLoop, out: PlaybackOut, queue: list[float]) -> None:
            hurry()
            asked = {"rate_hz": 48000, "channels": 1, "period_size": 480, "periods": 32}
            with AlsaSource(loop.input, **asked) as source:
                while not ended.is_set():
                    item = source.read()
                    if isinstance(item, Period):
                        out.take(item.samples[:, 0].astype(np.float32) * 1e-6, item.mono_s)
                    if out.figures().queued_s is not None:
                        queue.append(out.figures().queued_s)

        threads = [
            threading.Thread(target=listen_in, args=each)
            for each in zip(loops, outs, queues, strict=True)
        ]
        for thread in threads:
            thread.start()
        time.sleep(20)
        ended.set()
        for thread in threads:
            thread.join()
        figures = [out.figures() for out in outs]
    assert [one.underruns for one in figures] == [0, 0]
    assert [one.left_out_blocks + one.dropped_blocks for one in figures] == [0, 0]
    assert [loop.xruns(loop.output) for loop in loops] == [[], []]
    for queue in queues:
        # Before the first second is over, an early or late start may still be seen.
        assert max(abs(queued_s - target_s) for queued_s in queue[100:]) < 0.05
        assert abs(np.mean(queue[-400:]) - target_s) < 0.002
    assert figures[0].trim_ppm == pytest.approx(-200, abs=150)
    assert figures[1].trim_ppm == pytest.approx(200, abs=150)


def test_an_unplugged_card_disturbs_nobody_and_plays_again_when_it_is_back(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.5)
        assert is_heard(heard)
        loop.unplug(loop.output)
        assert give(out, 1.5) < 0.02
        assert is_away(out)
        assert out.trouble is not None
        assert not is_heard(heard)
        loop.plug(loop.output)
        wait_until(lambda: is_ok(out), "the card is open again")
        give(out, 0.5)
        assert is_heard(heard)
        assert out.figures().lost_cards == 1
        loop.unplug(loop.output)
        give(out, 0.2)
        loop.plug(loop.output)
        give(out, 0.8)
        assert out.figures().lost_cards == 2
        wait_until(lambda: is_ok(out), "it is tried as soon as after the first", LAST_RETRY_S / 2)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4, "once when it breaks, once when it heals"
    assert said[0].startswith(f"nothing is played: {loop.output} was lost: No such device")
    assert said[1] == f"playback through {loop.output} is back"


def test_a_card_that_is_not_there_is_waited_for(
    join: Join, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    loop = join()
    loop.unplug(loop.output)
    with playing(loop.output) as out:
        give(out, 0.8)
        assert is_away(out)
        assert out.figures().lost_cards == 0
        loop.plug(loop.output)
        wait_until(lambda: is_ok(out), "the card is open")
    assert len(caplog.records) == 1, "it is said once"
    assert not capfd.readouterr().err, "and alsa-lib adds nothing"


def test_a_card_that_hangs_is_never_waited_for(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens as if nothing were, so it is back only when it plays."""
    caplog.set_level(logging.INFO)
    loop = join()
    with playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3)
        loop.hang(loop.output)
        assert give(out, 3.5) < 0.02, "who captures goes on"
        wait_until(lambda: is_away(out), "it is noticed")
        assert "plays nothing any more" in str(out.trouble)
        assert out.figures().lost_cards == 1, "however often it was tried again"
        loop.wake(loop.output)
        give(out, 3.0)
        wait_until(lambda: is_ok(out), "it plays again")
    assert len(caplog.records) == 2, "once when it breaks, once when it heals"


def test_a_pause_is_an_underrun_and_a_backlog_after_it_does_not_stay_in_the_queue(
    join: Join,
) -> None:
    loop = join()
    block = np.zeros(480, np.float32)
    with playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3)
        time.sleep(0.4)
        for _ in range(40):  # as a card's buffer gives them, at once
            out.take(block, time.monotonic())
        give(out, 0.5)
        figures = out.figures()
        assert figures.underruns >= 1
        assert figures.queued_s == pytest.approx(TARGET_S, abs=0.02)
    assert len(loop.xruns(loop.output)) == figures.underruns


def test_blocks_that_come_faster_than_they_can_be_played_are_dropped_and_counted(
    join: Join,
) -> None:
    loop = join()
    with playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        for _ in range(500):
            out.take(np.zeros(480, np.float32), time.monotonic())
        wait_until(lambda: out.figures().left_out_blocks + out.figures().dropped_blocks > 450, "")


def test_once_overfull_blocks_are_left_out_until_the_queue_is_short_again(join: Join) -> None:
    """What came at once would else be heard late for minutes."""
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3)
        for _ in range(20):  # newer than their time: nothing of them is old
            out.take(np.zeros(480, np.float32), time.monotonic())
        give(out, 0.3)
        assert out.figures().left_out_blocks > 0
        assert out.figures().queued_s == pytest.approx(TARGET_S, abs=0.02)


def test_a_sound_is_mixed_in(join: Join) -> None:
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(24000, 0.25, np.float32))
        give(out, 0.5)
        time.sleep(0.1)
    assert np.concatenate(heard).max() == pytest.approx(0.75 * 32768, abs=1000)


def test_a_sound_alone_silences_the_rest(join: Join) -> None:
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(480 * 200, 0.25, np.float32), alone=True)
        give(out, 0.5)
    assert np.concatenate(heard).max() < 0.3 * 32768


def test_a_sound_is_heard_to_its_end_though_nothing_is_captured(join: Join) -> None:
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(24000, 0.5, np.float32))
        time.sleep(1.0)
    mono = np.concatenate(heard)[:, 0]
    assert np.count_nonzero(mono > 16000) == pytest.approx(24000, abs=100)


def test_a_card_with_a_short_buffer_plays_a_sound_to_its_end(join: Join) -> None:
    """Its whole buffer is shorter than a sound is written ahead."""
    with hearing(loop := join()) as heard, playing(loop.output, block_size=32) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(24000, 0.5, np.float32))
        time.sleep(1.0)
    mono = np.concatenate(heard)[:, 0]
    assert np.count_nonzero(mono > 16000) == pytest.approx(24000, abs=100)


def test_a_card_that_rests_between_two_sounds_has_no_underrun(join: Join) -> None:
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        for _ in range(2):
            out.play_sound(np.full(480, 0.5, np.float32))
            time.sleep(0.4)
        give(out, 0.2)
        assert out.figures().underruns == 0


def test_a_sound_for_a_card_that_is_away_is_refused_and_not_played_later(join: Join) -> None:
    loop = join()
    sound = np.full(480, 0.5, np.float32)
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        loop.unplug(loop.output)
        out.play_sound(sound)
        wait_until(lambda: is_away(out), "it is lost")
        with pytest.raises(DeviceError, match=r"can't be opened|was lost"):
            out.play_sound(sound)
        loop.plug(loop.output)
        wait_until(lambda: is_ok(out), "the card is open again")
        time.sleep(0.3)
    assert not np.concatenate(heard).any()


def test_no_more_sounds_wait_than_can_be_wanted(join: Join) -> None:
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        second = np.zeros(48000, np.float32)
        for _ in range(MAX_SOUNDS):
            out.play_sound(second)
        with pytest.raises(DeviceError, match="sounds wait"):
            list(map(out.play_sound, [second] * 2))


@pytest.mark.parametrize("plug", ["", "plug:"])
@pytest.mark.parametrize("played_before", [False, True])
def test_a_lost_card_is_noticed_though_nothing_is_played(
    join: Join, *, played_before: bool, plug: str
) -> None:
    loop = join(output_channels=2)
    with playing(plug + loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        if played_before:
            out.play_sound(np.full(480, 0.5, np.float32))
            time.sleep(0.3)
        loop.unplug(loop.output)
        wait_until(lambda: is_away(out), "the lost card is told")
        assert out.figures().lost_cards == 1


def test_a_card_that_hangs_is_noticed_though_nothing_is_played_and_so_is_its_return(
    join: Join,
) -> None:
    loop = join()
    with playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(4800, 0.5, np.float32))
        time.sleep(0.05)
        loop.hang(loop.output)
        wait_until(lambda: is_away(out), "the hanging card is told")
        time.sleep(2 * ASK_S)
        assert is_away(out), "that it opens is not enough"
        loop.wake(loop.output)
        wait_until(lambda: is_ok(out), "the card is back")
        assert out.figures().lost_cards == 1


def test_asking_an_idle_card_is_not_heard(join: Join) -> None:
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(480, 0.5, np.float32))
        time.sleep(1.5 * ASK_S)
        out.play_sound(np.full(480, 0.25, np.float32))
        time.sleep(0.3)
    mono = np.concatenate(heard)[:, 0]
    loud = np.flatnonzero(mono)
    assert np.count_nonzero(mono > 6000) == pytest.approx(960, abs=30)
    assert loud[-1] - loud[0] == pytest.approx(1.5 * ASK_S * 48000, rel=0.1)
    assert loop.xruns(loop.output) != [], "the card rested"


def test_who_asks_for_a_sound_is_told_when_its_first_block_is_with_the_card(join: Join) -> None:
    told: list[DeviceError | None] = []
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.zeros(5 * 48000, np.float32), told=told.append)
        out.play_sound(np.zeros(480, np.float32), told=told.append)
        wait_until(lambda: told, "the first is with the card")
        time.sleep(0.5)
        assert told == [None], "the second waits for the first"
        wait_until(lambda: told == [None, None], "the second is played")


def test_who_asks_for_a_sound_is_told_that_the_card_was_lost_before_it(join: Join) -> None:
    loop = join()
    told: list[DeviceError | None] = []
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        loop.unplug(loop.output)
        for _ in range(3):
            out.play_sound(np.full(480, 0.5, np.float32), told=told.append)
        wait_until(lambda: len(told) == 3, "all are told")
        assert {type(error) for error in told} == {DeviceError}
        loop.plug(loop.output)
        wait_until(lambda: is_ok(out), "the card is open again")
        time.sleep(0.2)
    assert len(told) == 3
    assert not np.concatenate(heard).any()


def test_a_sound_that_still_waits_at_the_end_is_told_so(join: Join) -> None:
    told: list[DeviceError | None] = []
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        for _ in range(2):
            out.play_sound(np.zeros(480000, np.float32), told=told.append)
        wait_until(lambda: told == [None], "the first is played")
    assert len(told) == 2
    assert "ended" in str(told[1])


def test_a_sound_for_a_card_that_hangs_is_refused(join: Join) -> None:
    loop = join()
    with playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3)
        loop.hang(loop.output)
        give(out, 2.5)
        wait_until(lambda: is_away(out), "it is noticed")
        with pytest.raises(DeviceError, match="plays nothing any more"):
            out.play_sound(np.zeros(480, np.float32))


def test_what_was_left_of_a_lost_card_is_not_played_late(join: Join) -> None:
    """Nor counted in the times of the next one."""
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        loop.unplug(loop.output)
        for _ in range(10):  # the first one finds out, the rest are left over
            out.take(np.full(480, 0.5, np.float32), time.monotonic())
        wait_until(lambda: is_away(out), "it is lost")
        loop.plug(loop.output)
        wait_until(lambda: is_ok(out), "the card is open again")
        time.sleep(0.3)
        assert out.figures().handed_p99_s is None
    assert not np.concatenate(heard).any()


@pytest.mark.parametrize("block_size", [480, 1024])
def test_a_card_with_little_room_leaves_whole_blocks_out_and_counts_them(
    join: Join, block_size: int
) -> None:
    """Its buffer is shorter than the longest queue that is wanted."""
    loop = join(output_most_frames=2048)
    with hearing(loop) as heard, playing(loop.output, block_size=block_size) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3, block_size=block_size)
        for _ in range(4):  # a backlog, at once
            out.take(np.full(block_size, 0.5, np.float32), time.monotonic())
        give(out, 0.5, block_size=block_size)
        time.sleep(0.1)
        figures = out.figures()
        n_given = out.handed().size + figures.left_out_blocks + figures.dropped_blocks
    n_blocks = round(0.3 * 48000 / block_size) + 4 + round(0.5 * 48000 / block_size)
    assert n_given == n_blocks
    assert figures.left_out_blocks > 0
    n_lost = figures.left_out_blocks * block_size
    n_heard = np.count_nonzero(np.concatenate(heard)[:, 0])
    # Where this machine stood still, more is missing: what was late is left out.
    stalled = 4800 * figures.underruns
    assert n_heard == pytest.approx(n_blocks * block_size - n_lost, abs=200 + stalled)


@pytest.mark.parametrize(("block_size", "target_s"), [(120, 0.5), (1024, 0.5)])
def test_what_is_to_wait_in_the_card_has_room_there(
    join: Join, caplog: pytest.LogCaptureFixture, block_size: int, target_s: float
) -> None:
    """The longest `playback.buffer_ms`; a card here has 64 periods at most."""
    with playing(join().output, block_size=block_size, target_s=target_s) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 1.0, block_size=block_size)
        assert out.figures().queued_s == pytest.approx(target_s, abs=0.02)
    assert caplog.messages == []


def test_a_card_in_which_less_can_wait_is_told(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    with playing(join(output_most_frames=2048).output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
    (said,) = caplog.messages
    assert "holds 40 ms: of 60 ms that are to wait in it, 15 do" in said


def test_a_card_that_holds_less_than_a_block_counts_what_it_did_not_take(join: Join) -> None:
    with playing(join(output_most_frames=512).output, block_size=1024) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.3, block_size=1024)
        assert out.figures().cut_blocks >= 12


def test_a_sound_is_whole_on_a_card_with_little_room(join: Join) -> None:
    loop = join(output_most_frames=2048)
    with hearing(loop) as heard, playing(loop.output, block_size=1024) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(24000, 0.5, np.float32))
        time.sleep(1.0)
    loud = np.flatnonzero(np.concatenate(heard)[:, 0] > 16000)
    assert len(loud) == pytest.approx(24000, abs=100)
    assert loud[-1] - loud[0] == pytest.approx(24000, abs=100), "in one piece"


def test_telling_the_figures_holds_the_interpreter_for_a_moment_only(join: Join) -> None:
    """While somebody listens in, every 2.5 ms count."""
    with playing(join().output, block_size=48) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 4.5, block_size=48)
        assert len(out.handed()) == 4096, "the history is full"
        spent_s = []
        for _ in range(20):
            before_s = time.thread_time()
            out.figures()
            spent_s.append(time.thread_time() - before_s)
    assert min(spent_s) < 5e-4


def test_what_comes_in_bursts_longer_than_a_block_is_played(join: Join) -> None:
    """As a cleaner gives it, whose hop is its own."""
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        give(out, 0.5, block_size=1000)
        assert out.figures().underruns == 0
        assert out.figures().dropped_blocks == 0
        assert is_heard(heard)


def test_samples_beyond_full_scale_are_clipped_not_wrapped(join: Join) -> None:
    loop = join()
    with hearing(loop) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.repeat(np.float32([3.0, -3.0]), 4800))
        time.sleep(0.5)
    mono = np.concatenate(heard)[:, 0].astype(np.int32)
    assert mono.max() == 32767
    assert mono.min() == -32768
    assert np.count_nonzero(np.diff(np.sign(mono[np.abs(mono) > 30000]))) == 1


def test_the_time_from_capture_to_hand_over_is_known(join: Join) -> None:
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        assert out.figures().handed_p50_s is None
        give(out, 0.3)
        wait_until(lambda: len(out.handed()) == 30, "all of them are with the card")
        figures = out.figures()
    assert is_ok(out), "who stops has not lost its card"
    assert figures.handed_p50_s is not None
    assert 0 < figures.handed_p50_s <= figures.handed_p99_s


def test_old_times_are_forgotten(join: Join) -> None:
    block = np.zeros(480, np.float32)
    with playing(join().output, history=8) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        for late_s in (0.15, 0.0):
            out.skip(round(48000 * 0.15))
            for _ in range(10):
                time.sleep(0.01)
                out.take(block, time.monotonic() - late_s)
        wait_until(lambda: len(out.handed()) == 8 and out.handed().max() < 0.1, "the newest are")


def test_a_card_that_plays_nothing_wakes_nobody(join: Join) -> None:
    """Its thread is before all others; an idle box sleeps."""
    with playing(join().output, block_size=120) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        (thread,) = (each for each in threading.enumerate() if each.name == "playback")
        status = Path(f"/proc/self/task/{thread.native_id}/status")

        def wakes() -> int:
            return int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

        before = wakes()
        time.sleep(1.0)
        assert wakes() - before < 5
        took_s = []
        for number in range(1, 4):
            told: list[DeviceError | None] = []
            asked_s = time.monotonic()
            out.play_sound(np.full(480, 0.5, np.float32), told=told.append)
            wait_until(lambda told=told: told == [None], f"sound {number} is played")
            took_s.append(time.monotonic() - asked_s)
        assert min(took_s) < 0.5, "a sound need not wait until the card is asked"


def test_a_sound_refused_again_and_again_takes_no_memory(join: Join) -> None:
    loop = join()
    loop.unplug(loop.output)
    with playing(loop.output) as out:
        wait_until(lambda: out.trouble is not None, "it is away")
        for _ in range(50):
            with pytest.raises(DeviceError) as refused:
                out.play_sound(np.zeros(480, np.float32))
        assert len(refused.traceback) <= 2
        assert out.trouble is not None
        assert out.trouble.__traceback__ is None


def test_after_its_end_it_says_so(join: Join) -> None:
    with playing(join().output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
    with pytest.raises(DeviceError, match="has ended"):
        out.play_sound(np.zeros(480, np.float32))


def test_a_sound_is_not_lost_with_a_block_that_is_too_old(join: Join) -> None:
    """Nor is it told as being with the card before it is."""
    told: list[DeviceError | None] = []
    with hearing(loop := join()) as heard, playing(loop.output) as out:
        wait_until(lambda: is_ok(out), "the card is open")
        out.play_sound(np.full(480, 0.5, np.float32), alone=True, told=told.append)
        out.take(np.zeros(480, np.float32), time.monotonic() - TARGET_S - 0.05)
        wait_until(lambda: told == [None], "it is with the card")
        time.sleep(0.3)
        figures = out.figures()
        assert figures.underruns == 0
        assert len(out.handed()) + figures.left_out_blocks == 1
    assert np.count_nonzero(np.concatenate(heard) > 16000) == pytest.approx(480, abs=30)
