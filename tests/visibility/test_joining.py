"""Visibility over time and mesh: interpolation, hysteresis, small groups, and drawing."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.face_mesh import LEFT_EYE
from occlufacediff.landmarks.topology import mesh_edges
from occlufacediff.visibility.finder import BESIDE_HAND, UNDER_HAND, join, with_hands
from occlufacediff.visibility.joining import (
    ENTER,
    LEAVE,
    MIN_POINTS,
    between,
    calibrated,
    drawn,
    hidden_landmarks,
    sampled,
    smoothed,
    triangles,
)
from occlufacediff.visibility.regions import REGIONS, hidden_regions

FRAMES = 40
MOUTH_AND_CHIN = REGIONS["mouth"] + REGIONS["chin_cheeks"]


def evidence(first: int, last: int, points=MOUTH_AND_CHIN, every: int = 2) -> dict[int, np.ndarray]:
    """Every second frame; some points are hidden from frame ``first`` to ``last``."""
    seen = {}
    for frame in range(0, FRAMES, every):
        values = np.full(468, 0.97, np.float32)
        if first <= frame <= last:
            values[list(points)] = 0.02
        seen[frame] = values
    return seen


def test_an_occlusion_has_one_beginning_and_one_end():
    seen = evidence(10, 25)
    # Two frames in between are unsure.
    seen[16][list(MOUTH_AND_CHIN)] = seen[18][list(MOUTH_AND_CHIN)] = 0.5
    found = join(seen, FRAMES)
    mouth = hidden_regions(found.hidden)["mouth"]
    assert 9 <= np.flatnonzero(mouth)[0] <= 11 and 24 <= np.flatnonzero(mouth)[-1] <= 26
    assert (np.diff(mouth.astype(int)) != 0).sum() == 2
    assert not hidden_regions(found.hidden)["left_eye"].any()


def with_neighbours(points):
    """Points of the mesh and those connected with them."""
    edges = mesh_edges()
    return np.unique(np.r_[np.array(points), edges[np.isin(edges, points).any(axis=1)].ravel()])


def test_a_face_mask_keeps_its_place():
    nose = with_neighbours(REGIONS["nose"])
    mask = with_neighbours(with_neighbours(MOUTH_AND_CHIN + REGIONS["nose"]))
    seen = evidence(0, FRAMES, points=mask)
    # The network takes the nose for visible in some frames, but the mask does not move.
    for frame in range(20, 28, 2):
        seen[frame][nose] = 0.97
    assert hidden_regions(join(seen, FRAMES).hidden)["nose"].all()
    # Something that hides the mouth for less than a second may move.
    short = evidence(2, 20, points=mask)
    for frame in range(12, 22, 2):
        short[frame][nose] = 0.97
    found = hidden_regions(join(short, FRAMES).hidden)
    assert found["mouth"][4:20].all() and found["nose"][4:9].all() and not found["nose"][14:].any()


def test_a_single_frame_does_not_flicker():
    seen = evidence(FRAMES, FRAMES)
    seen[20][list(MOUTH_AND_CHIN)] = 0.0
    assert not join(seen, FRAMES).hidden.any()


def test_single_landmarks_are_not_hidden_alone():
    assert not join(evidence(0, FRAMES, points=(13, 0, 152)), FRAMES).hidden.any()


def test_nothing_seen_is_visible():
    found = join({}, FRAMES)
    assert found.probability.shape == (FRAMES, 468)
    assert not found.hidden.any() and (found.probability == 1).all()


def test_frames_between_are_interpolated_and_ends_are_held():
    values = np.array([[0.0], [1.0]], np.float32)
    np.testing.assert_allclose(between(values, np.array([2, 6]), 9)[:, 0], [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_hysteresis_needs_strong_evidence_to_begin():
    probability = np.full((FRAMES, 468), (ENTER + LEAVE) / 2, np.float32)
    assert not hidden_landmarks(probability).any()
    probability[7] = ENTER - 0.1
    probability[20] = LEAVE + 0.1
    hidden = hidden_landmarks(probability)
    assert hidden[:20].all() and not hidden[20:].any()


def test_groups_smaller_than_the_limit_are_dropped():
    probability = np.ones((1, 468), np.float32)
    probability[:, list(LEFT_EYE)[: MIN_POINTS - 1]] = 0
    assert not hidden_landmarks(probability).any()
    probability[:, list(LEFT_EYE)] = 0
    assert hidden_landmarks(probability).sum() == len(LEFT_EYE)


def test_smoothing_keeps_a_constant():
    np.testing.assert_allclose(smoothed(np.full((5, 468), 0.4, np.float32)), 0.4, atol=1e-6)


def test_the_mesh_has_its_triangles_and_hidden_ones_are_drawn():
    assert len(triangles()) >= 850
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(-0.5, 0.5, (468, 2)).astype(np.float32)
    assert not drawn(np.zeros(468, bool), landmarks).any()
    mask = drawn(np.ones(468, bool), landmarks)
    assert mask.shape == (224, 224) and mask[112, 112] and not mask[5, 5]


def test_maps_are_looked_up_at_the_landmarks():
    maps = np.ones((1, 56, 56), np.float32)
    maps[:, :, :28] = 0
    landmarks = np.zeros((1, 468, 2), np.float32)
    landmarks[0, :234, 0], landmarks[0, 234:, 0] = -0.5, 0.5
    found = sampled(maps, landmarks)[0]
    assert (found[:234] == 0).all() and (found[234:] == 1).all()


def test_what_is_uncertain_in_all_frames_is_not_hidden_but_a_mask_is():
    uncertain, hidden = np.full((9, 468), 0.55, np.float32), np.full((9, 468), 0.3, np.float32)
    assert (calibrated(uncertain) > 0.75).all()
    np.testing.assert_allclose(calibrated(hidden), hidden, atol=1e-6)
    clear = np.full((9, 468), 0.98, np.float32)
    clear[4] = 0.5
    np.testing.assert_allclose(calibrated(clear), clear, atol=1e-6)


def test_a_hand_hides_what_it_covers_and_explains_what_is_beside_it() -> None:
    probability = np.full(468, 0.4, np.float32)
    under = np.zeros(468, bool)
    under[:60] = True
    joined = with_hands(probability, under)
    assert (joined[under] <= UNDER_HAND).all()
    np.testing.assert_allclose(joined[~under], 1 / (1 + np.exp(-BESIDE_HAND) * 0.6 / 0.4), rtol=1e-5)


@pytest.mark.parametrize("covered", [0, 5])
def test_a_hand_beside_the_face_changes_nothing_else(covered: int) -> None:
    probability = np.linspace(0, 1, 468, dtype=np.float32)
    under = np.arange(468) < covered
    np.testing.assert_array_equal(with_hands(probability, under)[~under], probability[~under])


def test_looks_that_were_skipped_count_as_their_neighbours() -> None:
    whole = evidence(16, 28)
    sparse = {frame: seen for frame, seen in whole.items() if frame % 4 == 0 or 12 < frame < 32}
    assert len(sparse) < len(whole)
    joined, expected = join(sparse, FRAMES), join(whole, FRAMES)
    np.testing.assert_allclose(joined.probability, expected.probability, atol=1e-6)
    np.testing.assert_array_equal(joined.hidden, expected.hidden)
