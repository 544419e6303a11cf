"""A folder or table of ordinary videos as a data set: who speaks in which file. Standard library only."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from occlufacediff.config.names import NAME
from occlufacediff.config.split import SPLITS, SplitPart
from occlufacediff.errors import ConfigError
from occlufacediff.media.suffixes import VIDEO_SUFFIXES

#: Emotion and level of every clip: ordinary videos have neither.
FOLDER = "video/level_1"
_KEY = "Configuration, videos"


@dataclass(frozen=True)
class OrdinaryVideo:
    """A video of the data set.

    Attributes:
        subject: who speaks.
        clip: its name as a clip, ``video/level_1/<name>``; the file's name if it cannot be used.
        path: the file.
        sentence_id: identity of the spoken sentence from the table; empty: the clip's name.
        split: split of the subject from the table; empty: not given.
        reason, message: why it cannot be used; empty if it can.
    """

    subject: str
    clip: str
    path: str
    sentence_id: str = ""
    split: str = ""
    reason: str = ""
    message: str = ""


def list_videos(source: str) -> dict[str, list[OrdinaryVideo]]:
    """Videos by subject, in the order of their names.

    Args:
        source: a folder with a sub-folder of videos for each speaker; or a CSV table with the columns ``video,subject``
            and optionally ``sentence_id,split``, with paths relative to its folder.

    Raises:
        ConfigError: the folder or table is missing or empty, a speaker's name or a row is wrong. The message names it.
    """
    path = Path(source)
    if path.is_dir():
        listed = list(_in_folders(path))
    elif path.is_file():
        listed = list(_in_table(path))
    else:
        raise ConfigError(f"{_KEY}: there is no folder or table {path}; give --config videos=FOLDER or TABLE.csv.")
    if not listed:
        raise ConfigError(
            f"{_KEY}: {path} has no video ({', '.join(VIDEO_SUFFIXES)}); put the videos of each speaker into a "
            "sub-folder, or list them in a table."
        )
    by_subject: dict[str, list[OrdinaryVideo]] = {}
    for video in sorted(listed, key=lambda video: (video.subject, video.path)):
        by_subject.setdefault(video.subject, []).append(video)
    return {subject: _distinct(videos) for subject, videos in by_subject.items()}


def listed_splits(videos: Mapping[str, list[OrdinaryVideo]]) -> dict[str, SplitPart] | None:
    """Subjects of each split by the table's column ``split``; None if no row names a split.

    Raises:
        ConfigError: a speaker has videos in two splits.
    """
    parts: dict[str, SplitPart] = {split: SplitPart([]) for split in SPLITS}
    for subject, theirs in videos.items():
        splits = sorted({video.split for video in theirs if video.split})
        if len(splits) > 1:
            raise ConfigError(
                f"{_KEY}: the speaker {subject} is in the splits {' and '.join(splits)}; needs one split per "
                "speaker, so that the test shows unknown speakers."
            )
        for split in splits:
            parts[split].subjects.append(subject)
    return parts if any(part.subjects for part in parts.values()) else None


def _in_folders(root: Path) -> Iterator[OrdinaryVideo]:
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix.lower() not in VIDEO_SUFFIXES or any(part.startswith(".") for part in parts):
            continue
        if not path.is_file():
            continue
        if len(parts) < 2:
            raise ConfigError(
                f"{_KEY}: {path} lies in no speaker's folder; move it to {root}/<speaker>/, or give a table with the "
                "columns video,subject."
            )
        if not NAME.fullmatch(parts[0]):
            raise ConfigError(
                f"{_KEY}: the folder {parts[0]!r} in {root} cannot be a speaker's name (letters, digits, '_', '-' and "
                "'.'); rename it, or give a table with the columns video,subject."
            )
        yield _named(parts[0], path, "/".join(parts[1:]))


def _in_table(table: Path) -> Iterator[OrdinaryVideo]:
    seen: dict[Path, int] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            for column in ("video", "subject"):
                if column not in (reader.fieldnames or ()):
                    raise ConfigError(
                        f"{_KEY}: {table} has no column {column!r}; needs video,subject (optional: sentence_id,split)."
                    )
            for row in reader:
                where = f"{_KEY}: {table}, line {reader.line_num}"
                values = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
                if not NAME.fullmatch(values["subject"]):
                    raise ConfigError(
                        f"{where}: got the subject {values['subject']!r}, needs letters, digits, '_', '-' and '.'."
                    )
                path = table.parent / values["video"]
                if not values["video"] or not path.is_file():
                    raise ConfigError(f"{where}: there is no video {str(path)!r}; correct the row or remove it.")
                if seen.setdefault(path.resolve(), reader.line_num) != reader.line_num:
                    raise ConfigError(f"{where}: {path} is listed in line {seen[path.resolve()]} too; keep one row.")
                split = values.get("split", "")
                if split not in ("", *SPLITS):
                    raise ConfigError(f"{where}: got the split {split!r}, needs {', '.join(SPLITS)}, or nothing.")
                video = _named(values["subject"], path, path.name)
                yield replace(video, sentence_id=values.get("sentence_id", ""), split=split)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{_KEY}: the table {table} cannot be read ({error}).") from None


def _named(subject: str, path: Path, name: str) -> OrdinaryVideo:
    """A video with the clip's name: the file's name, with ``_`` for characters that clip names cannot have."""
    stem = name[: -len(path.suffix)] if path.suffix else name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")
    file = str(path.absolute())
    if not plain or re.search("[{}]", file) or not _is_utf8(file):
        shown = stem.encode("utf-8", "backslashreplace").decode()
        message = "its name has no letter or digit of ASCII, or a brace, or is not UTF-8; rename the file"
        return OrdinaryVideo(subject, shown, "", reason="odd_name", message=message)
    return OrdinaryVideo(subject, f"{FOLDER}/{plain}", file)


def _distinct(videos: list[OrdinaryVideo]) -> list[OrdinaryVideo]:
    """The videos; those with the clip name of an earlier one cannot be used."""
    taken: dict[str, str] = {}
    found = []
    for video in videos:
        if not video.reason and taken.setdefault(video.clip, video.path) != video.path:
            message = f"it has the clip name of {Path(taken[video.clip]).name}; rename one of the files"
            video = replace(video, clip=Path(video.path).name, reason="equal_name", message=message)
        found.append(video)
    return found


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
