"""Settings of acquisition: what is unpacked from archives, and how files are downloaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from occlufacediff.config.constraints import Count, CountOrZero, Positive, Rule, Secret, Section

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_VARIABLE_RULE = Rule(
    lambda name: bool(_VARIABLE.fullmatch(name)),
    "the NAME of an environment variable (letters, digits, '_'), never the secret itself",
)
VariableName = Annotated[str, _VARIABLE_RULE, Secret()]


@dataclass(frozen=True)
class AcquireSettings(Section):
    """What is unpacked from a subject's archives, and which archives are rejected."""

    #: Camera view to unpack: a folder name in ``video.tar``, in MEAD's naming.
    view: Annotated[
        str,
        Rule(
            lambda view: bool(view) and not any(sign in view for sign in "/\\ ") and not view.startswith("."),
            "the name of one camera, such as 'front'",
        ),
    ] = "front"
    #: Maximum number of members of an archive.
    max_members: Count = 200000
    #: Maximum size of a member to unpack, in MiB.
    max_member_mib: Count = 4096
    #: Maximum total size of an archive's members, in GiB.
    max_archive_gib: Count = 200


@dataclass(frozen=True)
class DownloadSettings(Section):
    """Downloads: archives if ``source`` is ``download``, and the licensed files of the target ``fetch``."""

    #: Terms that you have read and accept: mead, flame, emote, emoca, occlufacediff, wav2vec2 (see docs/mead.md). Files
    #: under other terms are not downloaded.
    accept_terms: tuple[str, ...] = ()
    #: CSV table of the archives in the shared folder: ``subject,file,id`` and optionally ``size,sha256``; ``file`` is
    #: video.tar, audio.tar or sentences.csv.
    table: str | None = None
    #: Address of the shared folder's service; requests go to
    #: ``<service>/files/<id>?alt=media&supportsAllDrives=true``.
    service: str = "https://www.googleapis.com/drive/v3"
    #: Name of the environment variable with the bearer token of the shared folder, not the token itself.
    token_variable: VariableName = "MEAD_TOKEN"
    #: Command that prints a token, such as [gcloud, auth, print-access-token]. It runs, without a shell, if the
    #: variable is not set or the token has expired.
    token_command: Annotated[
        tuple[str, ...],
        Rule(lambda words: not words or bool(words[0].strip()), "a program and its arguments"),
        Secret(),
    ] = ()
    #: Licensed files for the target ``fetch``, such as flame2020 or flint; docs/mead.md lists them.
    assets: tuple[str, ...] = ()
    #: CSV table of licensed files that replaces the built-in one: ``asset,file,address,login,terms`` and optionally
    #: ``size,sha256``.
    assets_table: str | None = None
    #: Name of the environment variable with the user name on the owner's site.
    user_variable: VariableName = "FLAME_USER"
    #: Name of the environment variable with the password on the owner's site.
    password_variable: VariableName = "FLAME_PASSWORD"
    #: Table of sizes and SHA-256 of files without published ones: recorded at the first download, then required.
    checksums: str = "resources/checksums.csv"
    #: Number of simultaneous downloads per job.
    parallel: Count = 3
    #: Retry after this many seconds without data.
    timeout_s: Positive = 60.0
    #: Retry if the mean speed over ``timeout_s`` is lower than this many bytes per second.
    slowest_bytes_s: CountOrZero = 1000
    #: Give up a file after this many consecutive failures without a new byte.
    attempts: Count = 8
    #: Wait before the first retry; doubled at each further one. A wait that the server requests has
    #: precedence.
    first_wait_s: Positive = 1.0
    #: Longest wait between two retries.
    longest_wait_s: float = 300.0

    def __post_init__(self) -> None:
        fault = fault_of_address(self.service)
        if fault:
            raise ValueError(f"service: {fault}")
        if self.longest_wait_s < self.first_wait_s:
            raise ValueError(
                f"longest_wait_s: got {self.longest_wait_s}, needs at least first_wait_s ({self.first_wait_s})"
            )


def fault_of_address(address: str) -> str:
    """Why credentials must not be sent to an address; empty if they may."""
    parts = urlsplit(address)
    if "@" in parts.netloc:
        return "got an address with a user name or password in it, needs one without (they come from the environment)"
    if not parts.hostname or parts.scheme not in ("https", "http"):
        return f"got {address!r}, needs an address that begins with https://"
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return f"got {address!r}, needs https:// (plain http is allowed to this machine only)"
    return ""
