# SPDX-License-Identifier: MIT
"""A box with this machine's own systemd and /usr, and nothing else of it: boots in a second."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from tools.boot.root import CHANGES, copy_tree, lend_libraries, make_version

if TYPE_CHECKING:
    from collections.abc import Iterator

LENT = "/lent"  # where the box finds the libraries of the environment that runs the tests
PATIENCE_S = 200.0  # others use the processor too
SETTINGS = """\
[node]
id = "box"
[capture]
source = "synth"
[publish]
url = ""
[record]
max_clip_s = 4.0
pre_roll_s = 0.5
post_roll_s = 0.5
"""


class Box:
    """A container with systemd as its first process; memory is its disk."""

    def __init__(self, shared: Path) -> None:
        self._leader = 0
        self._process = subprocess.Popen(
            [
                *("systemd-nspawn", "-D", "/", "--volatile=yes", "--boot", "--register=no"),
                *("--keep-unit", "--private-network", "--console=read-only", "--quiet"),
                f"--machine=edge-test-{os.getpid()}",
                *("--bind-ro=/etc/ld.so.cache", "--bind-ro=/var/lib/dpkg", "--bind-ro=/etc/ssl"),
                "--tmpfs=/usr/local:mode=755",
                f"--bind-ro={shared}:/trees",
                f"--bind-ro={(REPOSITORY / '.venv').resolve()}:{LENT}",
                *("systemd.firstboot=off", "systemd.mask=systemd-networkd-wait-online.service"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def boot(self) -> None:
        """Wait until systemd is up."""
        until_s = time.monotonic() + PATIENCE_S
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        state = ""
        while state not in {"running", "degraded"}:  # what else of /usr starts is no matter here
            assert time.monotonic() < until_s, f"no boot: {state}"
            time.sleep(0.2)
            # The first child is not yet the box: it makes the box's first process.
            if words := children.read_text().split():
                self._leader = int(words[-1])
                state = self.attempt("systemctl is-system-running").stdout.strip()

    def attempt(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root inside; standard error is part of the output."""
        return subprocess.run(
            [
                "nsenter",
                "-t",
                str(self._leader),
                "-m",
                "-u",
                "-i",
                "-n",
                "-p",
                "--",
                "bash",
                "-c",
                script,
            ],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=400,
        )

    def run(self, script: str) -> str:
        """Run a script that must succeed."""
        done = self.attempt(script)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def path(self, inside: str) -> Path:
        """Return where a file of the box is found from outside."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def install(self, tree: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installer of a tree."""
        return self.attempt(
            f"/trees/{tree}/deploy/install.sh --offline /trees/wheels {' '.join(arguments)}"
        )

    def judge_within(self, within_s: int) -> None:
        """Judge upgrades faster than on people's boxes."""
        place = "/etc/systemd/system/edge-upgrade-check.service.d"
        line = f"[Service]\\nEnvironment=EDGE_WITHIN_S={within_s} EDGE_STEADY_S=4\\n"
        self.run(f"mkdir -p {place}; printf '{line}' >{place}/lab.conf")

    def wait(self, script: str, within_s: float = PATIENCE_S) -> None:
        """Wait until a script succeeds."""
        until_s = time.monotonic() + within_s
        while (done := self.attempt(script)).returncode:
            assert time.monotonic() < until_s, f"not within {within_s} s: {script}: {done.stdout}"
            time.sleep(0.2)

    def close(self) -> None:
        """Switch it off."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._leader or self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait(60)


def _why_not() -> str:
    if os.getuid():
        return "a container needs root"
    if not shutil.which("systemd-nspawn") or not Path("/usr/lib/systemd/systemd").exists():
        return "systemd-container or systemd is missing"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    asked = [f"/usr/bin/python{here}", "-c", "import ensurepip, venv"]
    if not Path(asked[0]).exists() or subprocess.run(asked, check=False).returncode:
        return f"the system's Python {here}, which a box would use, or its venv is missing"
    return ""


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trees of edge to install from, all with the libraries of the running environment."""
    if why := _why_not():
        pytest.skip(why)
    place = tmp_path_factory.mktemp("trees")
    place.chmod(0o755)
    place.parent.chmod(0o755)
    lend_libraries(Path(LENT), place / "wheels")
    for name, change in {"first": ("7.0.0", "README.md", "# edge", "# edge"), **CHANGES}.items():
        copy_tree(place / name)
        make_version(place / name, *change)
    # As cloned by a root who keeps all to himself; and one that could not judge itself.
    subprocess.run(["chmod", "-R", "go=", place / "good"], check=True)
    (place / "failing/deploy/edge-upgrade-check").write_text("exit 0\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def bare(trees: Path) -> Iterator[Box]:
    """Boot a box, without edge."""
    box = Box(trees)
    try:
        box.boot()
        yield box
    finally:
        box.close()


@pytest.fixture(scope="module")
def box(bare: Box) -> Box:
    """Install the first version, which then hears a synthesised scene."""
    settings = f"mkdir -p /etc/edge; cat >/etc/edge/edge.toml <<'END'\n{SETTINGS}END\n"
    bare.run(settings)
    done = bare.install("first")
    assert done.returncode == 0, done.stdout
    bare.wait("systemctl is-active edge-listen edge-analyze")
    return bare
