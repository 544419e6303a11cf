"""Tracks one face through a clip, by position, size and looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.detect import Detector
from occlufacediff.landmarks.looks import Looks, same_person
from occlufacediff.landmarks.topology import ALL_POINTS

#: Largest movement of a face between two detections, as a fraction of its box edge.
_MAX_MOVE = 0.6
#: Longest gap in frames over which a track continues, and from which on its looks must be the same.
_MAX_GAP, _LOOK_GAP = 50, 5
#: Looks are taken in every n-th frame, and where the number of faces changes; a track keeps at most this many.
_LOOK_EVERY, _LOOKS = 5, 60


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


def track_face(frames: Iterable[NDArray[np.uint8]], detector: Detector) -> Track:
    """Detect the faces of every frame and track the largest one.

    Faces in consecutive frames are linked into tracks by the nearest centre; after a gap, they must look the same. The
    track with the largest sum of box areas is selected. Other tracks extend it if they share no frame with it and look
    like it, for example the same face after a cut. A second person is therefore not used.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        detector: face detector; its state is reset first.
    """
    detector.reset()
    faces: list[NDArray[np.float32]] = []
    looks: dict[tuple[int, int], Looks] = {}
    width = height = 0
    for time, frame in enumerate(frames):
        height, width = frame.shape[:2]
        found = detector.detect(frame)
        if time % _LOOK_EVERY == 0 or len(found) != len(faces[-1]):
            seen = ((number, Looks.of(frame, face)) for number, face in enumerate(found))
            looks |= {(time, number): one for number, one in seen if one is not None}
        faces.append(found)
    n_faces = np.array([len(found) for found in faces], np.int32)
    face_index = np.full(len(faces), -1, np.int32)
    for time, number in _select_largest(_link_faces(faces, looks)):
        face_index[time] = number
    landmarks = np.full((len(faces), ALL_POINTS, 2), np.nan, np.float32)
    for time in reversed(range(len(faces))):
        found = faces.pop()  # frees it: of a long clip, faces and landmarks would fill the memory twice
        if face_index[time] >= 0:
            landmarks[time] = found[face_index[time]]
    return Track(landmarks, n_faces, face_index, width, height)


class _FaceTrack:
    """One face over time, with its latest centre and box edge, and some of its looks."""

    def __init__(self) -> None:
        #: (frame, index of the face in it, box area).
        self.members: list[tuple[int, int, float]] = []
        self.looks: list[Looks] = []
        self.centre = np.zeros(2)
        self.edge = 0.0

    def add(
        self, member: tuple[int, int, float], centre: NDArray[np.float64], edge: float, looks: Looks | None
    ) -> None:
        """Continue the track with a face."""
        self.members.append(member)
        self.centre, self.edge = centre, edge
        if looks is not None and len(self.looks) < _LOOKS:
            self.looks.append(looks)

    def may_continue(self, time: int, looks: Looks | None) -> bool:
        """Whether a face with these looks (None: not taken) can be the same after the gap up to ``time``."""
        if time - self.members[-1][0] <= _LOOK_GAP or not self.looks:
            return True
        return looks is not None and same_person(self.looks, [looks])

    @property
    def area(self) -> float:
        return sum(area for _, _, area in self.members)

    @property
    def times(self) -> set[int]:
        return {time for time, _, _ in self.members}


def _link_faces(faces: list[NDArray[np.float32]], looks: dict[tuple[int, int], Looks]) -> list[_FaceTrack]:
    """Link the faces of consecutive frames into tracks, nearest centres first.

    Args:
        faces: (n, 478, 2) of each frame.
        looks: of some faces, by frame and index.
    """
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
        continued: dict[int, _FaceTrack] = {}
        for distance, index, face in pairs:
            track = live[index]
            taken = face in continued or track in continued.values()
            if distance <= _MAX_MOVE and not taken and track.may_continue(time, looks.get((time, face))):
                continued[face] = track
        for face in range(len(found)):
            if face not in continued:
                continued[face] = _FaceTrack()
                tracks.append(continued[face])
            member = time, face, float(areas[face])
            continued[face].add(member, centres[face], float(edges[face]), looks.get((time, face)))
    return tracks


def _select_largest(tracks: list[_FaceTrack]) -> Iterator[tuple[int, int]]:
    """(frame, index of the face) of the largest track and of those that extend it."""
    filled: set[int] = set()
    ordered = sorted(tracks, key=lambda track: -track.area)
    for track in ordered:
        if filled & track.times or not same_person(ordered[0].looks, track.looks):
            continue
        filled |= track.times
        yield from ((time, number) for time, number, _ in track.members)
