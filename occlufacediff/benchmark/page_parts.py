"""The page of the benchmark on real recordings, as plain values for its template."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from occlufacediff.reporting.plots import STYLE, colour_of, svg

METHOD_NAMES = {
    "ours": "ours",
    "ours_without_sound": "ours, without sound",
    "ours_other_sound": "ours, another clip's sound",
    "fit_alone": "fit to what is visible alone",
    "interpolation": "linear interpolation",
    "hold": "hold",
    "visible_mean": "mean of the visible frames",
    "bridge": "decaying bridge to that mean",
    "phone_rules": "phones by rules, no network",
    "neutral": "neutral face",
}
REGION_NAMES = {
    "mouth": "Mouth and all around it",
    "lower": "Lower half",
    "upper": "Upper face",
    "side": "One side",
    "everything": "Everything",
    "picture": "Under an occluder's picture",
}
#: Letters a line below a bar.
LABEL_LETTERS = 13
SPAN_NAMES = {"middle": "in the middle half of the frames", "all": "in all frames"}
#: Metric, heading, digits.
COLUMNS = (
    ("lips_px", "lips, px", 2),
    ("lips_of_eye_span", "% of eye span", 1),
    ("hidden_px", "all hidden, px", 2),
    ("opening_error_px", "opening, px", 2),
    ("opening_correlation", "opening r", 2),
    ("width_correlation", "width r", 2),
    ("jerk_ratio", "jerk / true", 2),
    ("best_lag", "lag, frames", 1),
)
PART_NAMES = {"all": "all clips", "open": "open part", "held_out": "kept apart"}


def with_interval(row: Mapping[str, Any] | None, digits: int, mean: str = "mean") -> str:
    """``mean [low, high]``, or as much of it as is known."""
    if row is None or pd.isna(row[mean]):
        return ""
    text = f"{row[mean]:.{digits}f}"
    return text if pd.isna(row["low"]) else f"{text} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def lone_clip_note(asked: Collection[str], found: Collection[str]) -> str:
    """A sentence where no other clip's sound was there for the methods that were ``asked`` for; else nothing."""
    if "ours_other_sound" in found or "ours_other_sound" not in asked:
        return ""
    return "There is one usable clip only, so nothing was filled in by another clip's sound."


def _one(table: pd.DataFrame, **wanted: str) -> Mapping[str, Any] | None:
    for name, value in wanted.items():
        table = table[table[name] == value]
    return {str(name): value for name, value in table.iloc[0].items()} if len(table) else None


def settings_part(means: pd.DataFrame, gains: pd.DataFrame, by_clip: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """A section for each region and span: a plot of clips, the table, and what ours is worth."""
    found = []
    for (region, span), chosen in means.groupby(["region", "span"], sort=False):
        of_all = chosen[chosen["part"] == "all"]
        # Where no lips were hidden, all that was hidden is compared.
        metric = "lips_px" if of_all.loc[of_all["metric"] == "lips_px", "n"].sum() else "hidden_px"
        rows = [
            {
                "name": METHOD_NAMES[method],
                "cells": [
                    with_interval(_one(of_all, method=method, metric=name), digits) for name, _, digits in COLUMNS
                ],
            }
            for method in METHOD_NAMES
            if (of_all["method"] == method).any()
        ]
        clips = by_clip[(by_clip["region"] == region) & (by_clip["span"] == span) & (by_clip["metric"] == metric)]
        worth = gains[(gains["region"] == region) & (gains["span"] == span) & (gains["metric"] == metric)]
        found.append(
            {
                "title": f"{REGION_NAMES[str(region)]}, hidden {SPAN_NAMES[str(span)]}",
                "note": "Means over clips, in pixels of the 224 crop, with 95 % intervals; a dot of the plot is a clip "
                f"({'hidden lips' if metric == 'lips_px' else 'all hidden landmarks'}). The truth is the fit to the "
                "whole face; identity, pose and camera of all methods come from visible landmarks only."
                + spread_note(of_all),
                "plot": dots(clips, seed),
                "columns": [heading for _, heading, _ in COLUMNS],
                "rows": rows,
                "gain_columns": [*PART_NAMES.values(), "better on, of all clips"],
                "gains": _gain_rows(worth),
            }
        )
    return found


def spread_note(means: pd.DataFrame) -> str:
    """A sentence on the spread of ours, where its lips were hidden."""
    rows = [_one(means, method="ours", metric=name) for name in ("coverage_50", "coverage_90", "spread_rank")]
    if any(row is None or pd.isna(row["mean"]) for row in rows):
        return ""
    half, most, rank = (row["mean"] for row in rows if row is not None)
    clips = with_interval(_one(means, method="ours", metric="spread_rank_of_clips"), 2)
    return (
        f" Of our lip opening, 50 % intervals hold the truth in {100 * half:.0f} % of the hidden frames, those of "
        f"90 % in {100 * most:.0f} %; within a clip the spread ranks the errors with a correlation of {rank:.2f}"
        + (f", and clips by their errors with {clips}." if clips else ".")
    )


def _gain_rows(worth: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for method in (one for one in METHOD_NAMES if (worth["against"] == one).any()):
        parts = {part: _one(worth, against=method, part=part) for part in PART_NAMES}
        cells = [with_interval(row, 1, "gain_percent") for row in parts.values()]
        whole = parts["all"]
        share = f"{100 * whole['share_better']:.0f} % of {whole['n']}" if whole is not None else ""
        rows.append({"name": METHOD_NAMES[method], "cells": [*cells, share]})
    return rows


def dots(clips: pd.DataFrame, seed: int) -> str:
    """Errors of all clips by method, with their mean, as SVG."""
    rng = np.random.default_rng(seed)
    methods = [method for method in METHOD_NAMES if (clips["method"] == method).any()]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9.6, 3.2))
        for place, method in enumerate(methods):
            values = clips.loc[clips["method"] == method, "value"].dropna().to_numpy()
            if len(values) == 0:
                continue
            colour = colour_of(method, place)
            axes.bar(place, values.mean(), 0.7, color=colour, alpha=0.55)
            axes.plot(
                place + rng.uniform(-0.25, 0.25, len(values)), values, "o", color="#20242c", ms=2.6, mew=0, alpha=0.5
            )
        labels = [fill(METHOD_NAMES[method], LABEL_LETTERS) for method in methods]
        axes.set_xticks(range(len(methods)), labels, fontsize=8)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("px, less is better")
        axes.set_ylim(bottom=0)
        return svg(figure)


def group_rows(groups: pd.DataFrame, region: str, span: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Lip errors by source and by loudness, a row a group: clips, then every method, then correlations of ours."""
    rows = []
    chosen = groups[(groups["region"] == region) & (groups["span"] == span)]
    for (kind, group), part in chosen.groupby(["grouped_by", "group"], sort=False):
        cells = [with_interval(_one(part, method=method, metric="lips_px"), 2) for method in methods]
        cells.append(with_interval(_one(part, method="ours", metric="opening_correlation"), 2))
        first = _one(part, method="ours", metric="lips_px")
        rows.append({"name": f"{kind}: {group}", "cells": [str(first["n"]) if first else "", *cells]})
    return rows


def clip_rows(clips: pd.DataFrame) -> list[dict[str, str]]:
    """All clips of the folder: how each was taken, or why it was not."""
    rows = []
    for row in clips.to_dict("records"):
        if row["status"] == "ok":
            text = f"{row['frames']} frames, loudest {row['level_db']} dB, fit {row['fit_px']} px"
            late = int(row["offset_frames"] or 0)
            text += f", sound taken {abs(late)} frames {'late' if late > 0 else 'early'}" if late else ""
            text += ", kept apart" if str(row["held_out"]) == "1" else ""
        else:
            text = f"{row['reason']}: {row['message']}"
        rows.append({"name": str(row["clip"]), "status": str(row["status"]), "text": text})
    return rows


def cards(means: pd.DataFrame, gains: pd.DataFrame, region: str, span: str) -> list[dict[str, str]]:
    """The figures that are looked at first."""
    chosen = means[(means["region"] == region) & (means["span"] == span) & (means["part"] == "all")]
    worth = gains[(gains["region"] == region) & (gains["span"] == span) & (gains["part"] == "all")]
    found = []
    for method in ("ours", "interpolation", "bridge"):
        row = _one(chosen, method=method, metric="lips_px")
        if row is not None and not pd.isna(row["mean"]):
            found.append({"value": f"{row['mean']:.2f} px", "label": f"hidden lips: {METHOD_NAMES[method]}"})
    row = _one(chosen, method="ours", metric="opening_correlation")
    if row is not None and not pd.isna(row["mean"]):
        found.append({"value": f"{row['mean']:.2f}", "label": "correlation of lip opening: ours"})
    row = _one(worth, against="ours_without_sound", metric="lips_px")
    if row is not None and not pd.isna(row["gain_percent"]):
        found.append({"value": f"{row['gain_percent']:+.0f} %", "label": "what sound is worth at the lips"})
    return found
