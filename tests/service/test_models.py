# SPDX-License-Identifier: MIT
"""Another model while the box listens: nothing is lost, and what fails leaves the old one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge.config.load import load_settings
from edge.model.bring import bring
from edge.model.frontend import PRESETS
from edge.model.grouping import audioset_groups
from edge.model.registry import describe, read_labels, read_model, shipped_model
from edge.model.shelf import Shelf
from edge.service.commands import CommandError
from edge.service.ears import Place
from edge.service.models import GIVE_UP, Models
from edge.service.supervisor import Supervisor
from edge.types import StreamFormat
from tests.conftest import wait_until
from tests.service.test_listen import edges, health_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Mosquitto, Subscriber
    from tests.service.conftest import Listener

Start = "Callable[..., Listener]"


@pytest.fixture(scope="session")
def brought(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return models by name: of the same rate, of another one, and one that is none."""
    directory = tmp_path_factory.mktemp("brought")
    yamnet = directory / "yamnet.onnx"
    bring(data / "models" / "yamnet.tflite", yamnet, name="yamnet")
    ears = PRESETS["mn04"]
    labels = read_labels(data / "models" / "audioset_class_labels_indices.csv")
    mn04 = describe(
        data / "models" / "mn04_as_fp32.onnx",
        directory / "mn04.onnx",
        labels=labels,
        front_end=ears.front_end,
        patch_frames=ears.patch_frames,
        patch_hop=ears.patch_hop,
        bands_first=ears.bands_first,
        name="mn04",
        version="1",
        groups=audioset_groups(labels),
    ).path
    broken = directory / "broken.onnx"
    broken.write_bytes(yamnet.read_bytes()[:100_000])
    return {"yamnet": yamnet, "mn04": mn04, "broken": broken}


class Box:
    """A listener with models on its shelf, and an ear at its broker."""

    def __init__(self, listener: Listener, server: Mosquitto, ear: Subscriber) -> None:
        self.listener = listener
        self._server = server
        self._ear = ear
        self.shelf = Shelf(listener.state)

    def tell(self, name: str, payload: str) -> dict[str, Any]:
        """Give a command; return its answer."""
        before = len(self.bodies(f"command/{name}/result"))
        topic = f"edge/edge/command/{name}"
        command = ["mosquitto_pub", "-p", str(self._server.port), "-t", topic, "-m", payload]
        subprocess.run(command, check=True)

        def answers() -> list[dict[str, Any]]:
            return self.bodies(f"command/{name}/result")[before:]

        return wait_until(lambda: next(iter(answers()), None), f"an answer to {name}")

    def bodies(self, topic: str) -> list[dict[str, Any]]:
        """Return what came under a topic so far."""
        begins = f"edge/edge/{topic} {{"
        lines = [line for line in self.lines() if line.startswith(begins)]
        return [json.loads(line.partition(" ")[2]) for line in lines]

    def lines(self) -> list[str]:
        return self._ear.lines()

    def trouble(self) -> str:
        """Return what the newest `health` says of the model."""
        return str((self.bodies("health") or [{"model": ""}])[-1]["model"])

    def wait_model(self, name: str) -> None:
        """Wait until `info` names a model."""
        wait_until(lambda: self.bodies("info")[-1]["model"]["name"] == name, f"{name} in use")


@pytest.fixture
def box(
    listen: Start,
    mosquitto: Callable[..., Mosquitto],
    brought: dict[str, Path],
    tmp_path: Path,
) -> Callable[..., Box]:
    """Start a listener whose shelf holds `brought`."""

    def start(*overrides: str, chosen: str = "") -> Box:
        server = mosquitto()
        ear = server.subscribe()
        state = tmp_path / "state"
        shelf = Shelf(state)
        for name, path in brought.items():
            shelf.room(name).write_bytes(path.read_bytes())
        if chosen:
            shelf.choose(chosen)
        listener = listen(f'publish.url="{server.url}"', f'state.directory="{state}"', *overrides)
        listener.state = state
        listener.wait_ready()
        made = Box(listener, server, ear)
        ear.wait_for("edge/edge/info")
        return made

    return start


def heard_labels(box: Box, since: int) -> set[str]:
    return {label for one in box.bodies("scores")[since:] for label in one["scores"]}


@pytest.mark.data
@pytest.mark.parametrize("name", ["yamnet", "mn04"])
def test_another_model_takes_over_and_not_a_sample_is_lost(
    box: Callable[..., Box], brought: dict[str, Path], name: str
) -> None:
    """Levels come each second, a clip over the change is whole, and each event ends."""
    started = box()
    model = read_model(brought[name])
    wait_until(lambda: len(started.bodies("scores")) > 3, "the shipped model hears")
    recording = started.tell("record", "8")
    assert recording["ok"]
    answer = started.tell("model", json.dumps({"name": name, "request_id": 7}))
    assert answer["ok"], answer
    assert (answer["name"], answer["request_id"]) == (name, 7)
    assert answer["model"]["sha256"] == model.sha256
    started.wait_model(name)
    since = len(started.bodies("scores"))
    wait_until(lambda: len(started.bodies("scores")) > since + 3, "the other model hears")
    assert heard_labels(started, since + 1) <= set(model.scored)
    info = started.bodies("info")[-1]
    assert set(info["labels"]) == set(model.groups)
    wait_until(
        lambda: any(recording["command"] in c["commands"] for c in started.bodies("clip")),
        "the clip",
    )
    clips = started.bodies("clip")
    assert all(clip["gaps"] == [] for clip in clips)
    (mine,) = (clip for clip in clips if recording["command"] in clip["commands"])
    assert mine["duration_s"] >= 8.0
    levels = started.bodies("level")
    assert all(one["duration_s"] == 1.0 and not one["gap"] for one in levels)
    figures = health_of(started.listener)
    assert (figures["xruns"], figures["gaps"], figures["bad_outputs"]) == ("0", "0", "0")
    assert figures["model"] == "ok"
    assert Shelf(started.listener.state).chosen() == name, "and a restart will use it too"
    assert started.listener.stop() == 0
    assert "Traceback" not in started.listener.log()
    onsets, offsets = edges(started.lines())
    assert onsets == offsets
    assert len(set(onsets)) == len(onsets)


@pytest.mark.data
def test_a_model_that_fails_leaves_the_old_one_and_says_why(box: Callable[..., Box]) -> None:
    started = box('detector.ignore=["rain"]')
    for name, reason in (
        ("broken", "not an ONNX model"),
        ("nothing", "no model 'nothing'"),
        ("../broken", "can't be the name"),
        ("yamnet", "has no label 'rain'"),
    ):
        answer = started.tell("model", json.dumps({"name": name}))
        assert answer["ok"] is False
        assert reason in answer["error"]
    assert "is no name" in started.tell("model", "3")["error"]
    since = len(started.bodies("scores"))
    wait_until(lambda: len(started.bodies("scores")) > since + 2, "the old model goes on")
    wait_until(lambda: "no label" in started.trouble(), "health says it")
    assert started.tell("model", "")["name"] == "shipped"
    assert Shelf(started.listener.state).chosen() == "shipped"
    assert started.tell("model", '"shipped"')["ok"]
    wait_until(lambda: started.trouble() == "ok", "healed")
    assert started.listener.stop() == 0


@pytest.mark.data
def test_the_command_line_and_a_signal_change_a_listener_that_runs(
    box: Callable[..., Box], brought: dict[str, Path]
) -> None:
    started = box()
    state = started.listener.state
    command = [sys.executable, "-m", "edge", "model", "use", "yamnet"]
    subprocess.run([*command, "--set", f'state.directory="{state}"'], check=True)
    started.wait_model("yamnet")
    # Another file under the name in use: nobody looks at it until a signal asks to.
    place = Shelf(state).find("yamnet")
    place.with_name("new").write_bytes(brought["mn04"].read_bytes())
    place.with_name("new").replace(place)
    started.listener.send(signal.SIGHUP)
    started.wait_model("mn04")
    Shelf(state).choose("shipped")
    started.wait_model(read_model(shipped_model()).name)
    Shelf(state).choose("broken")
    wait_until(lambda: "the model is not changed" in started.listener.log(), "said in the log")
    assert started.listener.stop() == 0


@pytest.mark.data
def test_a_chosen_model_that_fails_at_the_start_is_replaced_by_the_shipped_one(
    box: Callable[..., Box],
) -> None:
    started = box(chosen="broken")
    started.wait_model(read_model(shipped_model()).name)
    assert "the model that was chosen can't be used" in started.listener.log()
    wait_until(lambda: "ONNX" in started.trouble(), "health says it")
    assert started.listener.stop() == 0


@pytest.mark.data
def test_what_stands_in_for_a_chosen_model_bears_settings_for_that_one(
    listen: Start, tmp_path: Path
) -> None:
    """Groups and labels of the damaged model are none of the shipped one."""
    state = tmp_path / "state"
    shelf = Shelf(state)
    shelf.room("mine").write_bytes(b"damaged")
    shelf.choose("mine")
    listener = listen(
        'publish.url=""',
        f'state.directory="{state}"',
        'model.groups={pet=["Bark"]}',
        'detector.ignore=["Bark"]',
        "detector.labels={pet={threshold=0.5}}",
        "record.enabled=true",
        'record.labels=["pet"]',
    )
    listener.wait_ready()
    wait_until(lambda: "detector.ignore" in listener.log(), "it says what it leaves out")
    lost = "model.groups, detector.ignore, detector.labels, record.labels, record.enabled"
    assert lost in listener.log()
    assert listener.stop() == 0


def test_a_model_that_the_settings_name_is_changed_by_them_alone(
    box: Callable[..., Box], brought: dict[str, Path]
) -> None:
    started = box(f'model.path="{brought["yamnet"]}"')
    assert "model.path" in started.tell("model", '"shipped"')["error"]
    assert started.listener.stop() == 0


def shipped_as(path: Path, version: str = "2") -> None:
    """Put the shipped model at a path, under the name of that and another version."""
    info = read_model(shipped_model())
    describe(
        shipped_model(),
        path,
        labels=info.labels,
        front_end=info.front_end,
        patch_frames=info.patch_frames,
        patch_hop=info.patch_hop,
        name=path.stem,
        version=version,
    )


class Threads:
    """The threads of a listener around its models, each step by hand."""

    def __init__(self, state: Path, chosen: str = "") -> None:
        self.shelf = shelf = Shelf(state)
        shipped_as(shelf.room("other"))
        settings = load_settings(None, [f'state.directory="{state}"'])
        if chosen:
            shelf.choose(chosen)
        self.models = Models(settings)
        self.answers: list[dict[str, Any]] = []
        self.changes = 0
        self._now_s = 0.0
        self.supervisor = Supervisor()
        place = Place(StreamFormat(48000, 1, 1024, "S16_LE"), "s", (), 4000)
        self.models.attach(place, self.supervisor, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def change(self, name: str) -> None:
        self.models.command({"name": name}, self.answers.append)

    def changed_to(self, name: str) -> None:
        """Change to a model by command and hear with it."""
        changes = self.changes
        self.answers.clear()
        self.change(name)
        self.hear()
        wait_until(lambda: self.changes > changes, "told")

    def look(self) -> None:
        """Look, and wait until what that opened is in use."""
        changes = self.changes
        self._now_s += 10.0
        self.models.look(self._now_s)
        wait_until(self.models.cutter, "what cuts patches")
        ears = self.models.take_over()
        assert ears
        ears.taken.set()
        wait_until(lambda: self.changes > changes, "told")

    def lose_hearing(self) -> None:
        for _ in range(GIVE_UP):
            self.models.note(valid=False)

    def hear(self) -> None:
        """Take what is opened and hear its first patch."""
        wait_until(self.models.cutter, "what cuts patches")
        assert self.models.cutter() is None, "once"
        ears = self.models.take_over()
        assert ears
        ears.taken.set()
        wait_until(lambda: self.answers, "an answer")


def test_what_was_counted_goes_on_with_another_model(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.models.classifier.bad_outputs = 3
    threads.change("other")
    threads.hear()
    assert threads.models.classifier.info.name == "other"
    assert (threads.models.number, threads.models.classifier.bad_outputs) == (1, 3)
    wait_until(lambda: threads.changes, "told")
    assert threads.answers[0]["model"]["version"] == "2"


def test_one_change_waits_for_no_other(tmp_path: Path) -> None:
    """While one has not heard anything yet a second one is refused, and a look waits."""
    threads = Threads(tmp_path)
    threads.change("other")
    with pytest.raises(CommandError, match=r"just being opened|waits for the first"):
        threads.change("shipped")
    Shelf(tmp_path).choose("shipped")
    threads.models.look(1e9)
    threads.hear()
    assert threads.models.name == "other"
    wait_until(lambda: threads.changes, "told")


def test_the_same_model_under_another_name_is_no_change(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    Shelf(tmp_path).room("twin").write_bytes(shipped_model().read_bytes())
    threads.change("twin")
    wait_until(lambda: threads.answers, "an answer")
    assert threads.answers[0]["ok"]
    assert threads.models.cutter() is None
    assert (threads.models.name, threads.models.number) == ("twin", 0)


def test_a_box_that_stops_meanwhile_says_so(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.change("other")
    wait_until(threads.models.cutter, "what cuts patches")
    threads.supervisor.end()
    wait_until(lambda: threads.answers, "an answer")
    assert "stopped" in threads.answers[0]["error"]


@pytest.fixture
def deaf(tmp_path: Path) -> Path:
    """Return a model that gives numbers of the noise and silence that it is tried on alone.

    Scores are the root of what the mean leaves of 0.2: hardly any log-Mel is so close to 0.
    """
    path = tmp_path / "deaf.onnx"
    constants = {
        "flat": np.array([1, -1]),
        "little": np.array([0.2], np.float32),
        "small": np.full((1, 3), 0.1, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["patch", "flat"], ["values"]),
        helper.make_node("ReduceMean", ["values"], ["mean"], axes=[1]),
        helper.make_node("Abs", ["mean"], ["size"]),
        helper.make_node("Sub", ["little", "size"], ["rest"]),
        helper.make_node("Sqrt", ["rest"], ["root"]),
        helper.make_node("Mul", ["root", "small"], ["scores"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "deaf",
        [helper.make_tensor_value_info("patch", kind, (1, 96, 64))],
        [helper.make_tensor_value_info("scores", kind, (1, 3))],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    ears = PRESETS["edge"]
    return describe(
        path,
        path,
        labels=("a", "b", "c"),
        front_end=ears.front_end,
        patch_frames=ears.patch_frames,
        patch_hop=ears.patch_hop,
        name="deaf",
        version="1",
    ).path


def test_a_model_that_gives_no_scores_of_the_room_is_given_up(
    listen: Start, tmp_path: Path, deaf: Path
) -> None:
    state = tmp_path / "state"
    Shelf(state).room("deaf").write_bytes(deaf.read_bytes())
    listener = listen('publish.url=""', f'state.directory="{state}"')
    listener.wait_ready()
    Shelf(state).choose("deaf")
    wait_until(lambda: "in use: model deaf" in listener.log(), "it is used")
    wait_until(lambda: "in use: model shipped" in listener.log(), "and given up")
    said = "deaf gave no scores of what it heard: shipped is used again"
    wait_until(lambda: said in listener.log(), "the log says it")
    wait_until(lambda: Shelf(state).chosen() == "shipped", "nor does a restart use it")
    wait_until(lambda: health_of(listener).get("model") == "deaf", "health says it")
    assert listener.stop() == 0


def test_a_model_from_before_that_has_gone_is_missed_in_words_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threads = Threads(tmp_path)
    threads.changed_to("other")
    threads.changed_to("shipped")
    threads.shelf.remove("other")
    for k in range(3):
        threads.lose_hearing()
        threads.models.look(1e9 * (k + 1))
    assert "no model 'other'" in threads.models.trouble
    assert threads.models.name == "shipped"
    assert "is used again" not in caplog.text
    assert caplog.text.count("no model 'other'") == 1


def test_where_the_model_from_before_has_gone_the_shipped_one_is_taken(tmp_path: Path) -> None:
    threads = Threads(tmp_path, chosen="other")
    shipped_as(threads.shelf.room("third"))
    threads.changed_to("third")
    threads.shelf.remove("other")
    threads.lose_hearing()
    threads.look()
    assert threads.models.name == threads.shelf.chosen() == "shipped"
    assert "third gave no scores of what it heard: shipped is used" in threads.models.trouble


def test_a_reload_under_the_same_name_leaves_the_way_back(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.changed_to("other")
    shipped_as(threads.shelf.room("other"), version="3")
    threads.models.ask()
    threads.look()
    assert threads.models.classifier.info.version == "3"
    threads.lose_hearing()
    threads.look()
    assert threads.models.name == "shipped"


def test_new_content_under_the_name_in_use_is_used_when_it_is_chosen_again(tmp_path: Path) -> None:
    threads = Threads(tmp_path, chosen="other")
    shipped_as(threads.shelf.room("other"), version="3")
    threads.shelf.choose("other")
    threads.look()
    assert threads.models.classifier.info.version == "3"


def test_a_choice_is_written_down_once_it_has_heard_something(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.change("other")
    wait_until(threads.models.cutter, "what cuts patches")
    assert threads.shelf.chosen() == "shipped"
    ears = threads.models.take_over()
    assert ears
    ears.taken.set()
    wait_until(lambda: threads.changes, "told")
    assert threads.shelf.chosen() == "other"


def test_what_is_chosen_while_another_is_opened_comes_next(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    shipped_as(threads.shelf.room("third"))
    threads.change("other")
    threads.shelf.choose("third")
    threads.hear()
    wait_until(lambda: threads.changes, "told")
    assert (threads.models.name, threads.shelf.chosen()) == ("other", "third")
    threads.look()
    assert (threads.models.name, threads.shelf.chosen()) == ("third", "third")


def test_one_that_waits_for_the_microphone_says_so_to_the_next(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.change("other")
    wait_until(threads.models.cutter, "what cuts patches")
    with pytest.raises(CommandError, match="waits for the first that the microphone hears"):
        threads.change("shipped")
    threads.supervisor.end()


def test_a_model_that_no_filter_can_be_made_for_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    threads.change("other")
    wait_until(lambda: threads.answers, "an answer")
    assert "the filter designer failed" in threads.answers[0]["error"]
    assert threads.shelf.chosen() == "shipped"
    assert threads.supervisor.failure is None


def test_a_few_patches_without_scores_are_no_reason_to_go_back(tmp_path: Path) -> None:
    threads = Threads(tmp_path)
    threads.change("other")
    threads.hear()
    wait_until(lambda: threads.changes, "told")
    for _ in range(3):
        for _ in range(GIVE_UP - 1):
            threads.models.note(valid=False)
        threads.models.look(1e9)
        threads.models.note(valid=True)
    assert threads.models.cutter() is None
    assert (threads.models.name, threads.models.trouble) == ("other", "")


def test_what_stands_in_for_a_model_is_not_left_for_it(tmp_path: Path) -> None:
    """Else two that both give nothing would take turns for ever."""
    threads = Threads(tmp_path)
    threads.change("other")
    threads.hear()
    wait_until(lambda: threads.changes, "told")
    for _ in range(GIVE_UP):
        threads.models.note(valid=False)
    threads.models.look(1e9)
    threads.hear()
    wait_until(lambda: threads.changes == 2, "given up")
    assert threads.models.name == "shipped"
    assert "other gave no scores" in threads.models.trouble
    for _ in range(GIVE_UP):
        threads.models.note(valid=False)
    threads.models.look(2e9)
    assert threads.supervisor.join("model", 60.0), "nothing is being opened"
    assert threads.models.cutter() is None
    assert threads.models.name == "shipped"
