"""Faces of 40 to 96 pixels in a picture of 1920 x 1080."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.small_faces import _SMALLEST_PICTURE, SEARCH_EVERY
from occlufacediff.landmarks.track import track_face

ASTRONAUT = skimage.data.astronaut()


@pytest.fixture(scope="module")
def landmarks() -> NDArray[np.float32]:
    """Landmarks of the face where it is large."""
    with make_detector(LandmarkSettings()) as detector:
        return track_face([ASTRONAUT], detector).landmarks[0]


def picture(zoom: float, left: int, top: int) -> NDArray[np.uint8]:
    """The photograph, made small, on a grey wall."""
    wall = np.full((1080, 1920, 3), 110, np.uint8)
    small = cv2.resize(ASTRONAUT, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    wall[top : top + len(small), left : left + small.shape[1]] = small
    return wall


@pytest.mark.parametrize("edge", [40, 64, 96])
def test_a_small_face_is_found_and_followed(landmarks: NDArray[np.float32], edge: int) -> None:
    zoom = edge / float((landmarks.max(axis=0) - landmarks.min(axis=0)).mean())
    moves = [(200 + 3 * number, 500) for number in range(6)]
    with make_detector(LandmarkSettings()) as detector:
        track = track_face((picture(zoom, *move) for move in moves), detector)
    assert track.found.all() and (track.n_faces == 1).all()
    for found, move in zip(track.landmarks, moves, strict=True):
        error = np.linalg.norm(found - (landmarks * zoom + move), axis=1).mean()
        assert error < 0.04 * edge


def test_without_the_search_it_is_not_found(landmarks: NDArray[np.float32]) -> None:
    zoom = 64 / float((landmarks.max(axis=0) - landmarks.min(axis=0)).mean())
    with make_detector(LandmarkSettings(small_faces=False)) as detector:
        assert not track_face([picture(zoom, 200, 500)], detector).found.any()


def test_a_lost_face_is_searched_again(landmarks: NDArray[np.float32]) -> None:
    zoom = 64 / float((landmarks.max(axis=0) - landmarks.min(axis=0)).mean())
    wall, face = np.full((1080, 1920, 3), 110, np.uint8), picture(zoom, 1500, 100)
    with make_detector(LandmarkSettings()) as detector:
        found = track_face([face, wall, wall, *[face] * SEARCH_EVERY], detector).found
        # Another clip starts with a search.
        again = track_face([face], detector).found
    assert found.tolist() == [True, False, False, *[False] * (SEARCH_EVERY - 3), True, True, True]
    assert again.all()


def test_the_search_ends_when_the_mesh_finds_a_face() -> None:
    small = picture(0.4, 100, 100)
    with make_detector(LandmarkSettings()) as detector:
        found = track_face([ASTRONAUT, *[small] * 3], detector).found
    assert found.tolist() == [True, False, False, False]


def test_a_small_picture_is_not_searched() -> None:
    edge = _SMALLEST_PICTURE - 1
    tiny = cv2.resize(picture(0.4, 100, 100), (edge, edge))
    with make_detector(LandmarkSettings()) as detector:
        assert not track_face([tiny], detector).found.any()
