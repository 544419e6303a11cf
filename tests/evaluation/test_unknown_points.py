"""Cases of evaluation of a detector that gives 68 of the 468 points."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.errors import ClipError
from occlufacediff.evaluation.protocol import make_case
from occlufacediff.face_mesh import IBUG_68, LEFT_EYE, LIPS, RIGHT_EYE
from occlufacediff.training.data import Clip

FRAMES = 60
EYES = LEFT_EYE + RIGHT_EYE


def clip_of(given: tuple[int, ...]) -> Clip:
    """A still face of whose points only some are given: eyes above, lips below, all others in a row between."""
    points = np.stack([np.linspace(-0.5, 0.5, 468), np.zeros(468)], axis=1).astype(np.float32)
    for ring, height in ((EYES, -0.3), (LIPS, 0.4)):
        angle = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[list(ring)] = np.stack([0.3 * np.cos(angle), height + 0.05 * np.sin(angle)], axis=1)
    points[[33, 263]] = (-0.35, -0.3), (0.35, -0.3)
    lmk_2d = np.full((FRAMES, 468, 2), np.nan, np.float32)
    lmk_2d[:, given] = points[list(given)]
    some = np.zeros((FRAMES, 3), np.float32)
    return Clip(exp=some, jaw=some, global_pose=some, cam=some, shape=some[0], lmk_2d=lmk_2d)


@pytest.mark.parametrize(("kind", "hides", "leaves"), [("mouth", LIPS, EYES), ("upper", EYES, LIPS)])
def test_regions_are_hidden_and_nothing_else(kind: str, hides: tuple[int, ...], leaves: tuple[int, ...]) -> None:
    case = make_case("S1/clip", clip_of(IBUG_68), kind, EvaluationSettings(), seed=0)
    frames = case.hidden.frames
    assert frames.any()
    assert not case.visible[frames][:, sorted({*hides} & {*IBUG_68})].any()
    assert case.visible[frames][:, sorted({*leaves} & {*IBUG_68})].all()
    assert case.visible[~frames][:, IBUG_68].all()


def test_a_clip_without_the_region_is_named() -> None:
    with pytest.raises(ClipError, match="S1/clip: occlusion: the detector gives no landmark of the lips in 60 of 60"):
        make_case("S1/clip", clip_of(EYES), "mouth", EvaluationSettings(), seed=0)
