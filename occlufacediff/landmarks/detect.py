"""Detects face landmarks in frames and tracks one face through a clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.native_output import filter_native_output
from occlufacediff.landmarks.small_faces import SmallFaces
from occlufacediff.landmarks.topology import ALL_POINTS

#: Largest movement of a face between two detections, as a fraction of its box edge.
_MAX_MOVE = 0.6
#: Longest gap in frames over which a track continues.
_MAX_GAP = 50


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


@dataclass(frozen=True)
class Track:
    """The tracked face of a clip."""

    #: (T, 478, 2) float32 px, NaN in frames without the face.
    landmarks: NDArray[np.float32]
    #: (T,) number of faces detected in each frame.
    n_faces: NDArray[np.int32]
    #: (T,) index of the tracked face among them, -1 where it was not detected.
    face_index: NDArray[np.int32]
    #: Width and height of the frames.
    width: int
    height: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """(T,) whether the tracked face was detected."""
        found: NDArray[np.bool_] = np.isfinite(self.landmarks).all(axis=2).any(axis=1)
        return found


def make_detector(settings: LandmarkSettings) -> Detector:
    """Create the configured detector.

    Raises:
        AssetError: the detector is not installed or its weights are missing.
    """
    if settings.detector == "face_alignment":
        from occlufacediff.landmarks.face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(settings)
    return MediaPipeDetector(settings)


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


def track_face(frames: Iterable[NDArray[np.uint8]], detector: Detector) -> Track:
    """Detect the faces of every frame and track the largest one.

    Faces in consecutive frames are linked into tracks by the nearest centre. The track with the largest sum of box
    areas is selected. Other tracks extend it if they share no frame with it, for example the same face after a cut.
    A second person that appears together with the first is therefore never used.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        detector: face detector; its state is reset first.
    """
    detector.reset()
    faces: list[NDArray[np.float32]] = []
    width = height = 0
    for frame in frames:
        height, width = frame.shape[:2]
        faces.append(detector.detect(frame))
    landmarks = np.full((len(faces), ALL_POINTS, 2), np.nan, np.float32)
    face_index = np.full(len(faces), -1, np.int32)
    for time, number in _select_largest(_link_faces(faces)):
        landmarks[time] = faces[time][number]
        face_index[time] = number
    return Track(landmarks, np.array([len(found) for found in faces], np.int32), face_index, width, height)


@dataclass
class _FaceTrack:
    """One face over time, with its latest centre and box edge."""

    #: (frame, index of the face in it, box area).
    members: list[tuple[int, int, float]]
    centre: NDArray[np.float64]
    edge: float

    @property
    def area(self) -> float:
        return sum(area for _, _, area in self.members)

    @property
    def times(self) -> set[int]:
        return {time for time, _, _ in self.members}


def _link_faces(faces: list[NDArray[np.float32]]) -> list[_FaceTrack]:
    """Link the faces of consecutive frames into tracks, nearest centres first."""
    tracks: list[_FaceTrack] = []
    for time, found in enumerate(faces):
        if len(found) == 0:
            continue
        low, high = np.nanmin(found, axis=1), np.nanmax(found, axis=1)
        centres = ((low + high) / 2).astype(np.float64)
        edges = (high - low).mean(axis=1).astype(np.float64)
        areas = np.prod(high - low, axis=1)
        live = [track for track in tracks if time - track.members[-1][0] <= _MAX_GAP]
        pairs = sorted(
            (float(np.linalg.norm(track.centre - centres[face]) / max(track.edge, edges[face], 1.0)), index, face)
            for index, track in enumerate(live)
            for face in range(len(found))
        )
        linked_tracks: set[int] = set()
        linked_faces: set[int] = set()
        for distance, index, face in pairs:
            if distance > _MAX_MOVE or index in linked_tracks or face in linked_faces:
                continue
            track = live[index]
            track.members.append((time, face, float(areas[face])))
            track.centre, track.edge = centres[face], float(edges[face])
            linked_tracks.add(index)
            linked_faces.add(face)
        tracks.extend(
            _FaceTrack([(time, face, float(areas[face]))], centres[face], float(edges[face]))
            for face in range(len(found))
            if face not in linked_faces
        )
    return tracks


def _select_largest(tracks: list[_FaceTrack]) -> Iterator[tuple[int, int]]:
    """(frame, index of the face) of the largest track and of those that extend it."""
    filled: set[int] = set()
    for track in sorted(tracks, key=lambda track: -track.area):
        if filled & track.times:
            continue
        filled |= track.times
        yield from ((time, number) for time, number, _ in track.members)
