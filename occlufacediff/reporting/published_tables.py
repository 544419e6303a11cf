"""The figures of the published evaluation as tables of a page and as Markdown: figures by methods, per occlusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from occlufacediff.reporting.names import METHOD_ORDER, OCCLUSION_ORDER, counted, method_name, occlusion_name
from occlufacediff.reporting.tables import in_order

PUBLISHED_COLUMNS = (
    *("method", "occlusion", "exp_name", "figure", "unit", "mean", "n", "n_zero", "sampling", "protocol"),
)
NOTE = (
    "The 14 figures that the published evaluation logs, under its names: plain means over clips. A clip without "
    "visible (occluded) landmarks counts as 0 in lmk2d_vis_reproj_error (lmk2d_invis_reproj_error); cells say how many."
)


def published_note(table: pd.DataFrame) -> str:
    """What the tables show, and how the networks were sampled.

    Args:
        table: ``evaluation/published_metrics.csv``.
    """
    return f"{NOTE} Sampling: {table['sampling'].iloc[0]}." if len(table) else NOTE


def published_tables(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One table per occlusion, with one row per figure and one column per method.

    Args:
        table: ``evaluation/published_metrics.csv``.
    """
    made = []
    for occlusion in in_order(table["occlusion"], OCCLUSION_ORDER):
        rows = table[table["occlusion"] == occlusion]
        methods = in_order(rows["method"], METHOD_ORDER)
        of_method = {method: rows[rows["method"] == method].set_index("figure") for method in methods}
        most = int(rows["n"].max())
        lines = [
            {"name": f"{figure}, {unit}", "cells": [_cell(of_method[name].loc[figure], most) for name in methods]}
            for figure, unit in rows[["figure", "unit"]].drop_duplicates().itertuples(index=False)
        ]
        exp_name = str(rows["exp_name"].iloc[0])
        title = occlusion_name(occlusion) + (f" (published: {exp_name})" if exp_name != occlusion else "")
        made.append(
            {
                "title": f"Published figures, {title}: {counted(most, 'clip')}",
                "columns": [method_name(method) for method in methods],
                "rows": lines,
            }
        )
    return made


def published_markdown(table: pd.DataFrame) -> str:
    """The tables as Markdown, with a note."""
    parts = ["## Figures of the published evaluation", published_note(table)]
    for one in published_tables(table):
        lines = [["figure", *one["columns"]], *([row["name"], *row["cells"]] for row in one["rows"])]
        text = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        text.insert(1, "|---" + "|---:" * len(one["columns"]) + "|")
        parts.append("\n".join([f"**{one['title']}**", "", *text]))
    return "\n\n".join(parts) + "\n"


def _cell(row: pd.Series, most: int) -> str:
    """A mean with the clips that count as 0, and the number of clips if the method lacks some."""
    if np.isnan(row["mean"]):
        return ""
    notes = []
    if row["n"] < most:
        notes.append(counted(int(row["n"]), "clip"))
    if row["n_zero"]:
        notes.append(f"{row['n_zero']} of {row['n']} as 0")
    return f"{row['mean']:.4g}" + (f" ({'; '.join(notes)})" if notes else "")
