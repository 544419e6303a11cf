"""Downloads archives of a shared folder and licensed files, after printing the terms that apply."""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path

from occlufacediff.acquire.answers import NotFetchedError
from occlufacediff.acquire.fetch import fetch_files
from occlufacediff.acquire.refusals import write_refusal
from occlufacediff.acquire.sources import archives, asset
from occlufacediff.acquire.terms import demand_consent, notice
from occlufacediff.config.acquire import DownloadSettings
from occlufacediff.errors import AssetError, ClipError
from occlufacediff.files import written_aside
from occlufacediff.media.archives import Limits, unpack, unpack_zip

log = logging.getLogger(__name__)

COLUMNS = ("file", "size", "sha256", "address")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
#: Limits for an owner's archive, which may hold files of every clip of a large data set.
_LIMITS = Limits(members=5_000_000, member_bytes=64 << 30, archive_bytes=1 << 40)


def fetch_archive(subject: str, archive: str, target: Path, *, settings: DownloadSettings) -> None:
    """Download one archive of a subject, such as ``video.tar``, from the shared folder.

    If the server refuses it permanently, the reason is written to ``target`` (`acquire.refusals`): unpacking turns it
    into a row ``not_fetched``, and the run continues. A sentence table is required, since it decides the splits.

    Args:
        subject, archive: columns of the row of the table.
        target: path of the file; an incomplete download is kept in the same folder as ``.<name>.part``.

    Raises:
        ConfigError: terms are not accepted, or the table has no such row.
        AssetError: no token, the log-in is refused, the server cannot be reached, or a table cannot be downloaded.
    """
    remote = archives(settings)[subject, archive]
    print(notice(remote.terms), flush=True)
    demand_consent(remote.terms, settings.accept_terms, remote.name)
    try:
        fetch_files({target: remote}, settings=settings, title=archive)
    except NotFetchedError as error:
        if not archive.endswith(".tar"):
            raise
        again = f"{error} When this is fixed, download it with --forcerun {target}"
        log.warning("%s The run continues without it.", again)
        write_refusal(target, again)


def fetch_asset(name: str, index_csv: Path, *, settings: DownloadSettings) -> None:
    """Download the files of one licensed asset, unpack archives, and write the index last.

    Args:
        name: the asset, such as ``flame2020``.
        index_csv: the index with columns ``file,size,sha256,address``; its folder is replaced as a whole.

    Raises:
        ConfigError: unknown asset, no address known, or terms are not accepted.
        AssetError: no credentials, a file cannot be downloaded, or an archive cannot be unpacked safely.
    """
    folder = index_csv.parent
    remotes = asset(settings, name)
    terms = list(dict.fromkeys(term for remote in remotes.values() for term in remote.terms))
    print(notice(terms), flush=True)
    demand_consent(terms, settings.accept_terms, f"the asset {name}")
    # Incomplete downloads are kept here; the asset's folder appears when it is complete.
    downloads, aside = folder.parent / f".{name}.fetching", folder.parent / f".{name}.unpacking"
    fetched = fetch_files({downloads / file: remote for file, remote in remotes.items()}, settings=settings, title=name)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in fetched:
        _unpacked(path, aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    shutil.rmtree(downloads)
    with written_aside(index_csv) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for path, found in fetched.items():
            writer.writerow([path.name, found.size, found.sha256, remotes[path.name].identity])


def _unpacked(path: Path, folder: Path) -> None:
    try:
        if path.suffix == ".zip":
            unpack_zip(path, folder, _LIMITS)
        elif path.name.endswith(_TARS):
            unpack(path, lambda member: folder / member, _LIMITS)
        else:
            path.replace(folder / path.name)
    except ClipError as error:
        # A complete download that is not an archive: the next run must download it again.
        if error.reason == "broken_archive":
            path.unlink(missing_ok=True)
        raise AssetError(str(error)) from error
