# SPDX-License-Identifier: MIT
"""Sound encrypted for a public key: the box can write it and cannot read it back.

The format is age's (https://age-encryption.org/v1), X25519 only: the command line tool `age`
opens what is written here, and the other way round.
"""

from __future__ import annotations

import io
import re
from typing import Final

import pyrage

from edge.errors import ConfigError, StorageError

IDENTITY: Final = re.compile(r"^AGE-SECRET-KEY-1[0-9A-Z]+$", re.MULTILINE)


def check_recipient(text: str) -> None:
    """Raise `ConfigError` for what is not a public key of age."""
    _recipient(text)


def seal(data: bytes, recipient: str) -> bytes:
    """Return `data` encrypted for a public key, `age1…`: some 200 bytes longer, and 16 per 64 KiB.

    In pieces of 64 KiB: between two of them other threads have their turn, which a whole clip of
    many channels would keep from the sound card for too long. Raises `ConfigError` for what is
    not a public key.
    """
    sealed = io.BytesIO()
    pyrage.encrypt_io(_Pieces(data), sealed, [_recipient(recipient)])
    return sealed.getvalue()


def unseal(data: bytes, identity: str) -> bytes:
    """Return what was encrypted.

    Parameters
    ----------
    identity : the text of a key file, as `new_identity` or age-keygen gives it: one or more
        secret keys, a line each, and comments.

    Raises `ConfigError` where there is no secret key, `StorageError` where none of them opens
    it or it was changed on its way.
    """
    try:
        keys = [pyrage.x25519.Identity.from_str(key) for key in IDENTITY.findall(identity)]
    except pyrage.IdentityError as error:
        raise ConfigError(
            "the key file holds a secret key that is damaged", "compare it with your copy"
        ) from error
    if not keys:
        raise ConfigError(
            "the key file holds no secret key",
            "a line of it begins with AGE-SECRET-KEY-1; `edge clips keygen` makes one",
        )
    try:
        opened: bytes = pyrage.decrypt(data, keys)
    except pyrage.DecryptError as error:
        raise StorageError(
            f"it can't be decrypted: {error}",
            "use the key whose public half was in record.public_key when it was recorded",
        ) from error
    return opened


def new_identity() -> tuple[str, str]:
    """Return a new secret key and the public key that belongs to it."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


class _Pieces:
    """Bytes as a file whose `read` is Python: there the interpreter may change threads."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def read(self, n: int) -> bytes:
        piece, self._rest = bytes(self._rest[:n]), self._rest[n:]
        return piece


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        told = "a secret key" if IDENTITY.match(text.strip()) else repr(text[:80])
        raise ConfigError(
            f"record.public_key is {told}, not a public key: {error}",
            "it begins with age1; `edge clips keygen FILE` makes one",
        ) from error
