"""Remarks on sound that is out of step."""

import pytest

from occlufacediff.prediction.notes import notes_of_offset


@pytest.mark.parametrize(("frames", "said"), [(2, "80 ms later"), (-5, "200 ms earlier")])
def test_sound_out_of_step_is_told(frames: int, said: str) -> None:
    (note,) = notes_of_offset(frames)
    assert f"about {said} than the picture" in note


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_what_nobody_sees_is_not(frames: int) -> None:
    assert notes_of_offset(frames) == []
