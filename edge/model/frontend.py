# SPDX-License-Identifier: MIT
"""A front end as a model file tells it: `LogMelSpec` to JSON and back, every field checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin, get_type_hints

from edge.dsp.spec import LogMelSpec, check_spec
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST: Final = 1e30  # of a number: single precision bears it
_DESCRIBE: Final = "describe the model anew with `edge model describe`"


@dataclass(frozen=True, slots=True)
class Preset:
    """A front end known by name: `patch_frames` frames a patch, one every `patch_hop` frames.

    `bands_first`: the model takes (n_mels, patch_frames).
    """

    front_end: LogMelSpec
    patch_frames: int
    patch_hop: int
    bands_first: bool = False


# YAMNet's is checked against the tensor of the official model; "edge" is the shipped model's.
# Its lower offset keeps the sounds of a quiet microphone above the floor. "mn04" is that of
# EfficientAT's models, checked against the original's tensor; its length of 3 s is a choice.
PRESETS: Final[Mapping[str, Preset]] = {
    "yamnet": Preset(LogMelSpec(), patch_frames=96, patch_hop=48),
    "edge": Preset(
        LogMelSpec(fmin_hz=60.0, fmax_hz=7800.0, offset=1e-4), patch_frames=96, patch_hop=48
    ),
    "mn04": Preset(
        LogMelSpec(
            rate_hz=32000,
            win_length=800,
            n_fft=1024,
            hop_length=320,
            n_mels=128,
            fmin_hz=0.0,
            fmax_hz=15000.0,
            window="hann_symmetric",
            power=2,
            offset=1e-5,
            normalise="fixed",
            mean=-4.5,
            std=5.0,
            pre_emphasis=0.97,
            centring="reflect",
        ),
        patch_frames=300,
        patch_hop=100,
        bands_first=True,
    ),
}
# Fields that came later, with what a description without them always said.
_LATER: Final[Mapping[str, object]] = {"pre_emphasis": 0.0, "centring": "none"}


def front_end_to_json(spec: LogMelSpec) -> dict[str, Any]:
    """Return every field of the front end under its own name."""
    return dataclasses.asdict(spec)


def front_end_from_json(fields: object) -> LogMelSpec:
    """Return the front end that a model file tells.

    Every field must be there, but for those of which older descriptions know nothing: a front
    end that is guessed gives wrong scores and no error.
    Raises `ModelError` naming the field that is unknown, missing, of a wrong type or value.
    """
    if not isinstance(fields, dict):
        raise ModelError(f"front_end is {type(fields).__name__}, not an object", _DESCRIBE)
    known = get_type_hints(LogMelSpec)
    fields = {**_LATER, **fields}
    if unknown := sorted(set(fields) - set(known)):
        raise ModelError(
            f"front_end has unknown fields: {', '.join(map(repr, unknown)):.200}", _DESCRIBE
        )
    if missing := [name for name in known if name not in fields]:
        raise ModelError(f"front_end lacks fields: {', '.join(missing)}", _DESCRIBE)
    spec = LogMelSpec(**{name: _field(name, fields[name], kind) for name, kind in known.items()})
    try:
        check_spec(spec)
    except ValueError as error:
        raise ModelError(f"front_end.{error}", _DESCRIBE) from error
    return spec


def _field(name: str, value: object, kind: object) -> Any:  # noqa: ANN401 - of the field's type
    """Return the value as the type that the field is declared with."""
    if get_origin(kind) is Literal:
        # 1 == True == 1.0, so the type is compared too.
        if any(type(value) is type(one) and value == one for one in get_args(kind)):
            return value
        choices = ", ".join(map(repr, get_args(kind)))
        raise ModelError(f"front_end.{name} is {value!r:.80}, not one of {choices}", _DESCRIBE)
    if kind is int and type(value) is int:
        return value
    if kind is float and type(value) in {int, float} and abs(value) <= _LARGEST:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    wanted = "a whole number" if kind is int else "a finite number"
    raise ModelError(f"front_end.{name} is {value!r:.80}, not {wanted}", _DESCRIBE)
