# SPDX-License-Identifier: MIT
"""An authority of one's own, and a broker's certificates: a good one, and one that has expired."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    file: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a broker may show; both are signed by `authority`."""

    authority: Certificate
    good: Certificate
    expired: Certificate


def make_certificates(place: Path, *addresses: str) -> Certificates:
    """Make them for a broker that is reached by these addresses."""
    authority = Certificate(place / "ca.pem", place / "ca.key")
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca"),
        *("-keyout", str(authority.key), "-out", str(authority.file)),
    )
    names = ",".join(f"IP:{address}" for address in addresses)
    expired, good = (
        _issue(place, authority, name, names, days) for name, days in (("expired", 0), ("good", 2))
    )
    time.sleep(1.1)  # OpenSSL 3.4 makes none that ended before it began: this one ends as it begins
    return Certificates(authority, good, expired)


def _issue(place: Path, authority: Certificate, name: str, names: str, days: int) -> Certificate:
    made = Certificate(place / f"{name}.pem", place / f"{name}.key")
    request, extensions = place / f"{name}.csr", place / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n")
    _openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", str(made.key), "-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-days", str(days), "-extfile", str(extensions)),
        *("-CA", str(authority.file), "-CAkey", str(authority.key), "-CAcreateserial"),
        *("-out", str(made.file)),
    )
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
