# SPDX-License-Identifier: MIT
"""`edge clips play`, `export`, `decrypt` and `keygen`: sound leaves the store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edge.cli.clips_folder import open_store, put, refuse_existing
from edge.cli.options import settings_options
from edge.durable import sync
from edge.errors import StorageError
from edge.record.durable import write_new
from edge.record.name import KEEP, SEALED

if TYPE_CHECKING:
    from edge.record.store import ClipStore, Entry
    from edge.types import Samples

# What holds a file's samples without rounding; anything else is decoded as float.
DTYPES: Final = {"PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}
MAX_KEY_BYTES: Final = 1 << 20


@click.command()
@click.argument("clip")
@click.option("--device", default="default", show_default=True, help="As ALSA names it.")
@settings_options
def play(clip: str, device: str, config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Play CLIP through a sound card; Ctrl-C ends it."""
    from edge.playback.alsa import play as play_samples

    store = open_store(config_file, overrides)
    entry = store.find(clip)
    path = _sound(store, entry)
    if entry.sealed:
        raise StorageError(
            f"clip {entry.number} is encrypted",
            f"edge clips decrypt {entry.number} --identity KEYFILE",
        )
    samples, rate_hz = _decode(path)
    play_samples(samples, rate_hz, device)


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@settings_options
def export(
    clips: tuple[str, ...],
    directory: Path,
    force: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Copy CLIPS, with what was made of them, into DIRECTORY."""
    store = open_store(config_file, overrides)
    entries = [store.find(clip) for clip in clips]
    copies = {
        directory / name: entry.bucket / name
        for entry in entries
        for name in entry.files
        if not name.endswith(KEEP)
    }
    if not force:
        refuse_existing(copies)
    for target, source in copies.items():
        put(target, source)
    click.echo(f"{len(copies)} files are in {directory}")


@click.command()
@click.argument("clip")
@click.option(
    "--identity",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file with the secret key.",
)
@click.option(
    "--output",
    default=Path(),
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write into.  [default: this one]",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@settings_options
def decrypt(  # noqa: PLR0917 - click names them
    clip: str,
    identity: Path,
    output: Path,
    force: bool,  # noqa: FBT001 - click's way of a flag
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Decrypt the sound of CLIP, or of any file that ends with .age."""
    from edge.record.sealing import unseal

    source = Path(clip)
    if source.suffix != SEALED or not source.is_file():
        store = open_store(config_file, overrides)
        source = _sound(store, store.find(clip))
        if source.suffix != SEALED:
            raise StorageError(f"{source} is not encrypted", "play or export it")
    target = output / source.stem
    if not force:
        refuse_existing([target])
    key = _read(identity, at_most=MAX_KEY_BYTES).decode(errors="replace")
    put(target, unseal(_read(source), key))
    click.echo(f"{target}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make a key pair for clips.

    The secret key goes into FILE, the public one is printed to be pasted into the settings.
    Do it elsewhere than on the box: who finds FILE there can hear what it recorded.
    """
    from edge.record.sealing import new_identity

    secret, public = new_identity()
    text = f"# created: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n# public key: {public}\n{secret}\n"
    try:
        write_new(file, text.encode())
        sync(file.parent)
    except FileExistsError as error:
        raise StorageError(
            f"{file} is there already",
            "a key that is overwritten opens nothing any more: name another",
        ) from error
    except OSError as error:
        raise StorageError(f"{file} can't be written: {error.strerror}") from error
    click.echo(f'public_key = "{public}"')
    click.echo(
        f"{file} opens all clips that are recorded for it: keep a copy, and none on the box",
        err=True,
    )


def _sound(store: ClipStore, entry: Entry) -> Path:
    if entry.audio is not None:
        return entry.audio
    speech = store.sidecar(entry).get("speech")
    why = ": somebody speaks in it" if isinstance(speech, dict) and speech.get("spoken") else ""
    raise StorageError(
        f"clip {entry.number} was saved without its sound{why}", "see speech.action in the settings"
    )


def _decode(path: Path) -> tuple[Samples, int]:
    """Return (n_samples, channels) as they are in the file, and the rate in Hz."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            dtype = DTYPES.get(file.subtype, "float32")
            return file.read(dtype=dtype, always_2d=True), file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise StorageError(f"{path} can't be decoded: {error}") from error


def _read(path: Path, *, at_most: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(at_most)
    except OSError as error:
        raise StorageError(f"{path} can't be read: {error.strerror}") from error
