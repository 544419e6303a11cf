"""The 14 figures that the published evaluation logs, under their published names.

Each is the plain mean over clips, whatever their length. A clip without visible (or occluded) landmarks counts as 0 in
the mean of their error, as published; all other tables leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from occlufacediff.evaluation.aggregation import TRUTH
from occlufacediff.evaluation.metrics import HIDDEN, unit_of
from occlufacediff.occlusion.published_test import published_name


@dataclass(frozen=True)
class Figure:
    """A published figure.

    Attributes:
        name: its published name.
        metric: our metric by clip.
        of_truth: it is a metric of the truth itself.
        absent_is_zero: a clip without this metric counts as 0.
    """

    name: str
    metric: str
    of_truth: bool = False
    absent_is_zero: bool = False


#: All figures, in the order of the published log.
FIGURES = (
    Figure("mvpe", "mvpe"),
    Figure("mvpe_face", "mvpe_face"),
    Figure("lve", "lve"),
    Figure("lmk_3d_mvpe", "lmk_3d_mvpe"),
    Figure("mvve", "mvve"),
    Figure("pred_jitter", "jitter"),
    Figure("gt_jitter", "jitter", of_truth=True),
    Figure("expre_error", "expression_error"),
    Figure("pose_error", "jaw_error"),
    Figure("lmk2d_reproj_error", "lmk_2d_error"),
    Figure("lmk2d_vis_reproj_error", "lmk_2d_error_visible", absent_is_zero=True),
    Figure("lmk2d_invis_reproj_error", "lmk_2d_error" + HIDDEN, absent_is_zero=True),
    Figure("mouth_closure", "mouth_closure"),
    Figure("gt_mouth_closure", "mouth_closure", of_truth=True),
)
COLUMNS = ["method", "occlusion", "exp_name", "figure", "unit", "mean", "n", "n_zero"]
#: Metric that every scored clip has; it tells which clips a method has.
_ALWAYS = "mvpe"


def published_figures(by_clip: pd.DataFrame) -> pd.DataFrame:
    """The published figures by method and occlusion: `COLUMNS`.

    ``n`` is the number of clips in the mean, ``n_zero`` how many of them have no such landmarks and count as 0. A
    figure that no clip of a method has (vertices without coefficients have no ``expre_error``) has no mean and n 0. The
    figures of the truth are over the clips that the method has.

    Args:
        by_clip: columns ``method, occlusion, subject, clip, metric, value``, with rows of the method ``truth``.
    """
    names = {figure.metric for figure in FIGURES}
    table = by_clip[by_clip["metric"].isin(names)]
    keys = ["method", "occlusion", "subject", "clip"]
    wide = table.set_index([*keys, "metric"])["value"].unstack("metric").reindex(columns=sorted(names))
    rows = []
    pairs = by_clip.loc[by_clip["method"] != TRUTH, ["occlusion", "method"]].drop_duplicates()
    for occlusion, method in pairs.itertuples(index=False):
        theirs = wide.loc[(method, occlusion)]
        theirs = theirs[theirs[_ALWAYS].notna()]
        truth = wide.loc[(TRUTH, occlusion)].reindex(theirs.index) if (TRUTH, occlusion) in wide.index else None
        for figure in FIGURES:
            source = truth if figure.of_truth else theirs
            values = pd.Series(np.nan, index=theirs.index) if source is None else source[figure.metric]
            zero = int(values.isna().sum()) if figure.absent_is_zero else 0
            values = values.fillna(0.0) if figure.absent_is_zero else values.dropna()
            mean = float(values.mean()) if len(values) else np.nan
            unit = unit_of(figure.metric)
            rows.append((method, occlusion, published_name(occlusion), figure.name, unit, mean, len(values), zero))
    return pd.DataFrame(rows, columns=COLUMNS)
