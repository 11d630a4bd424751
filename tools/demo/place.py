# SPDX-License-Identifier: MIT
"""A folder for one run, and child processes that end with it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from edge.errors import EdgeError

if TYPE_CHECKING:
    from contextlib import ExitStack

CACHE: Final = Path(".cache/run")
STOP_LIMIT_S: Final = 10.0
BROKER_LIMIT_S: Final = 5.0


def claim_place(running: ExitStack) -> Path:
    """Return the first folder that no other run uses; it is ours while `running`.

    What a run leaves in it (designed filters, the built microphone) makes the next one start
    sooner.
    """
    for number in count(1):
        place = (CACHE / str(number)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        lock = running.enter_context((place / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        break
    return place


def start_broker(place: Path, running: ExitStack) -> int:
    """Start Mosquitto for ourselves alone; return its port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    file = place / "mosquitto.conf"
    # It keeps our user: by changing it, as root's would, it would outlive a killed parent.
    file.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
    )
    with (place / "mosquitto.log").open("wb") as log:
        start_child(["mosquitto", "-c", str(file)], running, output=log)
    end_s = time.monotonic() + BROKER_LIMIT_S
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
        time.sleep(0.02)
    raise EdgeError("Mosquitto does not answer", f"{place / 'mosquitto.log'} may say why")


def start_child(
    command: list[str],
    running: ExitStack,
    *,
    environment: dict[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start what ends with `running`, and also should we be killed: the kernel sees to it.

    In a session of its own, so that Ctrl-C reaches only us and the parts end in order.
    """
    environment = environment or dict(os.environ)
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command],
        env={**environment, "PATH": f"/usr/sbin:{environment.get('PATH', '')}"},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    running.callback(stop_child, child)
    return child


def stop_child(child: subprocess.Popen[bytes]) -> int:
    """Ask a child to end, insist after a while; return its exit code."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        return child.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
