"""One person is followed through a clip, by position, size and looks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.looks import Looks, same_person
from occlufacediff.landmarks.track import track_face
from occlufacediff.media.frames import read_frames

Image = NDArray[np.uint8]

ONE = skimage.data.astronaut()[:260, 90:350]
#: Another person, for the program: light and dark are exchanged.
OTHER = 255 - ONE
NOBODY = np.full_like(ONE, 90)


@pytest.fixture(scope="module")
def landmarks() -> NDArray[np.float32]:
    with make_detector(LandmarkSettings()) as detector:
        return track_face([ONE], detector).landmarks[0]


@pytest.fixture
def found(landmarks: NDArray[np.float32]) -> Callable[[list[Image]], list[bool]]:
    """In which frames the face is found, with a detector that finds the face of both."""

    class Known:
        def detect(self, frame: Image) -> NDArray[np.float32]:
            return landmarks[None] if frame is not NOBODY else landmarks[:0].reshape(0, 478, 2)

        def reset(self) -> None:
            """Nothing is kept."""

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            return

    return lambda frames: track_face(frames, Known()).found.tolist()


def test_a_face_behind_hands_is_found_again(found: Callable[[list[Image]], list[bool]]) -> None:
    assert found([ONE] * 8 + [NOBODY] * 20 + [ONE] * 4) == [True] * 8 + [False] * 20 + [True] * 4


def test_another_person_in_the_same_place_is_not_followed(found: Callable[[list[Image]], list[bool]]) -> None:
    assert found([ONE] * 8 + [NOBODY] * 20 + [OTHER] * 4) == [True] * 8 + [False] * 24
    # After the longest gap of a track, too.
    assert found([ONE] * 8 + [NOBODY] * 80 + [OTHER] * 4 + [NOBODY] * 60 + [ONE] * 2) == [
        *[True] * 8,
        *[False] * 144,
        *[True] * 2,
    ]


def test_looks_of_one_person_do_not_depend_on_light_and_place(landmarks: NDArray[np.float32]) -> None:
    dark = (0.5 * ONE).astype(np.uint8)
    moved = np.roll(ONE, (10, -20), axis=(0, 1))
    here, there, other = (
        Looks.of(frame, points)
        for frame, points in ((dark, landmarks), (moved, landmarks + np.array([-20, 10])), (OTHER, landmarks))
    )
    assert here is not None and there is not None and other is not None
    assert same_person([here], [there]) and not same_person([here], [other])
    assert same_person([here], [other, there])
    assert same_person([], [here])


def test_nothing_to_see_has_no_looks(landmarks: NDArray[np.float32]) -> None:
    assert Looks.of(ONE, np.full_like(landmarks, np.nan)) is None
    assert Looks.of(NOBODY, landmarks) is None


def test_a_recording_of_two_persons(shared: Path) -> None:
    first, second = (
        list(islice(read_frames(shared / "real/clips" / name), 30)) for name in ("grid_lbbc2a.mpg", "grid_brbk7n.mpg")
    )
    empty = [np.full_like(first[0], 90)] * 10
    assert first[0].shape == second[0].shape
    with make_detector(LandmarkSettings()) as detector:
        both = track_face([*first, *empty, *second[:20]], detector).found
        same = track_face([*first[:20], *empty, *first[20:]], detector).found
    assert both.tolist() == [True] * 30 + [False] * 30
    assert same.tolist() == [True] * 20 + [False] * 10 + [True] * 10
