# SPDX-License-Identifier: MIT
"""Designed filters, made by SciPy in a child process and kept as a small file.

The listener never imports `scipy.signal` (1.4 s and 60 MB for life): run as a
program, this module designs and prints; as a library it keeps what was printed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Final
from zipfile import BadZipFile

import numpy as np

from edge.dsp.spec import CoreDesign, CoreSpec
from edge.errors import EXIT_CONFIG, ConfigError, EdgeError
from edge.service.notify import tell
from edge.types import FilterSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

VERSION: Final = 4  # of what `edge.dsp.design` computes: a new one makes every kept file stale
CHILD_LIMIT_S: Final = 120  # a cold Pi Zero takes some 20
FEED_EVERY_S: Final = 5.0  # of the 20 s in which the unit's watchdog barks


def core_design(
    spec: CoreSpec, directory: Path | None, *, limit_s: float = CHILD_LIMIT_S
) -> CoreDesign:
    """Return the filters for `spec`, from `directory` if they were designed before.

    What can't be kept is designed again at the next start, and said so; a kept
    file that is damaged is made anew.

    Raises
    ------
    ConfigError
        for filters that can't be made at this rate, naming the one.
    EdgeError
        where the designer can't run, or has made nothing within `limit_s`.
    """
    text = json.dumps({"version": VERSION, **asdict(spec)}, sort_keys=True)
    name = f"design-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
    kept = directory / "designs" / name if directory else None
    if kept and (design := _read(kept)):
        return design
    data = _design_in_child(text, limit_s)
    if kept:
        _keep(kept, data)
    return _parse(data)


def _read(path: Path) -> CoreDesign | None:
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        log.warning("%s is damaged and is made anew: %s", path, error)
        return None


def _parse(data: bytes) -> CoreDesign:
    with np.load(io.BytesIO(data)) as arrays:
        return CoreDesign(**{field.name: arrays[field.name] for field in fields(CoreDesign)})


def _keep(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        log.warning("designed filters can't be kept, every start takes longer: %s", error)
        with contextlib.suppress(OSError):
            temporary.unlink()  # a full disk has taken a part of it


def _design_in_child(text: str, limit_s: float) -> bytes:
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "edge.service.designs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent, which ends it
        )
    except OSError as error:
        raise EdgeError(f"the filter designer failed: {error}") from error
    with child:
        try:
            made, said = _await(child, text.encode(), time.monotonic() + limit_s)
        finally:  # a stop that came meanwhile must not wait for it
            child.kill()
    if child.returncode == EXIT_CONFIG:
        raise ConfigError(said.decode().strip(), "check core.highpass_hz and core.filters")
    if child.returncode:
        raise EdgeError(
            f"the filter designer failed: {said.decode(errors='replace').strip()[-500:]}"
        )
    return made


def _await(child: subprocess.Popen[bytes], asked: bytes, until_s: float) -> tuple[bytes, bytes]:
    """Return what the child prints; the unit's watchdog is fed meanwhile.

    A microphone that came late finds a unit that is ready and is watched already.
    """
    unasked: bytes | None = asked
    while True:
        tell(WATCHDOG=1)
        left_s = until_s - time.monotonic()
        try:
            return child.communicate(unasked, timeout=min(FEED_EVERY_S, max(left_s, 0.0)))
        except subprocess.TimeoutExpired as error:
            unasked = None  # it is on its way
            if left_s <= FEED_EVERY_S:
                raise EdgeError(f"the filter designer failed: {error}") from error


def design(spec: CoreSpec) -> CoreDesign:
    """Design every filter of the core; imports SciPy. Raises `ValueError` naming the filter."""
    from edge.dsp.correction_design import correction_sos
    from edge.dsp.design import chain_sos, decimation_taps
    from edge.dsp.standard import band_bank, halving_taps, weighting_class, weighting_sos

    factor, odd = divmod(spec.rate_hz, spec.model_rate_hz)
    no_taps: NDArray[np.float64] = np.zeros(0)
    correction, off_db = np.zeros((0, 6)), 0.0
    if spec.correction:
        correction, off_db = correction_sos(spec.correction, spec.rate_hz)
    return CoreDesign(
        chain_sos=chain_sos(spec.filters, spec.rate_hz),
        correction_sos=correction,
        correction_off_db=np.array(off_db),
        a_sos=weighting_sos("A", spec.rate_hz),
        c_sos=weighting_sos("C", spec.rate_hz),
        weighting_class=np.array(weighting_class(spec.rate_hz)),
        bands_sos=band_bank(spec.rate_hz),
        halving_taps=halving_taps(),
        decimation_taps=no_taps if odd or factor == 1 else decimation_taps(factor, spec.rate_hz),
    )


def _main() -> int:
    asked = json.load(sys.stdin)
    filters = tuple(FilterSpec(**one) for one in asked["filters"])
    try:
        correction = tuple((hz, db) for hz, db in asked["correction"])
        made = design(CoreSpec(asked["rate_hz"], asked["model_rate_hz"], filters, correction))
    except ValueError as error:
        sys.stderr.write(f"the filters can't be made: {error}")
        return EXIT_CONFIG
    out = io.BytesIO()
    np.savez(out, **asdict(made))
    sys.stdout.buffer.write(out.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(_main())
