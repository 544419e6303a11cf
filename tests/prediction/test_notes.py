"""Remarks on sound that is out of step, on faces that leap, on damaged pictures."""

import numpy as np
import pytest

from occlufacediff.prediction.notes import notes_of_faces, notes_of_offset
from occlufacediff.prediction.observe import Observation

FRAMES = 60


def seen(boxes: np.ndarray, damaged: int = 0) -> Observation:
    return Observation(
        lmk_2d=np.zeros((FRAMES, 468, 2), np.float32),
        boxes=boxes.astype(np.float32),
        known=np.ones((FRAMES, 468), bool),
        n_faces=np.ones(FRAMES, np.int32),
        damaged=damaged,
    )


def test_a_face_that_leaps_is_told_with_the_time() -> None:
    walk = np.column_stack([100 + 4.0 * np.arange(FRAMES), np.full(FRAMES, 50.0), 120 + 1.0 * np.arange(FRAMES)])
    assert notes_of_faces(seen(walk)) == []
    cut = walk.copy()
    cut[38:] = (10, 0, 196)
    (note,) = notes_of_faces(seen(cut))
    assert note.startswith("the face leaps at 1.52 s (a cut?)")
    # A face that was lost may come back elsewhere.
    lost = seen(cut)
    lost.known[37] = False
    assert not any("leaps" in note for note in notes_of_faces(lost))


def test_damaged_pictures_are_told() -> None:
    (note,) = notes_of_faces(seen(np.tile([0.0, 0, 100], (FRAMES, 1)), damaged=2))
    assert note.startswith("2 pictures of the file are damaged")


@pytest.mark.parametrize(("frames", "said"), [(2, "80 ms later"), (-5, "200 ms earlier")])
def test_sound_out_of_step_is_told(frames: int, said: str) -> None:
    (note,) = notes_of_offset(frames)
    assert f"about {said} than the picture" in note


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_what_nobody_sees_is_not(frames: int) -> None:
    assert notes_of_offset(frames) == []
