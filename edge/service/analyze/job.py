# SPDX-License-Identifier: MIT
"""What is asked of a worker, and where its results are. Light: no arrays."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from edge.analysis.inbox import REPORT, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

N_COMPONENTS: Final = 4
PICTURE: Final = ".analysis.png"
STEMS: Final = (
    ".harmonic.flac",
    ".percussive.flac",
    *(f".component-{number}.flac" for number in range(1, N_COMPONENTS + 1)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is made of a recording; the same options and the same file give the same report."""

    rate_hz: int
    channel: int | None = None
    picture: bool = False
    stems: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One recording to analyse.

    `stem` is what the results' names begin with, in the folder `output`; `sidecar` is what
    the recorder wrote about a clip.
    """

    sound: Path
    output: Path
    stem: str
    options: Options
    sidecar: Path | None = None

    @property
    def report(self) -> Path:
        """The report: the last of the results to appear, so that it stands for all of them."""
        return self.output / f"{self.stem}{REPORT}"

    @property
    def picture(self) -> Path:
        """The picture."""
        return self.output / f"{self.stem}{PICTURE}"

    @property
    def stems(self) -> tuple[Path, ...]:
        """Every stem that there may be: harmonic, percussive, and each component's."""
        return tuple(self.output / f"{self.stem}{suffix}" for suffix in STEMS)

    @property
    def parts(self) -> tuple[Path, ...]:
        """Every unfinished file that this job may leave when it is killed."""
        return tuple(part_of(path) for path in (self.report, self.picture, *self.stems))

    def clean(self) -> None:
        """Take away what an interrupted attempt left."""
        for part in self.parts:
            part.unlink(missing_ok=True)

    def to_json(self) -> dict[str, Any]:
        """Return the job for another process."""
        paths = {"sound": str(self.sound), "output": str(self.output)}
        sidecar = str(self.sidecar) if self.sidecar else None
        return {**paths, "stem": self.stem, "options": asdict(self.options), "sidecar": sidecar}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return the job that `to_json` wrote."""
        return cls(
            sound=Path(body["sound"]),
            output=Path(body["output"]),
            stem=body["stem"],
            options=Options(**body["options"]),
            sidecar=Path(body["sidecar"]) if body["sidecar"] else None,
        )


def part_of(path: Path) -> Path:
    """Return the name under which a file is written before it is whole."""
    return path.with_name(f".{path.name}.part")


def commit(part: Path, path: Path) -> None:
    """Make a written part the file: whole on disk first, then under its name."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `OSError`; then nothing is left behind."""
    part = part_of(path)
    try:
        part.write_bytes(content)
        commit(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def is_done(job: Job) -> bool:
    """Return whether all results are there, newer than the sound and made with these options."""
    try:
        body = json.loads(job.report.read_bytes())
        fresh = job.report.stat().st_mtime_ns >= job.sound.stat().st_mtime_ns
        same = body["schema"] == SCHEMA and body["source"]["file"] == job.sound.name
        alike = "error" not in body and body["settings"] == settings_of(job.options)
        stems = body.get("stems", [])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    wanted = [job.picture] * job.options.picture
    wanted += [job.output / name for name in stems] * job.options.stems
    made = bool(stems) or not job.options.stems
    return fresh and same and alike and made and all(path.exists() for path in wanted)


def settings_of(options: Options) -> dict[str, Any]:
    """Return the options that change a figure, as a report carries them."""
    channel = "mean" if options.channel is None else options.channel
    return {"max_rate_hz": options.rate_hz, "channel": channel}


def failure(job: Job, why: str) -> dict[str, Any]:
    """Return the report of a clip that can't be analysed."""
    source = {"file": job.sound.name}
    return {"schema": SCHEMA, "clip_id": clip_id_of(job), "source": source, "error": why}


def clip_id_of(job: Job) -> str:
    """Return the id that the recorder gave; of a damaged sidecar the stem, as unique on the box."""
    try:
        return str(json.loads(job.sidecar.read_bytes())["clip_id"]) if job.sidecar else job.stem
    except (OSError, ValueError, KeyError, TypeError):
        return job.stem
