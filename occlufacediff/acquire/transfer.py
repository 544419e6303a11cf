"""Download of one file over HTTP: resumed after interruptions, retried with growing waits, verified at the end.

Bytes go to ``.<name>.part`` next to the target, with a note about their source. The part is renamed to the target when
size and SHA-256 are right. A later run resumes the download of a killed program.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import requests
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from urllib3.exceptions import HTTPError

from occlufacediff.acquire.answers import (
    NotFetchedError,
    TryAgain,
    check_content,
    check_start,
    check_status,
    length_of,
    part_of,
)
from occlufacediff.acquire.checksums import Expected
from occlufacediff.acquire.credentials import Anonymous, Bearer, Secret
from occlufacediff.acquire.sources import Remote
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.errors import AssetError
from occlufacediff.files import sha256, written_aside
from occlufacediff.storage import StorageError, faults_named

CHUNK = 1 << 18
#: Without a version mark, this many bytes before an interruption are requested again and compared.
OVERLAP = 1 << 16
_REDIRECTS = (301, 302, 303)
#: Give up after this many rejected tokens in a row; more than one, because other files can use up a new token.
_TOKENS = 3

#: Called with the downloaded bytes of the file and its length (None: unknown).
Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Login:
    """Authorization of a request, and the values of the login form, if there is one."""

    auth: AuthBase
    user: Secret | None = None
    password: Secret | None = None


@dataclass(frozen=True)
class Fetched:
    """Size and digest of a downloaded file."""

    size: int
    sha256: str


@dataclass
class _Note:
    """Properties of the bytes in the part file."""

    identity: str
    length: int | None = None
    etag: str = ""
    modified: str = ""
    #: Whether it consists of more than one response.
    joined: bool = False

    @property
    def mark(self) -> str:
        """Version mark for If-Range; empty if the server sent none."""
        # Weak marks do not guarantee equal bytes.
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Transfer:
    """Downloads one file."""

    def __init__(
        self,
        remote: Remote,
        target: Path,
        login: Login,
        expected: Expected,
        *,
        settings: DownloadSettings,
        report: Report,
        stop: Event,
    ) -> None:
        """Prepare.

        Args:
            remote: the remote file.
            target: the file to write.
            login: authorization of the request.
            expected: known size and digest.
            settings: time limits and retries.
            report: called with the progress, at most ten times per second.
            stop: set when another file of the same job has failed; the download then stops.
        """
        self._remote, self._target, self._login, self._expected = remote, target, login, expected
        self._settings, self._report, self._stop = settings, report, stop
        self._part = target.with_name(f".{target.name}.part")
        self._record = target.with_name(f".{target.name}.part.json")
        self._failures = 0
        self._best = 0
        self._restarted = False

    def run(self) -> Fetched:
        """Download, verify, rename; without any request if the right file is there from an earlier run.

        Raises:
            NotFetchedError: the server has no such file, or sends a page or a different file, twice.
            AssetError: the server rejects the login, sends something else, or fails too often (the message has the
                remedy). The valid part is kept for the next run.
            StorageError: the disk has too little space, is read-only or missing; the valid part is kept.
        """
        again = Retrying(
            retry=retry_if_exception_type(TryAgain),
            stop=lambda state: self._failures >= self._settings.attempts,
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            # The bytes written before the disk was full are a valid part.
            with faults_named(self._target):
                self._target.parent.mkdir(parents=True, exist_ok=True)
                return self._here() or again(self._try)
        except TryAgain as error:
            raise AssetError(
                f"{self._remote.name}: given up after {self._failures} failures in a row: {error}. The downloaded "
                "part is kept; run again to resume."
            ) from None

    def _here(self) -> Fetched | None:
        """The target if it is complete and verified; a job of several files may have finished some earlier."""
        wanted = self._expected
        if wanted.sha256 is None or not self._target.is_file() or self._target.stat().st_size != wanted.size:
            return None
        found = Fetched(wanted.size, sha256(self._target))
        return found if found.sha256 == wanted.sha256 else None

    def _wait(self, state: RetryCallState) -> float:
        """Seconds before the next try: doubled with each failure in a row, or what the server requests."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, TryAgain) else 0.0
        growing = self._settings.first_wait_s * 2.0 ** min(self._failures - 1, 30)
        return min(max(asked, growing), self._settings.longest_wait_s)

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise self._stopped()

    def _stopped(self) -> AssetError:
        return AssetError(f"{self._remote.name}: stopped, because another file failed; the downloaded part is kept.")

    def _try(self) -> Fetched:
        try:
            note = self._receive()
            return self._finish(note)
        except TryAgain as error:
            self._count(error)
            raise
        except (requests.RequestException, HTTPError, ConnectionError, TimeoutError) as error:
            # The type names the error without credentials.
            fault = TryAgain(f"the connection failed ({type(error).__name__})")
            self._count(fault)
            raise fault from None

    def _count(self, error: TryAgain) -> None:
        size = self._part.stat().st_size if self._part.exists() else 0
        gained, self._best = size > self._best, max(size, self._best)
        self._failures = 1 if gained and not error.counts else self._failures + 1

    def _receive(self) -> _Note:
        """Send one request and append its content to the part file; return the note of the complete part."""
        note, have = self._resumable()
        if note.length is not None and have == note.length:
            return note
        start = have if note.mark else max(0, have - OVERLAP)
        with self._ask(note, start) as response:
            check_status(response, self._remote, self._settings)
            if response.status_code == 416:
                self._forget()
                raise TryAgain("the file is shorter than before; it is downloaded again", counts=True)
            check_content(response, self._remote, self._settings)
            note, start = self._place(response, note, start)
            self._check_room(note, start)
            self._append(response, note, start)
        return note

    def _resumable(self) -> tuple[_Note, int]:
        """The note of the part file and its size; a part of another file, or without a note, is removed."""
        try:
            note = _Note(**json.loads(self._record.read_text(encoding="utf-8")))
            have = self._part.stat().st_size
        except (FileNotFoundError, ValueError, TypeError):
            note, have = _Note(""), 0
        if note.identity != self._remote.identity or (note.length is not None and have > note.length):
            self._forget()
            return _Note(self._remote.identity), 0
        return note, have

    def _ask(self, note: _Note, start: int) -> requests.Response:
        """Send a request; if the server rejects the token, repeat it with a new one."""
        response, auth = self._send(note, start), self._login.auth
        for _ in range(_TOKENS):
            if response.status_code != 401 or not isinstance(auth, Bearer) or not auth.renew(response.request):
                break
            response.close()
            response = self._send(note, start)
        return response

    def _send(self, note: _Note, start: int) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start > 0:
            headers["Range"] = f"bytes={start}-"
            if note.mark:
                headers["If-Range"] = note.mark
        common: dict[str, Any] = {"headers": headers, "stream": True, "timeout": self._settings.timeout_s}
        user, password = self._login.user, self._login.password
        if user is None or password is None:
            return requests.get(self._remote.address, auth=self._login.auth, **common)
        form = {"username": user.reveal(), "password": password.reveal()}
        response = requests.post(self._remote.address, data=form, auth=Anonymous(), allow_redirects=False, **common)
        if response.status_code in _REDIRECTS:
            # Follow the redirect without the form: another site must not get the password.
            response.close()
            return requests.get(
                requests.compat.urljoin(self._remote.address, response.headers.get("Location", "")),
                cookies=response.cookies,
                auth=Anonymous(),
                **common,
            )
        return response

    def _place(self, response: requests.Response, note: _Note, start: int) -> tuple[_Note, int]:
        """Position of the content: after the part, or at the start for a whole file."""
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        if response.status_code == 206:
            part = part_of(response)
            other = (etag and note.etag and etag != note.etag) or (
                modified and note.modified and modified != note.modified
            )
            if part is None or part[0] != start or (note.length is not None and part[1] not in (None, note.length)):
                other = True
            if other:
                self._forget()
                raise TryAgain("the file has changed in between; it is downloaded again", counts=True)
            note.joined = True
            note.length = note.length if note.length is not None else part[1] if part else None
        else:
            start = 0
            note = _Note(self._remote.identity, length_of(response), etag, modified)
            self._part.unlink(missing_ok=True)
        if note.length is None and self._expected.size is None and "Transfer-Encoding" not in response.headers:
            raise AssetError(
                f"{self._remote.name}: the server does not state the length of the file, so an incomplete "
                "download cannot be detected; give its size in the table (column size)."
            )
        if None not in (note.length, self._expected.size) and note.length != self._expected.size:
            raise self._wrong(note, "size", note.length, self._expected.size)
        with written_aside(self._record) as aside:
            aside.write_text(json.dumps(asdict(note)), encoding="utf-8")
        return note, start

    def _check_room(self, note: _Note, start: int) -> None:
        free = shutil.disk_usage(self._part.parent).free
        if note.length is not None and note.length - start > free:
            raise StorageError(
                f"{self._target}: cannot be written: it needs {(note.length - start) / 1e6:,.0f} MB more, and its disk "
                f"has {free / 1e6:,.0f} MB left; free some space, then run again: finished work is kept"
            )

    def _append(self, response: requests.Response, note: _Note, start: int) -> None:
        """Write the content to the part file from ``start``; overlapping bytes must be equal."""
        self._part.touch()
        with self._part.open("r+b") as file:
            known = self._part.stat().st_size - start
            file.seek(start)
            begun, window, reported = time.monotonic(), 0, 0.0
            while data := response.raw.read1(CHUNK, decode_content=False):
                if self._stop.is_set():
                    raise self._stopped()
                if known > 0:
                    seen = file.read(min(known, len(data)))
                    if data[: len(seen)] != seen:
                        self._forget()
                        raise TryAgain("the file has changed in between; it is downloaded again", counts=True)
                    known -= len(seen)
                    file.seek(0, 1)
                    file.write(data[len(seen) :])
                else:
                    file.write(data)
                window += len(data)
                now = time.monotonic()
                if now - reported > 0.1:
                    self._report(file.tell(), note.length)
                    reported = now
                if now - begun > self._settings.timeout_s:
                    if window < self._settings.slowest_bytes_s * (now - begun):
                        raise TryAgain(
                            f"the server sends less than {self._settings.slowest_bytes_s} bytes/s", counts=True
                        )
                    begun, window = now, 0
            size = file.tell()
        self._report(size, note.length)
        if note.length is not None and size < note.length:
            raise TryAgain(f"the connection was cut at {size} of {note.length} bytes")
        if note.length is not None and size > note.length:
            self._forget()
            raise TryAgain(f"the server sends more than the announced {note.length} bytes", counts=True)

    def _finish(self, note: _Note) -> Fetched:
        """Verify the complete part and rename it to the target."""
        try:
            check_start(self._part, self._remote, self._settings)
        except AssetError:
            self._forget()
            raise
        fetched = Fetched(self._part.stat().st_size, sha256(self._part))
        for what, got, wanted in (
            ("size", fetched.size, self._expected.size),
            ("SHA-256", fetched.sha256, self._expected.sha256),
        ):
            if wanted is not None and got != wanted:
                raise self._wrong(note, what, got, wanted)
        self._part.replace(self._target)
        self._record.unlink(missing_ok=True)
        return fetched

    def _wrong(self, note: _Note, what: str, got: object, wanted: object) -> TryAgain | NotFetchedError:
        """The error for a wrong file; the part is removed, and the file is requested once more."""
        self._forget()
        # Parts of two versions, or bytes damaged in transit: request the whole file once more.
        if note.joined or (not self._restarted and self._failures + 1 < self._settings.attempts):
            self._restarted = True
            return TryAgain(f"its {what} is {got} and not {wanted}", counts=True)
        return NotFetchedError(
            f"{self._remote.name}: its {what} is {got}, and {self._expected.source} says {wanted}; the file was "
            f"removed. Remedy: {self._expected.remedy}."
        )

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)
