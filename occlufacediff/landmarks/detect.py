"""Detects the faces of a frame and their landmarks."""

from __future__ import annotations

from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.native_output import filter_native_output
from occlufacediff.landmarks.small_faces import SmallFaces
from occlufacediff.landmarks.topology import ALL_POINTS


class Detector(Protocol):
    """Detects all faces of a frame. A context manager that frees its networks on exit."""

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Detect the faces of a frame (H, W, 3) RGB: (n, 478, 2) float32 px, NaN for points it does not provide."""
        ...

    def reset(self) -> None:
        """Drop the state of earlier frames: the next frame starts another clip."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_detector(settings: LandmarkSettings) -> Detector:
    """Create the configured detector.

    Raises:
        AssetError: the detector is not installed or its weights are missing.
    """
    if settings.detector == "face_alignment":
        from occlufacediff.landmarks.face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(settings)
    return MediaPipeDetector(settings)


@cache
def detector_of_process(settings: LandmarkSettings) -> Detector:
    """`make_detector`, once per process: loading its networks takes as long as a clip."""
    return make_detector(settings)


class MediaPipeDetector:
    """MediaPipe's face mesh with refined lips, eyes and irises (478 points); the wheel contains its models.

    In a clip in which the mesh has found no face yet, `SmallFaces` searches too, if the settings say so.
    """

    def __init__(self, settings: LandmarkSettings) -> None:
        self._settings = settings
        self._mesh: Any = None
        self._small: SmallFaces | None = None
        self._mesh_found = False

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Detect the faces of a frame (H, W, 3) RGB: (n, 478, 2) float32 px."""
        frame = np.ascontiguousarray(frame)
        if self._mesh is None:
            self._mesh = _face_mesh(self._settings)
        result = self._mesh.process(frame)
        size = np.array([frame.shape[1], frame.shape[0]], np.float32)
        faces = [[(point.x, point.y) for point in face.landmark] for face in result.multi_face_landmarks or ()]
        self._mesh_found |= bool(faces)
        if not self._mesh_found and self._settings.small_faces:
            if self._small is None:
                self._small = SmallFaces(self._settings.max_faces, self._settings.min_confidence)
            return self._small.detect(frame)
        return np.asarray(faces, np.float32).reshape(-1, ALL_POINTS, 2) * size

    def reset(self) -> None:
        """Drop the state of earlier frames."""
        self._mesh_found = False
        if self._small is not None:
            self._small.reset()
        if self._mesh is not None and not self._settings.static:
            self._mesh.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None
        if self._small is not None:
            self._small.close()
            self._small = None


def _face_mesh(settings: LandmarkSettings) -> Any:
    filter_native_output()
    from mediapipe.python.solutions.face_mesh import FaceMesh

    return FaceMesh(
        static_image_mode=settings.static,
        max_num_faces=settings.max_faces,
        refine_landmarks=True,
        min_detection_confidence=settings.min_confidence,
        min_tracking_confidence=settings.min_confidence,
    )
