"""Moving occluders: they enter, hide the face and leave; what they hide is known; they do not reveal the mouth."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from occlufacediff.config.occluders import OCCLUDERS
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.skinning import landmarks_numpy
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.visibility.moving import draw_moving, face_motion, skin_colour, with_path

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("visibility_found")]

FRAMES, SIZE, SPAN = 60, 320, (10, 50)
SKIN = np.array([200.0, 150.0, 120.0])


Face = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def speaking_face(small_open_head: Path) -> Face:
    """Landmarks (T, 468, 2) in pixels of a head that nods and turns while it speaks, by the opening of the mouth."""
    asset = HeadAsset.load(small_open_head)
    neutral = landmarks_numpy(asset, asset.v_template[None])[0, :, :2] * [1, -1]
    neutral = 130 * (neutral - neutral.mean(axis=0)) / np.ptp(neutral[:, 1])

    def moving(opening: float = 6.0) -> np.ndarray:
        time = np.arange(FRAMES)
        turn = np.exp(0.1j * np.sin(time / 9))[:, None] * (neutral @ [1, 1j])
        shift = np.stack([8 * np.sin(time / 7), 3 * np.cos(time / 5)], axis=1)
        points = np.stack([turn.real, turn.imag], axis=-1) + SIZE / 2 + shift[:, None]
        points[:, list(LIPS), 1] += opening * np.abs(np.sin(time / 3))[:, None]
        return points

    return moving


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_occluders_enter_hide_and_leave(kind: str, speaking_face: Face) -> None:
    points = speaking_face()
    hidden = []
    for seed in range(6):
        occluder = draw_moving(kind, face_motion(points), SKIN, SPAN, np.random.default_rng(seed))
        covered = occluder.covers(points)
        if kind == "mask":
            assert covered[:, list(LIPS)].all()
        else:
            assert not covered[: SPAN[0] + 1].any() and not covered[SPAN[1] - 1 :].any()
        # Eyes remain visible in most frames, and no occluder hides all of the face.
        assert covered.mean(axis=1).max() < 0.95
        hidden.append(covered[25:35].mean())
    assert max(hidden) > 0.05


def test_painted_pixels_are_those_of_the_covered_landmarks(speaking_face: Face) -> None:
    points = speaking_face()
    green = np.full((SIZE, SIZE, 3), (0, 255, 0), np.uint8)
    for kind in OCCLUDERS:
        occluder = draw_moving(kind, face_motion(points), SKIN, SPAN, np.random.default_rng(3))
        covered = occluder.covers(points)
        for frame in (0, 20, 30, 40):
            painted = occluder.paint(green, frame)
            x, y = np.clip(points[frame].round().astype(int), 0, SIZE - 1).T
            # Shadows darken the green; only an occluder makes it red or blue.
            changed = (painted[y, x, 1] < 128) | (painted[y, x, 0] > 60)
            assert (changed == covered[frame]).mean() > 0.93, (kind, frame)
    assert (green == (0, 255, 0)).all()


def test_equal_draws_give_equal_occluders(speaking_face: Face) -> None:
    motion = face_motion(speaking_face())
    one, two, other = (draw_moving("hand", motion, SKIN, SPAN, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.moving.picture, two.moving.picture)
    np.testing.assert_array_equal(one.moving.path, two.moving.path)
    assert not np.array_equal(one.moving.path, other.moving.path)


@pytest.mark.parametrize("kind", ["mask", "hand"])
def test_occluders_follow_the_head_and_not_the_lips(kind: str, speaking_face: Face) -> None:
    paths = [
        draw_moving(kind, face_motion(speaking_face(opening)), SKIN, SPAN, np.random.default_rng(5)).moving.path
        for opening in (0.0, 12.0)
    ]
    # Where it rests depends on the mean face; how it moves does not depend on the lips.
    assert np.abs(np.diff(paths[1] - paths[0], axis=0)[:, :2]).max() < 0.3
    if kind == "mask":
        below_nose = np.linalg.norm(paths[0][:, :2] - speaking_face(0.0)[:, 2], axis=1)
        assert below_nose.std() < 0.5


def test_fast_occluders_are_blurred(speaking_face: Face) -> None:
    points = speaking_face()
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    occluder = draw_moving("phone", face_motion(points), SKIN, SPAN, np.random.default_rng(0))
    speed = np.linalg.norm(np.diff(occluder.moving.path[:, :2], axis=0), axis=1)
    fast = SPAN[0] + int(np.argmax(speed[SPAN[0] : SPAN[0] + 8]))
    slow = 30
    assert speed[fast] > 10 > speed[slow]

    def edges(frame: int) -> float:
        painted = occluder.paint(white, frame).astype(float).mean(axis=2)
        return float(np.abs(np.diff(painted, axis=0)).max())

    assert edges(slow) > edges(fast)


def test_paths_in_crops_cover_the_same_landmarks(speaking_face: Face) -> None:
    points = speaking_face()
    occluder = draw_moving("cup", face_motion(points), SKIN, SPAN, np.random.default_rng(4))
    boxes = crop_boxes(points)
    in_crop = with_path(occluder.moving, boxes)
    pixels = (to_crop(points, boxes) + 1) * 112
    covered = (in_crop.alpha(slice(None), pixels) >= 128) & occluder.frames[:, None]
    assert (covered == occluder.covers(points)).mean() > 0.999 and covered.any()


def test_unknown_landmarks_are_not_covered_and_skin_is_read_from_the_picture(speaking_face: Face) -> None:
    points = speaking_face()
    points[:, 200:] = np.nan
    occluder = draw_moving("mask", face_motion(speaking_face()), SKIN, SPAN, np.random.default_rng(0))
    assert not occluder.covers(points)[:, 200:].any()
    frame = np.full((SIZE, SIZE, 3), (180, 120, 90), np.uint8)
    np.testing.assert_allclose(skin_colour(frame, speaking_face()[0]), (180, 120, 90))


def test_pictures_are_freed_with_their_occluder(speaking_face: Face) -> None:
    """A process paints thousands of clips."""
    occluder = draw_moving("cup", face_motion(speaking_face()), SKIN, SPAN, np.random.default_rng(0))
    occluder.paint(np.zeros((SIZE, SIZE, 3), np.uint8), 30)
    moving = weakref.ref(occluder.moving)
    del occluder
    gc.collect()
    assert moving() is None
