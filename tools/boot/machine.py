# SPDX-License-Identifier: MIT
"""The virtual machine: starts, runs scripts as root inside, is cut off."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from tools.demo.place import start_child

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

BOOT_S: Final = 1200.0  # an emulated processor takes 60 to 150, a busy one many times as long
# A start that takes longer than this is none; the units' own limits stay as they are.
SLOW: Final = "systemd.default_timeout_start_sec=600 systemd.mask=serial-getty@ttyS0.service"
HOST: Final = "10.0.2.2"  # this machine, as the box sees it


class BrokenError(AssertionError):
    """The box did not do what it should."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Machine:
    """A box; it starts with the object. The disk is left as it was (`snapshot`)."""

    def __init__(self, disk: Path, kernel: Path, initrd: Path, running: ExitStack) -> None:
        self._port = free_port()
        self._monitor = disk.parent / "monitor"
        console = disk.parent / "console.log"
        forward = f"user,id=n,restrict=off,hostfwd=tcp:127.0.0.1:{self._port}-:2222"
        command = [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-M", "q35"),
            # The newest that is emulated well: AVX is computed lane by lane, ten times slower.
            *("-cpu", "Nehalem"),
            *("-smp", "2", "-m", "1536", "-display", "none", "-serial", f"file:{console}"),
            *("-monitor", f"unix:{self._monitor},server=on,wait=off"),
            *("-device", "qemu-xhci", "-audiodev", "none,id=silent"),
            *("-kernel", str(kernel), "-initrd", str(initrd)),
            *("-append", f"root=/dev/vda rw console=ttyS0 quiet {SLOW} net.ifnames=0 panic=1"),
            *("-drive", f"file={disk},if=virtio,format=raw,snapshot=on"),
            *("-netdev", forward, "-device", "virtio-net-pci,netdev=n"),
        ]
        # A session of its own, as `start_child` makes one, is a share of the processor of its own.
        self._process = start_child(command, running)
        self.wait_for_boot()

    def run(self, script: str, within_s: float = 120.0) -> str:
        """Run a script of bash as root; return what it prints. Raises BrokenError if it fails."""
        code, out = self.attempt(script, within_s)
        if code:
            raise BrokenError(f"`{script}` ended with {code}: {out[-600:]}")
        return out.strip()

    def attempt(self, script: str, within_s: float = 120.0) -> tuple[int, str]:
        """Run a script; return its exit code and what it prints."""
        wrapped = f'{{ {script}\n}} </dev/null 2>&1; echo "rc=$?"; exit\n'
        with socket.create_connection(("127.0.0.1", self._port), timeout=within_s) as sock:
            sock.sendall(wrapped.encode())
            received = b""
            while block := sock.recv(65536):
                received += block
        out, mark, code = received.decode(errors="replace").rpartition("rc=")
        if not mark:
            raise BrokenError(f"no answer to `{script}`")
        return int(code), out

    def hardware(self, command: str) -> None:
        """Plug something in, or pull it: a line for QEMU's monitor. Raises BrokenError."""
        said = b""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._monitor))
            sock.sendall(f"{command}\n".encode())
            while said.count(b"(qemu) ") < 2:  # the greeting's, and the answer's
                said += sock.recv(4096)
        if b"Error" in said:
            raise BrokenError(said.decode(errors="replace"))

    def wait_for_boot(self, boot_before: str = "") -> str:
        """Wait until another boot than that one answers; return its id."""
        until_s = time.monotonic() + BOOT_S
        while time.monotonic() < until_s:
            if self._process.poll() is not None:
                raise BrokenError("the machine has ended: see console.log")
            try:
                boot = self.run("cat /proc/sys/kernel/random/boot_id", within_s=10.0)
            except (OSError, BrokenError):
                time.sleep(2.0)
                continue
            if boot != boot_before:
                return boot
            time.sleep(1.0)
        raise BrokenError(f"no boot within {BOOT_S:g} s")

    def boot_again(self, command: str) -> float:
        """Run what reboots, or cuts off, the box; return how long the way back took, in s."""
        boot = self.run("cat /proc/sys/kernel/random/boot_id")
        since_s = time.monotonic()
        # A program of its own: a mere part of this shell would hold the connection until the cut.
        self.run(f"setsid bash -c 'sleep 1; {command}' >/dev/null 2>&1 &")
        self.wait_for_boot(boot)
        return time.monotonic() - since_s

    def until(self, script: str, within_s: float) -> float:
        """Run a script until it succeeds; return how long that took, in s."""
        since_s = time.monotonic()
        while time.monotonic() - since_s < within_s:
            code, out = self.attempt(script)
            if code == 0:
                return time.monotonic() - since_s
            time.sleep(0.5)
        raise BrokenError(f"`{script}` not within {within_s:g} s: {out[-600:]}")
