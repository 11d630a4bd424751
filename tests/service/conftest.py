# SPDX-License-Identifier: MIT
"""`edge listen`, on a virtual microphone of the real alsa-lib, and `edge analyze` as processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.capture.scene import synthesise_scene
from tests.conftest import Subscriber, wait_until
from tests.service.analyzer import Analyzer
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Listener:
    """A running `edge listen`, what it tells its service manager, and its log."""

    def __init__(
        self,
        directory: Path,
        microphone: VirtualMicrophone,
        *overrides: str,
        wrap: tuple[str, ...] = (),
    ) -> None:
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = directory / "notify"
        address.unlink(missing_ok=True)
        self._manager.bind(str(address))
        self.told: list[str] = []
        # As systemd does: a manager that does not read would block who tells it something.
        threading.Thread(target=self._read_manager, daemon=True).start()
        self._log = directory / "listen.log"
        self.state = directory / "state"
        settings = [
            f'capture.device="{microphone.name}"',
            f'state.directory="{self.state}"',
            "health.interval_s=1.0",
            "capture.periods=64",  # so a machine that is busy with others for 1.3 s costs no sample
            *overrides,
        ]
        arguments = [part for one in settings for part in ("--set", one)]
        environment = microphone.environment() | {
            "NOTIFY_SOCKET": str(address),
            "WATCHDOG_USEC": "1000000",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "edge", "listen", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def heard(self, word: str) -> str | None:
        """Return what the service manager was told that has `word` in it."""
        return next((text for text in list(self.told) if word in text), None)

    def _read_manager(self) -> None:
        while text := self._manager.recv(4096):
            self.told.append(text.decode())

    def wait_ready(self) -> None:
        wait_until(lambda: self.heard("READY=1") or self._ended(), "READY=1")
        assert self._process.poll() is None, self.log()

    @property
    def pid(self) -> int:
        return self._process.pid

    def sees(self, path: Path) -> Path:
        """Return `path` as the listener's own mounts show it."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def inside(self, *command: str) -> None:
        """Run a command among the listener's own mounts."""
        subprocess.run(["nsenter", "-t", str(self._process.pid), "-m", *command], check=True)

    def libraries(self) -> str:
        """Return what is mapped into the running process."""
        return Path(f"/proc/{self._process.pid}/maps").read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Return the exit code; after the default a service manager ends a stop with SIGKILL."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s} s:\n{self.log()}")

    def stop(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._manager.shutdown(socket.SHUT_RDWR)
        self._manager.close()

    def _ended(self) -> str | None:
        return None if self._process.poll() is None else "ended"


@pytest.fixture(autouse=True)
def own_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the newest figures where no other listener of this machine does."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))


@pytest.fixture(scope="session")
def scene_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the synthesised scene as the microphone hears it."""
    samples, _ = synthesise_scene(30.0, 48000, seed=0)
    raw = tmp_path_factory.mktemp("scene") / "scene.raw"
    raw.write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
    return raw


@pytest.fixture
def microphone(tmp_path: Path, scene_raw: Path) -> VirtualMicrophone:
    return VirtualMicrophone(tmp_path / "microphone", scene_raw, loop=True)


@pytest.fixture
def listen(tmp_path: Path, microphone: VirtualMicrophone) -> Iterator[Callable[..., Listener]]:
    """Start listeners that end with the test."""
    with ExitStack() as running:

        def start(
            *overrides: str,
            on: VirtualMicrophone = microphone,
            wrap: tuple[str, ...] = (),
        ) -> Listener:
            directory = tmp_path / f"listener-{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            listener = Listener(directory, on, *overrides, wrap=wrap)
            running.callback(listener.close)
            return listener

        yield start


def body_of(ear: Subscriber, topic: str) -> dict[str, Any]:
    """Return the next message of a topic as JSON."""
    line = ear.wait_for(f"/{topic} {{")
    body: dict[str, Any] = json.loads(line.partition(" ")[2])
    return body


@pytest.fixture
def analyze(tmp_path: Path) -> Iterator[Callable[..., Analyzer]]:
    """Start analyzers over `tmp_path` that end with the test."""
    with ExitStack() as running:

        def start(*overrides: str, program: str = "", wrap: tuple[str, ...] = ()) -> Analyzer:
            analyzer = Analyzer(tmp_path, *overrides, program=program, wrap=wrap)
            running.callback(analyzer.close)
            return analyzer

        yield start
