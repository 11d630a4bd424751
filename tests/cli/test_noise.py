# SPDX-License-Identifier: MIT
"""Bytes that mean nothing, where a recording or a model is expected."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli.model import show
from edge.cli.replay import replay
from edge.errors import DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = (b"", b"RIFF\xff\xff\xff\x7fWAVEfmt ", b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"ID3")
MODEL_HEADERS = (b"", b"\x08\x08", b"\x08\x08:\x10", b"\x3a\xff\xff\x03")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        yield Path(directory)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(HEADERS), st.binary(max_size=2000))
def test_a_recording_of_random_bytes_is_refused_or_played(
    folder: Path, header: bytes, content: bytes
) -> None:
    file = folder / "noise.wav"
    file.write_bytes(header + content)
    done = CliRunner().invoke(replay, [str(file)])
    assert done.exception is None or isinstance(done.exception, DeviceError), done.exception


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(MODEL_HEADERS), st.binary(max_size=2000))
def test_a_model_of_random_bytes_is_refused(folder: Path, header: bytes, content: bytes) -> None:
    file = folder / "noise.onnx"
    file.write_bytes(header + content)
    done = CliRunner().invoke(show, [str(file)])
    assert isinstance(done.exception, ModelError), done.exception
