"""Errors of the visibility that the program finds under painted occluders: counts of landmarks by region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from occlufacediff.visibility.regions import REGIONS

#: All landmarks, and the regions.
GROUPS: dict[str, tuple[int, ...]] = {"face": tuple(range(468)), **REGIONS}
#: Counts of landmarks over the frames of a clip: all, those that are truly hidden, those found hidden, and both.
COUNTS = ("landmarks", "hidden", "found", "both")
#: Columns of a clip's row in the index of painted clips.
FIGURES = ("occluder", *(f"{group}_{count}" for group in GROUPS for count in COUNTS))
#: Columns of the table.
COLUMNS = (
    "occluder", "region", "clips", "landmarks", "hidden", "found_hidden", "precision", "recall", "iou_hidden",
    "iou_visible",
)  # fmt: skip
#: Row of the table for the clips of all occluders.
ALL = "all"


def counts(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, int]:
    """Counts of a clip by region, from visible landmarks (T, 468) as found and in truth."""
    row: dict[str, int] = {}
    for group, points in GROUPS.items():
        hidden, called = ~true[:, points], ~found[:, points]
        values = (hidden.size, hidden.sum(), called.sum(), (hidden & called).sum())
        row |= {f"{group}_{name}": int(value) for name, value in zip(COUNTS, values, strict=True)}
    return row


def region_table(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Precision, recall and IoU by occluder and region (`COLUMNS`), from rows of indices of painted clips.

    Landmarks of all frames and clips are counted together. With H the hidden landmarks in truth and F those found to be
    hidden: precision = |H F| / |F|, recall = |H F| / |H|, IoU = |H F| / |H or F|, and the same IoU of the visible ones.
    A ratio without a denominator is missing.
    """
    table = pd.DataFrame([{name: row[name] for name in FIGURES} for row in rows], columns=list(FIGURES))
    numbers = table.drop(columns="occluder").apply(pd.to_numeric)
    lines = []
    for occluder in (ALL, *sorted(set(table["occluder"]))):
        chosen = numbers if occluder == ALL else numbers[table["occluder"] == occluder]
        for group in GROUPS:
            total, hidden, found, both = (int(chosen[f"{group}_{name}"].sum()) for name in COUNTS)
            either = hidden + found - both
            ratios = (
                (both, found),
                (both, hidden),
                (both, either),
                (total - either, total - both),
            )
            values = [part / whole if whole else np.nan for part, whole in ratios]
            lines.append((occluder, group, len(chosen), total, hidden, found, *values))
    return pd.DataFrame(lines, columns=list(COLUMNS))
