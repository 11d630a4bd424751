# SPDX-License-Identifier: MIT
"""What the unit opens, and opens again: by its settings, on the virtual microphone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.config.load import load_settings
from edge.service.awaiting import awaited_source
from edge.service.figures import FiguresFile
from edge.service.lastwords import LastWords
from edge.service.supervisor import Supervisor
from edge.types import Gap, Period

if TYPE_CHECKING:
    import pytest

    from tools.lab.microphone import VirtualMicrophone


def test_a_card_that_offers_more_when_it_comes_back_goes_on_as_before(
    microphone: VirtualMicrophone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose other end nobody holds any longer; ALSA's null device offers everything."""
    config = Path(microphone.environment()["ALSA_CONFIG_PATH"])
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    settings = load_settings(None, [f'capture.device="{microphone.name}"'])
    words = LastWords(tmp_path, None, tmp_path / "spare")
    source = awaited_source(settings, Supervisor(), FiguresFile(tmp_path, "test"), words)
    assert source
    with source:
        assert source.format.sample_format == "S16_LE"
        microphone.unplug()
        while not isinstance(source.read(), Gap):
            pass
        (tmp_path / "null.conf").write_text(f"pcm.{microphone.name} {{ type null }}\n")
        (tmp_path / "null.conf").replace(config)
        while isinstance(item := source.read(), Gap):
            pass
        assert isinstance(item, Period)
        assert item.samples.dtype == "int16"
    words.end(in_order=True)
