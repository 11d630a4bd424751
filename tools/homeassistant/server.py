# SPDX-License-Identifier: MIT
"""A real Home Assistant without a screen: set up by its files, onboarded and asked over REST."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "deploy/dashboards/home-assistant"
REQUIREMENTS: Final = ROOT / "deploy/requirements-homeassistant.txt"
CLIENT: Final = "http://127.0.0.1:8123/"
CONFIGURATION: Final = """
http:
  server_host: 127.0.0.1
  server_port: {port}
frontend:
api:
config:
recorder:
history:
logbook:
logger:
  default: warning
automation: !include automations.yaml
lovelace:
  dashboards:
    edge-sound:
      mode: yaml
      title: Sound
      filename: dashboard.yaml
"""
START_S: Final = 180.0
AS_SHIPPED: Final = 'for: "00:05:00"'
DEAF_S: Final = 5
"""Instead: so long a box may be away or deaf."""


def environment(place: Path, python: str) -> Path:
    """Return the folder of Home Assistant's own virtual environment, made if missing."""
    venv = place / "venv"
    if not (venv / "bin/hass").exists():
        print(f"installing Home Assistant into {venv}: some minutes", file=sys.stderr)
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS), "playwright"], check=True)
    return venv


class HomeAssistant:
    """One Home Assistant in `folder`, that hears the broker at `broker_port`."""

    def __init__(self, venv: Path, folder: Path, port: int, broker_port: int) -> None:
        self._venv = venv
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self.tokens: dict[str, Any] = {}
        shutil.rmtree(folder, ignore_errors=True)
        (folder / ".storage").mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=port))
        shutil.copy(EXAMPLES / "dashboard.yaml", folder)
        automations = (EXAMPLES / "automations.yaml").read_text()
        if AS_SHIPPED not in automations:
            raise ValueError(f"no {AS_SHIPPED} in the automations")
        short = automations.replace(AS_SHIPPED, f'for: "00:00:{DEAF_S:02}"')
        (folder / "automations.yaml").write_text(short)
        entries = {
            "version": 1,
            "minor_version": 5,
            "key": "core.config_entries",
            "data": {"entries": [_mqtt_entry(broker_port)]},
        }
        (folder / ".storage/core.config_entries").write_text(json.dumps(entries))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.get("/api/config")["version"])

    def start(self) -> None:
        """Start it and wait until it answers; the first time it gets a user."""
        with (self._folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._venv / "bin/hass"), "-c", str(self._folder), "--skip-pip"],
                stdout=log,
                stderr=log,
            )
        self._wait_answer()
        if not self._token:
            self._onboard()

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def states(self) -> dict[str, dict[str, Any]]:
        """Return every state by entity id."""
        return {one["entity_id"]: one for one in self.get("/api/states")}

    def call(self, service: str, entity: str, **data: object) -> None:
        """Call a service, as a person would press a button."""
        domain, name = service.split(".")
        self.post(f"/api/services/{domain}/{name}", {"entity_id": entity, **data})

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what it answers to GET."""
        return self._ask(urllib.request.Request(self.url + path))  # noqa: S310 - our own http

    def post(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
        """Return what it answers to POST."""
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        return self._ask(request)

    def complaints(self) -> list[str]:
        """Return the warnings and errors of its log that speak of MQTT or of the box."""
        lines = (self._folder / "output.log").read_text(errors="replace").splitlines()
        grave = [line for line in lines if " WARNING " in line or " ERROR " in line]
        # That the broker was away is no complaint of ours.
        ours = [line for line in grave if "mqtt.client" not in line]
        words = ("mqtt", "edge", "automation", "template")
        return [line for line in ours if any(word in line.lower() for word in words)]

    def _ask(self, request: urllib.request.Request) -> Any:  # noqa: ANN401 - JSON
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def _wait_answer(self) -> None:
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            try:
                with urllib.request.urlopen(f"{self.url}/manifest.json", timeout=5):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError(f"Home Assistant does not answer; see {self._folder}/output.log")

    def _onboard(self) -> None:
        user = {
            "client_id": self.url + "/",
            "name": "Test",
            "username": "test",
            "password": "test-only",
            "language": "en",
        }
        code = self.post("/api/onboarding/users", user)["auth_code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self.url + "/",
        }
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/auth/token", data=urllib.parse.urlencode(form).encode()
        )
        self.tokens = self._ask(request)
        self._token = self.tokens["access_token"]
        for step in ("core_config", "analytics"):
            self.post(f"/api/onboarding/{step}", {})
        redirect = {"client_id": self.url + "/", "redirect_uri": self.url + "/"}
        self.post("/api/onboarding/integration", redirect)


def _mqtt_entry(broker_port: int) -> dict[str, Any]:
    born = "2026-01-01T00:00:00+00:00"
    return {
        "created_at": born,
        "modified_at": born,
        "data": {"broker": "127.0.0.1", "port": broker_port},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": "0123456789abcdef0123456789abcdef",
        "minor_version": 2,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "broker",
        "unique_id": None,
        "version": 1,
    }
