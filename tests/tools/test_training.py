# SPDX-License-Identifier: MIT
"""What of the training needs no PyTorch: sounds, the choice of rules, the delivery of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.config.load import load_defaults
from edge.model.trial import Heard, Rates
from tools.training.augment import level, microphone, mix, room
from tools.training.certainty import at_temperature, temperature
from tools.training.choice import HITS, THRESHOLDS, Choice, choose, count, rules, tally
from tools.training.delivery import delivered
from tools.training.frontend import HOP_SAMPLES, PATCH_SAMPLES
from tools.training.listening import Unseen
from tools.training.names import aliases
from tools.training.pool import _joined, _only
from tools.training.recordings import LABELS, OTHER, RATE_HZ, read_clips
from tools.training.stream import LABELS_OF_STREAM, STRETCH_S, stretches
from tools.training.synthetic import alarm, babble, counter_example, hum, thumps, tone
from tools.training.textures import texture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.training.choice import Tally

RAIN, DOG = LABELS.index("rain"), LABELS.index("dog_bark")
RATES = Rates(LABELS, {}, RATE_HZ, PATCH_SAMPLES, HOP_SAMPLES)


def heard(
    label: str | None, scores: list[float], of: int = RAIN, fitting: tuple[str, ...] = ()
) -> Heard:
    values: NDArray[np.float32] = np.zeros((len(scores), len(LABELS)), np.float32)
    values[:, of] = scores
    own = (label,) if label else ()
    return Heard("clip", label, values, len(scores) * HOP_SAMPLES, frozenset((*own, *fitting)))


def tallied(clips: list[Heard], stream: list[Heard]) -> dict[str, Tally]:
    labels = ["dog_bark", "rain"]
    counted = [[count(one, labels, RATES) for one in some] for some in (clips, stream)]
    return tally(*counted, labels)


def rule_of(label: str, clips: list[Heard], stream: list[Heard]) -> tuple[float, int]:
    choice = choose(tallied(clips, stream))
    return choice.thresholds[label], choice.min_hits[label]


SPIKES = [0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] * 10


def test_steady_sounds_among_spikes_of_noise_get_more_patches_in_a_row() -> None:
    clips = [heard("rain", [0.8] * 9) for _ in range(6)]
    threshold, hits = rule_of("rain", clips, [heard(None, SPIKES) for _ in range(4)])
    assert hits == 2
    assert threshold <= 0.8


def test_a_bark_is_never_asked_for_in_two_patches() -> None:
    clips = [heard("dog_bark", [0.8] * 9, DOG) for _ in range(6)]
    _, hits = rule_of("dog_bark", clips, [heard(None, SPIKES, DOG) for _ in range(4)])
    assert hits == 1


def test_short_sounds_without_noise_keep_one_patch() -> None:
    threshold, hits = rule_of("rain", [heard("rain", [0.0, 0.7, 0.0])] * 6, [heard(None, [0.0])])
    assert (hits, threshold < 0.7) == (1, True)


def test_a_threshold_lies_above_the_noise_that_goes_on_and_on() -> None:
    clips = [heard("rain", [0.9] * 9) for _ in range(6)]
    threshold, _ = rule_of("rain", clips, [heard(None, [0.71] * 30) for _ in range(9)])
    assert 0.71 < threshold <= 0.9


def test_nothing_in_the_way_puts_the_threshold_between_what_is_and_what_is_not() -> None:
    clips = [heard("rain", [0.9] * 9), heard("dog_bark", [0.3] * 9)]
    threshold, _ = rule_of("rain", clips, [heard(None, [0.3] * 9)])
    assert 0.5 < threshold < 0.7


def test_all_labels_together_keep_to_the_false_events_an_hour() -> None:
    rng = np.random.default_rng(0)
    clips = [heard("rain", [float(rng.uniform(0.3, 1.0))] * 9) for _ in range(20)]
    clips += [heard("dog_bark", [float(rng.uniform(0.3, 1.0))] * 9, DOG) for _ in range(20)]
    stream = [heard(None, rng.uniform(0, 0.9, 900).tolist(), of) for of in (RAIN, DOG)]
    tallies = tallied(clips, stream)
    shares = []
    for per_hour in (0.0, 10.0, 100.0):
        choice = choose(tallies, per_hour)
        false = sum(
            float(one.false_per_hour[place(choice, label)]) for label, one in tallies.items()
        )
        assert false <= per_hour
        shares.append(
            sum(float(one.missed[place(choice, label)]) for label, one in tallies.items())
        )
    assert shares[0] >= shares[1] >= shares[2]


def place(choice: Choice, label: str) -> tuple[int, int]:
    near = int(np.abs(THRESHOLDS - choice.thresholds[label]).argmin())
    return HITS.index(choice.min_hits[label]), near


def test_a_tally_counts_what_the_detector_makes_of_a_stream() -> None:
    scores = [0.9] + [0.0] * 20 + [0.9, 0.9] + [0.0] * 20 + [0.5] * 3
    stream = heard(None, scores)
    counts = tallied([], [stream])["rain"].false_per_hour * stream.n_samples / RATE_HZ / 3600
    assert counts.max(axis=1) == pytest.approx([3, 2, 1, 0, 0, 0])


def test_an_event_of_what_may_be_in_a_sound_is_not_counted() -> None:
    stream = heard(None, [0.9] * 9, fitting=("rain",))
    assert tallied([], [stream])["rain"].false_per_hour.max() == 0.0


def test_an_event_in_a_clip_of_another_label_is_confusion() -> None:
    counts = tallied([heard("rain", [0.0] * 9), heard("dog_bark", [0.9] * 9)], [])["rain"]
    assert counts.confused[0, 0] == 1.0
    assert counts.missed.min() == 1.0


def test_what_a_model_does_not_say_is_as_the_settings_have_it() -> None:
    usual = load_defaults().detector
    rule = rules(Choice({"rain": 0.5}, {}))["rain"]
    assert (rule.threshold, rule.min_hits) == (0.5, 1)
    assert rule.release == pytest.approx(0.5 * usual.release_ratio)
    assert (rule.hold_s, rule.cooldown_s) == (usual.hold_s, usual.cooldown_s)
    assert rule.max_event_s == usual.max_event_s


def test_a_mix_has_the_ratio_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    sound, noise = rng.standard_normal((2, RATE_HZ)).astype(np.float32)
    added = mix(sound, 5.0 * noise, 5.0) - sound
    ratio = np.square(sound).mean() / np.square(added).mean()
    assert 10 * np.log10(ratio) == pytest.approx(5.0, abs=0.01)


def test_scores_that_are_too_sure_are_made_as_sure_as_they_are_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(LABELS[:10]), 400)
    # Right four times in five; twice as sure of that, and of what it is not, as it may be.
    said = np.where(rng.random(400) < 0.8, truth, (truth + 1) % 10)
    unseen = []
    for own, loudest in zip(truth, said, strict=True):
        scores = np.full((1, len(LABELS)), 1.0 / (1.0 + np.exp(7.6)), np.float32)
        scores[0, loudest] = 1.0 / (1.0 + np.exp(-2.8))
        unseen.append(Unseen(Heard("clip", LABELS[own], scores, 16000), "official", 1))
    divisor = temperature(unseen)
    assert divisor == pytest.approx(2.0, abs=0.11)
    cooled = at_temperature(unseen[0], divisor).heard.scores
    assert cooled.max() == pytest.approx(1.0 / (1.0 + np.exp(-2.8 / divisor)), abs=1e-6)
    assert cooled.argmax() == unseen[0].heard.scores.argmax()


def test_textures_are_finite_of_one_loudness_and_never_the_same() -> None:
    rng = np.random.default_rng(0)
    heard = np.stack([texture(PATCH_SAMPLES, rng) for _ in range(40)])
    assert np.isfinite(heard).all()
    assert heard.std(axis=1) == pytest.approx(1.0, abs=1e-3)
    alike = np.corrcoef(heard) - np.eye(len(heard))
    assert np.abs(alike).max() < 0.9


@pytest.mark.parametrize("change", [room, microphone, level])
def test_rooms_and_microphones_keep_the_length_and_full_scale(
    change: Callable[..., NDArray[np.float32]],
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        samples = 0.05 * rng.standard_normal(PATCH_SAMPLES).astype(np.float32)
        changed = change(samples, rng)
        assert changed.shape == samples.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()


def test_a_room_rings_after_the_sound() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 1.0
    changed = [room(click, np.random.default_rng(seed)) for seed in range(30)]
    ringing = [one for one in changed if np.abs(one[200:]).max() > 0]
    assert 0 < len(ringing) < len(changed)
    assert all(np.abs(one[:99]).max() < 1e-6 for one in ringing)


@pytest.mark.parametrize("make", [alarm, babble, counter_example, hum, thumps, tone])
def test_what_is_synthesised_stays_in_full_scale(
    make: Callable[..., NDArray[np.float32]],
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        samples = make(PATCH_SAMPLES, rng)
        assert samples.shape == (PATCH_SAMPLES,)
        assert np.isfinite(samples).all()


def test_the_quieter_of_two_sounds_counts_only_near_the_louder_one() -> None:
    dog, rain, other = _only(DOG), _only(RAIN), _only(OTHER)
    assert np.flatnonzero(_joined(dog, rain, 3.0) == 1.0).tolist() == [DOG, RAIN]
    far = _joined(dog, rain, 20.0)
    assert far[DOG] == 1.0
    assert np.isnan(far[RAIN])
    assert np.array_equal(_joined(dog, other, 3.0), dog)
    assert _joined(other, rain, 3.0)[OTHER] == 0.0
    assert np.isnan(_joined(other, rain, 20.0)[OTHER])


@pytest.mark.data
def test_what_an_author_of_esc_10_recorded_elsewhere_stays_with_it(data: Path) -> None:
    clips = read_clips(data)
    # Five authors are in two folds of ESC-10 itself, with different recordings.
    official = {(clip.author, clip.fold) for clip in clips if clip.official}
    authors = {author for author, _ in official}
    field = [clip for clip in clips if not clip.official and clip.author in authors]
    assert field
    assert all((clip.author, clip.fold) in official for clip in field)


@pytest.mark.data
def test_a_stream_is_minutes_of_each_kind_at_bearable_levels(data: Path) -> None:
    clips = read_clips(data)
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal(RATE_HZ).astype(np.float32)
    recorded = [
        (next(clip for clip in clips if clip.kind == kind), sound)
        for kind in ("speech", "music", "ambience")
    ]
    found = [next(stretches(recorded, rng))]
    for name, samples in found:
        assert name in LABELS_OF_STREAM
        assert samples.shape == (STRETCH_S * RATE_HZ,)
        assert 0.0 < float(np.abs(samples).max()) <= 1.0


def test_other_names_lead_to_labels_or_to_none_of_them() -> None:
    found = aliases(["rain", "bird", "baby_cry", "other"])
    assert (found["birds"], found["crow"], found["crying_baby"]) == ("bird", "bird", "baby_cry")
    assert (found["keyboard"], found["siren"], found["alarm"]) == ("other", "other", "other")
    assert "rain" not in found


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
