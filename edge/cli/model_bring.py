# SPDX-License-Identifier: MIT
"""`edge model describe`, `import` and `pull`: models from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.model_facts import print_facts
from edge.cli.options import settings_options
from edge.config.load import load_settings
from edge.errors import ModelError

if TYPE_CHECKING:
    from edge.model.description import Activation
    from edge.model.fetch import Known
    from edge.model.shelf import Shelf


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    required=True,
    type=click.Path(path_type=Path),
    help="One label a line, or a CSV with the column display_name.",
)
@click.option(
    "--front-end",
    required=True,
    type=click.Choice(["yamnet", "edge", "mn04"]),
    help="How it hears.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Default: FILE itself.")
@click.option("--name", help="Default: the file's name.")
@click.option("--version", "version", default="1", show_default=True)
@click.option("--licence", default="", help="As the model's author gives it.")
@click.option(
    "--activation",
    default="none",
    type=click.Choice(["none", "sigmoid", "softmax"]),
    help="What turns the output into scores of 0..1.",
    show_default=True,
)
@click.option("--scores-output", help="Default: the model's first output.")
@click.option("--embedding-output", help="Default: none.")
@click.option(
    "--groups",
    "group_kind",
    default="none",
    type=click.Choice(["none", "audioset"]),
    help="audioset: dog is Bark, Howl and more; events are of groups then.",
    show_default=True,
)
def describe(  # noqa: PLR0917 - click names them
    file: Path,
    labels_file: Path,
    front_end: str,
    out: Path | None,
    name: str | None,
    version: str,
    licence: str,
    activation: Activation,
    scores_output: str | None,
    embedding_output: str | None,
    group_kind: str,
) -> None:
    """Write labels and front end into a foreign ONNX FILE, so that it describes itself."""
    from edge.model.frontend import PRESETS
    from edge.model.grouping import audioset_groups
    from edge.model.registry import describe as write
    from edge.model.registry import read_labels

    ears = PRESETS[front_end]
    labels = read_labels(labels_file)
    print_facts(
        write(
            file,
            out or file,
            labels=labels,
            front_end=ears.front_end,
            patch_frames=ears.patch_frames,
            patch_hop=ears.patch_hop,
            bands_first=ears.bands_first,
            name=name or file.stem,
            version=version,
            licence=licence,
            activation=activation,
            scores_output=scores_output,
            embedding_output=embedding_output,
            groups=audioset_groups(labels) if group_kind == "audioset" else {},
        )
    )


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Default: the file's name.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    help="One label a line, or a CSV with the column display_name.  [default: those in FILE]",
)
@settings_options
def import_model(
    file: Path,
    name: str | None,
    labels_file: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Take FILE among the models of this box.

    It is an ONNX model that describes itself, or YAMNet's yamnet.tflite, which is converted: float
    arithmetic on its 8 bit weights, groups of its labels, the embedding beside the scores.
    """
    from edge.model.bring import bring
    from edge.model.registry import read_labels

    shelf = _shelf(config_file, overrides)
    name = name or file.stem
    labels = read_labels(labels_file) if labels_file else ()
    info = bring(file, shelf.room(name), name=name, labels=labels)
    print_facts(info)
    click.echo(f"put it in use with `edge model use {name}`")


@click.command()
@click.argument("what", metavar="yamnet|silero|URL")
@click.option("--name", help="Default: that of the known model, or of the file.")
@click.option("--from", "mirror", metavar="URL", help="Another place that has a known model.")
@click.option("--sha256", help="What the file at URL, or at that of --from, must have.")
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    help="Who signed the server's certificate.  [default: the system's list]",
)
@settings_options
def pull(  # noqa: PLR0917 - click names them
    what: str,
    name: str | None,
    mirror: str | None,
    sha256: str | None,
    ca_file: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Fetch a model over https: one that is known by name, with its digest, or a URL.

    What breaks off goes on when the command is given again. A file with another digest than
    it must have is not kept.
    """
    from edge.model.fetch import KNOWN

    known = KNOWN.get(what)
    if known is None and "://" not in what:
        raise ModelError(f"{what} is no model that is known", f"name {', '.join(KNOWN)}, or a URL")
    if known and sha256 and not mirror:
        raise ModelError(f"the digest of {what} is known", "leave --sha256 out, or add --from")
    shelf = _shelf(config_file, overrides)
    name = name or (what if known else _stem(what))
    out = shelf.room(name)
    voice = known is not None and known.voice
    fetched = out if voice else out.with_name(f"{name}.fetched")
    url = mirror or (known.url if known else what)
    try:
        digest = _fetch(url, fetched, None if sha256 else known, sha256, ca_file)
    except ModelError as error:
        if known is None:
            raise
        another = f"one from elsewhere: `edge model pull {what} --from URL --sha256 DIGEST`"
        raise ModelError(error.message, f"{error.help}; {another}") from error
    if voice:
        click.echo(f'set speech.model = "{out}" in the settings')
        return
    _take_in(fetched, out, name, url)
    if not (known or sha256):
        click.echo(f"nobody said which digest it must have; it has sha256 {digest}")
    click.echo(f"put it in use with `edge model use {name}`")


def _take_in(fetched: Path, out: Path, name: str, url: str) -> None:
    """Make what was fetched a model; one that lacks but its description is kept for that."""
    from edge.model.bring import bring, describes_itself

    described = True
    try:
        described = describes_itself(fetched)
        if described:
            print_facts(bring(fetched, out, name=name, source=url))
    except ModelError as error:
        raise ModelError(error.message.replace(str(fetched), url), error.help) from error
    finally:
        if described:
            fetched.unlink(missing_ok=True)
    if not described:
        raise ModelError(
            f"what came from {url} does not say what it hears: it is kept as {fetched}",
            f"say it with `edge model describe {fetched} --labels … --front-end …`,"
            f" then `edge model import {fetched}`",
        )


def _fetch(
    url: str, out: Path, known: Known | None, sha256: str | None, ca_file: Path | None
) -> str:
    """Fetch a file behind a bar, which only a terminal shows; return its digest."""
    from edge.model.fetch import Fetch

    with click.progressbar(length=1000, label=f"fetching {out.name.strip('.')}") as bar:

        def told(here: int, total: int | None) -> None:
            if total:
                bar.update(1000 * here // total - bar.pos)

        return Fetch(
            url,
            out,
            sha256=known.sha256 if known else sha256,
            n_bytes=known.n_bytes if known else None,
            ca_file=ca_file,
            told=told,
        ).run()


def _stem(url: str) -> str:
    """Return the name of the file at an address, without what a name can't have."""
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(url).path)).stem


def _shelf(config_file: Path | None, overrides: tuple[str, ...]) -> Shelf:
    from edge.model.shelf import Shelf

    return Shelf(load_settings(config_file, overrides).state.path)
