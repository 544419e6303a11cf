"""Crops left by detection for the crop stage, among that stage's parts: no result, and gone with the parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.files import sha256, written_aside
from occlufacediff.workflow.fingerprint import fingerprint
from occlufacediff.workflow.shards import key, part_path, parts_folder

#: What makes the crops, and all that it imports.
_CODE = "occlufacediff.stages.crops_ahead"
Jpeg = NDArray[np.uint8]


def leave_crops(
    clips_h5: Path,
    clip: str,
    video: Path,
    boxes: NDArray[np.floating],
    jpegs: Sequence[Jpeg],
    settings: CropSettings,
) -> None:
    """Leave the crops of all frames of a clip of ``video`` for the stage that will write ``clips_h5``.

    Args:
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels.
        jpegs: T pictures, the bytes that will stand in the store.
    """
    with written_aside(_place(clips_h5, clip)) as aside:
        sizes = [len(jpeg) for jpeg in jpegs]
        np.savez(aside, key=_key(video, settings), boxes=boxes, sizes=sizes, jpegs=np.concatenate(jpegs))


def left_crops(
    clips_h5: Path, clip: str, video: Path, boxes: NDArray[np.floating], settings: CropSettings
) -> list[Jpeg] | None:
    """The T pictures that `leave_crops` left; None unless they are of this video, these boxes and settings.

    Args:
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels.
    """
    try:
        with np.load(_place(clips_h5, clip)) as left:
            if str(left["key"]) != _key(video, settings) or not np.array_equal(left["boxes"], boxes):
                return None
            return np.split(left["jpegs"], np.cumsum(left["sizes"])[:-1])
    except (FileNotFoundError, EOFError, KeyError, ValueError, BadZipFile):
        return None


def drop_left(clips_h5: Path, clip: str) -> None:
    """Remove what `leave_crops` left of a clip, if anything."""
    _place(clips_h5, clip).unlink(missing_ok=True)


def _place(clips_h5: Path, clip: str) -> Path:
    return part_path(parts_folder(clips_h5), clip, ".ahead.npz")


def _key(video: Path, settings: CropSettings) -> str:
    return key(sha256(video), settings, fingerprint(_CODE))
