# SPDX-License-Identifier: MIT
"""What `edge setup` asks, and how it tries the answers."""

from __future__ import annotations

import re
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import click

from edge.cli.quiet import quiet_stderr
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.config.schema import Node, Settings

HEAR_S: Final = 4.0
UPDATES_PER_S: Final = 8
BAR: Final = 50  # characters
LOWEST_DBFS: Final = -90.0
QUIET_DBFS: Final = -80.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered; None: it stays as it is.

    password : not in any file yet.
    """

    name: str | None
    node: str | None
    device: str | None
    broker: str | None
    user: str | None
    password_file: str | None
    model: str | None
    speech: str | None
    password: str | None = field(default=None, repr=False)


def usual_id(name: str, before: Node) -> str:
    """Return what a box of this name is called in topics, unless somebody chose an id before.

    That of the first settings is the machine's name and digits (`deploy/first-settings`).
    """
    if name == before.name:
        return before.id
    host = re.escape(slug(socket.gethostname())[:59].rstrip("-"))
    made = before.id == "edge" or re.fullmatch(rf"{host}(-[0-9a-f]{{4}})?", slug(before.id))
    return slug(name) or before.id if made else before.id


def slug(name: str) -> str:
    """Return a name as an id."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].rstrip("-")


def ask(given: Answers, before: Settings) -> Answers:
    """Ask for what was not given."""
    name = given.name or click.prompt("What is this box called", default=before.node.name)
    node = given.node or click.prompt("Id, in topics", default=usual_id(name, before.node))
    answers = replace(given, name=name, node=node, device=given.device or _ask_device(before))
    if answers.broker is None:
        answers = _ask_broker(answers, before)
    if answers.model is None:
        answers = replace(answers, model=_ask_model(before))
    if answers.speech is None:
        choice = click.Choice(["keep", "strip", "drop"])
        click.echo("A clip in which somebody speaks: keep it, strip it to its facts, or drop it.")
        speech = click.prompt("Speech", type=choice, default=before.speech.action)
        answers = replace(answers, speech=speech)
    return answers


def _ask_device(before: Settings) -> str | None:
    from edge.capture.devices import list_devices

    with quiet_stderr():
        found = list_devices()
    if not found:
        click.echo("No microphone is there; `edge devices` lists them once one is plugged in.")
        return None
    for number, device in enumerate(found, 1):
        click.echo(f"  {number}  {device.name}: {device.offer}")
    while True:
        settings = [device.setting for device in found]
        now = settings.index(before.capture.device) if before.capture.device in settings else 0
        number = click.prompt("Microphone", type=click.IntRange(1, len(found)), default=now + 1)
        setting = found[number - 1].setting
        capture = replace(before.capture, source="alsa", device=setting)
        click.echo("Make a noise:")
        try:
            click.echo(hear(replace(before, capture=capture)))
        except EdgeError as error:
            click.echo(str(error))
        if click.confirm("Is this the one", default=True):
            return setting


def hear(settings: Settings) -> str:
    """Listen for some seconds; return what was there. Raises `EdgeError`.

    In a terminal the level is drawn meanwhile.
    """
    from edge.service.build import build_sound_meter, build_source
    from edge.types import Level

    highest = LOWEST_DBFS
    # Run as root: nothing in the unit's own folder is to be root's.
    with tempfile.TemporaryDirectory() as folder, build_source(settings.capture) as source:
        settings = replace(settings, state=replace(settings.state, directory=folder))
        meter = build_sound_meter(settings, source.format, updates_per_s=UPDATES_PER_S)
        end_s = time.monotonic() + HEAR_S
        while time.monotonic() < end_s and (item := source.read()):
            for measured in meter.process(item):
                if isinstance(measured, Level):
                    highest = max(highest, measured.lafmax_dbfs)
                    _draw(measured.laeq_dbfs)
        name = f"{source.name}, {source.format.rate_hz} Hz, {source.format.channels} ch"
    if sys.stdout.isatty():
        click.echo()
    verdict = " : nearly nothing, is it muted?" if highest < QUIET_DBFS else ""
    return f"{name}; LAFmax {highest:.0f} dBFS{verdict}"


def _draw(laeq_dbfs: float) -> None:
    if sys.stdout.isatty():
        filled = round(BAR * min(max(1.0 - laeq_dbfs / LOWEST_DBFS, 0.0), 1.0))
        click.echo(f"\r{'█' * filled:{BAR}} {laeq_dbfs:6.1f} dBFS ", nl=False)


def _ask_broker(given: Answers, before: Settings) -> Answers:
    """Ask for a broker until one answers, or it is to be kept all the same."""
    while True:
        url = click.prompt(
            'MQTT broker, mqtt://HOST or mqtts://HOST ("-": none)', default=before.publish.url
        )
        if url == "-":
            return replace(given, broker="")
        user = given.user or click.prompt("User", default=before.publish.user, show_default=True)
        password = None
        if user and given.password_file is None:
            password = _ask_password()
        answers = replace(given, broker=url, user=user, password=password)
        file = given.password_file or before.publish.password_file
        publish = replace(
            before.publish, url=url, user=user, password_file="" if password else file
        )
        try:
            click.echo(f"  {try_broker(replace(before, publish=publish), password)}")
        except EdgeError as error:
            click.echo(f"  {error}")
            if not click.confirm("Keep it all the same", default=False):
                continue
        return answers


def _ask_password() -> str | None:
    """Return another password; None: it stays as it is."""
    answer: str = click.prompt(
        "Password (nothing: as it is)", default="", hide_input=True, show_default=False
    )
    return answer or None


def try_broker(settings: Settings, password: str | None = None) -> str:
    """Connect and leave; return where. Raises `EdgeError`."""
    from edge.publish.mqtt import probe
    from edge.service.build import build_broker

    if not settings.publish.url:
        return "none: nothing is sent"
    broker = build_broker(settings)
    probe(replace(broker, password=password) if password else broker)
    return f"{settings.publish.url} answers"


def _ask_model(before: Settings) -> str | None:
    from edge.model.shelf import SHIPPED, Shelf

    shelf = Shelf(before.state.path)
    names = shelf.names()
    if before.model.path or names == [shelf.chosen()]:
        return None
    now = shelf.chosen() if shelf.chosen() in names else SHIPPED
    chosen: str = click.prompt("Model", type=click.Choice(names), default=now)
    return chosen
