"""Settings of acquisition: what is taken out of archives, and how files are fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class AcquireSettings:
    """What is taken out of a subject's archives."""

    #: Camera of the clips: the folder in ``video.tar`` that is unpacked, ``front`` in MEAD's naming.
    view: str = "front"
    #: An archive with more members is refused.
    max_members: int = 200000
    #: An archive with a member to be unpacked that is larger is refused, MiB.
    max_member_mib: int = 4096
    #: An archive whose members sum up to more is refused, GiB.
    max_archive_gib: int = 200

    def __post_init__(self) -> None:
        if not self.view or any(sign in self.view for sign in "/\\ ") or self.view.startswith("."):
            raise ValueError(f"view: got {self.view!r}, needs the name of one camera, such as 'front'")
        for name in ("max_members", "max_member_mib", "max_archive_gib"):
            _at_least(self, name, 1)


@dataclass(frozen=True)
class DownloadSettings:
    """Downloads: the archives where ``source`` is ``download``, and the licensed files of the target ``fetch``."""

    #: Terms that you have read and accept, by the names in docs/mead.md: mead, flame, emote, emoca, occlufacediff.
    #: Nothing is fetched under terms that are not named here.
    accept_terms: tuple[str, ...] = ()
    #: Table (CSV) of the archives in the shared folder: ``subject,file,id`` and, where known, ``size,sha256``; ``file``
    #: is video.tar, audio.tar or sentences.csv. Needed where ``source`` is ``download``.
    table: str | None = None
    #: Address of the shared folder's service; requests go to
    #: ``<service>/files/<id>?alt=media&supportsAllDrives=true``.
    service: str = "https://www.googleapis.com/drive/v3"
    #: Name of the environment variable that holds the bearer token for the shared folder. Never the token itself.
    token_variable: str = "MEAD_TOKEN"
    #: Command that prints such a token, as a list of words, such as [gcloud, auth, print-access-token]. It is run,
    #: without a shell, where the environment variable is not set, and for a new token when one has expired.
    token_command: tuple[str, ...] = ()
    #: Licensed files that the target ``fetch`` gets, by the names in docs/mead.md, such as flame2020 or flint.
    assets: tuple[str, ...] = ()
    #: Table (CSV) of licensed files to use instead of the program's own: ``asset,file,address,login,terms`` and, where
    #: known, ``size,sha256``.
    assets_table: str | None = None
    #: Names of the environment variables that hold user name and password of the owner's site. Never these themselves.
    user_variable: str = "FLAME_USER"
    password_variable: str = "FLAME_PASSWORD"
    #: Table of size and SHA-256 of what was fetched where nobody publishes them: filled on first use, binding after.
    checksums: str = "resources/checksums.csv"
    #: Files of one job fetched at once.
    parallel: int = 3
    #: A server that is silent for so long, or slower than ``slowest_bytes_s`` on average over it, is asked anew, s.
    timeout_s: float = 60.0
    slowest_bytes_s: int = 1000
    #: Failures in a row, without a byte gained in between, after which a file is given up.
    attempts: int = 8
    #: First and longest wait between two tries, s; it doubles each time, and what the server asks for comes first.
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0

    def __post_init__(self) -> None:
        for name in ("token_variable", "user_variable", "password_variable"):
            if not _VARIABLE.fullmatch(getattr(self, name)):
                # It may be a token that someone put here: it is not shown.
                raise ValueError(
                    f"{name}: got something else, needs the NAME of an environment variable (letters, digits, '_'), "
                    "never the secret itself"
                )
        if self.token_command and not self.token_command[0].strip():
            raise ValueError("token_command: got a command without a name, needs a program and its arguments")
        fault = fault_of_address(self.service)
        if fault:
            raise ValueError(f"service: {fault}")
        for name in ("parallel", "attempts", "slowest_bytes_s"):
            _at_least(self, name, 0 if name == "slowest_bytes_s" else 1)
        for name in ("timeout_s", "first_wait_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, needs more than 0")
        if self.longest_wait_s < self.first_wait_s:
            raise ValueError(
                f"longest_wait_s: got {self.longest_wait_s}, needs at least first_wait_s ({self.first_wait_s})"
            )


def fault_of_address(address: str) -> str:
    """What is wrong with an address that credentials may be sent to; empty where nothing is."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        return "got an address with a user name or password in it, needs one without (they come from the environment)"
    if not parts.hostname or parts.scheme not in ("https", "http"):
        return f"got {address!r}, needs an address that begins with https://"
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return f"got {address!r}, needs https:// (credentials go to plain http on this machine only)"
    return ""


def _at_least(settings: object, name: str, least: int) -> None:
    value = getattr(settings, name)
    if value < least:
        raise ValueError(f"{name}: got {value}, needs {least} or more")
