# SPDX-License-Identifier: MIT
"""`tools/boot-test --arm64`: edge on an emulated arm64: installed, tested, compared."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from edge import __version__
from tools.boot.emulated import EMULATED, Root
from tools.boot.image import PYTHONS, build, pack, testers
from tools.boot.replays import Likeness, compare
from tools.boot.root import REPOSITORY
from tools.boot.table import about, must, row

if TYPE_CHECKING:
    from collections.abc import Callable

DATA: Final = REPOSITORY.parent / "shared" / "data"
# Sounds of the field, each of a label, and what is to be heard as none of them.
RECORDINGS: Final = (
    *(f"esc10-dev/audio/{clip}.flac" for clip in ("1-100032-A-0", "1-172649-A-6", "1-27724-A-8")),
    "field/456440__inspectorj__bird-whistling-robin-single-13.ogg",
    "field/198-209-0000.ogg",
)
SCENE_S: Final = 60
# Arithmetic: what has neither a clock, a network nor a process of its own.
TESTS: Final = (
    *(f"tests/dsp/test_{one}.py" for one in ("bands", "filters", "levels", "logmel", "resample")),
    *("tests/dsp/test_standard.py", "tests/golden", "tests/test_pipeline.py"),
    *(f"tests/model/test_{one}.py" for one in ("classifier", "detector", "frontend")),
)


def is_built(box: Root) -> str:
    """The layer's packages and hooks make a root, the installer among them."""
    build(box.place, box.suite)
    size_mb = pack(box.root, box.place / "arm64.tar.zst").stat().st_size // 2**20
    return f"by the layer's own packages and hooks; {size_mb} MB packed"


def is_for_any_card(box: Root) -> str:
    """Nothing of one card is in it: no identity, no name, no key, no seed."""
    etc = box.root / "etc"
    identity = (etc / "machine-id").read_text("utf-8").strip()
    must(identity in {"", "uninitialized"}, f"machine-id {identity}")
    own = [etc / "edge" / "edge.toml", box.root / "var/lib/systemd/random-seed"]
    left = [*etc.glob("ssh/ssh_host_*"), *(one for one in own if one.exists())]
    must(not left, f"{left}")
    return f"machine-id `{identity}`; no settings, no ssh key, no seed"


def starts_at_boot(box: Root) -> str:
    """The units are enabled, and their user is there, of the group audio."""
    units = ("edge-listen", "edge-analyze", "edge-upgrade-check")
    said = box.run("systemctl", "is-enabled", *(f"{one}.service" for one in units))
    must(said.split() == ["enabled"] * len(units), said)
    groups = box.run("id", "-nG", "edge")
    must("audio" in groups.split(), groups)
    return f"{', '.join(units)} enabled; user of {groups.replace(' ', ', ')}"


def says_its_version(box: Root) -> str:
    """The program runs, as its user."""
    said = box.run("setpriv", "--reuid=edge", "--regid=edge", "--clear-groups", "edge", "--version")
    must(__version__ in said, said)
    python = "import platform, numpy, onnxruntime as o; p = platform"
    python += "; print(p.machine(), p.python_version(), numpy.__version__, o.__version__)"
    machine, *versions = box.run("/opt/edge/current/bin/python", "-c", python).split()
    must(machine == "aarch64", machine)
    return "{}; Python {}, NumPy {}, onnxruntime {}".format(said, *versions)


def calculates_right(box: Root) -> str:
    """The tests of the arithmetic hold."""
    pytest = ["/opt/edge/current/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    own = "cd /edge && PYTHONPATH=/pytest HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis"
    inside = f"{own} {' '.join(pytest)} --timeout=3000 {' '.join(TESTS)}"
    binds = (f"{REPOSITORY}:/edge", f"{testers(box.place, box.suite)}:/pytest", *_data())
    said = box.run("sh", "-c", inside, binds=binds).splitlines()[-1]
    return re.sub(r"^=+ | =+$", "", said)


def hears_the_same(box: Root) -> str:
    """The same recordings make the same events as on this machine."""
    with TemporaryDirectory(dir=box.place) as folder:
        scene = Path(folder) / "scene.wav"
        edge = [sys.executable, "-m", "edge"]
        subprocess.run([*edge, "synth", "scene", str(scene), "--seconds", str(SCENE_S)], check=True)
        files = [scene, *(DATA / name for name in RECORDINGS if DATA.is_dir())]
        found = [_replayed(box, edge, file) for file in files]
    events, score, level_db = (list(column) for column in zip(*found, strict=True))
    apart = f"scores at most {max(score):.3f} apart, levels {max(level_db):.1f} dB"
    return f"{sum(events)} events in {len(found)} recordings, at the same samples; {apart}"


def _replayed(box: Root, edge: list[str], file: Path) -> Likeness:
    say = ["replay", "--config", "/dev/null", "--set", "state.directory=/tmp/edge-replay"]
    here = subprocess.check_output([*edge, *say, str(file)], text=True)
    there = box.run("edge", *say, f"/heard/{file.name}", binds=(f"{file.parent}:/heard",))
    return compare(file.name, here, there)


def _data() -> tuple[str, ...]:
    return (f"{DATA}:/shared/data",) if DATA.is_dir() else ()


def _head(suite: str) -> str:
    qemu = subprocess.check_output(["qemu-aarch64-static", "--version"], text=True).split()[2]
    tried = f"{about(suite)}; QEMU {qemu}, user mode, {EMULATED['QEMU_CPU']}"
    return f"{tried}\n\n| arm64 | | |\n|---|---|---|"


CHECKS: Final[tuple[Callable[[Root], str], ...]] = (
    is_for_any_card,
    starts_at_boot,
    says_its_version,
    calculates_right,
    hears_the_same,
)


def main() -> int:
    """Make the root, pack it, check it; print the table; return 0 if all held."""
    parser = argparse.ArgumentParser(prog="tools/boot-test --arm64", description=__doc__)
    work = REPOSITORY / ".cache" / "boot"
    parser.add_argument("--work", type=Path, default=work, help="for roots and wheels")
    parser.add_argument("--only", nargs="*", metavar="CHECK")
    parser.add_argument("--no-build", action="store_true", help="the root of the last time")
    parser.add_argument("--suite", choices=PYTHONS, default=next(iter(PYTHONS)), help="of Debian")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    place = asked.work.resolve()
    box = Root(place / "arm64", place, asked.suite)
    rows = [] if asked.no_build else [row(is_built, box)]
    print(_head(asked.suite))
    for check in CHECKS:
        if not asked.only or check.__name__ in asked.only:
            rows += [row(check, box)]
            print(rows[-1])
    return 1 if any("FAILED" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
