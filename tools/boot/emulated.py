# SPDX-License-Identifier: MIT
"""A root of arm64 whose programs run on this machine, on an emulated processor."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.boot.machine import BrokenError

if TYPE_CHECKING:
    from pathlib import Path

# The default processor of QEMU has NumPy warn of what is none of its own.
EMULATED: Final = {"QEMU_CPU": "cortex-a72"}
NSPAWN: Final = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--volatile=overlay"),
    *("--resolv-conf=off", "--timezone=off", "--setenv=HOME=/tmp"),
)


# Debian 12's QEMU shows this machine's own, in which onnxruntime looks for an Arm, and crashes.
CPUINFO: Final = """\
processor\t: {}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
PATIENCE_S: Final = 3600.0


class Root(NamedTuple):
    """The root, and where what is made on the way lies."""

    root: Path
    place: Path
    suite: str

    def run(self, *command: str, binds: tuple[str, ...] = ()) -> str:
        """Run a command inside, what it writes is lost; return what it prints."""
        processor = self.place / "cpuinfo"
        count = os.cpu_count() or 1
        processor.write_text("\n".join(CPUINFO.format(k) for k in range(count)), "utf-8")
        nspawn = [*NSPAWN, *(f"--setenv={name}={value}" for name, value in EMULATED.items())]
        nspawn += [f"--bind-ro={one}" for one in (f"{processor}:/cpuinfo", *binds)]
        pretend = ("sh", "-ec", 'mount --bind /cpuinfo /proc/cpuinfo; exec "$@"', "_")
        done = subprocess.run(
            [*nspawn, "-D", str(self.root), *pretend, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise BrokenError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout.strip()
