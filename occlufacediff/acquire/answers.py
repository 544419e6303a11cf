"""Interpretation of server responses: the file, a part of it, a web page, a rejection, or a temporary error."""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

from requests import Response

from occlufacediff.acquire.sources import FORM, TOKEN, Remote
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.errors import AssetError

_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--", b"<script", b'{"error', b'{ "error')
#: Reasons in a 403 of the shared folder's service, for a retry soon or tomorrow.
_SOON = ("userRateLimitExceeded", "rateLimitExceeded", "sharingRateLimitExceeded")
_TOMORROW = ("downloadQuotaExceeded", "dailyLimitExceeded")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class TryAgain(Exception):
    """A temporary error.

    Attributes:
        wait: seconds that the server requests; 0: none.
        counts: whether it counts as a failure even if bytes were received.
    """

    def __init__(self, message: str, *, wait: float = 0.0, counts: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.counts = counts


class NotFetchedError(AssetError):
    """A file is permanently unavailable; the data set can continue without it."""


def check_status(response: Response, remote: Remote, settings: DownloadSettings) -> None:
    """Accept responses with content (200, 206) and 416.

    Raises:
        TryAgain: 408, 429, 5xx, and 403 for too many requests.
        NotFetchedError: 404 and 410, with the remedy.
        AssetError: every other status, with the remedy.
    """
    status = response.status_code
    if status in (200, 206, 416):
        return
    words = _words(response) if status == 403 else ""
    if status in (408, 429) or status >= 500 or any(word in words for word in _SOON):
        raise TryAgain(f"the server answers {status}", wait=_wait(response))
    if any(word in words for word in _TOMORROW):
        raise AssetError(
            f"{remote.name}: today's quota of the shared folder is used up (403). Downloaded files are kept; run again "
            "tomorrow, or copy the file to your own folder and put its id into the table."
        )
    if status in (401, 403):
        raise AssetError(
            f"{remote.name}: the server rejects the request ({status}). {_remedy(status, remote, settings)}"
        )
    if status in (404, 410):
        raise NotFetchedError(
            f"{remote.name}: the server has no such file ({status}), or hides it from this account; check its id or "
            f"address ({remote.identity}) in the table."
        )
    if 300 <= status < 400:
        raise AssetError(f"{remote.name}: the server redirects the log-in ({status}); the redirect is not followed.")
    raise AssetError(f"{remote.name}: the server answers {status}; check its address ({remote.identity}) in the table.")


def _remedy(status: int, remote: Remote, settings: DownloadSettings) -> str:
    if remote.login == TOKEN:
        if status == 401 and settings.token_command:
            return (
                "It also rejects the token of download.token_command: check that the command's account is logged in "
                "and may read the files (scope drive.readonly), then run again; downloaded files are kept."
            )
        if status == 401:
            return (
                f"The token in the environment variable {settings.token_variable} is wrong or has expired: get a new "
                "one, set it and run again, or set download.token_command, which renews expired tokens; "
                "downloaded files are kept."
            )
        return (
            f"The account of the token in {settings.token_variable} may not read this file: ask its owner for "
            "access, or get a token with the right to read files (scope drive.readonly), and run again."
        )
    if remote.login == FORM:
        return (
            f"Check user name and password in {settings.user_variable} and {settings.password_variable}, and that the "
            "account has accepted the terms on the owner's site."
        )
    return "It requires a login: check its address and the column login of the table (download.assets_table)."


def check_content(response: Response, remote: Remote, settings: DownloadSettings) -> None:
    """Reject web pages and encoded content.

    Raises:
        NotFetchedError: a web page.
        AssetError: encoded content.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGE_TYPES:
        raise page_instead(remote, settings)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise AssetError(f"{remote.name}: the server sends it encoded ({coding!r}), which was not requested.")


def check_start(path: Path, remote: Remote, settings: DownloadSettings) -> None:
    """Reject a web page by its first bytes, whatever its declared type.

    Raises:
        NotFetchedError: the file starts like a web page or an error message.
    """
    with path.open("rb") as file:
        start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    text = start.replace(b"\n", b"").replace(b"\r", b"")
    if text.startswith(_PAGE_STARTS) or (text.startswith(b"<?xml") and b"<html" in text):
        raise page_instead(remote, settings)


def page_instead(remote: Remote, settings: DownloadSettings) -> NotFetchedError:
    """The error for a web page instead of the file."""
    remedy = _remedy(401, remote, settings) if remote.login != "none" else "Open its address in a browser."
    return NotFetchedError(
        f"{remote.name}: the server sent a web page instead of the file, perhaps a login page or a quota notice. "
        f"{remedy}"
    )


def part_of(response: Response) -> tuple[int, int | None] | None:
    """First byte and total length (None: unknown) in a 206 response; None if they are missing."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        return None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def length_of(response: Response) -> int | None:
    """Length of the content; None if unknown."""
    text = response.headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _words(response: Response) -> str:
    """The reasons in a JSON error of the service; they are never shown."""
    try:
        answer = json.loads(response.raw.read(65536, decode_content=True) or b"null")
        reasons = [entry["reason"] for entry in answer["error"]["errors"]]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(reason) for reason in reasons)


def _wait(response: Response) -> float:
    """Seconds of Retry-After, which is a number or a date; 0 without it."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
