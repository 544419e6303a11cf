"""Tables of the report: visibility that the program found under painted occluders, against the true one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from occlufacediff.evaluation.visibility_counts import ALL, COLUMNS

NOTE = (
    "Objects are painted into the test videos, and the program finds by itself which landmarks they hide (row painted "
    "occluder above). 1 is perfect. Precision: part of the landmarks found hidden that are truly hidden. Recall: part "
    "of the truly hidden landmarks that are found. IoU: landmarks that are hidden (visible) both in truth and as "
    "found, divided by those that are hidden (visible) in at least one of both. Part hidden: truly hidden part of all "
    "landmarks; figures of rarely hidden regions rest on few landmarks. Landmarks of all frames count together. Left "
    "and right are the person's."
)
_HEADINGS = ("precision", "recall", "IoU hidden", "IoU visible", "part hidden", "clips")
_NAMES = {ALL: "all occluders", "face": "whole face", "chin_cheeks": "chin and cheeks", "mask": "face mask"}
VISIBILITY_COLUMNS = COLUMNS


def visibility_tables(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Regions of the face over all occluders, and occluders over the whole face.

    Args:
        table: ``evaluation/visibility.csv`` (`visibility_counts.COLUMNS`).
    """
    face = "face"
    regions, occluders = table[table["occluder"] == ALL], table[table["region"] == face]
    return [
        {"title": "Found visibility, by region of the face", "columns": _HEADINGS, "heading": "region",
         "rows": [_row(row, "region") for row in regions.to_dict("records")]},
        {"title": "Found visibility, by occluder", "columns": _HEADINGS, "heading": "occluder",
         "rows": [_row(row, "occluder") for row in occluders.to_dict("records")]},
    ]  # fmt: skip


def _row(row: dict[Any, Any], name: str) -> dict[str, Any]:
    ratios = [row[column] for column in ("precision", "recall", "iou_hidden", "iou_visible")]
    ratios.append(row["hidden"] / row["landmarks"] if row["landmarks"] else float("nan"))
    cells = ["" if pd.isna(value) else f"{value:.2f}" for value in ratios]
    label = str(row[name])
    return {"name": _NAMES.get(label, label.replace("_", " ")), "cells": [*cells, str(row["clips"])]}
