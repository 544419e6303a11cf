"""Archives that the server refuses for good: a note in the archive's place, which makes a row of the manifest."""

from __future__ import annotations

import json
from pathlib import Path

from occlufacediff.files import written_aside

#: How a note begins; no archive does.
_MARK = b'{"not_fetched": '
#: No note is longer, bytes.
_LONGEST = 1 << 16


def write_refusal(path: Path, message: str) -> None:
    """Write a note in the place of the archive that did not come.

    Raises:
        StorageError: the disk is full, the folder is read-only.
    """
    with written_aside(path) as aside:
        aside.write_text(json.dumps({"not_fetched": message}) + "\n", encoding="utf-8")


def refusal_in(path: Path) -> str | None:
    """Why an archive did not come, where its file is such a note; None where it is not.

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
