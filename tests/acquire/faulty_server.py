"""A real HTTP server on loopback that serves files and fails on purpose, one fault a request."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

TOKEN = "ya29.loopback-Secret_0123456789"
USER, PASSWORD = "holder@example.org", "pass&word=öne"
PAGE = b"<!DOCTYPE html>\n<html><body>Please sign in</body></html>"


@dataclass
class Served:
    """A file and what goes wrong with it: a word or pair a request, from the front; then nothing."""

    content: bytes
    faults: list[object] = field(default_factory=list)
    #: Strong mark of the version; None: the server gives none.
    marked: bool = True
    #: Set when the fault `change` comes.
    changed: bytes | None = None
    #: Whether it is in a shared drive, where Google Drive finds only what is requested with supportsAllDrives=true.
    shared_drive: bool = False

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    host: str
    range: str
    authorization: str
    form: str


class FaultyServer(ThreadingHTTPServer):
    """Serves `files` by id below ``/drive/v3`` (bearer token), ``/form`` (user name and password) and ``/open``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        #: Whether a bearer token is good now.
        self.accepts: Callable[[str], bool] = lambda token: token == TOKEN
        #: Called while a request waits for its answer.
        self.spy: Callable[[], object] = lambda: None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def service(self) -> str:
        return f"{self.base}/drive/v3"

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that the client gave up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: FaultyServer
    ROUTES: ClassVar = re.compile(r"/(drive/v3/files|form|open)/([A-Za-z0-9_.-]+)")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.answer("GET", "")

    def do_POST(self) -> None:
        self.answer("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, method: str, form: str) -> None:
        self.server.asked.append(
            Asked(
                method,
                self.path,
                self.headers["Host"],
                self.headers.get("Range", ""),
                self.headers.get("Authorization", ""),
                form,
            )
        )
        self.server.spy()
        match = self.ROUTES.fullmatch(urlsplit(self.path).path)
        if match is None or match[2] not in self.server.files:
            return self.say(404, b"{}")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if match[1] == "drive/v3/files" and not self.server.accepts(token):
            return self.say(401, b'{"error": {"code": 401}}')
        if match[1] == "form":
            given = parse_qs(form)
            if given.get("username") != [USER] or given.get("password") != [PASSWORD]:
                return self.say(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        served = self.server.files[match[2]]
        if served.shared_drive and parse_qs(urlsplit(self.path).query).get("supportsAllDrives") != ["true"]:
            return self.say(404, b'{"error": {"errors": [{"reason": "notFound"}], "code": 404}}')
        fault = served.faults.pop(0) if served.faults else ""
        word, value = fault if isinstance(fault, tuple) else (fault, None)
        if isinstance(word, int):
            return self.say(word, b"{}" if value is None else str(value).encode())
        if word == "retry_after":
            return self.say(429, b"", {"Retry-After": str(value)})
        if word == "html":
            return self.say(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        if word == "html_as_tar":
            return self.say(200, PAGE, {"Content-Type": "application/x-tar"})
        if word == "redirect":
            return self.say(302, b"", {"Location": str(value)})
        if word == "drop":
            return self.drop()
        if word == "change":
            assert served.changed is not None
            served.content = served.changed
        self.send_file(served, str(word), value)
        return None

    def say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        self.close_connection = True

    def send_file(self, served: Served, word: str, value: object) -> None:
        content, start = served.content, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", served.etag) == served.etag or word == "ignore_if_range"
        if asked and same and word != "ignore_range":
            start = int(asked[1])
            if start >= len(content):
                return self.say(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/x-tar")
        if served.marked:
            self.send_header("ETag", served.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        length = len(content) - start + (int(str(value)) if word == "wrong_length" else 0)
        if word == "chunked" or word == "chunked_cut":
            self.send_header("Transfer-Encoding", "chunked")
        elif word != "no_length":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = bool(word)
        body = content[start:]
        if word in ("cut", "ignore_range") and value is not None:
            self.wfile.write(body[: int(str(value))])
        elif word in ("chunked", "chunked_cut"):
            for place in range(0, len(body) // (2 if word == "chunked_cut" else 1), 50_000):
                piece = body[place : place + 50_000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if word == "chunked":
                self.wfile.write(b"0\r\n\r\n")
        elif word == "trickle":
            for place in range(0, len(body), 10):
                self.wfile.write(body[place : place + 10])
                self.wfile.flush()
                time.sleep(0.02)
        elif word == "silence":
            self.wfile.write(body[:1000])
            self.wfile.flush()
            time.sleep(float(str(value)))
        else:
            self.wfile.write(body)
        return None


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """The server, running in a thread."""
    with FaultyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
