"""Notes on an audio offset, on jumps of the face and on damaged packets."""

import numpy as np
import pytest

from occlufacediff.prediction.notes import notes_of_faces, notes_of_offset
from occlufacediff.prediction.observation import Observation

FRAMES = 60


def observed(boxes: np.ndarray, damaged: int = 0) -> Observation:
    return Observation(
        lmk_2d=np.zeros((FRAMES, 468, 2), np.float32),
        boxes=boxes.astype(np.float32),
        known=np.ones((FRAMES, 468), bool),
        n_faces=np.ones(FRAMES, np.int32),
        damaged=damaged,
    )


def test_a_jump_of_the_face_is_reported_with_its_time() -> None:
    walk = np.column_stack([100 + 4.0 * np.arange(FRAMES), np.full(FRAMES, 50.0), 120 + 1.0 * np.arange(FRAMES)])
    assert notes_of_faces(observed(walk)) == []
    cut = walk.copy()
    cut[38:] = (10, 0, 196)
    (note,) = notes_of_faces(observed(cut))
    assert note.startswith("the face jumps at 1.52 s (a cut?)")
    # A face that was lost may come back elsewhere.
    lost = observed(cut)
    lost.known[37] = False
    assert not any("jumps" in note for note in notes_of_faces(lost))


def test_damaged_packets_are_reported() -> None:
    (note,) = notes_of_faces(observed(np.tile([0.0, 0, 100], (FRAMES, 1)), damaged=2))
    assert note.startswith("2 packets of the file are damaged")


@pytest.mark.parametrize(("frames", "said"), [(2, "80 ms later"), (-5, "200 ms earlier")])
def test_an_audio_offset_is_reported(frames: int, said: str) -> None:
    (note,) = notes_of_offset(frames)
    assert f"about {said} than the video" in note


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_a_frame_of_offset_is_not_reported(frames: int) -> None:
    assert notes_of_offset(frames) == []
