# SPDX-License-Identifier: MIT
"""Correction files are read as microphones bring them; rubbish is refused with its line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.measure.correction import Correction, parse_correction, read_correction

if TYPE_CHECKING:
    from pathlib import Path

POINTS = ((20.0, -1.5), (1000.0, 0.0), (20000.0, 2.25))

KNOWN = {
    "UMIK-1": b'"Sens Factor =-1.378dB, AGain =18dB, SERNO: 7000000"\r\n'
    b"20.000\t-1.5000\r\n1000.000\t0.0000\r\n20000.000\t2.2500\r\n",
    "UMIK-2": b'"Sens Factor =-12.07dB, SERNO: 8100000"\n20 -1.5\n1000 0\n20000 2.25\n',
    "iMM-6": b"*1000Hz\t-41.6\r\n20.00\t-1.5\r\n1000.00\t0.0\r\n20000.00\t2.25\r\n",
    "three columns": b"* Freq(Hz) SPL(dB) Phase(degrees)\n20 -1.5 12.3\n1000 0 0\n2e4 2.25 -90\n",
    "words above": b"Frequency, Level\n\n20,-1.5\n1000,0\n20000,2.25\n",
    "comma and space": b"# Behringer\n20.0, -1.5\n1000.0, 0.0\n20000.0, +2.25\n",
    "decimal comma": b"Hz;dB\r\n20,0;-1,5\r\n1000,0;0,0\r\n20000,0;2,25\r\n",
    "decimal comma, tab": b"20,0\t-1,5\n1000,0\t0,0\n20000,0\t2,25",
    "decimal comma, spaces": b"  20,0   -1,5\n1000,0   0,0\n20000,0   2,25\n\n",
    "byte order mark": b"\xef\xbb\xbf20 -1.5\n1000 0\n20000 2.25\n",
    "UTF-16": "20 -1.5\r\n1000 0\r\n20000 2.25\r\n".encode("utf-16"),
    "old Mac": b"20 -1.5\r1000 0\r20000 2.25\r",
    "degree sign": b"* 0\xb0 incidence\n20 -1.5\n1000 0\n20000 2.25\n\x1a",
    "remarks below": b"20 -1.5\n; middle\n1000 0\n# end\n20000 2.25\n",
}


@pytest.mark.parametrize("data", KNOWN.values(), ids=KNOWN)
def test_every_known_form_is_read(data: bytes) -> None:
    read = parse_correction(data, "mic.txt")
    assert read.points == POINTS
    assert read.file == "mic.txt"
    assert len(read.sha256) == 64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"20 0\n1000 0\n500 1\n", r"line 3: 500 Hz comes after 1000 Hz"),
        (b"20 0\n20 0\n", r"line 2: 20 Hz comes after 20 Hz"),
        (b"20 0\n1000 nan\n", r"line 2: 'nan' is not a number"),
        (b"20 0\n1000 inf\n", r"line 2: 'inf' is not a number"),
        (b"20 0\n1000 1e400\n", r"line 2: '1e400'|line 2: inf dB"),
        (b"20 61\n1000 0\n", r"line 1: 61 dB: no microphone"),
        (b"20 0\n1000 -60.1\n", r"line 2: -60.1 dB"),
        (b"-20 0\n1000 0\n", r"line 1: -20 Hz"),
        (b"0 0\n1000 0\n", r"line 1: 0 Hz"),
        (b"20 0\n1000000 0\n", r"line 2: 1e\+06 Hz"),
        (b"20 0\n", r"1 point\(s\)"),
        (b"", r"0 point\(s\)"),
        (b"hello\nworld\n", r"0 point\(s\)"),
        (b"20 0\nhello\n", r"line 2: 1 columns"),
        (b"20 0\n1000 word\n", r"line 2: 'word' is not a number"),
        (b"20\n1000\n", r"line 1: 1 columns"),
        (b"20,5,-1,5\n1000,0,0,0\n", r"line 1: 4 columns"),
        (b"1.000,5;0\n2.000,5;0\n", r"1.000.5' is not|0 point"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", r"not a text file"),
        (b"20 0\n" * 200_001, r"larger than 1000 kB"),
        (b"".join(b"%d 0\n" % n for n in range(1, 20_003)), r"more than 20000 points"),
    ],
)
def test_rubbish_is_refused_with_its_line_and_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        parse_correction(data, "mic.txt")
    assert "came with the microphone" in refused.value.help


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace"))
)
@example(b"\xff\xfe\x00")
def test_whatever_a_file_holds_it_is_read_or_refused(data: bytes) -> None:
    try:
        points = parse_correction(data, "mic.txt").points
    except ConfigError:
        return
    assert len(points) >= 2


def test_ten_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes(b"20 0\n" * 2_000_000)
    with pytest.raises(ConfigError, match="larger than"):
        read_correction(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read: No such file"):
        read_correction(tmp_path / "no.txt")
    with pytest.raises(ConfigError, match=r"can't be read: Is a directory"):
        read_correction(tmp_path)


def test_it_comes_back_from_json_and_damage_does_not() -> None:
    read = parse_correction(KNOWN["UMIK-1"], "mic.txt")
    line = json.loads(json.dumps(asdict(read)))
    assert Correction.from_json(line) == read
    for points in ([[20, 0]], [[20, 0], [10, 0]], [[20, float("nan")], [30, 0]]):
        with pytest.raises(ValueError, match=r"Hz|dB|fewer"):
            Correction.from_json(line | {"points": points})
