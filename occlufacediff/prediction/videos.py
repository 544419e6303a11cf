"""Videos to predict in one call, from files, folders and tables. Standard library only: Snakemake rules import it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.media.suffixes import VIDEO_SUFFIXES

#: The table of results, in the folder of the result folders.
SUMMARY = "summary.csv"
TABLE_SUFFIX = ".csv"


def is_list(path: Path) -> bool:
    """Whether a path stands for several videos: a folder, or a table (.csv)."""
    return path.is_dir() or path.suffix.lower() == TABLE_SUFFIX


def shown(name: str) -> str:
    """A file name as text of UTF-8; bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def list_videos(paths: Iterable[Path]) -> dict[str, Path]:
    """Videos by the name of their result folder, the file name without suffix.

    A video that does not exist is listed; its prediction fails.

    Args:
        paths: videos, folders (with all videos below them), and CSV tables with the column ``video``, whose paths are
            relative to the table.

    Raises:
        ConfigError: a folder or table is missing or holds no video, or two videos have the same result folder.
    """
    videos: dict[str, Path] = {}
    for path in paths:
        for video in _in_folder(path) if path.is_dir() else _in_table(path) if is_list(path) else [path]:
            name = video.stem
            if name in videos and videos[name].absolute() == video.absolute():
                continue
            if name in videos:
                raise ConfigError(
                    f"videos: {shown(str(videos[name]))} and {shown(str(video))} have the same result folder "
                    f"{shown(name)!r}; rename one of them, or predict it in another call with another --out"
                )
            if name in ("", "..", SUMMARY):
                raise ConfigError(f"videos: {video} cannot name a result folder; rename it")
            videos[name] = video
    return videos


def _in_folder(folder: Path) -> list[Path]:
    """Videos below a folder, sorted; hidden files and folders are left out."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not found:
        raise ConfigError(f"videos: the folder {folder} contains no video ({', '.join(VIDEO_SUFFIXES)})")
    return found


def _in_table(table: Path) -> list[Path]:
    """Videos of a table, in its order."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            found = list(_rows(table, csv.DictReader(file, restval="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"videos: the table {table} cannot be read ({error}); needs CSV in UTF-8") from None
    if not found:
        raise ConfigError(f"videos: the table {table} has no row; needs a row with the path of each video")
    return found


def _rows(table: Path, reader: csv.DictReader[str]) -> Iterator[Path]:
    if "video" not in (reader.fieldnames or ()):
        raise ConfigError(f"videos: the table {table} has no column 'video'; needs one with the path of each video")
    for row in reader:
        # Spaces at the ends can belong to the name of a file.
        if not row["video"].strip():
            raise ConfigError(f"videos: {table}, line {reader.line_num}: got no path in the column 'video'; give one")
        yield table.parent / row["video"]
