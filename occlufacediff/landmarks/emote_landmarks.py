"""Reads landmarks of the EMOTE data set: one pickle per clip, loaded without running code."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import AssetError, ClipError
from occlufacediff.landmarks.topology import ALL_POINTS
from occlufacediff.landmarks.track import Track, track_face
from occlufacediff.pickles import read_pickle

LANDMARKS_FILE = "landmarks_original.pkl"
#: Coordinates that all lie below this are relative to the image size, not pixels.
_MAX_RELATIVE = 4.0


def read_emote_landmarks(path: Path) -> list[NDArray[np.float32]]:
    """Read the faces of each frame, (n, 478, 2) float32 in video px; n is 0 where no face was detected.

    The pickle holds one list per frame with (478, 3) arrays; depth is dropped.

    Raises:
        ClipError: ``no_landmarks`` if the file is missing; ``bad_landmarks`` if it is damaged, is not a plain data
            pickle or has another structure.
    """
    if not path.is_file():
        raise ClipError("no_landmarks", f"{path}: no such file")
    try:
        content = read_pickle(path)
    except AssetError as error:
        raise ClipError("bad_landmarks", str(error)) from error
    if not isinstance(content, list):
        raise ClipError("bad_landmarks", f"{path}: got a {type(content).__name__}, needs one list per frame")
    frames = [_faces(path, number, faces) for number, faces in enumerate(content)]
    largest = max((float(np.nanmax(faces, initial=0.0)) for faces in frames), default=0.0)
    if 0 < largest < _MAX_RELATIVE:
        raise ClipError(
            "bad_landmarks",
            f"{path}: the largest coordinate is {largest:.3g}; needs video pixels, not relative coordinates",
        )
    return frames


def _faces(path: Path, number: int, faces: object) -> NDArray[np.float32]:
    if isinstance(faces, list | tuple | np.ndarray) and len(faces) == 0:
        return np.empty((0, ALL_POINTS, 2), np.float32)
    try:
        points = np.asarray(faces, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ClipError("bad_landmarks", f"{path}: frame {number} has arrays of different shapes ({error})") from error
    if points.ndim != 3 or points.shape[1] != ALL_POINTS or points.shape[2] < 2:
        raise ClipError(
            "bad_landmarks",
            f"{path}: frame {number} has shape {points.shape}, needs a list of ({ALL_POINTS}, 3) arrays",
        )
    flat = points[..., :2].copy()
    flat[~np.isfinite(flat).all(axis=-1)] = np.nan
    return flat[np.isfinite(flat).any(axis=(1, 2))]


def track_emote_landmarks(faces: list[NDArray[np.float32]], width: int, height: int) -> Track:
    """Track the largest face as after a detection; see `track_face`."""
    blank = np.broadcast_to(np.uint8(0), (height, width, 3))
    return track_face((blank for _ in faces), _RecordedDetector(faces))


class _RecordedDetector:
    """A detector that returns recorded faces frame by frame and ignores the image."""

    def __init__(self, faces: list[NDArray[np.float32]]) -> None:
        self._faces = iter(faces)

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the faces (n, 478, 2) of the next frame."""
        return next(self._faces)

    def reset(self) -> None:
        """Do nothing: the recorded faces continue."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no resource is held."""
