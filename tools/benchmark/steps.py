# SPDX-License-Identifier: MIT
"""What a listener loads, step by step, in a process of its own: prints a line of JSON each.

Its argument is the monotonic time when it was started, in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def rss_bytes(pid: int) -> int:
    """Return the memory that a process holds."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def report(step: str) -> None:
    """Print the memory held and the time gone by after a step."""
    at_s = time.monotonic() - float(sys.argv[1])
    print(json.dumps({"step": step, "rss_bytes": rss_bytes(os.getpid()), "at_s": at_s}))


def main() -> None:
    """Load what the listener loads, the heavy parts one by one."""
    report("python")
    import numpy as np  # noqa: F401 - what it weighs is the question

    report("numpy")
    import onnxruntime  # noqa: F401 - what it weighs is the question

    report("onnxruntime")
    from edge.model.classifier import OnnxClassifier
    from edge.model.registry import shipped_model

    _kept = OnnxClassifier(shipped_model())
    report("classifier")


if __name__ == "__main__":
    main()
