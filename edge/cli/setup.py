# SPDX-License-Identifier: MIT
"""`edge setup`: the few settings that every box needs, asked for and tried."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.config.edit import edited
from edge.config.load import SYSTEM_FILE, load_settings
from edge.durable import replace_file
from edge.errors import EXIT_OK, ConfigError, EdgeError, ModelError, StorageError
from edge.publish.broker import CREDENTIAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.cli.setup_ask import Answers
    from edge.config.schema import Settings

SPEECH = ("keep", "strip", "drop")


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=SYSTEM_FILE,
    show_default=True,
    help="The settings file; made if missing.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given stays as it is.")
@click.option("--name", help="For people, as Garden.")
@click.option("--id", "node", help="In topics: A-Z a-z 0-9 _ -; default: made of the name.")
@click.option("--device", help="capture.device, as `edge devices` prints it.")
@click.option("--broker", metavar="URL", help='mqtt://HOST or mqtts://HOST; "": none.')
@click.option("--user", help="At the broker; with deploy/mosquitto the id.")
@click.option("--password-file", help="A file that holds only the password.")
@click.option("--model", help="One of `edge model list`.")
@click.option("--speech", type=click.Choice(SPEECH), help="A clip in which somebody speaks.")
def setup(  # noqa: PLR0917 - click names them
    config_file: Path,
    yes: bool,  # noqa: FBT001 - click's way of a flag
    name: str | None,
    node: str | None,
    device: str | None,
    broker: str | None,
    user: str | None,
    password_file: str | None,
    model: str | None,
    speech: str | None,
) -> int:
    """Ask for name, microphone, broker, model and privacy; try them; write the settings file.

    What else stands in the file stays, comments too. Without a terminal add --yes.
    """
    from edge.cli.setup_ask import Answers, ask
    from edge.cli.setup_units import units_stopped

    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask in: add --yes and the options")
    text = _text(config_file)
    before = _checked(text, config_file)
    given = Answers(
        name=name,
        node=node,
        device=device,
        broker=broker,
        user=user,
        password_file=password_file,
        model=model,
        speech=speech,
    )
    system = config_file == SYSTEM_FILE and not os.geteuid()
    with units_stopped() if system else contextlib.nullcontext():
        answers = given if yes else ask(given, before)
        new = edited(text, changes := _changes(answers, before, config_file))
        settings = _checked(new, config_file)
        _refuse_what_is_overruled(changes, settings, config_file)
        if answers.model:
            _find_model(settings, answers.model)
        if yes:
            _try(settings)
        if answers.password:
            _write_password(_password_file(config_file), answers.password)
        _write(config_file, text, new)
        if answers.model:
            _choose_model(settings, answers.model)
        follows = _what_follows(settings)
    for line in (*follows, f"next: edge check --config {config_file}"):
        click.echo(line)
    return EXIT_OK


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text: {error.reason}", "save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}", "ask as root") from None


def _checked(text: str, file: Path) -> Settings:
    """Return the settings of a text as the unit would read it in `file`. Raises `ConfigError`."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, file.name)
        draft.write_text(text, encoding="utf-8")
        beside = f"{file.stem}.d"
        Path(folder, beside).symlink_to(file.parent.resolve() / beside)
        try:
            return load_settings(draft)
        except ConfigError as error:
            message = error.message.replace(folder, str(file.parent))
            raise ConfigError(message, error.help) from None


def _changes(answers: Answers, before: Settings, file: Path) -> dict[tuple[str, str], object]:
    """Return what differs from the settings in force, by section and key."""
    from edge.cli.setup_ask import usual_id

    node = answers.node
    if node is None and answers.name:
        node = usual_id(answers.name, before.node)
    password_file = answers.password_file
    if answers.password:
        kept = _password_file(file)
        password_file = "" if kept == CREDENTIAL else str(kept)
    wanted = {
        ("node", "name"): (answers.name, before.node.name),
        ("node", "id"): (node, before.node.id),
        ("capture", "source"): ("alsa" if answers.device else None, before.capture.source),
        ("capture", "device"): (answers.device, before.capture.device),
        ("publish", "url"): (answers.broker, before.publish.url),
        ("publish", "user"): (answers.user, before.publish.user),
        ("publish", "password_file"): (password_file, before.publish.password_file),
        ("speech", "action"): (answers.speech, before.speech.action),
    }
    return {key: new for key, (new, old) in wanted.items() if new is not None and new != old}


def _refuse_what_is_overruled(
    changes: Mapping[tuple[str, str], object], settings: Settings, file: Path
) -> None:
    for (section, key), value in changes.items():
        if getattr(getattr(settings, section), key) != value:
            raise ConfigError(
                f"{section}.{key} is set in {file.stem}.d beside {file} too, which counts more",
                "change it there, or take it out",
            )


def _password_file(config_file: Path) -> Path:
    """Return where a password goes: for the unit, which may not read it otherwise, a credential."""
    system = config_file == SYSTEM_FILE and not os.geteuid()
    return CREDENTIAL if system else config_file.parent.resolve() / "mqtt-password"


def _write_password(file: Path, password: str) -> None:
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(file, f"{password}\n".encode(), mode=0o600)
    except OSError as error:
        raise StorageError(f"{file} can't be written: {error.strerror}", "ask as root") from error


def _find_model(settings: Settings, name: str) -> None:
    from edge.model.shelf import Shelf
    from edge.service.fitting import fitting_model

    if settings.model.path:
        raise ModelError("model.path in the settings says which model is in use", "remove it first")
    fitting_model(settings, Shelf(settings.state.path).find(name))


def _choose_model(settings: Settings, name: str) -> None:
    from edge.model.shelf import Shelf

    shelf = Shelf(settings.state.path)
    if shelf.chosen() != name:
        shelf.choose(name)


def _try(settings: Settings) -> None:
    """Say what is there of what the settings name; what is not may come."""
    from edge.cli.setup_ask import hear, try_broker

    for what, trial in (("microphone", hear), ("broker", try_broker)):
        try:
            click.echo(f"ok       {what}: {trial(settings)}")
        except EdgeError as error:
            click.echo(f"warning  {what}: {error}")


def _write(file: Path, old: str, new: str) -> None:
    if new == old:
        click.echo(f"{file} stays as it is")
        return
    real = file.resolve()
    try:
        before = real.stat() if real.exists() else None
        replace_file(real, new.encode(), mode=before.st_mode & 0o777 if before else 0o644)
        if before:  # whoever could read it still can
            with contextlib.suppress(PermissionError):
                os.chown(real, before.st_uid, before.st_gid)
    except OSError as error:
        raise StorageError(f"{file} can't be written: {error.strerror}", "ask as root") from error
    click.echo(f"{file} is written")


def _what_follows(settings: Settings) -> list[str]:
    """Return what Home Assistant will show."""
    from edge.publish.homeassistant import components
    from edge.service import build
    from edge.service.homeassistant import has_thermometer, shown
    from edge.service.rules import build_rules

    if not (settings.publish.url and settings.homeassistant.enabled):
        return []
    try:
        model = build.described_model(settings)
        rules = build_rules(settings, model)
    except EdgeError as error:  # the listener takes the shipped one
        return [f"warning  model: {error}"]
    what = shown(
        settings,
        model.name,
        rules,
        build.alarm_names(settings),
        calibrated=_is_calibrated(settings),
        thermometer=has_thermometer(settings),
    )
    entities = components(build.build_topics(settings), what)
    lines = [f'Home Assistant, at the same broker, will show "{what.name}" with']
    for platform in dict.fromkeys(str(one["platform"]) for one in entities.values()):
        names = [str(one["name"]) for one in entities.values() if one["platform"] == platform]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        lines.append(f"  {platform:14} {'; '.join(names[:8])}{more}")
    return lines


def _is_calibrated(settings: Settings) -> bool:
    """Return whether the microphone, if it is there, has a calibration."""
    from edge.cli.quiet import quiet_stderr
    from edge.service.build import build_source
    from edge.service.calibrated import Calibrated

    with contextlib.suppress(EdgeError), quiet_stderr(), build_source(settings.capture) as source:
        return Calibrated(settings, source.name).offset_db() is not None
    return False
