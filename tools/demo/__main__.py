# SPDX-License-Identifier: MIT
"""The main job, with everything that it needs around it: a microphone, a broker, a view."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.cli.dashboard import subscription
from edge.cli.watch import Interrupt, follow
from edge.config.load import changed, load_settings
from edge.errors import EXIT_OK, EdgeError
from edge.service.build import build_broker, build_topics
from tools.demo.clips import show_clips
from tools.demo.place import STOP_LIMIT_S, claim_place, start_broker, start_child, stop_child
from tools.demo.sound import Sound, find_sound

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

LAST_WORD_S: Final = 0.3  # until the broker has handed on what the listener said last


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        with ExitStack() as running:
            return _demonstrate(options, running)
    except EdgeError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        if error.help:
            print(f"      {error.help}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # while things are still being made
        return EXIT_OK


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/run", description=__doc__)
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="stop after N seconds")
    parser.add_argument(
        "--source",
        default="",
        metavar="FILE|synth|DEVICE",
        help="a recording or a folder of them (played once, with --seconds again and again),"
        " `synth` for the synthesised scene, or an ALSA device (`edge devices`);"
        " default: the sound card, without one the scene",
    )
    parser.add_argument("--broker", metavar="URL", help="default: a private one on a free port")
    parser.add_argument("--plain", action="store_true", help="one line a message, for pipes")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of your own")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number over 0")
    return value


def _demonstrate(options: argparse.Namespace, running: ExitStack) -> int:
    place = claim_place(running)
    own = changed(load_settings(options.config))
    configured = not {"source", "device"}.isdisjoint(own.get("capture", {}))
    repeat = options.seconds is not None
    sound = find_sound(options.source, place, configured=configured, repeat=repeat)
    print(f"microphone: {sound.text}", flush=True)
    broker_url = options.broker or own.get("publish", {}).get("url")
    if not broker_url:
        broker_url = f"mqtt://127.0.0.1:{start_broker(place, running)}"
    overrides = _overrides(sound, place, broker_url)
    settings = load_settings(options.config, overrides)
    broker, root = build_broker(settings), build_topics(settings).root
    print(f"subscribe: {subscription(broker, root)}", flush=True)

    given = ["--config", str(options.config)] if options.config else []
    given += [part for one in overrides for part in ("--set", one)]
    logs = [place / f"{name}.log" for name in ("listen", "analyze")]
    listener, analyzer = (_start(log, given, running, sound.environment) for log in logs)
    seconds = options.seconds or sound.seconds or math.inf
    listening = Listening(listener, seconds)
    clips = _from_here(settings.clips)
    heard = follow(broker, root, plain=options.plain, more=listening.going_on, clips=clips)
    code = listening.outcome()
    print("\n".join(heard.summary()))
    sys.stderr.write(_said(logs[0]))
    show_clips(heard.clips.values(), settings.clips, analyzer, lambda: not listening.interrupted())
    stop_child(analyzer)
    sys.stderr.write(_said(logs[1]))
    print("ended cleanly" if code == EXIT_OK else f"the listener ended with code {code}")
    return code


def _start(
    log: Path, given: list[str], running: ExitStack, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start the unit that a log is named for."""
    command = [sys.executable, "-m", "edge", log.stem, *given]
    with log.open("wb") as output:
        return start_child(command, running, environment=environment, output=output)


def _overrides(sound: Sound, place: Path, broker_url: str) -> list[str]:
    device = [f'capture.device="{sound.device}"'] if sound.device else []
    return [
        *device,
        f'publish.url="{broker_url}"',
        f'state.directory="{place / "state"}"',
        "health.interval_s=2.0",
        "retention.max_total_mb=200",
        "analysis.max_load=100.0",
        "log.level=warning",
    ]


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _said(log: Path) -> str:
    """Return what the listener had to say, without what alsa-lib chats."""
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("ALSA lib "))


class Listening:
    """Ends the listener when the time is up or at Ctrl-C, and shows it until its last word."""

    def __init__(self, listener: subprocess.Popen[bytes], seconds: float) -> None:
        self._listener = listener
        self._end_s = time.monotonic() + seconds
        self._interrupt = Interrupt()
        self._gone_s = math.inf
        self._asked = False

    def going_on(self) -> bool:
        """Return whether there may still be something to show."""
        now_s = time.monotonic()
        if self._listener.poll() is not None:
            self._gone_s = min(self._gone_s, now_s + LAST_WORD_S)
        elif not self._asked and (self._interrupt.came or now_s >= self._end_s):
            # Once: a second signal would meet an interpreter that no longer handles any.
            self._listener.terminate()
            self._asked = True
            self._gone_s = now_s + STOP_LIMIT_S  # whoever hangs is made to end, by `outcome`
        return now_s < self._gone_s

    def interrupted(self) -> bool:
        """Return whether Ctrl-C was pressed since it ended."""
        return self._interrupt.came

    def outcome(self) -> int:
        """Return the listener's exit code; asked before it could listen to us, it did well."""
        code = stop_child(self._listener)
        self._interrupt = Interrupt()
        return EXIT_OK if self._asked and code == -signal.SIGTERM else code


if __name__ == "__main__":
    sys.exit(main())
