"""Addresses of files: the user's table of the shared folder, and the table of licensed files. Standard library only."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from occlufacediff.acquire.terms import TERMS
from occlufacediff.config.acquire import DownloadSettings, fault_of_address
from occlufacediff.config.names import NAME
from occlufacediff.errors import ConfigError

ASSETS = Path(__file__).with_name("assets.csv")
#: Archives of a subject in the shared folder; the first is required.
ARCHIVES = ("video.tar", "audio.tar", "sentences.csv")
TOKEN, FORM, _ = LOGINS = ("token", "form", "none")

_ID = re.compile(r"[A-Za-z0-9_-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Remote:
    """A remote file."""

    #: Name in messages, such as ``M003/video.tar``.
    name: str
    #: Identity of its content, independent of mirrors, and its key in the tables of checksums: ``files/<id>`` or an
    #: address.
    identity: str
    #: Address of the request.
    address: str
    #: ``token``, ``form`` (user name and password) or ``none``.
    login: str
    #: Names of the terms that apply.
    terms: tuple[str, ...]
    #: Published size in bytes, and SHA-256 in lower-case hex; None if not published.
    size: int | None = None
    sha256: str | None = None


def archives(settings: DownloadSettings) -> dict[tuple[str, str], Remote]:
    """Archives in the shared folder: (subject, file) -> remote file, in the table's order.

    Raises:
        ConfigError: there is no table, or a row is invalid (the message names line and column).
    """
    if settings.table is None:
        raise ConfigError(
            "Configuration, download.table: got nothing, needs the table (CSV) subject,file,id of the shared folder "
            "because source is 'download'; docs/mead.md describes it."
        )
    found: dict[tuple[str, str], Remote] = {}
    for where, row in _rows(Path(settings.table), "download.table", ("subject", "file", "id")):
        subject, file = row["subject"], row["file"]
        _demand(bool(NAME.fullmatch(subject)), where, "subject", subject, "letters, digits, '_', '-' and '.'")
        _demand(file in ARCHIVES, where, "file", file, " or ".join(ARCHIVES))
        _demand(bool(_ID.fullmatch(row["id"])), where, "id", row["id"], "the id of a file: letters, digits, '_', '-'")
        _demand((subject, file) not in found, where, "file", f"{subject}, {file}", "each file once")
        found[subject, file] = Remote(
            f"{subject}/{file}", *_in_folder(settings.service, row["id"]), TOKEN, ("mead",), *_known(where, row)
        )
    for subject in dict.fromkeys(subject for subject, _ in found):
        if (subject, "video.tar") not in found:
            raise ConfigError(
                f"Configuration, download.table: {settings.table} has no video.tar of {subject}; add its row."
            )
    if not found:
        raise ConfigError(f"Configuration, download.table: {settings.table} has no rows; add the subjects' files.")
    return found


def assets(settings: DownloadSettings) -> dict[str, dict[str, Remote]]:
    """Licensed files: asset -> file name -> remote file.

    Raises:
        ConfigError: a row of the table is invalid.
    """
    table = Path(settings.assets_table) if settings.assets_table else ASSETS
    found: dict[str, dict[str, Remote]] = {}
    for where, row in _rows(table, "download.assets_table", ("asset", "file", "address", "login", "terms")):
        asset, file, address, terms = row["asset"], row["file"], row["address"], row["terms"].split()
        for column in ("asset", "file"):
            _demand(bool(NAME.fullmatch(row[column])), where, column, row[column], "letters, digits, '_', '-', '.'")
        _demand(row["login"] in LOGINS, where, "login", row["login"], " or ".join(LOGINS))
        _demand(bool(terms) and set(terms) <= set(TERMS), where, "terms", row["terms"], f"some of {', '.join(TERMS)}")
        identity = address
        if _ID.fullmatch(address):
            identity, address = _in_folder(settings.service, address)
        elif address:
            fault = fault_of_address(address)
            if fault:
                raise ConfigError(f"{where}, column address: {fault}.")
        found.setdefault(asset, {})[file] = Remote(
            f"{asset}/{file}", identity, address, row["login"], tuple(terms), *_known(where, row)
        )
    return found


def asset(settings: DownloadSettings, name: str) -> dict[str, Remote]:
    """The files of one asset.

    Raises:
        ConfigError: there is no such asset, or its address is unknown.
    """
    known = assets(settings)
    if name not in known:
        raise ConfigError(
            f"Configuration, download.assets: there is no asset {name!r}; known are: {', '.join(known)}. Add others in "
            "your own table, download.assets_table."
        )
    for remote in known[name].values():
        if not remote.address:
            raise ConfigError(
                f"Configuration, download.assets: its owner publishes no address of {remote.name}; ask for one and "
                "put it, or the id of the file in a shared folder, into your own table (download.assets_table, "
                "columns asset,file,address,login,terms)."
            )
    return known[name]


def _in_folder(service: str, identity: str) -> tuple[str, str]:
    # Without supportsAllDrives the service answers 404 for every file in a shared drive.
    query = "alt=media&supportsAllDrives=true"
    return f"files/{identity}", f"{service.rstrip('/')}/files/{quote(identity, safe='')}?{query}"


def _rows(path: Path, key: str, columns: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Rows of a table and the name of each for messages."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(
                    f"Configuration, {key}: {path} has no column {missing[0]!r}; needs {','.join(columns)}."
                )
            for row in reader:
                where = f"Configuration, {key}: {path}, line {reader.line_num}"
                yield where, {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"Configuration, {key}: the table {path} cannot be read ({error}).") from None


def _known(where: str, row: Mapping[str, str]) -> tuple[int | None, str | None]:
    """Size and digest of a row, if they are given."""
    size, digest = row.get("size", ""), row.get("sha256", "").lower()
    _demand(not size or (size.isascii() and size.isdecimal()), where, "size", size, "a number of bytes, or nothing")
    _demand(not digest or bool(_SHA256.fullmatch(digest)), where, "sha256", digest, "64 hex digits, or nothing")
    return int(size) if size else None, digest or None


def _demand(holds: bool, where: str, column: str, value: str, need: str) -> None:
    if not holds:
        raise ConfigError(f"{where}, column {column}: got {value!r}, needs {need}.")
