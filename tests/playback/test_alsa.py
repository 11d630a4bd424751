# SPDX-License-Identifier: MIT
"""On the real alsa-lib: its `file` plugin writes down what was played."""

from __future__ import annotations

import errno
import itertools
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import alsaaudio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeviceError
from edge.playback.alsa import MAX_INTERRUPTIONS, PERIOD_SIZE, OutputCard, feed
from tests.conftest import wait_until
from tests.playback.conftest import hearing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tools.lab.loop import VirtualLoop

    Join = Callable[..., VirtualLoop]

SYSTEM_CONFIG = Path("/usr/share/alsa/alsa.conf")
PLAYER = """
import sys
import numpy as np
from edge.errors import DeviceError
from edge.playback.alsa import play
file, rate_hz, device = sys.argv[1:]
try:
    play(np.load(file), int(rate_hz), device)
except DeviceError as error:
    print(error.message, "|", error.help)
"""


class Loudspeaker:
    """ALSA devices that a child process finds: `tofile` writes down what it plays."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.played = directory / "played.raw"
        self._config = directory / "asound.conf"
        self._config.write_text(
            f"<{SYSTEM_CONFIG}>\n"
            f'pcm.tofile {{ type file slave.pcm "null" file "{self.played}" format "raw" }}\n'
            'pcm.!default { type plug slave.pcm "null" hint.description "as set" }\n'
            'pcm.integers { type linear slave { pcm "null" format S16_LE } }\n'
        )

    def play(self, samples: NDArray[np.generic], rate_hz: int, device: str = "tofile") -> str:
        """Play in a child process, which reads ALSA's configuration anew; return its output."""
        file = self._directory / "samples.npy"
        np.save(file, samples)
        done = subprocess.run(
            [sys.executable, "-c", PLAYER, file, str(rate_hz), device],
            env={"ALSA_CONFIG_PATH": str(self._config), "OPENBLAS_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture
def loudspeaker(tmp_path: Path) -> Loudspeaker:
    return Loudspeaker(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "channels", "rate_hz", "n_samples"),
    [
        ("<i2", 1, 16000, 5 * PERIOD_SIZE + 17),
        ("<i4", 2, 48000, 3 * PERIOD_SIZE),
        ("<f4", 3, 22050, PERIOD_SIZE - 1),
        ("<i2", 2, 44100, 1),
    ],
)
def test_what_is_heard_is_what_was_given_to_the_last_sample(
    loudspeaker: Loudspeaker, dtype: str, channels: int, rate_hz: int, n_samples: int
) -> None:
    numbers = np.arange(1, n_samples * channels + 1)
    samples = (numbers / 65536 if dtype == "<f4" else numbers).astype(dtype).reshape(-1, channels)
    assert not loudspeaker.play(samples, rate_hz)
    played = np.fromfile(loudspeaker.played, dtype).reshape(-1, channels)
    np.testing.assert_array_equal(played[:n_samples], samples)
    assert not played[n_samples:].any(), "a card fills its last period with silence"


def test_samples_that_are_not_in_one_piece_are_played_in_order(loudspeaker: Loudspeaker) -> None:
    samples = np.arange(8000, dtype=np.int16).reshape(-1, 2)[::-1, ::-1]
    loudspeaker.play(samples, 16000)
    played = np.fromfile(loudspeaker.played, "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(played[: len(samples)], samples)


def test_no_samples_are_no_sound(loudspeaker: Loudspeaker) -> None:
    assert not loudspeaker.play(np.zeros((0, 1), np.int16), 16000)


def test_without_a_card_it_says_what_to_do(loudspeaker: Loudspeaker) -> None:
    said = loudspeaker.play(np.zeros((100, 1), np.int16), 16000, "nosuchcard")
    assert "nosuchcard can't be opened for playing" in said
    assert "aplay -L" in said


def test_a_wrong_name_is_answered_with_the_right_ones(loudspeaker: Loudspeaker) -> None:
    """Such as a microphone's, as `edge devices` gives it; no plugins, of which ALSA lists many."""
    said = loudspeaker.play(np.zeros((100, 1), np.int16), 16000, "usb:0d8c:0014")
    assert "usb:0d8c:0014 can't be opened for playing: No such file" in said
    assert "not as `edge devices` names microphones; here: default; `aplay" in said


def test_a_card_that_another_program_holds_is_not_searched_elsewhere(join: Join) -> None:
    loop = join()
    shape = {"rate_hz": 48000, "period_size": 240, "buffer_size": 960}
    holder = OutputCard(loop.output, **shape)
    with pytest.raises(DeviceError, match="busy") as refused:
        OutputCard(loop.output, **shape)
    holder.close()
    assert "fuser" in refused.value.help


@contextmanager
def player_of(
    loop: VirtualLoop, device: str, seconds: float, rate_hz: int = 48000
) -> Iterator[subprocess.Popen[str]]:
    """Play through one of a loop's cards in a process of its own."""
    # Who starts the tests in the background has it ignore Ctrl-C, and all that it starts.
    command = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command += "from edge.service.priority import hurry; hurry()\n"
    command += "import numpy as np; from edge.playback.alsa import play; print(flush=True)\n"
    command += f"samples = np.full(({round(rate_hz * seconds)}, 1), 1 << 30, np.int32)\n"
    command += f"play(samples, {rate_hz}, {device!r})"
    with subprocess.Popen(
        [sys.executable, "-c", command],
        env=loop.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as player:
        try:
            assert player.stdout is not None
            player.stdout.readline()
            yield player
        finally:
            player.kill()


def test_a_card_that_can_little_plays_through_plug_as_the_help_says(join: Join) -> None:
    loop = join(output_channels=8)
    with player_of(loop, loop.output, 0.1) as refused:
        assert f"let ALSA convert it: plug:{loop.output}" in refused.communicate(timeout=60)[1]
    with player_of(loop, f"plug:{loop.output}", 0.1) as player:
        assert not player.communicate(timeout=60)[1]


@pytest.mark.parametrize("most_frames", [0, 512])
def test_a_card_that_hangs_is_given_up(join: Join, most_frames: int) -> None:
    loop = join(output_format="S32_LE", output_most_frames=most_frames)
    with player_of(loop, loop.output, 60.0) as player:
        time.sleep(1.0)
        loop.hang(loop.output)
        assert "plays nothing any more" in player.communicate(timeout=60)[1]


@pytest.mark.parametrize("most_frames", [0, 512])
@pytest.mark.parametrize("hangs", [False, True])
def test_an_interruption_ends_it_at_once_though_the_card_hangs(
    join: Join, *, hangs: bool, most_frames: int
) -> None:
    """And however short the periods are that it grants."""
    loop = join(output_format="S32_LE", output_most_frames=most_frames)
    with player_of(loop, loop.output, 60.0) as player:
        time.sleep(1.0)
        if hangs:
            loop.hang(loop.output)
            time.sleep(0.3)
        player.send_signal(signal.SIGINT)
        # Later it would be given up for another reason.
        assert "KeyboardInterrupt" in player.communicate(timeout=60)[1]


def test_an_interruption_silences_what_waits_in_the_card(join: Join) -> None:
    """Which is half a second, at this rate."""
    loop = join(output_format="S32_LE", output_rate_hz=8000, input_rate_hz=8000)
    with (
        hearing(loop, rate_hz=8000, period_size=80) as heard,
        player_of(loop, loop.output, 60.0, rate_hz=8000) as player,
    ):
        wait_until(lambda: bool(heard) and heard[-1].all(), "it plays")
        time.sleep(0.5)
        n_before = len(heard)
        player.send_signal(signal.SIGINT)
        player.communicate(timeout=60)
        time.sleep(0.1)
    after = np.concatenate(heard[n_before:])
    assert np.count_nonzero(after) < 0.2 * 8000
    assert not after[-1]


def test_what_a_device_can_not_do_is_refused(loudspeaker: Loudspeaker) -> None:
    """ALSA itself would take the nearest without a word."""
    said = loudspeaker.play(np.zeros((100, 2), np.float32), 16000, "integers")
    assert (
        "integers can't play 16000 Hz, 2 channels, FLOAT_LE | let ALSA convert it: plug:integers"
        in said
    )
    assert not loudspeaker.play(np.zeros((100, 2), np.int32), 16000, "integers")


@pytest.mark.parametrize(
    "samples", [np.zeros(9, np.int16), np.zeros((9, 1)), np.zeros((9, 1, 1), np.int16)]
)
def test_samples_of_another_shape_or_type_are_a_programmers_mistake(
    samples: NDArray[np.int16],
) -> None:
    from edge.playback.alsa import play

    with pytest.raises(ValueError, match="not \\(n_samples, channels\\)"):
        play(samples, 16000, "null")


class TestFeed:
    @given(st.lists(st.integers(0, 20), min_size=1, max_size=50), st.integers(0, 200))
    def test_a_card_that_takes_less_gets_the_rest_again(
        self, appetite: list[int], n_samples: int
    ) -> None:
        samples = np.arange(n_samples, dtype=np.int16)[:, np.newaxis]
        appetites = itertools.cycle([*appetite, 1])
        taken = bytearray()

        def write(data: bytes) -> int:
            count = min(next(appetites), len(data) // 2)
            taken.extend(data[: 2 * count])
            return count

        feed(write, samples, period_size=16)
        assert bytes(taken) == samples.tobytes()

    def test_an_underrun_is_only_a_pause(self) -> None:
        """And nothing of what was played before it is played again."""
        taken = bytearray()
        trouble = itertools.cycle([True, False])

        def write(data: bytes) -> int:
            if next(trouble):
                return -errno.EPIPE  # as pyalsaaudio tells it
            taken.extend(data)
            return len(data) // 2

        samples = np.arange(100, dtype=np.int16)[:, np.newaxis]
        feed(write, samples, period_size=16)
        assert bytes(taken) == samples.tobytes()

    def test_a_card_that_takes_nothing_any_more_is_given_up(self) -> None:
        calls = itertools.count(1)

        def write(_: bytes) -> int:
            assert next(calls) < MAX_INTERRUPTIONS + 10, "for ever"
            return 0

        with pytest.raises(DeviceError, match="takes no samples"):
            feed(write, np.zeros((9, 1), np.int16), period_size=16)

    def test_another_error_is_not_taken_for_an_underrun(self) -> None:
        def write(_: bytes) -> int:
            raise alsaaudio.ALSAAudioError("No such device [card]")

        with pytest.raises(alsaaudio.ALSAAudioError, match="No such device"):
            feed(write, np.zeros((9, 1), np.int16), period_size=16)


def test_a_device_without_an_end_of_channels_is_opened_at_once() -> None:
    """ALSA's "null" takes everything; who wants to try without a card takes it."""
    asked = "from edge.playback.alsa import OutputCard\n"
    asked += 'OutputCard("null", rate_hz=48000, period_size=240, buffer_size=960).close()'
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=20)
