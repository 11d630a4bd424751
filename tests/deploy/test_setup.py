# SPDX-License-Identifier: MIT
"""`edge setup` beside the units of a real systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.conftest import Box

# Others use the processor too.
pytestmark = pytest.mark.timeout(600)

# A wizard in a terminal, whose connection breaks once it waits for an answer.
DROPPED = """
import os, pty, signal, time
number, terminal = pty.fork()
if not number:
    os.execv("/usr/local/bin/edge", ["edge", "setup"])
said = b""
while b"called" not in said:
    said += os.read(terminal, 1000)
assert os.system("systemctl is-active --quiet edge-listen edge-analyze"), "both are stopped"
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
"""


@pytest.fixture
def slow(box: Box) -> Iterator[Box]:
    """Let the listener's start take its time, as on a small box."""
    place = "/run/systemd/system/edge-listen.service.d"
    box.run(
        f"mkdir -p {place}; printf '[Service]\\nExecStartPre=/bin/sleep 15\\n' >{place}/slow.conf;"
        " systemctl daemon-reload"
    )
    yield box
    box.run(f"rm -r {place}; systemctl daemon-reload")


def main_pid(box: Box, unit: str) -> str:
    return box.run(f"systemctl show --value --property=MainPID {unit}")


def test_settings_of_a_box_that_is_about_to_listen_are_those_it_listens_with(slow: Box) -> None:
    slow.run("systemctl restart --no-block edge-listen")
    slow.wait("[ $(systemctl show --value --property=ActiveState edge-listen) = activating ]")
    analyzer = main_pid(slow, "edge-analyze")
    said = slow.run("edge setup --yes --id garden")
    assert "stopped meanwhile: edge-listen, edge-analyze" in said
    assert "started: edge-listen, edge-analyze" in said
    slow.wait("systemctl is-active edge-listen edge-analyze && ls /run/edge/garden.json")
    assert main_pid(slow, "edge-analyze") != analyzer, "its reports are of the new id too"


def test_a_box_that_failed_at_its_settings_starts_with_the_new_ones(box: Box) -> None:
    box.run("sed -i 's/source = .*/source = \"replay\"/' /etc/edge/edge.toml")
    box.attempt("systemctl restart edge-listen")
    box.wait("systemctl is-failed edge-listen")
    box.run("sed -i 's/source = .*/source = \"synth\"/' /etc/edge/edge.toml")
    assert "started: edge-listen, edge-analyze" in box.run("edge setup --yes --id garden")
    box.wait("systemctl is-active edge-listen edge-analyze")


def test_what_a_person_has_switched_off_stays_off(box: Box) -> None:
    box.run("systemctl disable --quiet --now edge-analyze")
    assert "started: edge-listen\n" in box.run("edge setup --yes --id garden") + "\n"
    assert box.attempt("systemctl is-active edge-analyze").returncode
    box.run("systemctl enable --quiet --now edge-analyze")


def test_a_connection_that_breaks_in_the_wizard_leaves_no_deaf_box(box: Box) -> None:
    box.wait("systemctl is-active edge-listen edge-analyze")
    box.path("/run/dropped.py").write_text(DROPPED)
    assert int(box.run("python3 /run/dropped.py")) > 0, "it ended by itself, not by the signal"
    box.wait("systemctl is-active edge-listen edge-analyze")
