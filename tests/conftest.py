# SPDX-License-Identifier: MIT
"""What several rooms' tests need: the reference data, and real brokers on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import hypothesis
import pytest

from edge.service.priority import hurry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
REPOSITORY = Path(__file__).parents[1]
ANYBODY = "allow_anonymous true"
LATE_EAR = ("-c", "-i", "late-ear")
DATA = REPOSITORY.parent / "shared" / "data"

# How long an example takes, and how long it takes to make one, says what else the machine does.
UNTIMED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=UNTIMED)
hypothesis.settings.load_profile("untimed")

# A shell's job in the background ignores it, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of recordings and models beside the repository."""
    if not DATA.is_dir():
        pytest.skip("the recordings and models of ../shared/data are missing")
    return DATA


def may_mount() -> bool:
    """Return whether a mount of one's own can be made: root in a container often can't."""
    command = ["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def small_disk(place: Path, size: str, also: str = "true") -> tuple[str, ...]:
    """Return the words before a command that finds an empty disk of this size at `place`.

    `also` is done on it before the command begins.
    """
    prepare = f'mount -t tmpfs -o size={size} tmpfs {place} && {also} && exec "$0" "$@"'
    return ("unshare", "-m", "--propagation", "private", "sh", "-c", prepare)


class Mosquitto:
    """A real broker on a free loopback port."""

    def __init__(self, directory: Path, settings: str = ANYBODY) -> None:
        self.port = free_port()
        self._file = directory / f"mosquitto-{self.port}.conf"
        # Started by root it would change to a user who can't read the test's files.
        self._file.write_text(f"user root\nlistener {self.port} 127.0.0.1\n{settings}\n")
        self._process: subprocess.Popen[bytes] | None = None
        self._ears: list[Subscriber] = []
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self._file)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: is_open(self.port) or self._ended(), "Mosquitto answers")
            assert not self._ended()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End in order: with persistence, sessions and queues are kept."""
        self._signal(signal.SIGTERM)
        if self._process:
            self._process.wait()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def reload(self) -> None:
        """Make it read its access list anew."""
        self._signal(signal.SIGHUP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def subscribe(self, topic: str = "#", *options: str) -> Subscriber:
        self._ears.append(Subscriber(self.port, topic, *options))
        return self._ears[-1]

    def close(self) -> None:
        for ear in self._ears:
            ear.close()
        self.kill()


def broker_with_memory(start: Callable[..., Mosquitto], directory: Path) -> Mosquitto:
    """Return a broker, stopped, that keeps what is published for the subscriber `LATE_EAR`.

    So a test hears all that came since the broker is there, however late it subscribes.
    """
    server = start(f"{ANYBODY}\npersistence true\npersistence_location {directory}/")
    server.subscribe("#", *LATE_EAR).close()
    server.stop()
    return server


class Subscriber:
    """`mosquitto_sub`: an ear that is not ours. `lines()` is all that it has heard."""

    def __init__(self, port: int, topic: str, *options: str) -> None:
        self._out: list[str] = []
        # -d, line by line: the only way to learn that the subscription stands.
        command = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-v", "-h", "127.0.0.1"]
        command += ["-p", str(port), "-q", "1", "-t", topic]
        # A picture is no text, and no line is lost by one.
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, errors="replace"
        )
        self._subscribed = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._subscribed.wait(60):
            self.close()
            pytest.fail("mosquitto_sub did not subscribe within a minute")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Subscribed"):
                self._subscribed.set()
            elif not line.startswith("Client "):
                self._out.append(line.rstrip("\n"))

    def lines(self) -> list[str]:
        return list(self._out)

    def wait_for(self, text: str, timeout_s: float = 60.0) -> str:
        """Return the first line with `text` in it."""

        def found() -> str | None:
            return next((line for line in self.lines() if text in line), None)

        return wait_until(found, f"a message with {text!r}", timeout_s)

    def close(self) -> None:
        """Stop listening; what was heard stays."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = 60.0) -> T:
    """Return the first true result of `condition`; fail after `timeout_s`."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if result := condition():
            return result
        time.sleep(0.02)
    pytest.fail(f"not within {timeout_s:g} s: {what}")


def _ports() -> Iterator[int]:
    """Yield ports that no other run of tests yields, nor the kernel gives to who asks for any."""
    for first in range(10_000, 30_000, 1000):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as claim:
            claim.bind(f"\0edge-tests-{first}")  # until this process ends
            yield from range(first, first + 1000)


PORTS = _ports()


def free_port() -> int:
    """Return a port at which nobody listens, and which stays this process's own."""
    return next(port for port in PORTS if not is_open(port))


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def hurried() -> Iterator[None]:
    """Run the test's own thread before every ordinary one, as the unit runs capture and playback.

    Where that is not allowed, a machine that is busy with others may cost samples.
    """
    hurry()
    yield
    # Without the flag that `hurry` sets only root may.
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Start brokers that end with the test."""
    with ExitStack() as running:

        def start(settings: str = ANYBODY) -> Mosquitto:
            broker = Mosquitto(tmp_path, settings)
            running.callback(broker.close)
            return broker

        yield start
