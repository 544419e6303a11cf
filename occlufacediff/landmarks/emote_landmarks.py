"""Landmarks as EMOTE's data set keeps them: one pickle a clip, read by the safe reader."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError, ClipError
from occlufacediff.landmarks.detect import Track, track_face
from occlufacediff.landmarks.topology import ALL_POINTS
from occlufacediff.pickles import read_pickle

FILE = "landmarks_original.pkl"
# Landmarks relative to the picture would all lie below this; in pixels of a video none but a speck of a face does.
_RELATIVE = 4.0


def read_emote_landmarks(path: Path) -> list[NDArray[np.float32]]:
    """Faces of each frame, (n, 478, 2) float32 in px of the video; n is 0 where none was found.

    The pickle is a list over frames of lists of (478, 3) arrays; depth is dropped.

    Raises:
        ClipError: ``no_landmarks`` when the file is missing; ``bad_landmarks`` when it is refused by the safe reader,
            damaged, or holds something else; names the frame and what was expected.
    """
    if not path.is_file():
        raise ClipError("no_landmarks", f"{path}: no such file")
    try:
        content = read_pickle(path)
    except AssetError as error:
        raise ClipError("bad_landmarks", str(error)) from error
    if not isinstance(content, list):
        raise ClipError("bad_landmarks", f"{path}: holds a {type(content).__name__}, needs a list over frames")
    frames = [_faces(path, number, faces) for number, faces in enumerate(content)]
    largest = max((float(np.nanmax(faces, initial=0.0)) for faces in frames), default=0.0)
    if 0 < largest < _RELATIVE:
        raise ClipError(
            "bad_landmarks", f"{path}: no coordinate exceeds {largest:.3g}; needs pixels of the video, not parts of it"
        )
    return frames


def _faces(path: Path, number: int, faces: object) -> NDArray[np.float32]:
    if isinstance(faces, list | tuple | np.ndarray) and len(faces) == 0:
        return np.empty((0, ALL_POINTS, 2), np.float32)
    try:
        points = np.asarray(faces, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ClipError("bad_landmarks", f"{path}: frame {number} holds no arrays of one shape ({error})") from error
    if points.ndim != 3 or points.shape[1] != ALL_POINTS or points.shape[2] < 2:
        raise ClipError(
            "bad_landmarks",
            f"{path}: frame {number} has shape {points.shape}, needs a list of ({ALL_POINTS}, 3) arrays",
        )
    flat = points[..., :2].copy()
    flat[~np.isfinite(flat).all(axis=-1)] = np.nan
    return flat[np.isfinite(flat).any(axis=(1, 2))]


def track_emote_landmarks(faces: list[NDArray[np.float32]], width: int, height: int) -> Track:
    """The largest face through the clip, as it is followed after a detection here; see `track_face`."""
    blank = np.broadcast_to(np.uint8(0), (height, width, 3))
    return track_face((blank for _ in faces), _Replay(faces))


class _Replay:
    """Gives the faces of one frame after the other, whatever the picture."""

    def __init__(self, faces: list[NDArray[np.float32]]) -> None:
        self._faces = iter(faces)

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces (n, 478, 2) of the next frame."""
        return next(self._faces)

    def forget(self) -> None:
        """Nothing is remembered."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""
