# SPDX-License-Identifier: MIT
"""The exception tree and the exit codes: what can go wrong, and how to mend it.

Expected trouble (an xrun, a broker that is away, a late patch) is data and
never comes through here.
"""

from __future__ import annotations

from typing import Final

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_DEVICE: Final = 69  # EX_UNAVAILABLE
EXIT_MODEL: Final = 65  # EX_DATAERR
EXIT_STORAGE: Final = 74  # EX_IOERR
EXIT_PUBLISH: Final = 76  # EX_PROTOCOL
EXIT_CONFIG: Final = 78  # EX_CONFIG: the unit is not restarted on it


class EdgeError(Exception):
    """Something is wrong that a person can mend.

    Parameters
    ----------
    message : what is wrong, one sentence, with the value that was met.
    help : how to mend it, one sentence; may be empty.
    """

    exit_code: int = EXIT_FAILURE

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - the field's name in every report
        super().__init__(message)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        """Return the message and, after it, how to mend it."""
        return f"{self.message} ({self.help})" if self.help else self.message


class ConfigError(EdgeError):
    """The settings can't be used."""

    exit_code = EXIT_CONFIG


class DeviceError(EdgeError):
    """The sound card, or the recording that stands in for it, can't be used."""

    exit_code = EXIT_DEVICE


class DeviceAwayError(DeviceError):
    """The sound card isn't there, or another program holds it: that may mend itself."""


class ModelError(EdgeError):
    """The model file can't be used."""

    exit_code = EXIT_MODEL


class PublishError(EdgeError):
    """The broker can't be used."""

    exit_code = EXIT_PUBLISH


class StorageError(EdgeError):
    """The state directory can't be used."""

    exit_code = EXIT_STORAGE
