# SPDX-License-Identifier: MIT
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.lean import PendingSettings, digest
from edge.config.load import changed, load_defaults, load_settings
from edge.errors import EXIT_CONFIG, ConfigError
from edge.publish.broker import Broker

FIVE_MISTAKES = """
[capture]
rate = 44100
period_size = "big"
[core]
gain_db = 100.0
[[core.filters]]
kind = "nothc"
freq_hz = 50.0
[publish]
url = "http://example"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(file: Path | None = None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, overrides)
    assert caught.value.exit_code == EXIT_CONFIG
    return str(caught.value)


def test_five_mistakes_are_named_at_once_each_with_file_key_and_value(tmp_path: Path) -> None:
    file = write(tmp_path / "edge.toml", FIVE_MISTAKES)
    message = refused(file)
    for expected in (
        "5 mistakes",
        "capture.rate: unknown key; did you mean 'rate_hz'?",
        "capture.period_size = 'big'",
        "core.gain_db = 100.0: input should be less than or equal to 60",
        "core.filters.0.kind = 'nothc': input should be 'highpass'",
        "publish.url = 'http://example': write mqtt://HOST",
    ):
        assert expected in message
    assert message.count(str(file)) == 5


def test_files_of_edge_d_come_after_the_main_file_and_overrides_last(tmp_path: Path) -> None:
    main = write(tmp_path / "edge.toml", "[core]\ngain_db = 1.0\nhighpass_hz = 5.0")
    write(tmp_path / "edge.d/10-first.toml", "[core]\ngain_db = 2.0\n[node]\nid = 'hive'")
    write(tmp_path / "edge.d/20-second.toml", "[core]\ngain_db = 3.0")
    settings = load_settings(main, ["node.name=Hive 7", "health.interval_s=5"])
    assert settings.core.gain_db == 3.0
    assert settings.core.highpass_hz == 5.0
    assert (settings.node.id, settings.node.name) == ("hive", "Hive 7")
    assert settings.health.interval_s == 5.0


def test_a_mistake_is_blamed_on_the_layer_that_made_it(tmp_path: Path) -> None:
    main = write(tmp_path / "edge.toml", "[core]\ngain_db = 1.0")
    extra = write(tmp_path / "edge.d/x.toml", "[core]\ngain_db = 'loud'")
    assert str(extra) in refused(main)
    assert "--set detector.min_hits=51" in refused(main, "core.gain_db=1.0", "detector.min_hits=51")


def test_what_is_no_settings_file_says_so(tmp_path: Path) -> None:
    assert "can't be read" in refused(tmp_path / "missing.toml")
    assert "is not TOML" in refused(write(tmp_path / "a.toml", "core.gain_db = "))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(tmp_path / "b.toml")
    assert "no value" in refused(None, "core.gain_db")


@pytest.mark.parametrize(
    ("alarm", "why"),
    [
        ('{name="Too Loud",kind="level",limit_db=1.0}', "name = 'Too Loud': write 1 to 40 of a-z"),
        ('{name="n",kind="level",limit_db=1.0,hours="22-6"}', "hours = '22-6': write 22:00-06:00"),
        ('{name="n",kind="level",limit_db=1.0,hours="25:00-06:00"}', "write 22:00-06:00"),
        ('{name="n",kind="level"}', "limit_db is missing"),
        ('{name="n",kind="tonal",limit_db=0.0}', "a tonal alarm needs level.bands = true"),
    ],
)
def test_an_alarm_that_can_not_be_is_refused_with_the_reason(alarm: str, why: str) -> None:
    message = refused(None, f"level.alarms=[{alarm}]", "level.bands=false")
    assert "level.alarms.0" in message
    assert why in message


def test_two_alarms_of_one_name_are_refused() -> None:
    two = '{name="n",kind="level",limit_db=1.0},{name="n",kind="rise",limit_db=2.0}'
    assert "level.alarms.1.name = 'n': another alarm's" in refused(None, f"level.alarms=[{two}]")


def test_a_value_of_which_several_types_are_right_has_one_line() -> None:
    message = refused(None, "capture.channel=-1")
    assert "capture.channel = -1: input should be 'mean' or greater than or equal to 0" in message
    assert "1 mistake" in message


@pytest.mark.parametrize("key", ["int", "playback.int", "float", "level.str"])
def test_a_key_that_is_called_like_a_type_is_an_unknown_key(key: str) -> None:
    assert f"{key}: unknown key" in refused(None, f"{key}=5")


def test_alarms_are_looked_at_beside_other_mistakes() -> None:
    message = refused(
        None, "core.gain_db=999.0", 'level.alarms=[{name="A",kind="level",limit_db=1.0}]'
    )
    assert "2 mistakes" in message
    assert "level.alarms.0.name = 'A'" in message


@pytest.mark.parametrize("hours", ["00:00-00:00", "22:00-22:00", "24:00-06:00"])
def test_hours_that_never_come_are_refused(hours: str) -> None:
    alarm = f'level.alarms=[{{name="a",kind="level",limit_db=1.0,hours="{hours}"}}]'
    assert "nothing for always" in refused(None, alarm)


def test_hits_may_be_left_to_the_model_and_are_so_by_default() -> None:
    assert load_settings().detector.min_hits == 0
    settings = load_settings(None, ["detector.min_hits=50", "detector.labels.rain.min_hits=0"])
    assert (settings.detector.min_hits, settings.detector.labels["rain"].min_hits) == (50, 0)


def test_an_override_may_quote_its_key_and_hold_any_toml() -> None:
    settings = load_settings(
        None,
        ['detector.labels."a b".threshold=0.3', "core.filters=[{kind='notch', freq_hz=50.0}]"],
    )
    assert settings.detector.labels["a b"].threshold == 0.3
    assert settings.core.filters[0].kind == "notch"
    assert "--set" in refused(None, "core.gain_db=" + "[" * 5000)


@pytest.mark.parametrize(
    "url", ["mqtt://h:99999", "mqtt://h:0", "mqtt://a..b", "mqtts://.h", "mqtt://[::g]", "mqtt://"]
)
def test_an_address_that_no_broker_can_have_is_refused(url: str) -> None:
    assert "publish.url" in refused(None, f'publish.url="{url}"')


@given(st.from_regex(r"mqtts?://[A-Za-z0-9._\[\]:-]{1,30}", fullmatch=True))
def test_every_address_that_is_accepted_has_a_host_and_a_port(url: str) -> None:
    try:
        broker = Broker(load_settings(None, [f'publish.url="{url}"']).publish.url, "x")
    except ConfigError:
        return
    assert broker.host
    assert 1 <= broker.port <= 65535


def test_only_the_differences_count_as_changed() -> None:
    assert changed(load_settings()) == {}
    settings = load_settings(None, ["core.gain_db=3.0", "detector.labels.rain.min_hits=2"])
    assert changed(settings)["core"] == {"gain_db": 3.0}
    assert changed(settings)["detector"]["labels"]["rain"]["min_hits"] == 2


def test_the_digest_changes_with_any_setting() -> None:
    assert digest(load_settings()) == digest(load_defaults())
    assert digest(load_settings(None, ["core.gain_db=0.1"])) != digest(load_defaults())


def test_a_key_without_a_certificate_is_refused() -> None:
    assert "belong together" in refused(None, "publish.key_file=/x.pem")


@given(st.text(max_size=60), st.sampled_from(["core.gain_db", "node.id", "capture.x", "a.b.c", ""]))
def test_no_override_ends_in_a_traceback(value: str, key: str) -> None:
    try:
        load_settings(None, [f"{key}={value}"])
    except ConfigError as error:
        assert error.message  # noqa: PT017 - either outcome is right; a traceback is not


@given(st.binary(max_size=200))
def test_no_file_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "edge.toml"
    file.write_bytes(content)
    try:
        load_settings(file)
    except ConfigError as error:
        assert error.message  # noqa: PT017 - as above


class TestLean:
    """What the child hands over is what the parent would have read."""

    def test_the_records_are_the_same(self, tmp_path: Path) -> None:
        text = (
            "[[core.filters]]\nkind = 'notch'\nfreq_hz = 50.0\n[detector.labels.rain]\nmin_hits = 2"
        )
        file = write(tmp_path / "edge.toml", text)
        overrides = ["node.name=Hive 7", "capture.channel=1"]
        assert PendingSettings(file, overrides).result() == load_settings(file, overrides)

    def test_the_mistakes_are_the_same(self, tmp_path: Path) -> None:
        file = write(tmp_path / "edge.toml", FIVE_MISTAKES)
        with pytest.raises(ConfigError) as caught:
            PendingSettings(file, ()).result()
        assert str(caught.value) == refused(file)

    def test_a_child_whose_parent_has_ended_says_nothing(self) -> None:
        command = [sys.executable, "-m", "edge.config.load", "[null, []]"]
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing) as nobody:
            child = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
        assert child.stderr == b""
