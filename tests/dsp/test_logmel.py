# SPDX-License-Identifier: MIT
"""Log-Mel agrees with librosa, MATLAB, Kaldi and YAMNet, and with itself for any cut."""

from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import io

from edge.dsp.logmel import LogMelStream, log_mel, normalise
from edge.dsp.melbank import mel_filterbank
from edge.dsp.spec import LogMelSpec

YAMNET = LogMelSpec()
LIBROSA = LogMelSpec(
    fmin_hz=0.0,
    fmax_hz=8000.0,
    mel_scale="slaney",
    mel_triangles="hz",
    mel_norm="slaney",
    power=2,
    log="db",
    offset=1e-10,
)


def sound(n_samples: int) -> NDArray[np.float32]:
    """Noise whose loudness and colour change, 16 kHz."""
    rng = np.random.default_rng(11)
    white = rng.standard_normal(n_samples) * np.geomspace(0.3, 1e-3, n_samples)
    return (white + 0.1 * np.sin(np.arange(n_samples) ** 2 / 4e4)).astype(np.float32)


@pytest.mark.data
def test_yamnet_hears_its_own_tensor(reference: Path) -> None:
    """The official model's tensor of 40 recordings; its own rounding is 8.3e-4."""
    saved = np.load(reference / "yamnet_ref.npz")
    for wave, expected in zip(saved["wave_i16"], saved["log_mel_tflite"], strict=True):
        got = log_mel(wave.astype(np.float32) / 32768, YAMNET)
        assert got.shape == (96, 64)
        np.testing.assert_allclose(got, expected, atol=8.4e-4)
        assert np.median(np.abs(got - expected)) < 1e-5
        # The stream's FFT is in float32: seen where a loud frame has a band at the floor.
        streamed = LogMelStream(YAMNET, wave.size).process(wave.astype(np.float32) / 32768)
        np.testing.assert_allclose(streamed, got, atol=1.3e-3)
        assert np.median(np.abs(streamed - got)) < 1e-5


@pytest.mark.data
def test_filterbank_is_matlabs(reference: Path) -> None:
    """144 matrices of the Auditory Toolbox and RASTA-MAT, some with empty bands."""
    files = sorted((reference / "melfb").glob("feature-melfb-*.mat"))
    assert len(files) == 144
    for file in files:
        saved = io.loadmat(file, squeeze_me=True)
        n_fft = int(saved["nfft"])
        spec = replace(
            LIBROSA,
            rate_hz=int(saved["sr"]),
            n_fft=n_fft,
            win_length=n_fft,
            n_mels=int(saved["nfilts"]),
            fmin_hz=float(saved["fmin"]),
            fmax_hz=float(saved["fmax"]),
            mel_scale="htk" if saved["htk"] else "slaney",
        )
        expected = saved["wts"][:, : n_fft // 2 + 1].T
        np.testing.assert_allclose(mel_filterbank(spec), expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("norm", ["none", "slaney"])
@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_frames_agree_with_librosa_within_1e_4_db(scale: str, norm: str, power: int) -> None:
    spec = replace(LIBROSA, mel_scale=scale, mel_norm=norm, power=power, ref=0.5)
    x = sound(16000)
    # librosa puts the window in the middle of the FFT; the magnitudes don't mind.
    mel = librosa.feature.melspectrogram(
        y=np.pad(x, (56, 56)),
        sr=16000,
        n_fft=512,
        hop_length=160,
        win_length=400,
        center=False,
        n_mels=64,
        power=power,
        htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None,
    )
    to_db = librosa.power_to_db if power == 2 else librosa.amplitude_to_db
    expected = to_db(mel, ref=spec.ref, amin=spec.offset, top_db=None).T
    np.testing.assert_allclose(log_mel(x, spec), expected, atol=1e-4)


@pytest.mark.parametrize("window", ["hann", "povey", "hamming"])
def test_frames_agree_with_kaldi(window: str) -> None:
    """Kaldi's "hanning" is symmetric; its bands are straight over mel."""
    knf = pytest.importorskip("kaldi_native_fbank", reason="extra `bench` is not installed")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.preemph_coeff = 0.0
    options.frame_opts.remove_dc_offset = False
    options.frame_opts.window_type = "hanning" if window == "hann" else window
    options.mel_opts.num_bins = 64
    options.mel_opts.low_freq = 125.0
    options.mel_opts.high_freq = 7500.0
    options.energy_floor = 0.0
    x = sound(16000)
    kaldi = knf.OnlineFbank(options)
    kaldi.accept_waveform(16000, x.tolist())
    expected = np.array([kaldi.get_frame(k) for k in range(kaldi.num_frames_ready)])
    name = "hann_symmetric" if window == "hann" else window
    got = log_mel(x, replace(YAMNET, window=name, power=2, offset=1e-10))
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("win_length", [512, 400, 399])
def test_centred_frames_are_torch_s_and_librosa_s(win_length: int) -> None:
    """Mirrored at both edges; an odd window is a sample longer on the right."""
    spec = replace(LIBROSA, win_length=win_length, centring="reflect")
    x = sound(16000)
    mel = librosa.feature.melspectrogram(
        y=x,
        sr=16000,
        n_fft=512,
        hop_length=160,
        win_length=win_length,
        pad_mode="reflect",
        n_mels=64,
        power=2,
    )
    expected = librosa.power_to_db(mel, amin=spec.offset, top_db=None).T[:100]
    got = log_mel(x, spec)
    assert got.shape == (100, 64)
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("amount", [0.5, 0.97, 1.0])
def test_pre_emphasis_is_a_filter_of_two_taps(amount: float) -> None:
    x = sound(16000)
    filtered = np.convolve(x.astype(np.float64), [1.0, -amount], "valid").astype(np.float32)
    spec = replace(YAMNET, pre_emphasis=amount)
    np.testing.assert_allclose(log_mel(x, spec), log_mel(filtered, YAMNET), atol=1e-4)
    assert spec.patch_samples(98) == YAMNET.patch_samples(98) + 1


@pytest.mark.parametrize("wrong", [{"pre_emphasis": 0.5}, {"centring": "reflect"}])
def test_what_hears_whole_patches_is_no_stream(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="whole patches"):
        LogMelStream(replace(YAMNET, **wrong), 1000)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    geometry=st.sampled_from([(400, 512, 160), (512, 512, 512), (200, 256, 77), (1, 2, 1)]),
)
def test_any_cut_gives_the_same_frames_numbered_on(
    sizes: list[int], geometry: tuple[int, int, int]
) -> None:
    win_length, n_fft, hop_length = geometry
    spec = replace(YAMNET, win_length=win_length, n_fft=n_fft, hop_length=hop_length)
    x = sound(sum(sizes))
    stream = LogMelStream(spec, 3000)
    parts = []
    for cut in np.split(x, np.cumsum(sizes)[:-1]):
        assert stream.frame_index == sum(map(len, parts))
        parts.append(stream.process(cut).copy())
    whole = LogMelStream(spec, max(x.size, 1)).process(x)
    # A weak band is as exact as the rounding of strong ones, which is another's in another batch:
    # on arm64 1.6e-5 apart, of natural logarithms.
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=5e-5)


def test_stream_rounds_100_db_under_the_loudest_band() -> None:
    """Its FFT is in float32, its pure twin's in float64; the sweep is far over the noise."""
    spec = replace(YAMNET, offset=1e-9)
    x = sound(32000)
    streamed, pure = LogMelStream(spec, x.size).process(x), log_mel(x, spec)
    error = np.abs(np.exp(streamed) - np.exp(pure))
    assert (error < 1e-5 * np.exp(pure).max(axis=1, keepdims=True)).all()
    np.testing.assert_allclose(streamed, pure, atol=1e-4)


def test_pushed_samples_are_computed_with_the_next() -> None:
    x = sound(7680)
    stream = LogMelStream(YAMNET, 7680)
    for start in range(0, 7000, 1000):
        stream.push(x[start : start + 1000])
    got = stream.process(x[7000:])
    np.testing.assert_array_equal(got, LogMelStream(YAMNET, 7680).process(x))
    assert stream.frame_index == 46


@pytest.mark.parametrize(
    ("n_samples", "n_frames"), [(0, 0), (1, 1), (399, 1), (400, 1), (401, 2), (560, 2), (561, 3)]
)
@pytest.mark.parametrize("n_computed", [0, 1000])
def test_flush_pads_one_frame_for_samples_not_heard_yet(
    n_samples: int, n_frames: int, n_computed: int
) -> None:
    """Whether the frames before it were computed when they were complete or are left too."""
    x = sound(n_samples)
    stream = LogMelStream(YAMNET, 1000)
    parts = [stream.process(x[:n_computed]).copy()]
    stream.push(x[n_computed:])
    parts.append(stream.flush().copy())
    padded = np.pad(sound(n_samples), (0, 400 + 160))
    np.testing.assert_allclose(np.concatenate(parts), log_mel(padded, YAMNET)[:n_frames], atol=1e-5)
    assert stream.frame_index == 0
    assert len(stream.process(sound(400))) == 1


def test_reset_begins_frame_0_anew() -> None:
    stream = LogMelStream(YAMNET, 1000)
    first = stream.process(sound(1000)).copy()
    stream.process(sound(1000)[::-1].copy())
    stream.reset()
    assert stream.frame_index == 0
    np.testing.assert_array_equal(stream.process(sound(1000)), first)


def test_more_samples_than_promised_are_refused() -> None:
    stream = LogMelStream(YAMNET, 1000)
    with pytest.raises(ValueError, match=r"1500.*1400"):
        stream.push(sound(1500))


@pytest.mark.parametrize("wrong", [np.zeros(100), np.zeros((100, 1), np.float32)])
def test_samples_of_another_type_or_shape_are_refused(wrong: NDArray[np.float32]) -> None:
    stream = LogMelStream(YAMNET, 1000)
    with pytest.raises(ValueError, match="different structures"):
        stream.push(wrong)


def test_a_slice_with_steps_is_taken_too() -> None:
    both = np.repeat(sound(1000), 2).reshape(-1, 2)[:, 0]
    stream = LogMelStream(YAMNET, 1000)
    np.testing.assert_array_equal(
        stream.process(both), LogMelStream(YAMNET, 1000).process(sound(1000))
    )


def test_a_long_recording_is_the_same_as_its_frames_one_by_one() -> None:
    """More frames than one batch holds."""
    x = sound(40000)
    whole = log_mel(x, YAMNET)
    assert len(whole) == 248
    one = [log_mel(x[k * 160 : k * 160 + 400], YAMNET)[0] for k in range(0, 248, 9)]
    np.testing.assert_allclose(whole[::9], one, atol=1e-5)


def test_normalise_works_in_place_over_what_it_says() -> None:
    def normalised(kind: str) -> NDArray[np.float32]:
        patch = log_mel(sound(16000), YAMNET)
        result = normalise(patch, replace(YAMNET, normalise=kind, mean=-4.0, std=2.0))
        assert result is patch
        return result

    plain = normalised("none")
    np.testing.assert_array_equal(plain, log_mel(sound(16000), YAMNET))
    np.testing.assert_allclose(normalised("fixed"), (plain + 4.0) / 2.0, rtol=1e-6)
    patch = normalised("patch")
    np.testing.assert_allclose(patch, (plain - plain.mean()) / plain.std(), atol=1e-5)
    band = normalised("band")
    np.testing.assert_allclose(band.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(band.std(axis=0), 1.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["patch", "band"])
def test_silence_normalises_to_zeros(kind: str) -> None:
    """The mean of equal float32 is off by its rounding, which mustn't be blown up."""
    patch = np.full((96, 64), -6.907755, np.float32)
    normalise(patch, replace(YAMNET, normalise=kind))
    assert np.abs(patch).max() < 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_hz": 0},
        {"win_length": 513},
        {"win_length": 0},
        {"hop_length": 0},
        {"hop_length": 401},
        {"n_mels": 0},
        {"fmin_hz": -1.0},
        {"fmax_hz": 8001.0},
        {"fmin_hz": 7500.0},
        {"offset": 0.0},
        {"std": 0.0},
        {"ref": float("nan")},
        {"window": "kaiser"},
        {"power": 3},
        {"log": "log10"},
        {"pre_emphasis": 1.5},
        {"pre_emphasis": float("nan")},
        {"centring": "zeros"},
    ],
)
def test_impossible_front_end_is_refused_by_name(wrong: dict[str, object]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=name):
        LogMelStream(replace(YAMNET, **wrong), 1000)
