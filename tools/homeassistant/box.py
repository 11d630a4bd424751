# SPDX-License-Identifier: MIT
"""The box under test: a real `edge listen` on a virtual microphone, and its broker."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.scene import synthesise_scene
from edge.cli.watch import receive
from edge.model.registry import describe, read_model, shipped_model
from edge.model.shelf import Shelf
from edge.publish.broker import Broker
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE_HZ = 48000
SCENE_S = 60.0


class MosquittoServer:
    """A Mosquitto that keeps nothing on disk: after a restart it knows nothing."""

    def __init__(self, folder: Path, port: int) -> None:
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        self.start()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End it in order."""
        self._process.terminate()
        self._process.wait()


class Ear:
    """Hears all that is said below `edge/edge`, and what describes the box."""

    def __init__(self, port: int) -> None:
        self.newest: dict[str, bytes] = {}
        self._stopping = False
        for topic in ("edge/edge/#", "homeassistant/device/#"):
            threading.Thread(target=self._listen, args=(port, topic), daemon=True).start()

    def _listen(self, port: int, topic: str) -> None:
        broker = Broker(url=f"mqtt://127.0.0.1:{port}", client_id=f"test-ear-{topic[:4]}")
        for message in receive(broker, topic, lambda: not self._stopping):
            if message:
                self.newest[message.topic] = message.payload

    def body(self, topic: str) -> dict[str, Any]:
        """Return the newest message of a topic."""
        body: dict[str, Any] = json.loads(self.newest.get(f"edge/edge/{topic}") or b"{}")
        return body

    def description(self) -> dict[str, Any]:
        """Return the entities that are described, by key; those that are removed too."""
        text = self.newest.get("homeassistant/device/edge/config")
        return dict(json.loads(text)["components"]) if text else {}

    def close(self) -> None:
        """Stop hearing."""
        self._stopping = True


class Box:
    """`edge listen` in a folder, called `edge`, reporting to `broker_port`."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._log = folder / "listen.log"
        self.state = folder / "state"
        shutil.rmtree(folder, ignore_errors=True)  # a box that was never anywhere
        folder.mkdir(parents=True)
        raw = folder / "scene.raw"
        samples, _ = synthesise_scene(SCENE_S, RATE_HZ, seed=0)
        raw.write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
        self._microphone = VirtualMicrophone(folder / "microphone", raw, loop=True)
        self._settings = [
            "--set",
            f'capture.device="{self._microphone.name}"',
            "--set",
            f'state.directory="{self.state}"',
            "--set",
            f'publish.url="mqtt://127.0.0.1:{broker_port}"',
            "--set",
            "health.interval_s=10.0",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge", "listen", *self._settings],
                env=self._microphone.environment(),
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)

    def run(self, *command: str) -> None:
        """Run another command of `edge` with its settings."""
        edge = [sys.executable, "-m", "edge", *command, *self._settings]
        subprocess.run(
            edge, env=self._microphone.environment(), check=True, stdout=subprocess.DEVNULL
        )

    def shelve(self, name: str, rename: Callable[[str], str]) -> None:
        """Put the shipped model on the shelf with other labels."""
        shelf = Shelf(self.state)
        info = read_model(shipped_model())
        describe(
            info.path,
            shelf.room(name),
            labels=[rename(label) for label in info.labels],
            front_end=info.front_end,
            patch_frames=info.patch_frames,
            patch_hop=info.patch_hop,
            name=name,
            version="1",
            thresholds={rename(label): value for label, value in info.thresholds.items()},
            negative_labels=info.negative_labels,
        )
