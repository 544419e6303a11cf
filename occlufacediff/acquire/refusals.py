"""Archives that cannot be downloaded: a note replaces the archive, and becomes a failed row of the manifest."""

from __future__ import annotations

import json
from pathlib import Path

from occlufacediff.files import written_aside

#: First bytes of a note; no archive starts with them.
_MARK = b'{"not_fetched": '
#: Maximum length of a note, in bytes.
_LONGEST = 1 << 16


def write_refusal(path: Path, message: str) -> None:
    """Write a note instead of an archive.

    Raises:
        StorageError: the disk is full, the folder is read-only.
    """
    with written_aside(path) as aside:
        aside.write_text(json.dumps({"not_fetched": message}) + "\n", encoding="utf-8")


def refusal_in(path: Path) -> str | None:
    """The reason in a note; None if the file is not a note.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return None
        text = _MARK + file.read(_LONGEST)
    try:
        return str(json.loads(text)["not_fetched"])
    except ValueError:
        return None
