# SPDX-License-Identifier: MIT
"""`tools/fuzz`: odd input by the hundred thousand; ends with what was not taken."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from edge.errors import EdgeError
from tools.fuzzing.targets import TARGETS

if TYPE_CHECKING:
    from types import FrameType

    from tools.fuzzing.targets import Target

HANG_S: Final = 5.0
SHOWN: Final = 3


class Hang(BaseException):
    """An input took too long; no `Exception`, so that nobody catches it on the way."""


def main() -> int:
    """Feed each target; return 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000, help="each  [default: 100000]")
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    asked = parser.parse_args()
    logging.disable()  # what is refused says so
    signal.signal(signal.SIGALRM, _hangs)
    failures = [fuzz(name, asked.inputs, asked.seed) for name in asked.target or TARGETS]
    return 1 if any(failures) else 0


def fuzz(name: str, inputs: int, seed: int) -> int:
    """Feed one target; print what became of it, and return how many inputs were not taken."""
    began_s = time.monotonic()
    outcomes: Counter[str] = Counter()
    with TemporaryDirectory(prefix="edge-fuzz-", dir="/dev/shm") as place:
        target = TARGETS[name](Path(place))
        for number in range(inputs):
            # A seed of its own, so that one input can be made again alone.
            outcome, stack = _feed(target, random.Random(f"{seed} {name} {number}"))  # noqa: S311
            outcomes[outcome] += 1
            if stack and outcomes[outcome] <= SHOWN:
                print(f"{name}, seed {seed}, input {number}:\n{stack}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"{name}: {counts}; {time.monotonic() - began_s:.0f} s", flush=True)
    return outcomes["FAILED"]


def _feed(target: Target, rng: random.Random) -> tuple[str, str]:
    """Return what became of an input, and the stack of what should not have."""
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        target.feed(rng)
    except EdgeError:
        return "refused", ""
    except (Exception, Hang):  # noqa: BLE001 - what else comes is what is sought
        return "FAILED", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return "taken", ""


def _hangs(_number: int, _frame: FrameType | None) -> None:
    raise Hang


if __name__ == "__main__":
    sys.exit(main())
