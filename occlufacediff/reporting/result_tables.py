"""Tables of results for pages: differences of methods and runs, means by group and by region of the face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from occlufacediff.evaluation.metrics import TRUTH, best_of
from occlufacediff.reporting.names import (
    METHOD_ORDER,
    OCCLUSION_ORDER,
    counted,
    method_name,
    metric_name,
    occluded,
    occlusion_name,
)
from occlufacediff.reporting.plots import differences_plot
from occlufacediff.reporting.tables import (
    cell_text,
    digits_of,
    headline_metric,
    in_order,
    interval_note,
    interval_text,
    unit_of,
)

#: Prefix of the metrics of regions of the face.
REGION = "mvpe_"


def table_cell(value: float, low: float, high: float, digits: int, best: bool = False) -> dict[str, Any]:
    """A cell of a table of methods: its text, whether it is the best, and its interval if it has one."""
    text = "" if np.isnan(value) else f"{value:.{digits}f}"
    limits = interval_text(low, high, digits) if text else ""
    return {"text": text, "best": bool(best), **({"interval": limits} if limits else {})}


def differences(paired: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Differences of the first method to every other, by occlusion.

    Args:
        paired: ``evaluation/paired.csv``.
        metric: the metric.
    """
    rows = paired[paired["metric"] == metric]
    first = in_order(rows["method"], METHOD_ORDER)[:1]
    rows = rows[rows["method"].isin(first)]
    digits = digits_of(rows[["difference"]]) if len(rows) else 2
    lines = []
    for occlusion in in_order(rows["occlusion"], OCCLUSION_ORDER):
        for row in rows[rows["occlusion"] == occlusion].to_dict("records"):
            lines.append(
                [
                    occlusion_name(occlusion),
                    method_name(row["against"]),
                    cell_text(row["difference"], row["low"], row["high"], digits),
                    _share(metric, row["share_lower"]),
                    str(row["n"]),
                ]
            )
    unit = unit_of(rows, metric)
    name = method_name(first[0]) if first else "methods"
    return {
        "title": f"Difference of {name} to other methods: {metric_name(metric)}" + (f", {unit}" if unit else ""),
        "note": f"Mean difference on the same clips; left of zero: {name} has the lower value. {interval_note(rows)} "
        "A difference is clear if its interval does not touch zero.",
        "columns": ["occlusion", "against", "difference", f"{name} better on", "clips"],
        "rows": lines,
        "plot": differences_plot(paired, metric, unit),
    }


def _share(metric: str, lower: float) -> str:
    """Share of clips in which the first is better; empty for a metric without a better direction."""
    best = best_of(metric)
    return "" if best is None or np.isnan(lower) else f"{100 * (lower if best == 'lowest' else 1 - lower):.0f} %"


def group_tables(grouped: pd.DataFrame, metric: str, occlusion: str) -> list[dict[str, Any]]:
    """Means of one metric under one occlusion by emotion, level and subject: groups by methods.

    Args:
        grouped: ``evaluation/metrics_by_group.csv``.
        metric: the metric.
        occlusion: kind of occlusion; without results under it there is no table.
    """
    rows = grouped[(grouped["metric"] == metric) & (grouped["occlusion"] == occlusion) & (grouped["method"] != TRUTH)]
    title = ", ".join(part for part in (metric_name(metric), unit_of(rows, metric)) if part)
    tables = []
    for name in dict.fromkeys(rows["grouped_by"]):
        of_name = rows[rows["grouped_by"] == name]
        methods, digits = in_order(of_name["method"], METHOD_ORDER), digits_of(of_name[["mean"]])
        lines = []
        for group in dict.fromkeys(of_name["group"]):
            by_method = of_name[of_name["group"] == group].set_index("method")
            clips = int(by_method["n"].max())
            lines.append(
                {
                    "name": f"{group} ({counted(clips, 'clip')})",
                    "cells": _cells(by_method, methods, digits),
                }
            )
        tables.append(
            {
                "title": f"{title}, by {name}: {occluded(occlusion)}",
                "columns": [method_name(method) for method in methods],
                "heading": str(name),
                "note": interval_note(of_name),
                "rows": lines,
            }
        )
    return tables


def region_tables(metrics: pd.DataFrame, occlusion: str) -> list[dict[str, Any]]:
    """Mean vertex error by region of the face under one occlusion: regions by methods; empty without such metrics."""
    rows = metrics[metrics["metric"].str.startswith(REGION) & (metrics["occlusion"] == occlusion)]
    rows = rows[~rows["metric"].str.endswith("_hidden")]
    if rows.empty:
        return []
    methods, digits = in_order(rows["method"], METHOD_ORDER), digits_of(rows[["mean"]])
    lines = [
        {
            "name": str(name).removeprefix(REGION).replace("_", " "),
            "cells": _cells(rows[rows["metric"] == name].set_index("method"), methods, digits),
        }
        for name in dict.fromkeys(rows["metric"])
    ]
    return [
        {
            "title": f"Mean vertex error by region, mm: {occluded(occlusion)}",
            "columns": [method_name(method) for method in methods],
            "heading": "region",
            "note": interval_note(rows),
            "rows": lines,
        }
    ]


def _cells(by_method: pd.DataFrame, methods: list[str], digits: int) -> list[dict[str, Any]]:
    """One cell per method; ``by_method`` has the columns ``mean`` and, if there are intervals, ``low`` and ``high``.

    A method with fewer clips than others (column ``n``) has their number in its cell and is never the best.
    """
    means = by_method["mean"].reindex(methods)
    limits = [by_method[name].reindex(methods) if name in by_method else means * np.nan for name in ("low", "high")]
    counts = by_method["n"].reindex(methods) if "n" in by_method else pd.Series(1, index=means.index)
    most = counts.max()
    best = means[counts == most].min()
    cells = []
    for value, low, high, count in zip(means, *limits, counts, strict=True):
        cell = table_cell(value, low, high, digits, best=value == best and count == most)
        few = count < most
        cells.append(cell | {"text": f"{cell['text']} ({count:.0f} of {most:.0f} clips)".strip()} if few else cell)
    return cells


def run_difference_note(compared: pd.DataFrame, source: str = "runs_paired.csv has all metrics.") -> str:
    """What the tables of `run_difference_tables` show, and where all metrics are."""
    if compared.empty:
        return "There are no two runs with the same clips and occlusions."
    return (
        "Means of both runs and their mean difference on the same clips, first minus second; negative: the first has "
        f"the lower value. Methods without any difference are left out. {interval_note(compared)} {source}"
    )


def run_difference_tables(compared: pd.DataFrame) -> list[dict[str, Any]]:
    """One table per pair of runs with the differences of the headline metric.

    Args:
        compared: table of `comparison.compare_all`.
    """
    tables = []
    for (first, second), rows in compared.groupby(["first", "second"], sort=False):
        metric = headline_metric(rows)
        chosen = rows[rows["metric"] == metric]
        # The neutral face, for example, is the same in all runs.
        differs = chosen.groupby("method")["difference"].transform(lambda values: (values != 0).any())
        chosen = chosen[differs] if differs.any() else chosen
        digits = digits_of(chosen[["mean_first", "mean_second"]])
        lines = [
            [
                method_name(row["method"]),
                occlusion_name(row["occlusion"]),
                f"{row['mean_first']:.{digits}f}",
                f"{row['mean_second']:.{digits}f}",
                cell_text(row["difference"], row["low"], row["high"], digits),
                _share(metric, row["share_lower"]),
                str(row["n"]),
            ]
            for row in chosen.to_dict("records")
        ]
        unit = unit_of(chosen, metric)
        tables.append(
            {
                "title": f"{first} and {second}: {metric_name(metric)}" + (f", {unit}" if unit else ""),
                "columns": ["method", "occlusion", first, second, "difference", f"{first} better on", "clips"],
                "rows": lines,
            }
        )
    return tables
