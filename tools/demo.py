# SPDX-License-Identifier: MIT
"""The main job, with everything that it needs around it: a microphone, a broker, a view."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.capture import scene
from edge.capture.devices import list_devices
from edge.capture.replay import ReplaySource
from edge.cli.watch import Interrupt, follow
from edge.config.load import load_settings
from edge.errors import EdgeError
from edge.service.build import build_broker, build_topics
from edge.types import Gap
from tools.lab.microphone import VirtualMicrophone

if TYPE_CHECKING:
    from collections.abc import Sequence

CACHE: Final = Path(".cache/run")
RATE_HZ: Final = 48000
SCENE_S: Final = 90.0
STOP_LIMIT_S: Final = 10.0
LAST_WORD_S: Final = 0.3  # until the broker has handed on what the listener said last
TAIL_S: Final = 3.0  # a recording's last sounds still need a patch and a hold


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as running:
            return _demonstrate(options, running)
    except EdgeError as error:
        print(f"edge: {error.message}\n      {error.help}", file=sys.stderr)
        return error.exit_code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/run", description=__doc__)
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds")
    parser.add_argument(
        "--source",
        default="",
        metavar="FILE|synth|DEVICE",
        help="a recording or folder, `synth` for the synthesised scene, or an ALSA device"
        " (`edge devices`); default: the sound card, without one the scene",
    )
    parser.add_argument("--broker", metavar="URL", help="default: a private one on a free port")
    parser.add_argument("--plain", action="store_true", help="one line a message, for pipes")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of your own")
    return parser.parse_args(arguments)


def _demonstrate(options: argparse.Namespace, running: ExitStack) -> int:
    device, environment, source_s = _microphone(options.source, options.seconds)
    seconds = options.seconds or (source_s + TAIL_S if source_s else None)
    overrides = [f'capture.device="{device}"', "health.interval_s=10.0", "log.level=warning"]
    overrides.append(f'state.directory="{(CACHE / "state").resolve()}"')
    broker = options.broker or load_settings(options.config).publish.url
    if not options.broker and not options.config:
        broker = f"mqtt://127.0.0.1:{_start_broker(running)}"
    overrides.append(f'publish.url="{broker}"')
    settings = load_settings(options.config, overrides)
    root = build_topics(settings).root
    host, _, port = broker.rsplit("/", 1)[-1].partition(":")
    print(f"subscribe: mosquitto_sub -h {host} -p {port or 1883} -v -t '{root}/#'", flush=True)
    listener = _start_listener(running, options.config, overrides, environment)
    listening = Listening(listener, seconds)
    follow(build_broker(settings), root, plain=options.plain, more=listening.going_on)
    return _stop(listener)


class Listening:
    """Ends the listener when the time is up or at Ctrl-C, and shows it until its last word."""

    def __init__(self, listener: subprocess.Popen[bytes], seconds: float | None) -> None:
        self._listener = listener
        self._end_s = time.monotonic() + seconds if seconds else float("inf")
        self._interrupt = Interrupt()
        self._gone_s = float("inf")

    def going_on(self) -> bool:
        """Return whether there may still be something to show."""
        now_s = time.monotonic()
        if self._listener.poll() is not None:
            self._gone_s = min(self._gone_s, now_s + LAST_WORD_S)
        elif self._interrupt.came or now_s >= self._end_s:
            self._listener.terminate()
        return now_s < self._gone_s


def _microphone(source: str, seconds: float | None) -> tuple[str, dict[str, str], float | None]:
    """Return the ALSA device, the environment in which it exists, and how long it has sound."""
    cards = [] if source else [one for one in list_devices() if one.card_index >= 0]
    if cards:
        print(f"microphone: {cards[0].name}")
        return cards[0].setting, dict(os.environ), None
    path = Path(source)
    if source and source != "synth" and not path.exists():
        print(f"microphone: ALSA device {source}")
        return source, dict(os.environ), None
    if path.exists() and source:
        raw, length_s = _decode(path), True
        print(f"microphone: a virtual ALSA device that plays {path}")
    else:
        raw, length_s = _scene(), False
        why = "" if source else "no sound card here; "
        print(f"microphone: {why}a virtual ALSA device that plays a synthesised scene")
    once = length_s and seconds is None
    microphone = VirtualMicrophone(CACHE / "microphone", raw, rate_hz=RATE_HZ, loop=not once)
    source_s = raw.stat().st_size / (2 * RATE_HZ) if once else None
    return microphone.name, microphone.environment(), source_s


def _decode(path: Path) -> Path:
    """Write a recording (or a folder of them) as mono S16_LE at the microphone's rate."""
    raw = CACHE / "source.raw"
    with (
        ReplaySource([path], period_size=4800, pace="fast", rate_hz=RATE_HZ) as source,
        raw.open("wb") as out,
    ):
        while item := source.read():
            if not isinstance(item, Gap):
                out.write(_int16(item.samples.mean(axis=1), item.samples.dtype))
    return raw


def _int16(mono: np.ndarray, dtype: np.dtype) -> bytes:
    full_scale = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    return np.clip(mono * (32767.0 / full_scale), -32768, 32767).astype("<i2").tobytes()


def _scene() -> Path:
    """Return the scene as a raw file, synthesised once per version of its source."""
    version = hashlib.sha256(Path(scene.__file__).read_bytes()).hexdigest()[:12]
    raw = CACHE / f"scene-{version}.raw"
    if not raw.exists():
        samples, _ = scene.synthesise_scene(SCENE_S, RATE_HZ, seed=0)
        raw.write_bytes(_int16(samples, samples.dtype))
    return raw


def _start_broker(running: ExitStack) -> int:
    """Start Mosquitto for ourselves alone; return its port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    file = CACHE / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = _child(["mosquitto", "-c", str(file)], dict(os.environ), quiet=True)
    running.callback(_stop, broker)
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.1)
    raise EdgeError("Mosquitto does not answer", f"run `mosquitto -c {file}` to see why")


def _start_listener(
    running: ExitStack, config: Path | None, overrides: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edge", "listen"]
    command += ["--config", str(config)] if config else []
    for override in overrides:
        command += ["--set", override]
    listener = _child(command, environment)
    running.callback(_stop, listener)
    return listener


def _child(
    command: list[str], environment: dict[str, str], *, quiet: bool = False
) -> subprocess.Popen[bytes]:
    # A session of its own, so that Ctrl-C reaches only us and we can stop the parts
    # in order; and should we be killed, the kernel ends them.
    path = f"/usr/sbin:{environment.get('PATH', '')}"
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command],
        env={**environment, "PATH": path},
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
        start_new_session=True,
    )


def _stop(child: subprocess.Popen[bytes]) -> int:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        return child.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
