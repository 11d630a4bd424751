# SPDX-License-Identifier: MIT
"""Sets up broker, box and Home Assistant, runs the course, prints the table of what was seen."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tools.homeassistant.box import Box, Ear, MosquittoServer
from tools.homeassistant.course import Course, Failure
from tools.homeassistant.server import HomeAssistant, environment

CACHE = Path(__file__).parents[2] / ".cache" / "home-assistant"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/home-assistant-test", description=__doc__)
    parser.add_argument("--python", default="python3.13", help="a Python 3.13")
    parser.add_argument("--place", type=Path, default=CACHE, help="where everything is put")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="of the dashboard, PNG")
    options = parser.parse_args()
    options.place.mkdir(parents=True, exist_ok=True)
    venv = environment(options.place, options.python)
    with ExitStack() as running:
        try:
            return _run(options, venv, running)
        except Failure as failure:
            print(f"FAILED  {failure}", file=sys.stderr)
            return 1


def _run(options: argparse.Namespace, venv: Path, running: ExitStack) -> int:
    place = options.place
    home_port, broker_port = _free_port(), _free_port()
    broker = MosquittoServer(place, broker_port)
    running.callback(broker.stop)
    ear = Ear(broker_port)
    running.callback(ear.close)
    box = Box(place / "box", broker_port)
    running.callback(box.stop)
    home = HomeAssistant(venv, place / "config", home_port, broker_port)
    running.callback(home.stop)
    course = Course(home, box, broker, ear, broker_port)

    def picture() -> None:
        if options.screenshot:
            _take(venv, home, options.screenshot)

    course.run(picture)
    print(f"\n| {home.version} | seen |\n|---|---|")
    for what, seen in course.rows:
        print(f"| {what} | {seen} |")
    return 0


def _take(venv: Path, home: HomeAssistant, picture: Path) -> None:
    script = Path(__file__).with_name("screenshot.py")
    python = str(venv / "bin/python")
    path = "/edge-sound/sound"
    refresh = home.tokens["refresh_token"]
    access = home.tokens["access_token"]
    arguments = [home.url, path, access, refresh, str(picture.resolve())]
    subprocess.run([python, str(script), *arguments], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
