"""Finding faces and their landmarks in frames; following one face through a clip."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.native_output import silence_native_output
from occlufacediff.landmarks.topology import ALL_POINTS

#: Part of its own edge that a face may move from one frame to the next and still be the same face.
_MOVE = 0.6
#: Frames after which a face that was not seen is another one.
_FORGET = 50


class Detector(Protocol):
    """Finds all faces of a frame. A context manager: leaving it frees the networks."""

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces of a frame (H, W, 3) RGB: (n, 478, 2) float32 in px of the frame, NaN for points it cannot tell."""
        ...

    def forget(self) -> None:
        """Forget the frames so far: the next one begins another clip."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Track:
    """The followed face of a clip."""

    #: (T, 478, 2) float32 px, NaN in frames without it.
    landmarks: NDArray[np.float32]
    #: (T,) faces seen in each frame.
    n_faces: NDArray[np.int32]
    #: (T,) number of the followed one among them, -1 where it is not seen.
    followed: NDArray[np.int32]
    #: Width and height of the frames.
    width: int
    height: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """(T,) whether the followed face was found."""
        found: NDArray[np.bool_] = np.isfinite(self.landmarks).all(axis=2).any(axis=1)
        return found


def make_detector(settings: LandmarkSettings) -> Detector:
    """The detector that the settings name; AssetError when it is not installed or its weights are missing."""
    if settings.detector == "face_alignment":
        from occlufacediff.landmarks.face_alignment import FaceAlignmentDetector

        return FaceAlignmentDetector(settings)
    return MediaPipeDetector(settings)


class MediaPipeDetector:
    """MediaPipe's face mesh with refined lips, eyes and irises (478 points); its models come in its wheel."""

    def __init__(self, settings: LandmarkSettings) -> None:
        self._settings = settings
        self._mesh: Any = None
        self._met = False

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces of a frame (H, W, 3) RGB: (n, 478, 2) float32 px."""
        frame = np.ascontiguousarray(frame)
        # Loading the models makes the library's threads chat, and so does the first face, whenever it comes.
        with nullcontext() if self._met else silence_native_output():
            if self._mesh is None:
                self._mesh = _face_mesh(self._settings)
            result = self._mesh.process(frame)
        self._met = self._met or bool(result.multi_face_landmarks)
        size = np.array([frame.shape[1], frame.shape[0]], np.float32)
        faces = [[(point.x, point.y) for point in face.landmark] for face in result.multi_face_landmarks or ()]
        return np.asarray(faces, np.float32).reshape(-1, ALL_POINTS, 2) * size

    def forget(self) -> None:
        """Forget where the face was; where every frame stands on its own there is nothing to forget."""
        if self._mesh is not None and not self._settings.static:
            with silence_native_output():
                self._mesh.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mesh is not None:
            self._mesh.close()
            self._mesh, self._met = None, False


def _face_mesh(settings: LandmarkSettings) -> Any:
    # Must stand before the import: the library reads them once.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mediapipe.python.solutions.face_mesh import FaceMesh

    return FaceMesh(
        static_image_mode=settings.static,
        max_num_faces=settings.max_faces,
        refine_landmarks=True,
        min_detection_confidence=settings.min_confidence,
        min_tracking_confidence=settings.min_confidence,
    )


def track_face(frames: Iterable[NDArray[np.uint8]], detector: Detector) -> Track:
    """Detect in every frame and follow the largest face.

    Faces of neighbouring frames are joined to tracks by the nearest centre; the track with the largest sum of box
    areas is followed. Frames without it are filled from tracks that are never seen together with it (the same face
    after a cut or a quick turn), so that a second person never stands in for the first.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        detector: finds the faces; it forgets what it saw before.
    """
    detector.forget()
    faces: list[NDArray[np.float32]] = []
    width = height = 0
    for frame in frames:
        height, width = frame.shape[:2]
        faces.append(detector.detect(frame))
    landmarks = np.full((len(faces), ALL_POINTS, 2), np.nan, np.float32)
    followed = np.full(len(faces), -1, np.int32)
    for time, number in _largest(_tracks(faces)):
        landmarks[time] = faces[time][number]
        followed[time] = number
    return Track(landmarks, np.array([len(found) for found in faces], np.int32), followed, width, height)


@dataclass
class _Chain:
    """One face through time: frame, number of the face in it, box area; and where it was last seen."""

    members: list[tuple[int, int, float]]
    centre: NDArray[np.float64]
    edge: float

    @property
    def area(self) -> float:
        return sum(area for _, _, area in self.members)

    @property
    def times(self) -> set[int]:
        return {time for time, _, _ in self.members}


def _tracks(faces: list[NDArray[np.float32]]) -> list[_Chain]:
    chains: list[_Chain] = []
    for time, found in enumerate(faces):
        if len(found) == 0:
            continue
        low, high = np.nanmin(found, axis=1), np.nanmax(found, axis=1)
        centres = ((low + high) / 2).astype(np.float64)
        edges = (high - low).mean(axis=1).astype(np.float64)
        areas = np.prod(high - low, axis=1)
        live = [chain for chain in chains if time - chain.members[-1][0] <= _FORGET]
        pairs = sorted(
            (float(np.linalg.norm(chain.centre - centres[face]) / max(chain.edge, edges[face], 1.0)), old, face)
            for old, chain in enumerate(live)
            for face in range(len(found))
        )
        taken_chains: set[int] = set()
        taken_faces: set[int] = set()
        for distance, old, face in pairs:
            if distance > _MOVE or old in taken_chains or face in taken_faces:
                continue
            chain = live[old]
            chain.members.append((time, face, float(areas[face])))
            chain.centre, chain.edge = centres[face], float(edges[face])
            taken_chains.add(old)
            taken_faces.add(face)
        chains.extend(
            _Chain([(time, face, float(areas[face]))], centres[face], float(edges[face]))
            for face in range(len(found))
            if face not in taken_faces
        )
    return chains


def _largest(chains: list[_Chain]) -> Iterator[tuple[int, int]]:
    """(frame, number of the face) of the followed face."""
    filled: set[int] = set()
    for chain in sorted(chains, key=lambda chain: -chain.area):
        if filled & chain.times:
            continue
        filled |= chain.times
        yield from ((time, number) for time, number, _ in chain.members)
