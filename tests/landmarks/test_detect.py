"""Face detection on a photograph, and tracking of one face among several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import pytest
import skimage.data

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.errors import AssetError
from occlufacediff.landmarks import topology
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.face_alignment import to_mesh_points
from occlufacediff.landmarks.track import track_face

HEAD = skimage.data.astronaut()[:260, 90:350]


def test_mediapipe_detects_only_the_face() -> None:
    blank = np.full((200, 200, 3), 90, np.uint8)
    frames = [blank, HEAD, blank]
    for frame in frames:
        frame.flags.writeable = False
    with make_detector(LandmarkSettings()) as detector:
        track = track_face(frames, detector)
    assert track.found.tolist() == [False, True, False]
    assert track.n_faces.tolist() == [0, 1, 0]
    face = track.landmarks[1]
    assert np.isnan(track.landmarks[0]).all()
    # The person's right eye is on the picture's left; eyes above the mouth above the chin.
    assert face[33, 0] < face[263, 0]
    assert face[33, 1] < face[13, 1] <= face[14, 1] < face[152, 1]


def test_the_largest_of_two_faces_is_tracked() -> None:
    picture = np.full((440, 800, 3), 60, np.uint8)
    picture[20:410, 380:770] = cv2.resize(HEAD, (390, 390))
    picture[20:280, 60:320] = HEAD
    with make_detector(LandmarkSettings()) as detector:
        track = track_face([picture, picture], detector)
    assert track.n_faces.tolist() == [2, 2]
    assert (track.landmarks[..., 0] > 400).all()


def test_tracking_state_is_reset_between_clips() -> None:
    moved = np.roll(HEAD, 30, axis=1)
    with make_detector(LandmarkSettings(static=False)) as detector:
        fresh = track_face([HEAD], detector).landmarks
        track_face([moved, moved], detector)
        after = track_face([HEAD], detector).landmarks
    np.testing.assert_array_equal(fresh, after)


def test_the_library_logs_nothing_if_the_first_face_appears_late() -> None:
    code = """
import numpy as np, skimage.data
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.detect import make_detector
picture = np.ascontiguousarray(skimage.data.astronaut()[:256, 90:346])
with make_detector(LandmarkSettings()) as detector:
    print([len(detector.detect(frame)) for frame in (np.zeros_like(picture), picture, picture)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[0, 1, 1]"
    assert done.stderr == ""


class ScriptedDetector:
    """Returns square faces, given as (centre x, edge) for each frame."""

    def __init__(self, script: list[list[tuple[float, float]]]) -> None:
        self.script = iter(script)

    def detect(self, frame: np.ndarray) -> np.ndarray:
        square = np.tile(np.array([[-0.5, -0.5], [0.5, 0.5]]), (239, 1))
        faces = [square * edge + (centre, 50) for centre, edge in next(self.script)]
        return np.array(faces, np.float32).reshape(-1, 478, 2)

    def reset(self) -> None:
        """Do nothing: the script continues."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def tracked_centres(script: list[list[tuple[float, float]]]) -> list[float]:
    frames = [np.zeros((100, 400, 3), np.uint8)] * len(script)
    return np.nanmean(track_face(frames, ScriptedDetector(script)).landmarks[..., 0], axis=1).tolist()


def test_a_briefly_larger_face_does_not_replace_the_tracked_one() -> None:
    script = [[(100 + t, 50), (300, 40 if t != 3 else 60)] for t in range(8)]
    assert tracked_centres(script) == [100 + t for t in range(8)]


def test_the_order_of_detections_does_not_matter() -> None:
    script = [[(100, 50), (300, 30)][:: 1 if t % 2 else -1] for t in range(6)]
    assert tracked_centres(script) == [100] * 6


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_a_second_person_is_never_used_but_tracking_continues_after_a_cut() -> None:
    two = [[(100, 50), (300, 40)]] * 4 + [[(300, 40)]] * 2
    assert tracked_centres(two)[:4] == [100] * 4
    assert np.isnan(tracked_centres(two)[4:]).all()
    assert tracked_centres([[(100, 50)]] * 3 + [[(300, 50)]] * 2) == [100] * 3 + [300] * 2


def test_68_points_are_scattered_to_the_mesh_and_others_are_nan() -> None:
    points = np.random.default_rng(0).normal(size=(2, 68, 2)).astype(np.float32)
    mesh = to_mesh_points(points)
    assert mesh.shape == (2, 478, 2)
    np.testing.assert_array_equal(mesh[:, list(topology.IBUG_68)], points)
    assert np.isfinite(mesh).all(axis=2).sum() == 2 * 68
    assert len(set(topology.IBUG_68)) == 68


def test_missing_weights_are_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"landmarks\.weights: .*2DFAN4"):
        make_detector(LandmarkSettings(detector="face_alignment", weights=str(tmp_path)))


def test_a_video_with_faces_in_some_frames(shared: Path) -> None:
    from occlufacediff.media.frames import read_frames

    clips = shared / "real" / "clips"
    with make_detector(LandmarkSettings()) as detector:
        partly = track_face(read_frames(clips / "lrs2_partly_no_face.mp4"), detector)
        none = track_face(read_frames(clips / "no_face.mp4"), detector)
    assert 60 < partly.found.sum() < len(partly.found) == 86
    assert not none.found.any()
