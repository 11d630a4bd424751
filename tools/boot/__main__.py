# SPDX-License-Identifier: MIT
"""`tools/boot-test`: a Debian with edge on it boots, hears, fails, seen from outside."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tools.boot.checks import CHECKS
from tools.boot.lab import Lab
from tools.boot.root import REPOSITORY, SUITE, build, kernel
from tools.boot.table import about, row
from tools.boot.upgrades import UPGRADES


def main() -> int:
    """Make the root, boot it, check; print the table; return 0 if all held."""
    every = (*CHECKS, *UPGRADES)
    parser = argparse.ArgumentParser(prog="tools/boot-test", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=REPOSITORY / ".cache" / "boot", help="for root and disk"
    )
    parser.add_argument("--only", nargs="*", metavar="CHECK", help="besides the first two")
    parser.add_argument("--no-build", action="store_true", help="boot the disk of the last time")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    disk = asked.work / "disk.img" if asked.no_build else build(asked.work)
    chosen = [one for one in every if _is_chosen(one.__name__, asked.only)]
    with ExitStack() as running:
        began_s = time.monotonic()
        lab = Lab(asked.work, disk, kernel(asked.work), running)
        rows = [f"| boots | ok | {time.monotonic() - began_s:.0f} s (emulated) |"]
        print("\n".join(_head(lab)))
        try:
            for check in chosen:
                rows += [row(check, lab)]
        finally:  # a surprise ends the run, and what was found before it is still said
            print("\n".join(rows))
    return 1 if any("FAILED" in row for row in rows) else 0


def _is_chosen(name: str, only: list[str] | None) -> bool:
    return not only or name in {*only, "boots_deaf", "hears_later"}


def _head(lab: Lab) -> list[str]:
    inside = lab.box.run("echo Linux $(uname -r), $(systemctl --version | head -n 1)")
    return [f"{about(SUITE)}, {inside}; QEMU (TCG)", "", "| the box | | |", "|---|---|---|"]


if __name__ == "__main__":
    sys.exit(main())
