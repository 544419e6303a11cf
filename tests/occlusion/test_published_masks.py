"""Masks of the published training have the published odds, within sampling error."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.config.load import check_settings
from occlufacediff.config.published_recipe import PublishedMaskOdds, audio_phase_odds
from occlufacediff.errors import ConfigError
from occlufacediff.face_mesh import LIPS
from occlufacediff.occlusion.published_masks import published_mask
from occlufacediff.occlusion.regions import EYE_CENTRES, LEFT_EYE, RIGHT_EYE

DRAWS = 4000
#: What the odds amount to: shares of windows.
SHARES = {
    "visual": {
        "whole": 0.150, "frames": 0.150, "all": 0.210, "eyes": 0.147, "left": 0.103, "right": 0.072, "other": 0.168,
        "nothing": 0.048,
    },
    "audio": {
        "whole": 0.300, "frames": 0.200, "all": 0.100, "eyes": 0.0, "left": 0.040, "right": 0.036, "other": 0.324,
        "nothing": 0.113,
    },
}  # fmt: skip
ODDS = {"visual": PublishedMaskOdds(), "audio": audio_phase_odds()}


def still_face(frames: int = 64) -> np.ndarray:
    """468 points that do not move, none on the middle line, with eyes and lips at their places."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-0.9, 0.9, (468, 2)).astype(np.float32)
    for eye, x in ((LEFT_EYE, -0.3), (RIGHT_EYE, 0.3)):
        points[list(eye)] = [x, -0.3] + 0.05 * rng.standard_normal((len(eye), 2))
    points[list(LIPS)] = [0.03, 0.4] + 0.05 * rng.standard_normal((len(LIPS), 2))
    points[[13, 14]] = (0.03, 0.4)
    points[EYE_CENTRES[0]], points[EYE_CENTRES[1]] = (-0.3, -0.3), (0.3, -0.3)
    return np.broadcast_to(points, (frames, 468, 2)).copy()


def kind_of(mask: np.ndarray, points: np.ndarray) -> str:
    """Which draw a mask comes from; its boxes must be too small for more than their own centre."""
    hidden = np.flatnonzero((mask == 0).any(axis=1))
    if not len(hidden):
        return "nothing"
    if len(hidden) == len(mask) and not mask.any():
        return "whole"
    row = mask[hidden[0]] == 0
    if row.all():
        return "all" if np.array_equal(hidden, np.arange(hidden[0], hidden[-1] + 1)) else "frames"
    for side, inside in (("left", points[0, :, 0] < 0), ("right", points[0, :, 0] > 0)):
        if np.array_equal(row, inside):
            return side
    return "eyes" if row[list(EYE_CENTRES)].all() else "other"


@pytest.mark.parametrize("phase", ["visual", "audio"])
def test_shares_are_the_published_ones(phase: str) -> None:
    points = still_face()
    odds = replace(ODDS[phase], half_min=0.001, half_max=0.001)
    found = Counter(kind_of(published_mask(points, np.random.default_rng([5, i]), odds), points) for i in range(DRAWS))
    found["other"] += found["nothing"]
    for kind, share in SHARES[phase].items():
        error = 4 * np.sqrt(share * (1 - share) / DRAWS)
        assert abs(found[kind] / DRAWS - share) <= error + 0.001, (kind, found[kind] / DRAWS)


def test_hidden_frames_are_drawn_with_repetition() -> None:
    points, odds = still_face(), PublishedMaskOdds(whole=0.0, frames=1.0)
    counts = [int((published_mask(points, np.random.default_rng([1, i]), odds)[:, 0] == 0).sum()) for i in range(DRAWS)]
    # 64 (1 - (63 / 64) ** 32) = 25.3 distinct frames.
    assert np.mean(counts) == pytest.approx(25.3, abs=0.15)
    assert max(counts) <= 32


def test_spans_are_drawn_as_published() -> None:
    points = still_face()
    odds = PublishedMaskOdds(whole=0.0, frames=0.0, all=1.0)
    starts, lengths = [], []
    for i in range(DRAWS):
        hidden = np.flatnonzero(published_mask(points, np.random.default_rng([2, i]), odds)[:, 0] == 0)
        starts.append(hidden[0])
        lengths.append(len(hidden))
    assert (min(starts), max(starts)) == (0, 33)
    assert np.mean(starts) == pytest.approx(16.5, abs=0.7)
    assert (min(lengths), max(lengths)) == (30, 64)
    # The length is uniform on 30 .. 64 - start.
    middle = [(30 + 64 - start) / 2 for start in starts]
    assert np.mean(np.subtract(lengths, middle)) == pytest.approx(0.0, abs=0.6)


def test_boxes_follow_the_landmarks_with_one_size() -> None:
    points = still_face()
    points[:, :, 0] += np.linspace(0, 0.05, 64, dtype=np.float32)[:, None]
    odds = PublishedMaskOdds(
        whole=0.0, frames=0.0, all=0.0, eyes=0.0, left=0.0, right=0.0, mouth=1.0, random=0.0, contour=0.0
    )
    for i in range(20):
        mask = published_mask(points, np.random.default_rng([3, i]), odds)
        hidden = np.flatnonzero((mask == 0).any(axis=1))
        rows = mask[hidden]
        # All points move together, so a box that moves with them hides the same points in all frames.
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[0], rows.shape))
        assert not rows[:, [13, 14]].any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.sampled_from([32, 64]), phase=st.sampled_from(["visual", "audio"]))
def test_masks_are_binary_and_reproducible(seed: int, frames: int, phase: str) -> None:
    points = still_face(frames)
    masks = [published_mask(points, np.random.default_rng(seed), ODDS[phase]) for _ in range(2)]
    assert masks[0].shape == (frames, 468)
    assert set(np.unique(masks[0])) <= {0.0, 1.0}
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("values", [{"whole": 0.9, "frames": 0.2}, {"half_min": 0.9}, {"eyes": 1.2}])
def test_odds_that_cannot_be_are_refused(values: dict[str, float]) -> None:
    with pytest.raises((ValueError, ConfigError), match=r"^(whole|half_min|eyes): got"):
        check_settings(PublishedMaskOdds(**values))
