"""MEAD's table of transcripts: the identity of the sentence that each clip speaks. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from occlufacediff.errors import AssetError

_LINE = re.compile(
    r"(?P<subject>[A-Za-z0-9][A-Za-z0-9.-]*)_(?P<level>level_[0-9]+)_(?P<emotion>[a-z]+)_(?P<number>[0-9]+)\s+(?P<text>\S.*)"
)
#: Characters that are typed in place of a straight apostrophe.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u02b9\u00b4\u0060\uff07", "'"))


@dataclass(frozen=True)
class Sentence:
    """Identity and text of a spoken sentence."""

    id: str
    text: str


def read_transcripts(path: Path, *, normalise_apostrophes: bool) -> dict[tuple[str, str], Sentence]:
    """Read a table of transcripts: (subject, clip) -> sentence; a clip is ``<emotion>/level_N/NNN``.

    A line is ``subject_level_n_emotion_number TRANSCRIPT``, for example ``M003_level_2_contempt_001 It was ...``. The
    identity of a sentence is the rank, from 0, of the first appearance of its transcript in the file. Transcripts are
    compared exactly, without the space around them; empty lines are skipped.

    Args:
        path: the table, UTF-8.
        normalise_apostrophes: compare (and keep) transcripts with straight apostrophes in place of typographic ones.

    Raises:
        AssetError: the file cannot be read, a line has another form, or two lines give one clip different transcripts.
            The message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(
            f"{path}: the table of transcripts cannot be read ({error}); give a UTF-8 text file"
        ) from error
    ranks: dict[str, str] = {}
    found: dict[tuple[str, str], Sentence] = {}
    first: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise AssetError(
                f"{path}, line {number}: got {line.strip()[:60]!r}, needs subject_level_n_emotion_number TRANSCRIPT, "
                "such as 'M003_level_2_contempt_001 It was dark'"
            )
        text = parts["text"].translate(_APOSTROPHES) if normalise_apostrophes else parts["text"]
        key = parts["subject"], f"{parts['emotion']}/{parts['level']}/{int(parts['number']):03d}"
        said = Sentence(ranks.setdefault(text, str(len(ranks))), text)
        if found.setdefault(key, said) != said:
            raise AssetError(
                f"{path}, line {number}: gives {'/'.join(key)} another transcript than line {first[key]}; keep one"
            )
        first.setdefault(key, number)
    if not found:
        raise AssetError(f"{path}: the table of transcripts has no lines; give another file")
    return found


def sentence_of(sentences: Mapping[tuple[str, str], Sentence], subject: str, clip: str) -> Sentence | None:
    """The sentence of a clip, whatever the zeros before its number; None if the table does not list it."""
    head, _, number = clip.rpartition("/")
    return sentences.get((subject, f"{head}/{int(number):03d}")) if number.isdecimal() else None
