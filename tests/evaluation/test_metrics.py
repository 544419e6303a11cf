"""Metrics against the parity numbers and by their properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.evaluation import metrics


def test_every_metric_equals_its_parity_number(goldens: Path) -> None:
    with np.load(goldens / "metrics.npz", allow_pickle=False) as file:
        z = {name: file[name] for name in file.files}
    fps = float(z["fps"])
    truth, predicted = z["in_verts_gt"], z["in_verts_pred"]
    seen = z["in_lmk_mask"] > 0
    flat = (z["in_lmk_2d_gt"], z["in_lmk_2d_pred"])
    lips = (z["upper_lip_em"], z["lower_lip_em"])
    got = {
        "pred_jitter": metrics.jitter(predicted, fps),
        "gt_jitter": metrics.jitter(truth, fps),
        "mvpe": metrics.mvpe(truth, predicted),
        "mvve": metrics.mvve(truth, predicted, fps),
        "pose_error": metrics.jaw_error(z["in_pose_aa_gt"], z["in_pose_aa_pred"]),
        "expre_error": metrics.expression_error(z["in_expr_gt"], z["in_expr_pred"]),
        "lmk_3d_mvpe": metrics.lve(z["in_lmk_3d_gt"], z["in_lmk_3d_pred"]),
        "mean_full_vertex_error": metrics.vertex_errors(truth, predicted).mean(0),
        "lve": metrics.lve(truth, predicted, z["vmask_lips"]),
        "mouth_closure": metrics.mouth_closure(*flat, *lips),
        "gt_mouth_closure": metrics.mouth_closure(z["in_lmk_2d_pgt"], flat[0], *lips),
        "lmk2d_reproj_error": metrics.lmk_2d_error(*flat),
        "lmk2d_vis_reproj_error": metrics.lmk_2d_error(*flat, seen),
        "lmk2d_invis_reproj_error": metrics.lmk_2d_error(*flat, ~seen),
        "vis_when_none_visible": [metrics.lmk_2d_error(*flat, np.zeros_like(seen))],
        "invis_when_all_visible": [metrics.lmk_2d_error(*flat, ~np.ones_like(seen))],
    }
    for region in ("face", "eye_region", "forehead", "neck", "nose"):
        got[f"mvpe_{region}"] = metrics.mvpe(truth, predicted, z[f"vmask_{region}"])
    assert {f"out_{name}" for name in got} == {name for name in z if name.startswith("out_")}
    for name, value in got.items():
        np.testing.assert_allclose(value, z[f"out_{name}"], rtol=1e-5, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_errors_scale_and_vanish(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(6, 9, 3))
    shift = rng.normal(size=(6, 9, 3))
    assert metrics.mvpe(truth, truth) == metrics.lve(truth, truth) == metrics.mvve(truth, truth, 25.0) == 0.0
    for error in (metrics.mvpe, metrics.lve):
        np.testing.assert_allclose(error(truth, truth + scale * shift), scale * error(truth, truth + shift))
    assert metrics.lve(truth, truth + shift) >= metrics.mvpe(truth, truth + shift)
    # a constant offset has no velocity, a straight line no jerk
    assert metrics.mvve(truth, truth + shift[:1], 25.0) == pytest.approx(0.0, abs=1e-9)
    assert metrics.jitter(np.arange(6)[:, None, None] * shift[:1], 25.0) == pytest.approx(0.0, abs=1e-6)


def test_angles_are_wrapped() -> None:
    assert metrics.jaw_error([[np.pi - 0.01, 0, 0]], [[-np.pi + 0.01, 0, 0]]) == pytest.approx(np.rad2deg(0.02) / 3)


def test_wrong_shapes_and_short_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.mvpe(np.zeros((3, 4, 3)), np.zeros((1, 4, 3)))
    with pytest.raises(ValueError, match="at least 2"):
        metrics.mvve(np.zeros((1, 4, 3)), np.zeros((1, 4, 3)), 25)
    with pytest.raises(ValueError, match="at least 4"):
        metrics.jitter(np.zeros((3, 4, 3)), 25)


def test_every_named_metric_has_a_unit() -> None:
    assert {"mvpe", "lve", "mvve", "jitter", "mouth_closure"} <= set(metrics.UNITS)
