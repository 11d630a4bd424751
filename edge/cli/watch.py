# SPDX-License-Identifier: MIT
"""`edge watch`: what a box reports, live in a terminal or one line a message."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from edge.cli.heard import Heard
from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import EXIT_OK, ConfigError, PublishError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.cli.dashboard import Dashboard
    from edge.publish.broker import Broker

REFRESH_S: Final = 0.2
CONNECT_LIMIT_S: Final = 10.0


class Received(NamedTuple):
    """A message as it came."""

    topic: str
    payload: bytes


@click.command()
@click.option("--broker", metavar="URL", help="mqtt://HOST[:PORT]; default: publish.url.")
@click.option("--node", metavar="ID", help="Which box; default: node.id of the settings.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after this time.")
@click.option("--plain", is_flag=True, help="One line a message, for pipes.")
@settings_options
def watch(  # noqa: PLR0917 - click names them
    broker: str | None,
    node: str | None,
    seconds: float | None,
    plain: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Show level, scores, events, clips and health of the box that the settings name."""
    from edge.service.build import build_broker, build_topics

    named = {"publish.url": broker, "node.id": node}
    overrides = (*overrides, *(f'{key}="{value}"' for key, value in named.items() if value))
    settings = load_settings(config_file, overrides)
    if not settings.publish.url:
        raise ConfigError("publish.url is empty", "name a broker: --broker mqtt://HOST")
    root = build_topics(settings).root
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    interrupt = Interrupt()
    heard = follow(
        build_broker(settings),
        root,
        plain=plain,
        more=lambda: not interrupt.came and time.monotonic() < end_s,
    )
    if not plain:
        click.echo("\n".join(heard.summary()))
    return EXIT_OK


def follow(
    broker: Broker,
    root: str,
    *,
    plain: bool,
    more: Callable[[], bool],
    clips: Path | None = None,
) -> Heard:
    """Show what is published below `root` while `more()`; return what was heard.

    Plain is also what is no terminal. `clips` is the folder of a box that is this machine.
    """
    heard = Heard(root)
    messages = receive(broker, f"{root}/#", more)
    if plain or not sys.stdout.isatty():
        _print_lines(messages, heard)
    else:
        from edge.cli.dashboard import Dashboard

        _show(messages, heard, Dashboard(heard, broker, root, clips))
    return heard


class Interrupt:
    """Turns the first Ctrl-C into a flag, so that what runs can end in order."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_: object) -> None:
        self.came = True


def receive(broker: Broker, topic: str, more: Callable[[], bool]) -> Iterator[Received | None]:
    """Give messages as they come, and None now and then, while `more()`.

    Raises `PublishError` when the broker has not accepted us within 10 s, or was not
    reached before the end.
    """
    from edge.publish.mqtt import Handlers, Link

    inbox: queue.SimpleQueue[Received] = queue.SimpleQueue()
    trouble: list[str] = []
    handlers = Handlers(
        lost=trouble.append, received=lambda name, payload: inbox.put(Received(name, payload))
    )
    watcher = replace(broker, client_id=f"{broker.client_id}-watch-{os.getpid()}")
    link = Link(watcher, handlers=handlers, subscribe={topic: True})
    threading.Thread(target=link.run, name="mqtt", daemon=True).start()
    give_up_s = time.monotonic() + CONNECT_LIMIT_S
    try:
        while more() and (link.connections or time.monotonic() < give_up_s):
            try:
                yield inbox.get(timeout=REFRESH_S)
            except queue.Empty:
                yield None
        if not link.connections and (trouble or time.monotonic() >= give_up_s):
            why = trouble[-1] if trouble else f"{broker.url} does not answer"
            raise PublishError(f"no broker: {why}", "check --broker and publish.url")
    finally:
        link.stop()


def _print_lines(messages: Iterator[Received | None], heard: Heard) -> None:
    for message in messages:
        if message:
            heard.take(message.topic, message.payload)
            click.echo(f"{message.topic} {_text(message.payload)}")


def _text(payload: bytes) -> str:
    """Return a payload for a terminal; one that is no text only by its length."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return f"({len(payload)} bytes)"


def _show(messages: Iterator[Received | None], heard: Heard, dashboard: Dashboard) -> None:
    from rich.live import Live

    drawn_s = 0.0
    # A screen of its own, so that a terminal may be resized and is as before at the end.
    with Live(dashboard, auto_refresh=False, screen=True) as live:
        for message in messages:
            if message:
                heard.take(message.topic, message.payload)
            if time.monotonic() >= drawn_s + REFRESH_S:
                live.refresh()
                drawn_s = time.monotonic()
