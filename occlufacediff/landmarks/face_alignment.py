"""Landmark detector of the face-alignment package: 68 points at their mesh indices, NaN at all others."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import Self
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import AssetError
from occlufacediff.landmarks.topology import ALL_POINTS, IBUG_68

#: Weight files of face-alignment 1.5: the landmark network and its face detector.
WEIGHT_FILES = ("checkpoints/2DFAN4-11f355bf06.pth.tar", "checkpoints/s3fd-619a316812.pth")


class FaceAlignmentDetector:
    """The FAN landmark network of face-alignment.

    Its weights are read from the torch hub folder ``settings.weights`` (with `WEIGHT_FILES`). If that is empty,
    face-alignment downloads them on first use.

    Raises:
        AssetError: face-alignment is not installed, a weight file is missing or damaged, or the download fails.
    """

    def __init__(self, settings: LandmarkSettings) -> None:
        try:
            import face_alignment
            import torch
        except ImportError as error:
            raise AssetError(
                "landmarks.detector: 'face_alignment' needs the package face-alignment (pip install face-alignment), "
                "or set landmarks.detector: mediapipe"
            ) from error
        if settings.weights:
            folder = Path(settings.weights)
            missing = [name for name in WEIGHT_FILES if not (folder / name).is_file()]
            if missing:
                raise AssetError(
                    f"landmarks.weights: {folder} lacks {', '.join(missing)}; download them to this folder"
                )
            torch.hub.set_dir(str(folder))
        try:
            with _weights_only():
                self._network = face_alignment.FaceAlignment(
                    face_alignment.LandmarksType.TWO_D,
                    device=settings.device,
                    flip_input=False,
                    compile=False,
                    face_detector_kwargs={"filter_threshold": settings.min_confidence},
                )
        except (URLError, OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
            reason = shorten(str(error), 200, placeholder=" ...")
            raise AssetError(
                f"landmarks.weights: the weights of face-alignment cannot be loaded ({reason}); put "
                f"{' and '.join(WEIGHT_FILES)} into a folder and set landmarks.weights to it, "
                "or set landmarks.detector: mediapipe"
            ) from error

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Detect the faces of a frame (H, W, 3) RGB: (n, 478, 2) float32 px, finite at the 68 points."""
        with warnings.catch_warnings():
            # The library warns about every frame without a face.
            warnings.simplefilter("ignore", UserWarning)
            found = self._network.get_landmarks_from_image(np.array(frame))
        points = [np.asarray(face, np.float32)[:, :2] for face in found or ()]
        return to_mesh_points(np.array(points, np.float32).reshape(-1, len(IBUG_68), 2))

    def reset(self) -> None:
        """Do nothing: every frame is detected independently."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._network


@contextmanager
def _weights_only() -> Iterator[None]:
    """Make torch load tensors only: face-alignment reads weights with a pickle loader that can execute code."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def to_mesh_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scatter iBUG points (..., 68, 2) to their mesh indices (..., 478, 2); other points are NaN."""
    mesh = np.full((*points.shape[:-2], ALL_POINTS, 2), np.nan, np.float32)
    mesh[..., list(IBUG_68), :] = points
    return mesh
