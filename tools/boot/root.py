# SPDX-License-Identifier: MIT
"""A Debian root file system with edge on it, by the installer that people use."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("systemd-sysv", "dbus", "udev", "kmod", "linux-image-amd64", "alsa-utils", "iproute2"),
    *("procps", "python3", "python3-venv", "libasound2", "ca-certificates"),
)
DISK: Final = "6G"
SCENE_S: Final = 40
# Who connects is a shell of root's: only in this root, only in the machine's own network.
LAB: Final = {
    "etc/systemd/system/lab.socket": "[Socket]\nListenStream=2222\nAccept=yes\n",
    "etc/systemd/system/lab@.service": (
        "[Service]\nExecStart=/bin/bash -s\nStandardInput=socket\nKillMode=process\n"
    ),
    "etc/systemd/network/lab.network": (
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
    ),
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/hostname": "edge-box\n",
}
ENABLED: Final = (
    "sockets.target.wants/lab.socket",
    "multi-user.target.wants/systemd-networkd.service",
)


def build(place: Path) -> Path:
    """Return a disk with edge on it; base and wheels are kept in `place` for the next time."""
    base, root, wheels = place / "base", place / "root", place / "wheels"
    if not (base / "complete").exists():
        shutil.rmtree(base, ignore_errors=True)
        _run("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, base)
        # Unpacking drivers for every machine takes an emulated processor a minute.
        initramfs = base / "etc" / "initramfs-tools"
        (initramfs / "conf.d" / "lab").write_text("MODULES=list\n", encoding="utf-8")
        (initramfs / "modules").write_text("virtio_pci\nvirtio_blk\next4\n", encoding="utf-8")
        _inside(base, "update-initramfs", "-u")
        (base / "complete").touch()
    pins = REPOSITORY / "deploy" / "requirements.txt"
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", wheels, "--requirement", pins)
    shutil.rmtree(root, ignore_errors=True)
    _run("cp", "-a", "--reflink=auto", base, root)
    _furnish(root, wheels)
    _inside(root, "/root/edge/deploy/install.sh", "--offline", "/root/wheels")
    _inside(root, "/usr/local/bin/edge", "synth", "scene", "/root/scene.wav", "--seconds", SCENE_S)
    _next_versions(root)
    disk = place / "disk.img"
    disk.unlink(missing_ok=True)
    _run("mke2fs", "-q", "-t", "ext4", "-d", root, "-L", "root", "-F", disk, DISK)
    return disk


def kernel(place: Path) -> tuple[Path, Path]:
    """Return kernel and initial file system of the root in `place`."""
    boot = place / "root" / "boot"
    return next(boot.glob("vmlinuz-*")), next(boot.glob("initrd.img-*"))


def _furnish(root: Path, wheels: Path) -> None:
    for name, text in LAB.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for link in ENABLED:
        unit = Path(link).name
        where = root / "etc/systemd/system" / link
        where.parent.mkdir(parents=True, exist_ok=True)
        place = "/etc/systemd/system" if unit.startswith("lab") else "/lib/systemd/system"
        where.symlink_to(f"{place}/{unit}")
    shutil.copytree(wheels, root / "root" / "wheels")
    copy_tree(root / "root" / "edge")


def copy_tree(to: Path) -> None:
    """Copy the tree as it lies here, without what git ignores."""
    listed = _output("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / name).is_file():
            shutil.copy2(REPOSITORY / name, to / name)


def _next_versions(root: Path) -> None:
    """Put three more trees beside the first: a good one, a failing one, one that reads others."""
    release = next((root / "opt/edge/releases").iterdir())
    lend_libraries(Path("/") / release.relative_to(root), root / "root" / "few")
    for name, change in CHANGES.items():
        tree = root / "root" / name
        shutil.copytree(root / "root" / "edge", tree)
        make_version(tree, *change)


# Never ready, never dead: what crashes is noticed by more than one sign.
HANG: Final = "    while True:\n        import time; time.sleep(1)"
# A version, and what it changes: file, text, other text.
CHANGES: Final = {
    "good": ("8.0.0", "edge/cli/listen.py", "Run the listening unit until", "Listen until"),
    "failing": ("9.0.0", "edge/cli/listen.py", "    return run(settings)", HANG),
    "deaf": ("9.1.0", "edge/service/stream.py", ": self.microphone,", ': "zeros",'),
    "misfit": ("9.9.0", "edge/config/default.toml", "[publish]\nurl =", "[publish]\nuri ="),
}


def make_version(tree: Path, version: str, file: str, old: str, new: str) -> None:
    """Make another version of a tree, whose libraries are those that `lend_libraries` lends."""
    init = tree / "edge" / "__init__.py"
    init.write_text(re.sub('= ".*"', f'= "{version}"', init.read_text("utf-8")), "utf-8")
    text = (tree / file).read_text("utf-8")
    assert old in text  # noqa: S101 - else the change below would change nothing
    (tree / file).write_text(text.replace(old, new), "utf-8")
    if "misfit" in tree.name:
        schema = tree / "edge/config/schema.py"
        schema.write_text(
            schema.read_text("utf-8").replace("    url: str", "    uri: str"), "utf-8"
        )
    (tree / "deploy" / "requirements.txt").write_text("lent-libraries==1\n", "utf-8")
    (tree / "deploy" / "requirements-python313.txt").write_text("", "utf-8")


def lend_libraries(release: Path, folder: Path) -> None:
    """Write a wheel that has nothing but the way to the libraries of another release.

    Installing all of them once more would take minutes on an emulated processor.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = "lent_libraries-1.dist-info"
    files = {
        "lent.pth": "".join(
            f"{release}/lib/python3.{minor}/site-packages\n" for minor in range(11, 15)
        ),
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: lent-libraries\nVersion: 1\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / "lent_libraries-1-py3-none-any.whl", "w") as wheel:
        for name, text in (*files.items(), (f"{about}/RECORD", record)):
            wheel.writestr(name, text)


def _inside(root: Path, *command: object) -> None:
    nspawn = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "-D", root)
    _run(*nspawn, *command)


def _run(*command: object) -> None:
    print("+", *command, file=sys.stderr, flush=True)
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


def _output(*command: str) -> str:
    return subprocess.check_output(command, cwd=REPOSITORY, text=True)
