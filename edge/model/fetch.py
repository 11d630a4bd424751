# SPDX-License-Identifier: MIT
"""Files over HTTPS: taken up where they broke off; whole and as their digest says, or not."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from edge import durable
from edge.errors import ModelError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Told = Callable[[int, int | None], None]

MOST_BYTES: Final = 500_000_000
TIMEOUT_S: Final = 30.0  # without a byte
KEPT_S: Final = 7 * 86400.0  # what broke off and was not gone on with
_PIECE_BYTES: Final = 1 << 16
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_AGAIN: Final = "run the command again: it goes on from there"


@dataclass(frozen=True, slots=True)
class Known:
    """A file that is known by name; `voice`: it is for `speech.model`, and no classifier."""

    url: str
    sha256: str
    n_bytes: int
    voice: bool = False


KNOWN: Final[Mapping[str, Known]] = {
    "yamnet": Known(
        "https://tfhub.dev/google/lite-model/yamnet/classification/tflite/1?lite-format=tflite",
        "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
        4_126_810,
    ),
    "silero": Known(
        "https://raw.githubusercontent.com/snakers4/silero-vad/master/src/silero_vad/data/"
        "silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        2_327_524,
        voice=True,
    ),
}


class Fetch:
    """One file on its way; what came so far lies beside `out` and survives a cut.

    Parameters
    ----------
    url : https:// only, also where it leads on to another.
    out : where the file goes, in one step, when it is whole.
    sha256 : 64 hex digits that it must have; None: any. Then a file that broke off is taken up
        only where the server says that it is still the same.
    n_bytes : how long it must be; None: any length up to 500 MB.
    ca_file : who signed the server's certificate; None: the system's list.
    told : called with the bytes that are there and, if known, all of them.

    Raises `ModelError` for an address that is not https, or a digest that is none.
    """

    def __init__(
        self,
        url: str,
        out: Path,
        *,
        sha256: str | None = None,
        n_bytes: int | None = None,
        ca_file: Path | None = None,
        told: Told = lambda _here, _all: None,
    ) -> None:
        _check_https(url)
        if sha256 and not _DIGEST.fullmatch(sha256):
            raise ModelError(f"{sha256!r:.100} is no sha256", "it has 64 digits of 0-9 a-f")
        self._url = url
        self._out = out
        self._sha256 = sha256.lower() if sha256 else None
        self._n_bytes = n_bytes
        self._told = told
        # Another address or digest is another file: their parts are never joined.
        key = hashlib.sha256(f"{url} {self._sha256}".encode()).hexdigest()[:12]
        self._part = out.with_name(f".{out.name}.{key}.part")
        self._tag = self._part.with_suffix(".tag")
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ModelError(f"{ca_file} is no list of certificates: {error}") from error
        self._opener = urllib.request.OpenerDirector()
        # No handler for http: a redirection to where nobody vouches for the server fails.
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def run(self) -> str:
        """Fetch the file and return its SHA-256.

        Raises `ModelError` with the reason and what to do; `StorageError` where it can't be
        written. `out` is as it was then.
        """
        try:
            self._sweep()
            self._fetch()
            return self._accept()
        except OSError as error:  # of the disk: the network's are ModelErrors by now
            raise StorageError(f"{self._out} can't be written: {error.strerror}") from error

    def _fetch(self) -> None:
        here = self._part.stat().st_size if self._part.exists() else 0
        tag = self._tag.read_text(errors="replace") if self._tag.exists() else ""
        if here and not (tag or self._sha256):
            here = 0
        headers = {"User-Agent": "edge", "Accept-Encoding": "identity"}
        if here:
            headers["Range"] = f"bytes={here}-"
            if tag:
                headers["If-Range"] = tag
        with self._open(urllib.request.Request(self._url, headers=headers)) as answer:  # noqa: S310 - https, checked
            if answer.status == 206:
                self._check_range(answer.headers.get("Content-Range", ""), here)
            elif answer.status == 200:
                here = 0
            else:
                here = self._past_the_end(here)
                return
            self._remember(answer.headers.get("ETag", ""))
            total = self._total(answer, here)
            self._check_length(total or 0)
            self._check_room((total or 0) - here)
            self._receive(answer, here, total)

    def _total(self, answer: http.client.HTTPResponse, here: int) -> int | None:
        """Return how long the file will be; None: nobody says, and its end will be told."""
        length = answer.headers.get("Content-Length", "")
        if _LENGTH.fullmatch(length):
            return here + int(length)
        if length:
            raise ModelError(f"the server says a length of {length!r:.40}", "nothing was changed")
        if self._n_bytes is None and not (self._sha256 or answer.chunked):
            raise ModelError(
                "the server does not say where the file ends", "name its digest with --sha256"
            )
        return self._n_bytes

    def _sweep(self) -> None:
        """Remove what broke off long ago and nobody went on with."""
        kept = {self._part, self._tag}
        for pattern in (".*.part", ".*.tag"):
            for one in set(self._out.parent.glob(pattern)) - kept:
                with contextlib.suppress(OSError):
                    if time.time() - one.stat().st_mtime > KEPT_S:
                        one.unlink()

    def _check_room(self, n_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if n_bytes > free_bytes:
            raise ModelError(
                f"{n_bytes} bytes are to come, and {free_bytes} are free in {self._part.parent}",
                "make room first",
            )

    def _open(self, request: urllib.request.Request) -> Any:  # noqa: ANN401 - an HTTPResponse
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return error
            raise ModelError(
                f"the server says {error.code} {error.reason} to {self._url}",
                "see whether the address is still right",
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ModelError(
                f"{self._url} can't be reached: {reason}", "see to the network"
            ) from error

    def _check_range(self, said: str, here: int) -> None:
        if not here or not said.startswith(f"bytes {here}-"):
            self._discard()
            raise ModelError(f"the server sent {said!r:.60}, not what follows {here} bytes", _AGAIN)

    def _past_the_end(self, here: int) -> int:
        """Nothing follows what is here: it is whole, or of another file."""
        if self._sha256 is None or here != self._n_bytes:
            self._discard()
            raise ModelError("what was here is not of the file at the server", _AGAIN)
        return here

    def _remember(self, tag: str) -> None:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        if tag and not tag.startswith("W/"):
            self._tag.write_text(tag)
        else:
            self._tag.unlink(missing_ok=True)

    def _check_length(self, total: int) -> None:
        if self._n_bytes is not None and total != self._n_bytes:
            self._discard()
            raise ModelError(
                f"the file at the server has {total} bytes, not {self._n_bytes}",
                "it is another one than it was: nothing was changed here",
            )
        if total > MOST_BYTES:
            self._discard()
            raise ModelError(
                f"the file has {total} bytes", f"{MOST_BYTES} are the most that is fetched"
            )

    def _receive(self, answer: http.client.HTTPResponse, here: int, total: int | None) -> None:
        most = MOST_BYTES if total is None else total
        with self._part.open("r+b" if here else "wb") as file:
            file.seek(here)
            while piece := self._piece(answer, here, total):
                here += len(piece)
                if here > most:
                    self._discard()
                    raise ModelError(f"more than {most} bytes came", "nothing was changed here")
                file.write(piece)
                self._told(here, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and here < total:
            raise ModelError(f"it broke off after {here} of {total} bytes", _AGAIN)

    def _piece(self, answer: http.client.HTTPResponse, here: int, total: int | None) -> bytes:
        try:
            return answer.read(_PIECE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise ModelError(
                f"it broke off after {here} of {total or 'unknown'} bytes: {error}", _AGAIN
            ) from error

    def _accept(self) -> str:
        with self._part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if self._sha256 and digest != self._sha256:
            self._discard()
            raise ModelError(
                f"what came has the sha256 {digest}, not {self._sha256}",
                "it was damaged or swapped on its way, or is a newer one: it was not kept",
            )
        self._part.replace(self._out)
        durable.sync(self._out.parent)
        self._tag.unlink(missing_ok=True)
        return digest

    def _discard(self) -> None:
        for one in (self._part, self._tag):
            with contextlib.suppress(OSError):
                one.unlink()


def _check_https(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits or any(ord(letter) <= 32 for letter in url):
        raise ModelError(f"{url!r:.200} is no https address", "models are fetched by https only")
