# SPDX-License-Identifier: MIT
"""What of the training needs no PyTorch: the choice of rules, and the delivery of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.config.load import load_defaults
from tools.training.choice import choose, onsets, rules, tally
from tools.training.delivery import delivered
from tools.training.recordings import LABELS, OTHER, Clip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RAIN, DOG = LABELS.index("rain"), LABELS.index("dog_bark")


class Heard:
    """A clip and its scores, as `tools.training.evaluate.Hearing`, which needs PyTorch."""

    def __init__(self, folder: Path, label: int, scores: list[float], of: int = RAIN) -> None:
        self.clip = Clip(folder, label, 1, official=True, author="", licence="", url="")
        self.scores: NDArray[np.float32] = np.zeros((len(scores), len(LABELS)), np.float32)
        self.scores[:, of] = scores


def rule_of_rain(hearings: list[Heard]) -> tuple[float, int]:
    choice = choose(tally(hearings))
    return choice.thresholds["rain"], choice.min_hits["rain"]


def test_steady_sounds_among_spikes_of_noise_get_more_patches_in_a_row(tmp_path: Path) -> None:
    clips = [Heard(tmp_path, RAIN, [0.8] * 9) for _ in range(6)]
    noise = [Heard(tmp_path, OTHER, [0.9, 0.0, 0.0, 0.0, 0.0] * 10) for _ in range(4)]
    threshold, hits = rule_of_rain(clips + noise)
    assert hits == 2
    assert threshold <= 0.8


def test_a_bark_is_never_asked_for_in_two_patches(tmp_path: Path) -> None:
    clips = [Heard(tmp_path, DOG, [0.8] * 9, DOG) for _ in range(6)]
    noise = [Heard(tmp_path, OTHER, [0.9, 0.0, 0.0, 0.0, 0.0] * 10, DOG) for _ in range(4)]
    assert choose(tally(clips + noise)).min_hits["dog_bark"] == 1


def test_short_sounds_without_noise_keep_one_patch(tmp_path: Path) -> None:
    clips = [Heard(tmp_path, RAIN, [0.0, 0.7, 0.0]) for _ in range(6)]
    assert rule_of_rain(clips) == (0.5, 1)


def test_a_single_false_event_is_not_worth_a_long_wait(tmp_path: Path) -> None:
    clips = [Heard(tmp_path, RAIN, [0.8] * 9) for _ in range(6)]
    noise = Heard(tmp_path, OTHER, [0.9, 0.9, 0.9, 0.0])
    assert rule_of_rain([*clips, noise])[1] == 1


def test_a_threshold_lies_above_the_noise_that_goes_on_and_on(tmp_path: Path) -> None:
    clips = [Heard(tmp_path, RAIN, [0.9] * 9) for _ in range(6)]
    noise = [Heard(tmp_path, OTHER, [0.71] * 30) for _ in range(9)]
    threshold, _ = rule_of_rain(clips + noise)
    assert 0.71 < threshold <= 0.9


def test_a_tally_counts_what_the_detector_makes_of_a_clip(tmp_path: Path) -> None:
    heard = Heard(tmp_path, OTHER, [0.9] + [0.0] * 20 + [0.9, 0.9] + [0.0] * 20 + [0.5] * 3)
    events = tally([heard])[0].events[:, :, RAIN]
    assert [int(row.max()) for row in events] == [3, 2, 1, 0]
    assert len(onsets(heard, rules({"rain": 0.8}, {"rain": 2}))) == 1


def test_what_a_model_does_not_say_is_as_the_settings_have_it() -> None:
    usual = load_defaults().detector
    rule = rules({"rain": 0.5}, {})["rain"]
    assert (rule.threshold, rule.min_hits) == (0.5, 1)
    assert rule.release == pytest.approx(0.5 * usual.release_ratio)
    assert (rule.hold_s, rule.cooldown_s) == (usual.hold_s, usual.cooldown_s)
    assert rule.max_event_s == usual.max_event_s


def test_files_are_delivered_together(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("old")
    with delivered(tmp_path) as draft:
        (draft / "model").write_text("new")
        (draft / "card").write_text("new")
        assert (tmp_path / "model").read_text() == "old"
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "model": "new",
        "card": "new",
    }


@pytest.mark.parametrize("end", [KeyboardInterrupt, ArithmeticError, SystemExit])
def test_an_early_end_leaves_what_was_there(tmp_path: Path, end: type[BaseException]) -> None:
    (tmp_path / "model").write_text("old")

    def write() -> None:
        with delivered(tmp_path) as draft:
            (draft / "model").write_text("half")
            raise end

    with pytest.raises(end):
        write()
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_text() == "old"
