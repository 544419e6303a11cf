"""Confidence depends on visibility, spread and head rotation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occlufacediff.face_mesh import LIPS
from occlufacediff.prediction.confidence import confidence, facing

NAMES = ("browInnerUp", "mouthFunnel")
USUAL = np.array([0.1, 0.2, 0.04, 0.01, 0.01], np.float32)
FRAMES = 5


def of(
    visible: np.ndarray | None = None,
    known: np.ndarray | None = None,
    spread: np.ndarray | None = None,
    pose: np.ndarray | None = None,
) -> np.ndarray:
    """Confidence of a clip in which all is visible except for the given changes."""
    shown = np.ones((FRAMES, 468), np.float32)
    return confidence(
        shown if visible is None else visible,
        shown > 0 if known is None else known,
        np.tile(USUAL, (FRAMES, 1)) if spread is None else spread,
        USUAL,
        np.zeros((FRAMES, 3), np.float32) if pose is None else pose,
        NAMES,
    )


def without_lips(frames: slice) -> np.ndarray:
    visible = np.ones((FRAMES, 468), np.float32)
    visible[frames, LIPS[:3]] = 0
    return visible


def test_a_visible_mouth_has_full_confidence() -> None:
    found = of()
    assert found.dtype == np.float32
    assert (found == 1).all()


def test_the_confidence_of_an_occluded_mouth_falls_with_its_spread() -> None:
    spread = np.tile(USUAL, (FRAMES, 1)) * np.array([0.0, 0.5, 0.8, 2.0, 9.0])[:, None]
    spread[:, 0] = 7.0  # the brow says nothing of the mouth
    found = of(without_lips(slice(1, None)), spread=spread)
    np.testing.assert_allclose(found, [1, 0.75, 0.36, 0, 0], atol=1e-6)


def test_an_unknown_spread_gives_no_confidence() -> None:
    found = of(without_lips(slice(2, 3)), spread=np.full((FRAMES, 5), np.nan, np.float32))
    assert found.tolist() == [1, 1, 0, 1, 1]


def test_no_confidence_without_a_face() -> None:
    known = np.ones((FRAMES, 468), bool)
    known[3] = False
    spread = np.zeros((FRAMES, 5), np.float32)
    assert of(known.astype(np.float32), known, spread).tolist() == [1, 1, 1, 0, 1]
    assert not of(np.zeros((FRAMES, 468), np.float32), None, spread).any()


def test_points_that_a_detector_never_gives_do_not_count() -> None:
    known = np.ones((FRAMES, 468), bool)
    known[:, LIPS[:7]] = False
    assert (of(known.astype(np.float32), known) == 1).all()


@pytest.mark.parametrize(
    ("axis", "degrees", "factor"),
    [
        ("y", 45, 1),
        ("y", -60, 0.5),
        ("y", 75, 0),
        ("y", 120, 0),
        ("x", -40, 1),
        ("x", 52.5, 0.5),
        ("x", 65, 0),
        ("z", 90, 1),
    ],
)
def test_a_turned_head(axis: str, degrees: float, factor: float) -> None:
    pose = np.tile(Rotation.from_euler(axis, degrees, degrees=True).as_rotvec(), (FRAMES, 1))
    np.testing.assert_allclose(of(pose=pose.astype(np.float32)), factor, atol=1e-5)


@given(st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3))
def test_facing_is_between_0_and_1_and_symmetric(turn: list[float]) -> None:
    pose = np.array([turn, [turn[0], -turn[1], -turn[2]]], np.float32)
    factor = facing(pose)
    assert ((factor >= 0) & (factor <= 1)).all()
    np.testing.assert_allclose(*factor, atol=1e-4)
