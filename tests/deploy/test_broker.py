# SPDX-License-Identifier: MIT
"""deploy/mosquitto in a real Mosquitto: who gets in, and who may say what."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.errors import PublishError
from edge.publish.broker import Broker
from edge.publish.mqtt import deliver, probe
from edge.publish.payloads import forgotten
from edge.types import Message
from tests.conftest import REPOSITORY, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto

SHIPPED = REPOSITORY / "deploy/mosquitto"
DEVICE = "homeassistant/device/hive-7/config"


def certificate(folder: Path, name: str, *options: str) -> None:
    """Make `name.pem` and `name.key`."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
            *("-subj", f"/CN={name}", *options),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def broker(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Broker:
    """Start Mosquitto with the shipped files, but for their places; return it for nobody."""
    certs = tmp_path / "certs"
    certs.mkdir()
    certificate(certs, "ca")
    signed = ("-CA", str(certs / "ca.pem"), "-CAkey", str(certs / "ca.key"))
    names = ("-addext", "subjectAltName=DNS:localhost")
    certificate(certs, "server", *signed, *names, "-addext", "basicConstraints=critical,CA:FALSE")
    passwords = tmp_path / "edge.passwords"
    for number, user in enumerate(("watcher", "hive-7")):
        create = ["-c"] if number == 0 else []
        subprocess.run(["mosquitto_passwd", *create, "-b", passwords, user, user], check=True)
    (tmp_path / "edge.acl").write_text((SHIPPED / "acl").read_text())
    port = free_port()
    settings = (SHIPPED / "edge.conf").read_text()
    for shipped, here in (("/etc/mosquitto", str(tmp_path)), ("listener 8883", f"listener {port}")):
        assert shipped in settings
        settings = settings.replace(shipped, here)
    mosquitto(settings)
    nobody = Broker(f"mqtts://localhost:{port}", "test", ca_file=str(certs / "ca.pem"))
    wait_until(lambda: "uthorized" in refusal(nobody), "it answers")
    return nobody


def refusal(broker: Broker) -> str:
    """Return why a broker lets nobody in, or nothing."""
    try:
        probe(broker)
    except PublishError as error:
        return str(error)
    return ""


def test_who_has_no_name_does_not_get_in(broker: Broker) -> None:
    assert "uthorized" in refusal(broker)
    assert "uthorized" in refusal(replace(broker, user="watcher", password="wrong"))  # noqa: S106 - of this test's broker
    assert refusal(replace(broker, user="watcher", password="watcher")) == ""  # noqa: S106


def test_home_assistant_may_delete_the_device_of_a_box_and_a_box_only_its_own(
    broker: Broker,
) -> None:
    box = replace(broker, user="hive-7", password="hive-7")  # noqa: S106
    watcher = replace(broker, user="watcher", password="watcher")  # noqa: S106
    others = "homeassistant/device/hive-8/config"
    mine = [Message(DEVICE, b"{}", qos=1, retain=True), forgotten("edge/hive-7/status")]
    assert deliver(box, [*mine, forgotten(others)]) == [others]
    at_a_site = "homeassistant/device/north/hive-7/config"
    assert deliver(watcher, [forgotten(DEVICE), forgotten(at_a_site)]) == []
    assert deliver(watcher, [forgotten("edge/hive-7/status")]) == ["edge/hive-7/status"]
