# SPDX-License-Identifier: MIT
"""Parts of the sound as files of their own, written as they come."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import soundfile

from edge.service.analyze.job import commit, part_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.analysis.segment import Segment
    from edge.service.analyze.job import Job


class Stems:
    """Harmonic and percussive sound, and each component's.

    Components are found anew in every stretch, so one of a stretch is not one of the next:
    only a recording of one stretch has stems of components. `add` and `commit` raise
    `OSError` where a file can't be written; what isn't committed is taken away at the end.
    """

    def __init__(self, job: Job, rate_hz: int) -> None:
        self._paths = job.stems
        self._rate_hz = rate_hz
        self._files: dict[Path, _Flac] = {}
        self._stretches = 0

    def __enter__(self) -> Self:
        """Begin: nothing is written yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what is not committed."""
        for path, file in self._files.items():
            file.abandon()
            part_of(path).unlink(missing_ok=True)  # unless it is committed: then it is gone

    def add(self, segment: Segment) -> None:
        """Write what a stretch holds."""
        pair = (segment.separation.harmonic, segment.separation.percussive)
        components = [one.sound for one in segment.components] if not self._stretches else []
        for path, samples in zip(self._paths, (*pair, *components), strict=False):
            if samples is not None:
                self._file(path).write(samples)
        self._stretches += 1

    def commit(self) -> list[Path]:
        """Give the files their names; return them."""
        paths = [*self._files][: len(self._paths) if self._stretches == 1 else 2]
        for path in paths:
            self._files[path].close()
            commit(part_of(path), path)
        return paths

    def _file(self, path: Path) -> _Flac:
        if path not in self._files:
            self._files[path] = _Flac(part_of(path), self._rate_hz)
        return self._files[path]


class _Flac:
    """A FLAC of 16 bits that says why it can't be written."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._disk = _Disk(path, "w+")
        self._sound: Any = soundfile.SoundFile(
            self._disk, "w", rate_hz, 1, subtype="PCM_16", format="FLAC"
        )

    def write(self, samples: NDArray[np.float32]) -> None:
        self._sound.write(np.clip(samples, -1.0, 1.0))
        self._disk.check()

    def close(self) -> None:
        self._sound.close()
        self._disk.check()
        self._disk.close()

    def abandon(self) -> None:
        self._sound.close()
        self._disk.close()


class _Disk(io.FileIO):
    """A file that remembers why it could not be written.

    libsndfile keeps no reason, and none at all of the last block of a FLAC: that would be
    cut short, and nobody would know.
    """

    failed: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Write all of it or note why not; called from C, to which nothing can be raised."""
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failed = error
        # Told of a failure, libsndfile and its package only fail in worse words.
        return len(data)

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failed:
            raise OSError(self.failed.errno, self.failed.strerror, self.name) from self.failed
