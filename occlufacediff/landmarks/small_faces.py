"""Landmarks of faces that are too small for the face mesh, whose detector sees the whole picture at 128 pixels.

MediaPipe's full-range detector searches overlapping tiles of the picture. The face mesh then runs on an enlarged
square around each face, and in the next frames around where the face was.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.native_output import filter_native_output
from occlufacediff.landmarks.topology import ALL_POINTS

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Edge of a tile relative to the shorter edge of the picture. Faces of 40 to 190 of 1080 pixels are found.
_TILE = 1 / 3
#: Distance of neighbouring tiles relative to their edge: a face of a third of a tile is whole in one of them.
_STRIDE = 2 / 3
#: Pictures whose shorter edge is below this are not searched, in pixels: the face mesh sees all of their faces.
_SMALLEST_PICTURE = 360
#: Frames between two searches while no face is followed.
SEARCH_EVERY = 5
#: Square around a face relative to its larger edge, and edge of its enlarged picture in pixels.
_AROUND, _ENLARGED = 2.0, 256


class SmallFaces:
    """Finds small faces and follows them from frame to frame.

    Args:
        max_faces: largest number of faces.
        min_confidence: smallest confidence of a detection, 0 to 1.
    """

    def __init__(self, max_faces: int, min_confidence: float) -> None:
        filter_native_output()
        from mediapipe.python.solutions.face_detection import FaceDetection
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self._max_faces = max_faces
        self._search: Any = FaceDetection(model_selection=1, min_detection_confidence=min_confidence)
        self._mesh: Any = FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=min_confidence
        )
        self.reset()

    def reset(self) -> None:
        """Forget the faces: the next frame is searched."""
        self._followed: list[Floats] = []
        self._frames = 0

    def detect(self, frame: Image) -> Floats:
        """Faces (n, 478, 2) of a frame (H, W, 3) RGB, pixels."""
        squares = [_square(face.min(axis=0), face.max(axis=0)) for face in self._followed]
        if not squares and min(frame.shape[:2]) >= _SMALLEST_PICTURE and self._frames % SEARCH_EVERY == 0:
            squares = self._squares(frame)
        self._frames += 1
        found = [self._landmarks(frame, square) for square in squares[: self._max_faces]]
        self._followed = [face for face in found if face is not None]
        return np.asarray(self._followed, np.float32).reshape(-1, ALL_POINTS, 2)

    def close(self) -> None:
        """Free the networks."""
        self._search.close()
        self._mesh.close()

    def _squares(self, frame: Image) -> list[Floats]:
        """Squares ``(x0, y0, size)`` around the faces, the most certain first."""
        height, width = frame.shape[:2]
        edge = round(min(height, width) * _TILE)
        faces: list[tuple[float, Floats]] = []
        for left, top in product(_starts(width, edge), _starts(height, edge)):
            tile = np.ascontiguousarray(frame[top : top + edge, left : left + edge])
            for one in self._search.process(tile).detections or ():
                box = one.location_data.relative_bounding_box
                low = np.array([left + box.xmin * edge, top + box.ymin * edge], np.float32)
                size = np.array([box.width, box.height], np.float32) * edge
                faces.append((float(one.score[0]), _square(low, low + size)))
        kept: list[Floats] = []
        for _, square in sorted(faces, key=lambda face: -face[0]):
            if all(_centre_distance(square, other) > other[2] / 4 for other in kept):
                kept.append(square)
        return kept

    def _landmarks(self, frame: Image, square: Floats) -> Floats | None:
        """Landmarks (478, 2) of the face in a square; None if there is none."""
        zoom = _ENLARGED / float(square[2])
        matrix = np.array([[zoom, 0, -zoom * square[0]], [0, zoom, -zoom * square[1]]], np.float64)
        picture = cv2.warpAffine(frame, matrix, (_ENLARGED, _ENLARGED), flags=cv2.INTER_CUBIC)
        faces = self._mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks
        if not faces:
            return None
        points = np.asarray([(point.x, point.y) for point in faces[0].landmark], np.float32)
        return np.asarray(points * square[2] + square[:2], np.float32)


def _square(low: Floats, high: Floats) -> Floats:
    """Square ``(x0, y0, size)`` around a box from ``low`` (2,) to ``high`` (2,)."""
    size = _AROUND * float((high - low).max())
    return np.asarray([*((low + high) / 2 - size / 2), size], np.float32)


def _centre_distance(one: Floats, other: Floats) -> float:
    return float(np.linalg.norm(one[:2] + one[2] / 2 - other[:2] - other[2] / 2))


def _starts(length: int, edge: int) -> list[int]:
    """Starts of tiles that cover ``length``, evenly spaced."""
    count = 1 + int(np.ceil((length - edge) / (edge * _STRIDE)))
    return [int(start) for start in np.linspace(0, length - edge, count).round()]
