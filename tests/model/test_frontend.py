# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest

from edge.dsp.spec import LogMelSpec
from edge.errors import ModelError
from edge.model.frontend import PRESETS, front_end_from_json, front_end_to_json

SPECS = [
    *[preset.front_end for preset in PRESETS.values()],
    LogMelSpec(
        rate_hz=32000,
        win_length=800,
        n_fft=1024,
        hop_length=320,
        n_mels=128,
        fmin_hz=0.0,
        fmax_hz=15000.0,
        window="hann_symmetric",
        mel_scale="slaney",
        mel_triangles="hz",
        mel_norm="slaney",
        power=2,
        log="db",
        offset=1e-5,
        ref=2.0,
        normalise="fixed",
        mean=-4.5,
        std=5.0,
        pre_emphasis=0.97,
        centring="reflect",
    ),
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_front_end_survives_json(spec: LogMelSpec) -> None:
    assert front_end_from_json(json.loads(json.dumps(front_end_to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate_hz", 16000.0),
        ("rate_hz", True),
        ("rate_hz", -16000),
        ("win_length", "400"),
        ("win_length", 513),
        ("n_fft", None),
        ("hop_length", 0),
        ("n_mels", 0),
        ("n_mels", [64]),
        ("fmin_hz", float("nan")),
        ("fmin_hz", "125"),
        ("fmax_hz", 9000.0),
        ("fmax_hz", 100.0),
        ("window", "blackman"),
        ("mel_scale", 1),
        ("mel_triangles", "linear"),
        ("mel_norm", None),
        ("power", 3),
        ("power", True),
        ("power", 1.0),
        ("log", "log10"),
        ("offset", 0.0),
        ("ref", -1.0),
        ("normalise", "yes"),
        ("mean", float("inf")),
        ("std", 0.0),
        ("pre_emphasis", -0.1),
        ("pre_emphasis", 1.1),
        ("pre_emphasis", "0.97"),
        ("centring", "zeros"),
        ("centring", True),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(field: str, value: object) -> None:
    fields = front_end_to_json(LogMelSpec()) | {field: value}
    with pytest.raises(ModelError, match=field):
        front_end_from_json(fields)


def test_an_unknown_field_is_refused_by_its_name() -> None:
    with pytest.raises(ModelError, match="preemphasis"):
        front_end_from_json(front_end_to_json(LogMelSpec()) | {"preemphasis": 0.97})


LATER = {"pre_emphasis", "centring"}


@pytest.mark.parametrize("field", sorted(set(front_end_to_json(LogMelSpec())) - LATER))
def test_a_missing_field_is_not_guessed(field: str) -> None:
    fields = front_end_to_json(LogMelSpec())
    del fields[field]
    with pytest.raises(ModelError, match=f"lacks fields: {field}"):
        front_end_from_json(fields)


@pytest.mark.parametrize("value", [None, [], "yamnet", 3])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="not an object"):
        front_end_from_json(value)


def test_whole_numbers_do_for_fractions() -> None:
    spec = front_end_from_json(front_end_to_json(LogMelSpec()) | {"fmin_hz": 125})
    assert spec.fmin_hz == 125.0
    assert isinstance(spec.fmin_hz, float)


def test_a_description_from_before_patches_were_centred_is_read() -> None:
    fields = front_end_to_json(LogMelSpec())
    older = {name: value for name, value in fields.items() if name not in LATER}
    assert front_end_from_json(older) == LogMelSpec()
