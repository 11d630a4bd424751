# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from edge.config.load import load_settings
from edge.model.registry import read_model, shipped_model
from edge.service.fitting import fitted, fitting_model

ALARM = "level.alarms=[{name='%s', kind='level', limit_db=80.0}]"


@pytest.mark.parametrize(
    ("overrides", "lost"),
    [
        ([], []),
        (['detector.ignore=["rain"]', 'record.labels=["rain"]'], []),
        (['model.groups={pet=["Bark"], wet=["rain"]}'], ["model.groups"]),
        (['model.groups={rain=["Rain"]}'], ["model.groups"]),
        (['detector.ignore=["Bark", "rain"]'], ["detector.ignore"]),
        (["detector.labels={Bark={threshold=0.5}}"], ["detector.labels"]),
        ([ALARM % "rain"], ["level.alarms"]),
        ([ALARM % "loud", 'record.labels=["loud"]'], []),
        (['record.labels=["rain", "Bark"]'], ["record.labels"]),
        (['record.labels=["Bark"]'], ["record.labels", "record.enabled"]),
        (['speech.action="drop"', 'speech.labels=["chatter"]'], ["record.enabled"]),
    ],
)
def test_settings_lose_what_the_model_lacks_and_no_more(
    overrides: list[str], lost: list[str]
) -> None:
    settings = load_settings(None, ["record.enabled=true", *overrides])
    made, left_out = fitted(settings, read_model(shipped_model()))
    assert left_out == lost
    assert (made == settings) == (not lost)
    fitting_model(made, shipped_model())
