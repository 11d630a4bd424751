# SPDX-License-Identifier: MIT
from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError, StorageError
from edge.record.sealing import check_recipient, new_identity, seal, unseal

if TYPE_CHECKING:
    from pathlib import Path

SECRET, PUBLIC = new_identity()
NEEDS_AGE = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


@given(st.binary(max_size=200_000))
def test_what_was_sealed_is_opened_by_its_key_alone(data: bytes) -> None:
    sealed = seal(data, PUBLIC)
    assert unseal(sealed, SECRET) == data
    assert len(data) < 16 or data not in sealed
    with pytest.raises(StorageError, match="can't be decrypted"):
        unseal(sealed, new_identity()[0])


def test_the_box_that_sealed_it_can_not_read_it_back() -> None:
    sealed = seal(b"sound", PUBLIC)
    with pytest.raises(ConfigError, match="no secret key"):
        unseal(sealed, PUBLIC)


def test_each_identity_is_another() -> None:
    assert len({new_identity() for _ in range(10)}) == 10


def test_a_key_file_may_hold_comments_and_several_keys() -> None:
    other = new_identity()[0]
    text = f"# created: today\n# public key: {PUBLIC}\r\n{other}\r\n{SECRET}\n"
    assert unseal(seal(b"sound", PUBLIC), text) == b"sound"


@pytest.mark.parametrize("position", [0, 25, 80, -1])
def test_what_was_changed_on_its_way_is_refused(position: int) -> None:
    sealed = bytearray(seal(bytes(1000), PUBLIC))
    sealed[position] ^= 1
    with pytest.raises(StorageError, match="can't be decrypted"):
        unseal(bytes(sealed), SECRET)


@pytest.mark.parametrize("data", [b"", b"fLaC", b"age-encryption.org/v1\n", bytes(1000)])
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    with pytest.raises(StorageError, match="can't be decrypted"):
        unseal(data, SECRET)


def test_what_was_cut_short_is_refused() -> None:
    sealed = seal(bytes(200_000), PUBLIC)
    for length in (len(sealed) - 1, 150_000, 200, 50):
        with pytest.raises(StorageError, match="can't be decrypted"):
            unseal(sealed[:length], SECRET)


@pytest.mark.parametrize(
    "text", ["", "age1", "ssh-ed25519 AAAA", SECRET, PUBLIC[:-1], PUBLIC.replace("1", "2"), "\0"]
)
def test_what_is_no_public_key_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"record\.public_key is .*, not a public key") as said:
        check_recipient(text)
    assert "keygen" in said.value.help
    assert "AGE-SECRET-KEY" not in said.value.message, "a secret is not repeated"


def test_a_public_key_is_one_with_blanks_around_it_too() -> None:
    check_recipient(f" {PUBLIC}\n")


def test_a_damaged_secret_key_is_said_without_showing_it() -> None:
    damaged = SECRET[:-1] + ("Q" if SECRET[-1] != "Q" else "P")
    with pytest.raises(ConfigError, match="damaged") as said:
        unseal(seal(b"", PUBLIC), damaged)
    assert damaged[20:40] not in str(said.value)


@NEEDS_AGE
def test_the_age_tool_opens_what_we_sealed(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(SECRET)
    data = bytes(range(256)) * 1000
    opened = subprocess.run(
        ["age", "--decrypt", "--identity", tmp_path / "key.txt"],
        input=seal(data, PUBLIC),
        capture_output=True,
        check=True,
    )
    assert opened.stdout == data


@NEEDS_AGE
def test_we_open_what_the_age_tool_sealed() -> None:
    data = bytes(range(256)) * 1000
    sealed = subprocess.run(
        ["age", "--recipient", PUBLIC], input=data, capture_output=True, check=True
    ).stdout
    assert unseal(sealed, SECRET) == data


@NEEDS_AGE
def test_we_take_the_key_file_of_age_keygen(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", tmp_path / "key.txt"], capture_output=True, check=True)
    text = (tmp_path / "key.txt").read_text()
    public = text.partition("public key: ")[2].split()[0]
    assert unseal(seal(b"sound", public), text) == b"sound"
