"""Chunks of a subject: jobs that leave finished parts for the subject's own job, which joins them.

Chunk ``2of4`` does every fourth clip from the second on, so that chunks take about equally long whatever a subject's
emotions and levels cost. Its job ends with the parts; the job of the whole subject finds them finished and writes the
same file as without chunks. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_CHUNK = re.compile(r"([1-9]\d*)of([1-9]\d*)")


def names(count: int) -> list[str]:
    """Names of the chunks of a subject, ``1of4`` to ``4of4``; none where a subject is one job."""
    return [f"{number}of{count}" for number in range(1, count + 1)] if count > 1 else []


def of_chunk(clips: Sequence[str], chunk: str | None) -> list[str]:
    """Clips of a chunk in their order; all of them for None.

    Raises:
        ValueError: the name is not that of a chunk.
    """
    if chunk is None:
        return list(clips)
    match = _CHUNK.fullmatch(chunk)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"chunk: got {chunk!r}, needs a name like 2of4")
    return list(clips[int(match[1]) - 1 :: int(match[2])])


def subject_file(path: str, chunk: str | None) -> Path:
    """Path of the subject's file that a chunk's marker ``<file>.<chunk>`` stands for; the path itself for None."""
    return Path(path if chunk is None else path.removesuffix(f".{chunk}"))
