"""Means with intervals over clips, and paired comparisons of two methods on the same clips."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import pearsonr, rankdata

from occlufacediff.benchmark.calibration import ERROR, SPREAD
from occlufacediff.evaluation.bootstrap import LEAST_CLIPS, interval

MEANS_COLUMNS = ["region", "span", "part", "method", "metric", "unit", "mean", "low", "high", "n"]
#: Smallest number of clips for a rank correlation over clips.
LEAST_RANKED = 8
#: Groups by loudness.
THIRDS = ["quiet", "medium", "loud"]


def mean_with_interval(values: NDArray[np.floating], draws: int, seed: int) -> tuple[float, float, float]:
    """Mean of the finite values and its 95 % interval (percentile bootstrap); NaN limits for too few values."""
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < LEAST_CLIPS or np.ptp(values) == 0:
        mean = float(values.mean()) if len(values) else float("nan")
        return mean, float("nan"), float("nan")
    return float(values.mean()), *interval(np.mean, draws, seed, values)


def gain_with_interval(
    ours: NDArray[np.floating], theirs: NDArray[np.floating], draws: int, seed: int
) -> tuple[float, float, float, float]:
    """Relative gain ``100 (1 - mean(ours) / mean(theirs))`` in percent, its 95 % interval, and the share of clips won.

    The bootstrap is paired: it draws clips, with both errors of each. A clip is won if our error is smaller.
    """
    both = np.isfinite(ours) & np.isfinite(theirs)
    ours, theirs = np.asarray(ours, np.float64)[both], np.asarray(theirs, np.float64)[both]
    if len(ours) == 0 or theirs.mean() == 0:
        return (float("nan"),) * 4

    def gain(one: NDArray, other: NDArray, axis: int = -1) -> NDArray:
        return np.asarray(100 * (1 - one.mean(axis=axis) / other.mean(axis=axis)))

    mean, share = float(gain(ours, theirs)), float((ours < theirs).mean())
    if len(ours) < LEAST_CLIPS:
        return mean, float("nan"), float("nan"), share
    return mean, *interval(gain, draws, seed, ours, theirs), share


def means(by_clip: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Means over clips: ``region span part method metric unit mean low high n``.

    ``part`` is ``all``, ``open`` (clips that may be used for choices) or ``held_out``.
    """
    rows = []
    for part, chosen in parts_of(by_clip).items():
        for keys, group in chosen.groupby(["region", "span", "method", "metric", "unit"], sort=False):
            mean, low, high = mean_with_interval(group["value"].to_numpy(), draws, seed)
            region, span, method, metric, unit = keys
            count = int(np.isfinite(group["value"]).sum())
            rows.append((region, span, part, method, metric, unit, mean, low, high, count))
    return pd.DataFrame(rows, columns=MEANS_COLUMNS)


def clip_ranks(by_clip: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Rank correlation over clips of spread and error, as rows of `means`: metric ``spread_rank_of_clips``.

    Spearman's correlation of a clip's mean spread and mean error for the method ``ours``, with its interval (percentile
    bootstrap over clips). Omitted if fewer than `LEAST_RANKED` clips have both.
    """
    rows = []
    chosen = by_clip[(by_clip["method"] == "ours") & by_clip["metric"].isin((SPREAD, ERROR))]
    for part, of_part in parts_of(chosen).items():
        for (region, span), group in of_part.groupby(["region", "span"], sort=False):
            table = group.pivot_table(index="clip", columns="metric", values="value", sort=False).dropna()
            if len(table) >= LEAST_RANKED:
                pair = table[SPREAD].to_numpy(), table[ERROR].to_numpy()
                correlation = float(_rank_correlation(*pair)), *interval(_rank_correlation, draws, seed, *pair)
                rows.append((region, span, part, "ours", "spread_rank_of_clips", "", *correlation, len(table)))
    return pd.DataFrame(rows, columns=MEANS_COLUMNS)


def _rank_correlation(one: NDArray, other: NDArray, axis: int = -1) -> NDArray:
    """Spearman's correlation; 0 if either input is constant."""
    ranks = (rankdata(values, axis=axis) for values in (one, other))
    return np.nan_to_num(np.asarray(pearsonr(*ranks, axis=axis).statistic))


def gains(by_clip: pd.DataFrame, metric: str, draws: int, seed: int) -> pd.DataFrame:
    """Gain of ``ours`` over every other method: ``region span part against metric gain low high share n``."""
    rows = []
    for part, chosen in parts_of(by_clip[by_clip["metric"] == metric]).items():
        for keys, group in chosen.groupby(["region", "span"], sort=False):
            table = group.pivot_table(index="clip", columns="method", values="value", sort=False)
            if "ours" not in table:
                continue
            for method in table.columns.drop("ours"):
                ours, theirs = table["ours"].to_numpy(), table[method].to_numpy()
                count = int((np.isfinite(ours) & np.isfinite(theirs)).sum())
                rows.append((*keys, part, method, metric, *gain_with_interval(ours, theirs, draws, seed), count))
    columns = ["region", "span", "part", "against", "metric", "gain_percent", "low", "high", "share_better", "n"]
    return pd.DataFrame(rows, columns=columns)


def groups(by_clip: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Means by source and by loudness (thirds of the clips): ``grouped_by group`` and the columns of `means`.

    Fewer than three clips are not grouped by loudness.
    """
    clips = by_clip.drop_duplicates("clip").set_index("clip")
    labels = {"source": by_clip["source"]}
    if len(clips) >= len(THIRDS):
        thirds = pd.qcut(clips["level_db"].rank(method="first"), len(THIRDS), labels=THIRDS)
        labels["loudness"] = by_clip["clip"].map(thirds.astype(str))
    found = []
    for name, label in labels.items():
        for group in dict.fromkeys(label):
            table = means(by_clip[label == group].assign(held_out=0), draws, seed)
            table = table[table["part"] == "all"].drop(columns="part")
            table.insert(0, "group", group)
            table.insert(0, "grouped_by", name)
            found.append(table)
    columns = ["grouped_by", "group", *(column for column in MEANS_COLUMNS if column != "part")]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def parts_of(by_clip: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of all clips, of the open clips, and of the held-out clips; empty parts are omitted."""
    held_out = by_clip["held_out"].astype(bool)
    parts = {"all": by_clip, "open": by_clip[~held_out], "held_out": by_clip[held_out]}
    return {name: part for name, part in parts.items() if len(part)}
