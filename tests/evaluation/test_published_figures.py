"""The 14 published figures: number for number on golden inputs, and the published mean by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from occlufacediff import face_mesh
from occlufacediff.datasets.clips import Clip
from occlufacediff.evaluation.aggregation import means
from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.evaluation.observed import observed_truth
from occlufacediff.evaluation.published_figures import FIGURES, published_figures
from occlufacediff.evaluation.scores import Prediction, Reference, Surface, score, score_truth
from occlufacediff.head.asset import HeadAsset

#: The 105 points of the published head model, in its order.
POINTS = (
    276, 282, 283, 285, 293, 295, 296, 300, 334, 336, 46, 52, 53, 55, 63, 65, 66, 70, 105, 107,
    249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466,
    7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246,
    168, 6, 197, 195, 5, 4, 129, 98, 97, 2, 326, 327, 358,
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291, 308,
    310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
)  # fmt: skip
CLIP = ("M003", "happy/level_1/001")


def golden_head(z: dict[str, np.ndarray]) -> HeadAsset:
    """A head of 60 vertices with the goldens' vertex lists and the 105 points."""
    vertices = z["in_verts_gt"][0]
    count = len(vertices)
    return HeadAsset(
        name="golden",
        v_template=vertices,
        faces=np.arange(count).reshape(-1, 3),
        shapedirs=np.zeros((count, 3, 1)),
        expdirs=np.zeros((count, 3, 100)),
        J_regressor=np.full((2, count), 1 / count),
        parents=np.array([-1, 0]),
        weights=np.full((count, 2), 0.5),
        lmk_face_idx=np.zeros(105),
        lmk_b_coords=np.full((105, 3), 1 / 3),
        landmark_indices=np.array(POINTS),
        expression_names=tuple(f"e{number}" for number in range(100)),
        regions={name: z[f"vmask_{name}"] for name in ("face", "lips", "eye_region", "forehead", "neck", "nose")},
    )


def golden_scores(z: dict[str, np.ndarray], visible: np.ndarray) -> pd.DataFrame:
    """Rows of the clip's metrics, of a method and of the truth; ``visible`` is (T, 105)."""
    frames = len(z["in_expr_gt"])
    detected, mask = np.zeros((frames, 468, 2), np.float32), np.zeros((frames, 468), np.float32)
    detected[:, POINTS], mask[:, POINTS] = z["in_lmk_2d_gt"], visible
    clip = Clip(
        exp=z["in_expr_gt"],
        jaw=z["in_pose_aa_gt"],
        global_pose=np.zeros((frames, 3), np.float32),
        cam=np.ones((frames, 3), np.float32),
        shape=np.zeros(1, np.float32),
        lmk_2d=detected,
    )
    truth = Surface(z["in_verts_gt"], z["in_lmk_3d_gt"], z["in_lmk_2d_pgt"])
    predicted = Surface(z["in_verts_pred"], z["in_lmk_3d_pred"], z["in_lmk_2d_pred"])
    motion = np.concatenate([z["in_expr_pred"], z["in_pose_aa_pred"]], axis=1)
    head = golden_head(z)
    reference = Reference(head, clip, truth, truth, observed_truth(head, clip))
    found = {
        "ours": score(Prediction(reference, motion, predicted, mask, (visible == 0).any(axis=1))),
        TRUTH: score_truth(reference),
    }
    return pd.DataFrame(
        [
            (method, "mouth", *CLIP, metric, value)
            for method, scores in found.items()
            for metric, value in scores.values.items()
        ],
        columns=["method", "occlusion", "subject", "clip", "metric", "value"],
    )


@pytest.fixture(scope="module")
def z(goldens: Path) -> dict[str, np.ndarray]:
    with np.load(goldens / "metrics.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_the_lip_pairs_are_the_published_ones(z: dict[str, np.ndarray]) -> None:
    pairs = face_mesh.lip_pairs(POINTS)
    assert [a for a, _ in pairs] == z["upper_lip_em"].tolist()
    assert [b for _, b in pairs] == z["lower_lip_em"].tolist()


def test_all_figures_of_one_clip_are_the_golden_numbers(z: dict[str, np.ndarray]) -> None:
    table = published_figures(golden_scores(z, z["in_lmk_mask"]))
    assert table["figure"].tolist() == [figure.name for figure in FIGURES]
    assert len(table) == 14
    for row in table.to_dict("records"):
        np.testing.assert_allclose(row["mean"], z[f"out_{row['figure']}"], rtol=1e-5, err_msg=row["figure"])
        assert (row["n"], row["n_zero"], row["method"], row["exp_name"]) == (1, 0, "ours", "mouth")
    units = dict(zip(table["figure"], table["unit"], strict=True))
    assert (units["mvpe"], units["mvve"], units["gt_jitter"], units["pose_error"]) == ("mm", "mm/s", "m/s^3", "deg")


@pytest.mark.parametrize(
    ("fill", "figure", "golden"),
    [
        (0.0, "lmk2d_vis_reproj_error", "out_vis_when_none_visible"),
        (1.0, "lmk2d_invis_reproj_error", "out_invis_when_all_visible"),
    ],
)
def test_a_clip_without_such_points_counts_as_the_golden_zero(
    z: dict[str, np.ndarray], fill: float, figure: str, golden: str
) -> None:
    rows = golden_scores(z, np.full_like(z["in_lmk_mask"], fill))
    row = published_figures(rows).set_index("figure").loc[figure]
    assert row["mean"] == float(z[golden][0]) == 0.0
    assert (row["n"], row["n_zero"]) == (1, 1)
    # Our own mean leaves the clip out.
    ours = {"lmk2d_vis_reproj_error": "lmk_2d_error_visible", "lmk2d_invis_reproj_error": "lmk_2d_error_hidden"}
    assert ours[figure] not in set(means(rows, 100, 0)["metric"])


def table_of(values: dict[tuple[str, str], dict[str, float]]) -> pd.DataFrame:
    """Rows of metrics by (method, clip) under one occlusion, all clips of one subject."""
    return pd.DataFrame(
        [
            (method, "audio_driven", "A", clip, metric, value)
            for (method, clip), of_clip in values.items()
            for metric, value in of_clip.items()
        ],
        columns=["method", "occlusion", "subject", "clip", "metric", "value"],
    )


def test_means_are_plain_means_over_clips() -> None:
    rows = table_of(
        {
            ("ours", "a"): {"mvpe": 1.0, "lmk_2d_error_hidden": 0.3, "lmk_2d_error_visible": 0.2, "jitter": 5.0},
            ("ours", "b"): {"mvpe": 3.0, "lmk_2d_error_visible": 0.1, "jitter": 7.0},
            ("ours", "c"): {"mvpe": 8.0, "lmk_2d_error_hidden": 0.9, "jitter": 9.0},
            # A system from outside without a result for clip a, and without coefficients.
            ("EMOCA", "b"): {"mvpe": 2.0, "lmk_2d_error_hidden": 0.4},
            ("EMOCA", "c"): {"mvpe": 6.0, "lmk_2d_error_hidden": 0.6},
            ("truth", "a"): {"jitter": 1.0},
            ("truth", "b"): {"jitter": 2.0},
            ("truth", "c"): {"jitter": 6.0},
        }
    )
    table = published_figures(rows).set_index(["method", "figure"])
    assert set(table["exp_name"]) == {"all"}

    def row(method: str, figure: str) -> tuple[float, int, int]:
        found = table.loc[(method, figure)]
        return (round(float(found["mean"]), 6), int(found["n"]), int(found["n_zero"]))

    assert row("ours", "mvpe") == (4.0, 3, 0)
    # (0.3 + 0 + 0.9) / 3 and (0.2 + 0.1 + 0) / 3: the clip without such landmarks is a zero.
    assert row("ours", "lmk2d_invis_reproj_error") == (0.4, 3, 1)
    assert row("ours", "lmk2d_vis_reproj_error") == (0.1, 3, 1)
    assert row("ours", "gt_jitter") == (3.0, 3, 0)
    assert row("ours", "pred_jitter") == (7.0, 3, 0)
    assert row("EMOCA", "mvpe") == (4.0, 2, 0)
    assert row("EMOCA", "lmk2d_invis_reproj_error") == (0.5, 2, 0)
    # The truth's jitter is over the clips that the method has.
    assert row("EMOCA", "gt_jitter") == (4.0, 2, 0)
    absent = table.loc[("EMOCA", "expre_error")]
    assert np.isnan(absent["mean"])
    assert absent["n"] == 0
