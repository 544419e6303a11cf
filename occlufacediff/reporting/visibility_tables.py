"""Tables of the report: visibility that the program found under painted occluders, against the true one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from occlufacediff.evaluation.visibility_counts import ALL, COLUMNS

NOTE = (
    "Occluders are painted into the test videos; the program finds by itself which landmarks they hide (occlusion "
    "natural). Precision: part of the landmarks found hidden that are truly hidden. Recall: part of the truly hidden "
    "landmarks that are found. IoU: landmarks that are hidden (visible) in both, divided by those that are in at least "
    "one of them. Landmarks of all frames are counted together. Left and right are the person's."
)
_HEADINGS = ("precision", "recall", "IoU hidden", "IoU visible", "part hidden", "clips")
VISIBILITY_COLUMNS = COLUMNS


def visibility_tables(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Regions of the face over all occluders, and occluders over the whole face.

    Args:
        table: ``evaluation/visibility.csv`` (`visibility_counts.COLUMNS`).
    """
    face = "face"
    regions, occluders = table[table["occluder"] == ALL], table[table["region"] == face]
    return [
        {"title": "Visibility found, by region", "columns": _HEADINGS, "heading": "region",
         "rows": [_row(row, "region") for row in regions.to_dict("records")]},
        {"title": "Visibility found, by occluder", "columns": _HEADINGS, "heading": "occluder",
         "rows": [_row(row, "occluder") for row in occluders.to_dict("records")]},
    ]  # fmt: skip


def _row(row: dict[Any, Any], name: str) -> dict[str, Any]:
    ratios = [row[column] for column in ("precision", "recall", "iou_hidden", "iou_visible")]
    ratios.append(row["hidden"] / row["landmarks"] if row["landmarks"] else float("nan"))
    cells = ["" if pd.isna(value) else f"{value:.2f}" for value in ratios]
    return {"name": str(row[name]).replace("_", " "), "cells": [*cells, str(row["clips"])]}
