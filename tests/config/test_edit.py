# SPDX-License-Identifier: MIT
"""A settings file gets other values, and keeps everything else."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.edit import edited, toml_value
from edge.errors import ConfigError

FILE = """# mine
[node]   # who
name = "Old" # for people
[capture]
device = 'hw:1'
rate_hz = 44100
[[core.filters]]
kind = "notch"
[other]
name = "not this one"
"""


def test_a_value_is_replaced_in_its_line_and_every_other_line_stays() -> None:
    text = edited(FILE, {("node", "name"): "New", ("capture", "device"): "usb:1"})
    assert text == FILE.replace('"Old"', '"New"').replace("'hw:1'", '"usb:1"')


def test_a_key_that_is_not_there_is_put_into_its_section() -> None:
    text = edited(FILE, {("node", "id"): "x", ("speech", "action"): "drop"})
    tree = tomllib.loads(text)
    assert tree["node"] == {"id": "x", "name": "Old"}
    assert tree["speech"] == {"action": "drop"}
    assert "# mine" in text
    assert "# for people" in text


def test_an_empty_file_will_do() -> None:
    assert edited("", {("node", "id"): "x"}) == '[node]\nid = "x"\n'


@pytest.mark.parametrize(
    "text",
    [
        'node = {name = "x"}\n',
        'node.name = "x"\n',
        '[node]\nname = """x\ny"""\n',
        '[node]\n"name" = "x"\n',
        "node = 3\n",
        "[node\n",
    ],
)
def test_what_can_not_be_edited_line_by_line_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        edited(text, {("node", "name"): "y"})


@given(st.text(max_size=30))
def test_any_text_comes_back(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert tomllib.loads(edited(FILE, {("node", "name"): text}))["node"]["name"] == text


def test_every_kind_of_value_is_toml() -> None:
    value = [True, 1, 2.5, "ä\x7f", [], {"a": "b"}]
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
