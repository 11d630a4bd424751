# SPDX-License-Identifier: MIT
"""A real https server on loopback that can misbehave, with a certificate made here; or http."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class _Quiet(ThreadingHTTPServer):
    """Says nothing of a client that hangs up: some tests are about just that."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Server:
    """Serves `files` by path; `asked` are the ranges that were asked for.

    cut : so many bytes of an answer are sent, then the connection ends.
    ranges : whether parts of a file are served.
    says : the length that is said, if it is not the true one; 0: none is said, the file comes in
        chunks instead; "": neither.
    partial : whether all of a file is called a part of it.
    """

    def __init__(self, directory: Path, *, scheme: str = "https") -> None:
        self._scheme = scheme
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self.cut: int | None = None
        self.ranges = True
        self.says: int | str | None = None
        self.partial = False
        self.etag = '"one"'
        self._server = _Quiet(("127.0.0.1", 0), self._handler())
        self.ca_file = directory / "server.crt"
        if scheme == "https":
            self._encrypt(directory)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _encrypt(self, directory: Path) -> None:
        key = directory / "server.key"
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
        subprocess.run([*command, "-out", str(self.ca_file)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def url(self, path: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # 1.0 knows no chunks

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        path = to.path.strip("/")
        asked = to.headers.get("Range", "")
        self.asked.append(asked)
        to.close_connection = True
        if path in self.moved:
            to.send_response(302)
            to.send_header("Location", self.moved[path])
            to.end_headers()
            return
        if path not in self.files:
            to.send_error(404)
            return
        content = self.files[path]
        same = to.headers.get("If-Range", self.etag) == self.etag
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.ranges and same else 0
        if start >= len(content) > 0 and start:
            to.send_error(416)
            return
        to.send_response(206 if start or self.partial else 200)
        if self.etag:
            to.send_header("ETag", self.etag)
        if start or self.partial:
            to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        length = len(content) - start if self.says is None else self.says
        name, value = ("Content-Length", length) if length else ("Transfer-Encoding", "chunked")
        if length != "":
            to.send_header(name, str(value))
        to.end_headers()
        body = content[start:][: self.cut]
        if length or self.says == "":
            to.wfile.write(body)
            return
        for at in range(0, len(body), 10_000):
            piece = body[at : at + 10_000]
            to.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if self.cut is None:
            to.wfile.write(b"0\r\n\r\n")
