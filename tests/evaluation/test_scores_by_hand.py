"""Metrics of whole clips and their pooling over clips, on surfaces whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_head import small_head

from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation import aggregation, lip_timing
from occlufacediff.evaluation.observed import ObservedTruth
from occlufacediff.evaluation.scores import Prediction, Reference, Surface, score
from occlufacediff.evaluation.scores import _dynamics_metrics as dynamics
from occlufacediff.evaluation.scores import _sample_metrics as of_samples
from occlufacediff.evaluation.scores import _vertex_metrics as of_vertices

ASSET = small_head()
#: Upper face: two vertices of the small head, one in each region.
UPPER = {"eye_region": np.array([5]), "forehead": np.array([9])}


def surface(offsets_mm: np.ndarray) -> Surface:
    """The mean head, its vertices moved along x by offsets (T, V) in mm; landmarks do not move."""
    vertices = np.repeat(ASSET.v_template[None], len(offsets_mm), axis=0)
    vertices[..., 0] += offsets_mm / 1000
    return Surface(vertices, np.zeros((len(offsets_mm), 468, 3)), np.zeros((len(offsets_mm), 468, 2), np.float32))


def prediction(truth: np.ndarray, made: np.ndarray, samples: tuple[np.ndarray, ...] = ()) -> Prediction:
    """A prediction whose vertices are off by the difference of two offsets (T, V), all frames occluded."""
    frames, vertices = truth.shape
    clip = Clip(
        exp=np.zeros((frames, ASSET.n_exp), np.float32),
        jaw=np.zeros((frames, 3), np.float32),
        global_pose=np.zeros((frames, 3), np.float32),
        cam=np.zeros((frames, 3), np.float32),
        shape=np.zeros(ASSET.n_shape, np.float32),
    )
    observed = ObservedTruth(np.ones((frames, vertices), bool), np.ones((frames, 468), bool), np.ones(frames, bool))
    asset = replace(ASSET, regions={**ASSET.regions, **UPPER})
    reference = Reference(asset, clip, surface(truth), surface(np.zeros_like(truth)), observed)
    everything = np.ones(frames, bool)
    seen = np.zeros((frames, 468), np.float32)
    return Prediction(reference, None, surface(made), seen, everything, [surface(one) for one in samples])


def still(frames: int) -> np.ndarray:
    return np.zeros((frames, len(ASSET.v_template)))


def rows(clips: dict[str, Prediction], function) -> pd.DataFrame:
    """One row per clip and metric."""
    lines = []
    for clip, one in clips.items():
        found = score(one, (function,))
        lines += [("ours", "mouth", "A", clip, name, value, found.weight(name)) for name, value in found.values.items()]
    return pd.DataFrame(lines, columns=["method", "occlusion", "subject", "clip", "metric", "value", "weight"])


def means(clips: dict[str, Prediction], function) -> pd.Series:
    return aggregation.means(rows(clips, function), 100, seed=0).set_index("metric")["mean"]


def test_mve_and_lve_by_frame_are_pooled_over_frames_and_the_published_errors_over_clips() -> None:
    # 2 frames with 1 and 3 mm, and 6 frames with 5 mm.
    short, long = still(2) + np.array([[1.0], [3.0]]), still(6) + 5.0
    found = means({"short": prediction(still(2), short), "long": prediction(still(6), long)}, of_vertices)
    assert found["mvpe"] == pytest.approx((2 + 5) / 2)
    assert found["mve"] == pytest.approx((1 + 3 + 6 * 5) / 8)
    # By vertex, the largest distances over time are 3 and 5 mm.
    assert found["lve"] == pytest.approx((3 + 5) / 2)
    assert found["lve_frame"] == pytest.approx((1 + 9 + 6 * 25) / 8)


def test_errors_of_regions_are_over_their_vertices() -> None:
    lips, face = ASSET.regions["lips"], ASSET.regions["face"]
    made = still(3)
    made[:, lips] = 3.0
    found = score(prediction(still(3), made), (of_vertices,)).values
    assert found["mvpe_lips"] == pytest.approx(3)
    assert found["mvpe_face"] == pytest.approx(3 * len(np.intersect1d(lips, face)) / len(face))
    assert found["mvpe"] == pytest.approx(3 * len(lips) / made.shape[1])
    assert found["mvpe_lips_hidden"] == pytest.approx(3)


def test_the_mean_of_samples_and_the_best_sample() -> None:
    # Samples 4 mm to the left and 2 mm to the right: their mean is off by 1 mm, the best sample by 2 mm.
    samples = (still(4) - 4.0, still(4) + 2.0)
    one = prediction(still(4), still(4) - 1.0, samples)
    found = score(one, (of_samples,))
    assert found.values["mee"] == pytest.approx(1)
    assert found.values["ce"] == pytest.approx(4)
    assert found.values["diversity"] == pytest.approx(6)
    assert (found.weight("mee"), found.weight("ce")) == (4, 4)
    # Pooled with a clip of 12 frames, whose samples are off by 0 and 2 mm and their mean by 1 mm.
    long = prediction(still(12), still(12) + 1.0, (still(12), still(12) + 2.0))
    pooled = means({"short": one, "long": long}, of_samples)
    assert pooled["mee"] == pytest.approx(1)
    assert pooled["ce"] == pytest.approx((4 * 4 + 12 * 0) / 16)
    assert pooled["diversity"] == pytest.approx((6 + 2) / 2)


def test_fdd_of_two_clips_cancels_but_its_absolute_value_does_not() -> None:
    # Squared offsets 0, 4, 0, 4 mm^2 deviate by 2, those of 1 mm by 0.5 (see the test of the formula).
    large, small = still(4), still(4)
    large[1::2], small[1::2] = 2.0, 1.0
    found = means({"less": prediction(large, small), "more": prediction(small, large)}, dynamics)
    assert found["fdd"] == pytest.approx(0, abs=1e-9)
    assert found["fdd_absolute"] == pytest.approx(1.5)


def test_the_share_of_matched_extrema() -> None:
    # Four cycles have four maxima and four minima; the prediction stops after two cycles.
    time = np.arange(100)
    truth = 5 - 4 * np.cos(2 * np.pi * time / 25)
    truth_extrema = 7  # minima at both ends are no extrema: maxima at 12, 37, 62, 87 and minima at 25, 50, 75
    made = np.where(time < 50, truth, truth[50])
    late, matched = lip_timing.misalignment(truth, made, fps=25)
    assert late == pytest.approx(0, abs=1e-9)
    # The maxima at 12 and 37 and the minimum at 25 are there.
    assert matched == pytest.approx(3 / truth_extrema)
