# SPDX-License-Identifier: MIT
from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from edge.service.hearing import Hearing, is_hearing

if TYPE_CHECKING:
    from pathlib import Path

LISTENER = """
import sys, time
from pathlib import Path
from edge.service.hearing import Hearing
hearing = Hearing(Path(sys.argv[1]))
hearing.tell(heard=True)
print("heard", flush=True)
time.sleep(60)
"""


def test_another_process_sees_what_is_told(tmp_path: Path) -> None:
    assert not is_hearing(tmp_path / "no")
    hearing = Hearing(tmp_path)
    assert not is_hearing(tmp_path)
    hearing.tell(heard=True)
    assert is_hearing(tmp_path)
    hearing.tell(heard=False)
    assert not is_hearing(tmp_path)
    hearing.close()


def test_a_listener_that_was_killed_hears_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LISTENER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"heard\n"
        assert is_hearing(tmp_path)
        child.kill()
        child.wait()
    assert not is_hearing(tmp_path)


def test_who_looks_is_not_taken_for_a_listener(tmp_path: Path) -> None:
    hearing = Hearing(tmp_path)
    for _ in range(3):
        assert not is_hearing(tmp_path)
        hearing.tell(heard=True)
        assert is_hearing(tmp_path)
        assert is_hearing(tmp_path)
        hearing.tell(heard=False)
    hearing.close()
