# SPDX-License-Identifier: MIT
"""An image for cards: installed where no systemd runs, named at the first boot of each card."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.deploy.conftest import Box

# Others use the processor too.
pytestmark = pytest.mark.timeout(600)

SETTINGS = "/etc/edge/edge.toml"
NAME = 'echo "$(uname -n)-$(cut -c 1-4 /etc/machine-id)"'


@pytest.fixture(scope="module")
def image(bare: Box) -> Box:
    """Install as in a root that an image is made of: systemd is there, but runs nothing."""
    install = "/trees/first/deploy/install.sh --offline /trees/wheels"
    inside = f"mount -t tmpfs none /run/systemd; {install}"
    bare.run(f"unshare --mount --propagation private bash -c '{inside}'")
    return bare


def test_an_image_has_no_name_yet(image: Box) -> None:
    image.run(f"[ ! -e {SETTINGS} ] && [ -d /etc/edge/edge.d ]")
    assert image.run("edge config | grep '^node.id'") == 'node.id = "edge"'


def test_a_card_is_named_by_its_own_identity_before_it_listens(image: Box) -> None:
    assert image.run("systemctl is-enabled edge-listen edge-analyze") == "enabled\nenabled"
    image.run("systemctl daemon-reload; systemctl start --no-block edge-listen edge-analyze")
    name = image.run(NAME)
    image.wait(f"ls /run/edge/{name}.json")
    assert f'id = "{name}"' in image.path(SETTINGS).read_text()
    assert image.run("ls /run/edge") == f"{name}.json"


def test_a_name_once_given_stays(image: Box) -> None:
    settings = image.path(SETTINGS).read_text()
    image.run("hostname elsewhere; systemctl restart edge-listen edge-settings")
    assert image.path(SETTINGS).read_text() == settings


def test_another_card_has_another_name(image: Box) -> None:
    before = image.path(SETTINGS).read_text()
    image.run(
        f"rm {SETTINGS}; echo {'0123456789abcdef' * 2} >/run/other;"
        " mount --bind /run/other /etc/machine-id; systemctl start edge-settings"
    )
    assert image.path(SETTINGS).read_text() != before
    assert '-0123"' in image.path(SETTINGS).read_text()
    assert 'name = "Edge 0123"' in image.path(SETTINGS).read_text()


def test_the_layer_brings_what_the_installer_would_fetch() -> None:
    layer = yaml.safe_load((REPOSITORY / "deploy/image/layer/edge-box.yaml").read_text("utf-8"))
    script = (
        '. tools/setup.sh; . deploy/installer/box.sh; offline=""; act_if_missing() { echo "$@"; };'
        " need_packages"
    )
    wanted = subprocess.check_output(["bash", "-c", script], cwd=REPOSITORY, text=True).split()
    assert len(wanted) > 3
    assert {*wanted, "python3-venv", "python3-dev"} <= {*layer["mmdebstrap"]["packages"]}
