# SPDX-License-Identifier: MIT
"""The command line of `tools/bench`."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

from tools.benchmark import analysis, core, hour, levels, listen, logmel, speech
from tools.benchmark.stopwatch import pin, stamp

PEERS = ("kaldi_native_fbank", "librosa", "sklearn")
ANALYSIS_PEERS = ("librosa", "sklearn")
DENOISE_PEERS = ("noisereduce", "webrtc_noise_gain")


def main() -> int:
    """Measure what was asked for; 1 if a peer is missing or disagrees."""
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about_core = "log-Mel against its peers, and the core of a 48 kHz stream"
    core_parser = commands.add_parser("core", help=about_core)
    core_parser.add_argument("--seconds", type=int, default=60, help="of sound, 30 or more")
    core_parser.add_argument("--json", action="store_true", help="figures for programs")
    commands.add_parser("levels", help="sound levels and bands against plain SciPy")
    commands.add_parser("hour", help="one hour of sound as fast as it goes")
    commands.add_parser("analysis", help="the idle-time analysis against plain librosa")
    speech_parser = commands.add_parser("speech", help="how well the speech veto works")
    speech_parser.add_argument("--clips", type=int, default=240, help="recordings, of all classes")
    commands.add_parser("models", help="models from elsewhere: cost, truth, groups")
    about_denoise = "noise reduction: noise, sound, classifier and cost, against others"
    denoise_parser = commands.add_parser("denoise", help=about_denoise)
    denoise_parser.add_argument("--json", action="store_true", help="figures for programs")
    args = parser.parse_args()
    # librosa warns once per short chunk of the naive reference, 100 times a second.
    warnings.filterwarnings("ignore", message="n_fft=.* is too large for input signal")
    if args.command == "hour":
        return _hour()
    if args.command == "levels":
        print("\n".join(stamp(pin())))
        _print_figures("sound levels at 48 kHz, 12 batches a second", levels.compare(20))
        return 0
    if args.command in {"speech", "models"}:
        return _speech(args.clips) if args.command == "speech" else _models()
    if args.command == "denoise":
        return _denoise(as_json=args.json)
    if args.command == "core" and args.seconds < logmel.NAIVE_SHARE:
        parser.error(f"--seconds must be {logmel.NAIVE_SHARE} or more, not {args.seconds}")
    if _missing(ANALYSIS_PEERS if args.command == "analysis" else PEERS):
        return 1
    return _analysis() if args.command == "analysis" else _core(args.seconds, as_json=args.json)


def _core(seconds: int, *, as_json: bool) -> int:
    # Before this process stays on one core: its children would too.
    listener = listen.measure()
    number = pin()
    # First the core: the peers' libraries would fill the caches and the collector.
    core_48k = core.measure(seconds)
    log_mel = logmel.compare(seconds)
    if as_json:
        figures = {"log_mel": log_mel, "core_48k": core_48k, "listen": listener}
        print(json.dumps(figures, indent=2))
        return 0
    print("\n".join(stamp(number)))
    _print_log_mel(log_mel)
    _print_figures("core of a 48 kHz stream, periods of 1024", core_48k)
    _print_figures("edge listen, from its start to the first sample, and after 20 s", listener)
    return 0


def _speech(clips: int) -> int:
    if not speech.MODEL.exists():
        print("tools/bench: the recordings and models of ../shared/data are missing")
        return 1
    figures = speech.measure(clips)
    stopped = ", ".join(f"{snr} dB {share:.0%}" for snr, share in figures["speech_stopped"].items())
    lost = figures["others_lost_by_class"]
    print(f"{figures['clips']} recordings, {figures['voices']} voices")
    print(f"speech stopped, voice to sound: {stopped}")
    print(f"others lost: {figures['others_lost']:.1%}")
    print(f"  by class: {', '.join(f'{label} {share:.0%}' for label, share in lost.items())}")
    return 0


def _models() -> int:
    if not speech.MODEL.exists():
        print("tools/bench: the recordings and models of ../shared/data are missing")
        return 1
    from tools.benchmark import models  # soundfile, onnx

    number = pin()
    figures = models.measure()
    print("\n".join(stamp(number)))
    for title, rows in figures.items():
        _print_figures(title, dict(rows))
    return 0


def _denoise(*, as_json: bool) -> int:
    if _missing(DENOISE_PEERS):
        return 1
    # They import the peers.
    from tools.benchmark import denoise, denoise_classifier, scenes

    if not scenes.DATA.exists():
        print("tools/bench: the recordings of ../shared/data are missing")
        return 1
    number = pin()
    figures = {
        "cost_ms_per_s": denoise.cost(),
        "spectral": denoise.spectral(),
        "unseen": denoise.unseen(),
        "adaptive_db": denoise.adaptive(),
        "line": denoise.line(),
        "classifier": denoise_classifier.measure(),
    }
    if as_json:
        print(json.dumps(figures, indent=2))
        return 0
    print("\n".join(stamp(number)))
    print("\nnoise/ratio in dB: change of SI-SDR, its worst, noise in pauses lowered by, dB")
    for name, row in (figures["spectral"] | figures["unseen"]).items():
        worst = f"{row['worst_db']:+5.1f} ({row['worst']})"
        lowered = f"{row['pauses_lowered_db']:.1f}"
        print(f"  {name}: {row['si_sdr_change_db']:+.1f}, {worst}, {lowered}")
    _print_figures("a reference through a room, lowered by, dB", figures["adaptive_db"])
    _print_figures("line enhancer, hum in speech", figures["line"])
    _print_figures("classifier, clips named right", figures["classifier"])
    _print_figures("CPU ms per second of sound", figures["cost_ms_per_s"])
    return 0


def _missing(peers: tuple[str, ...]) -> bool:
    """Say which peers are missing."""
    missing = [peer for peer in peers if not _importable(peer)]
    if missing:
        print(f"tools/bench: {', '.join(missing)} missing: install the extra `bench`")
    return bool(missing)


def _print_log_mel(rows: dict[str, dict[str, float]]) -> None:
    print("\nlog-Mel, CPU ms per second of sound; in brackets our time to theirs")
    for period, row in rows.items():
        theirs = ", ".join(
            f"{side} {row[f'{side}_ms_per_s']:.3f} ({row[f'vs_{side}']:.4g})"
            for side in ("c_floor", "kaldi_list", "kaldi_array", "librosa_minute", "naive")
        )
        print(f"  period {period:>4}: ours {row['ours_ms_per_s']:.3f}, {theirs}")


def _print_figures(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        parts = value if isinstance(value, dict) else {"": value}
        shown = ", ".join(f"{part} {number:.4g}".strip() for part, number in parts.items())
        print(f"  {name}: {shown}")


def _hour() -> int:
    print("\n".join(stamp(pin())))
    for tenth in hour.run():
        print("  " + ", ".join(f"{name} {value:.6g}" for name, value in tenth.items()))
    return 0


def _analysis() -> int:
    print("\n".join(stamp(pin())))
    print("\n10 s at 22.05 kHz, CPU ms; in brackets our time to theirs")
    for part, row in analysis.compare().items():
        times = f"ours {row['ours_ms']:.1f}, theirs {row['theirs_ms']:.1f}"
        print(f"  {part}: {times} ({row['ratio']:.3f})")
    _print_figures(
        "a process that makes two reports with stems: wall s, and its peak memory", analysis.first()
    )
    _print_figures(
        "peak of what a warm report with stems allocates (tracemalloc)", analysis.memory()
    )
    return 0


def _importable(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
