# SPDX-License-Identifier: MIT
"""The root of an image for cards: arm64, made by the layer that Raspberry Pi's builder is given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import yaml

from tools.boot.emulated import EMULATED
from tools.boot.root import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SOURCE: Final = REPOSITORY / "deploy" / "image"
LAYER: Final = SOURCE / "layer" / "edge-box.yaml"
# The Debian that the configuration beside the layer is of comes first; and the Python of each.
PYTHONS: Final = {"trixie": "3.13", "bookworm": "3.11"}
# What the layers below bring: those of trixie-minbase that edge leans on, without a kernel.
BELOW: Final = ("systemd-sysv", "systemd-timesyncd", "dbus", "udev", "kmod", "iproute2", "procps")
PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# Of these there is no wheel for any processor; what builds them.
BUILT: Final = ("pyalsaaudio", "systemd-python")
BUILDERS: Final = ("setuptools", "wheel")
TESTERS: Final = (
    *("hypothesis", "iniconfig", "kaldi_native_fbank", "pluggy", "pytest", "pytest-timeout"),
    *("PyYAML", "sortedcontainers"),
)
OFFLINE: Final = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/root/wheels",
}
# What is mounted for a hook ends with it.
OWN_MOUNTS: Final = ("unshare", "--mount", "--propagation", "private", "bash", "-euc")
HOOK: Final = (
    'mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev";'
    ' mount -t tmpfs tmpfs "$1/run"; exec sh -c "$2" _ "$1"'
)


def build(place: Path, suite: str) -> Path:
    """Return a root with edge in it; base and wheels are kept in `place` for the next time."""
    layer = yaml.safe_load(LAYER.read_text("utf-8"))["mmdebstrap"]
    base, root = place / f"arm64-{suite}", place / "arm64"
    if not (base / "complete").exists():
        shutil.rmtree(base, ignore_errors=True)
        names = ",".join((*BELOW, *layer["packages"]))
        make = ["mmdebstrap", "--arch=arm64", "--variant=minbase", f"--include={names}"]
        _run([*make, suite, str(base)])
        (base / "complete").touch()
    shutil.rmtree(root, ignore_errors=True)
    _run(["cp", "-a", "--reflink=auto", str(base), str(root)])
    (root / "complete").unlink()
    shutil.copytree(_wheels(place, PYTHONS[suite]), root / "root" / "wheels")
    for hook in layer["customize-hooks"]:
        _run([*OWN_MOUNTS, HOOK, "_", str(root), hook], **OFFLINE)
    shutil.rmtree(root / "root" / "wheels")
    return root


def testers(place: Path, suite: str) -> Path:
    """Return a folder with what the tests need beside edge, for arm64."""
    folder, python = place / f"pytest-{PYTHONS[suite]}", PYTHONS[suite]
    wanted = [one for one in _pins("requirements-test.txt") if _name(one) in TESTERS]
    install = [*PIP, "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
    _run([*install, *_foreign(python), *wanted])
    return folder


def _wheels(place: Path, python: str) -> Path:
    """Return a folder of arm64 wheels, and of sources where there are none.

    They are fetched here: where pip finds its packages is this machine's own affair.
    """
    folder, wanted = place / f"wheels-{python}", _pins("requirements.txt")
    if python != "3.11":
        wanted += _pins("requirements-python313.txt")
    sources = [one for one in wanted if _name(one) in BUILT]
    fetch = [*PIP, "download", "-q", "--no-deps", "--dest", str(folder)]
    ready = [one for one in wanted if one not in sources]
    _run([*fetch, *_foreign(python), *ready, *BUILDERS])
    _run([*fetch, f"--no-binary={','.join(BUILT)}", *sources])
    return folder


def _pins(file: str) -> list[str]:
    lines = (REPOSITORY / "deploy" / file).read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _name(pin: str) -> str:
    return pin.partition("==")[0]


def _foreign(python: str) -> list[str]:
    """Return what makes pip look for wheels of another machine."""
    about = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    about += [f"--abi={one}" for one in (f"cp{python.replace('.', '')}", "abi3", "none")]
    # Wheels are named after a minor version of glibc: those up to Debian 12's.
    about += [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, 37)]
    return [*about, "--platform=manylinux2014_aarch64"]


def pack(root: Path, to: Path) -> Path:
    """Return the root as an archive."""
    _run(["tar", "-C", str(root), "--numeric-owner", "--xattrs", "-I", "zstd", "-cf", str(to), "."])
    return to


def _run(command: list[str], **environment: str) -> None:
    print("+", *command, file=sys.stderr, flush=True)
    # As that builder runs them: in the folder of the configuration.
    settled = {**os.environ, **EMULATED, **environment}
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, cwd=SOURCE, env=settled)
