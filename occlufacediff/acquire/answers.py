"""What an answer of a server means: the file, a part of it, a page in its place, a refusal, or try again."""

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
#: Words of the shared folder's service in a 403: come back sooner or later.
_SOON = ("userRateLimitExceeded", "rateLimitExceeded", "sharingRateLimitExceeded")
_TOMORROW = ("downloadQuotaExceeded", "dailyLimitExceeded")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class TryAgain(Exception):
    """A fault that may pass.

    Attributes:
        wait: seconds that the server asks for, 0 where it does not.
        counts: whether it counts as a failure even when bytes were gained.
    """

    def __init__(self, message: str, *, wait: float = 0.0, counts: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        self.counts = counts


class NotFetchedError(AssetError):
    """This one file is refused for good, whatever is asked for next: a data set can go on without it."""


def check_status(response: Response, remote: Remote, settings: DownloadSettings) -> None:
    """Let answers with content (200, 206) and 416 pass.

    Raises:
        TryAgain: 408, 429, 5xx, and 403 for asking too often.
        NotFetchedError: 404 and 410, with the remedy.
        AssetError: every other status, likewise.
    """
    status = response.status_code
    if status in (200, 206, 416):
        return
    words = _words(response) if status == 403 else ""
    if status in (408, 429) or status >= 500 or any(word in words for word in _SOON):
        raise TryAgain(f"the server answers {status}", wait=_wait(response))
    if any(word in words for word in _TOMORROW):
        raise AssetError(
            f"{remote.name}: today's quota of the shared folder is used up (403). What was fetched is kept; run again "
            "tomorrow, or copy the file into a folder of your own and write its id into the table."
        )
    if status in (401, 403):
        raise AssetError(f"{remote.name}: the server refuses ({status}). {_remedy(status, remote, settings)}")
    if status in (404, 410):
        raise NotFetchedError(
            f"{remote.name}: the server has no such file ({status}), or hides it from this account; check its id or "
            f"address ({remote.identity}) in the table."
        )
    if 300 <= status < 400:
        raise AssetError(f"{remote.name}: the server leads elsewhere ({status}) with the log-in; that is not followed.")
    raise AssetError(f"{remote.name}: the server answers {status}; check its address ({remote.identity}) in the table.")


def _remedy(status: int, remote: Remote, settings: DownloadSettings) -> str:
    if remote.login == TOKEN:
        if status == 401 and settings.token_command:
            return (
                "It refuses what download.token_command gives, too: see that the command's account is logged in and "
                "may read the files (scope drive.readonly), then run again; what was fetched is kept."
            )
        if status == 401:
            return (
                f"The token in the environment variable {settings.token_variable} is wrong or has expired: get a new "
                "one, set it and run again, or set download.token_command, which is asked for one whenever one ends; "
                "what was fetched is kept."
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
    return "It wants a log-in: check its address and the column login of the table (download.assets_table)."


def check_content(response: Response, remote: Remote, settings: DownloadSettings) -> None:
    """Refuse a web page, and content in another coding than the file itself.

    Raises:
        NotFetchedError: a web page.
        AssetError: another coding.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGE_TYPES:
        raise page_instead(remote, settings)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise AssetError(f"{remote.name}: the server sends it packed ({coding!r}), which was not asked for.")


def check_start(path: Path, remote: Remote, settings: DownloadSettings) -> None:
    """Refuse a page by its first bytes, whatever the server called it.

    Raises:
        NotFetchedError: the file begins like a web page or an error message.
    """
    with path.open("rb") as file:
        start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    text = start.replace(b"\n", b"").replace(b"\r", b"")
    if text.startswith(_PAGE_STARTS) or (text.startswith(b"<?xml") and b"<html" in text):
        raise page_instead(remote, settings)


def page_instead(remote: Remote, settings: DownloadSettings) -> NotFetchedError:
    """The error for a page in place of the file."""
    remedy = _remedy(401, remote, settings) if remote.login != "none" else "Open its address in a browser and look."
    return NotFetchedError(
        f"{remote.name}: a web page came in place of the file, perhaps a log-in or a notice about a quota. {remedy}"
    )


def part_of(response: Response) -> tuple[int, int | None] | None:
    """First byte and the file's whole length (None: not said) of a 206; None where the answer does not say."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        return None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def length_of(response: Response) -> int | None:
    """Length of the content, None where the answer does not say it."""
    text = response.headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _words(response: Response) -> str:
    """The reasons in a JSON error of the service; nothing of it is ever shown."""
    try:
        answer = json.loads(response.raw.read(65536, decode_content=True) or b"null")
        reasons = [entry["reason"] for entry in answer["error"]["errors"]]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(reason) for reason in reasons)


def _wait(response: Response) -> float:
    """Seconds of a Retry-After, given as a number or as a date; 0 without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
