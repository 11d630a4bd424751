# SPDX-License-Identifier: MIT
"""Who the broker is, who we are to it, and what it may answer."""

from __future__ import annotations

import enum
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from edge.errors import PublishError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT_S: Final = 5.0
# Letters of what a broker says of its own: a state of Home Assistant has 255.
MOST_WORDS: Final = 80
CREDENTIAL: Final = Path("/etc/credstore/edge.mqtt-password")  # as in edge-listen.service
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class Refusal(enum.Enum):
    """Whether the broker took a message."""

    NOT = "taken"
    FOR_NOW = "not now"
    NOT_ALLOWED = "not allowed"  # until somebody mends the broker's access list
    TOO_LARGE = "too large"  # likewise
    FOR_EVER = "not understood"
    LEFT_OUT = "not said"  # by us: the broker would end the connection, it seems


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it. The password is never shown."""

    url: str
    client_id: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: int = 30

    @property
    def host(self) -> str:
        """The broker's host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port; the scheme's own where the address names none."""
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]


def tls_context(broker: Broker) -> ssl.SSLContext:
    """Return TLS 1.2 or newer with the broker's name and certificate checked.

    Raises `PublishError` naming the file that can't be used.
    """
    for name in (broker.ca_file, broker.cert_file, broker.key_file):
        if name and not Path(name).is_file():
            raise PublishError(f"{name} is not a file", "publish.*_file name PEM files on this box")
    try:
        context = ssl.create_default_context(cafile=broker.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Python 3.13 asks certificates for the form of RFC 5280 too, which the authority that
        # `openssl req -x509` makes at home does not have. Chain, dates and name are still checked.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if broker.cert_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
    except (ssl.SSLError, OSError) as error:
        raise PublishError(
            f"the certificates can't be used: {error}",
            "check publish.ca_file, cert_file and key_file",
        ) from error
    return context


def explain(error: BaseException | None, broker: Broker) -> str:
    """Return why a connection failed, for people."""
    place = f"{broker.host}:{broker.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{place}: the broker's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{place}: no TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return f"{place}: no answer within {CONNECT_TIMEOUT_S:g} s"
    return f"{place}: {error}"


def words(reason: object, properties: object) -> str:
    """Return what a broker says with a reason code: its name, own words, another server."""
    said = [str(reason)]
    for name in ("ReasonString", "ServerReference"):
        own = str(getattr(properties, name, ""))[:MOST_WORDS]
        said += ["".join(letter for letter in own if letter.isprintable())] if own else []
    return ": ".join(said)


def read_password(file: str, credentials: Mapping[str, str]) -> str:
    """Return the password in `file`, or in the unit's credential `mqtt-password`, or "".

    Root, outside of the unit, has what the unit is given.

    Parameters
    ----------
    file : from the settings; empty: only the credential is looked for.
    credentials : the environment; systemd names the directory in CREDENTIALS_DIRECTORY.
    """
    directory = credentials.get("CREDENTIALS_DIRECTORY", "")
    given = Path(directory, "mqtt-password") if directory else CREDENTIAL
    path = Path(file) if file else given
    try:
        if not file and not path.is_file():
            return ""
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        if path == CREDENTIAL and isinstance(error, PermissionError):
            return ""  # it is not for this user
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PublishError(
            f"the password file {path} can't be read: {reason}",
            "write the password into it, readable for the user that edge runs as",
        ) from error
