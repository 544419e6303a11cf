"""Parts of the benchmark's page as plain values for its template."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from occlufacediff.reporting.names import METHOD_NAMES
from occlufacediff.reporting.plots import bars_by_method

REGION_NAMES = {
    "mouth": "Mouth, chin and cheeks",
    "lower": "Lower half",
    "upper": "Upper face",
    "side": "One side",
    "everything": "Whole face",
    "picture": "Picture of an occluder",
}
SPAN_NAMES = {"middle": "in the middle half of the frames", "all": "in all frames"}
#: Metric, heading, digits.
COLUMNS = (
    ("lips_px", "lips, px", 2),
    ("lips_of_eye_span", "% of eye span", 1),
    ("hidden_px", "all occluded, px", 2),
    ("opening_error_px", "opening, px", 2),
    ("opening_correlation", "opening r", 2),
    ("width_correlation", "width r", 2),
    ("jerk_ratio", "jerk / true", 2),
    ("best_lag", "lag, frames", 1),
)
PART_NAMES = {"all": "all clips", "open": "open clips", "held_out": "held-out clips"}


def with_interval(row: Mapping[str, Any] | None, digits: int, mean: str = "mean") -> str:
    """``mean [low, high]``; without the interval, or empty, if these are not known."""
    if row is None or pd.isna(row[mean]):
        return ""
    text = f"{row[mean]:.{digits}f}"
    return text if pd.isna(row["low"]) else f"{text} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def single_clip_note(requested: Collection[str], found: Collection[str]) -> str:
    """A note if the method ``ours_other_audio`` was requested and could not be run; else empty."""
    if "ours_other_audio" in found or "ours_other_audio" not in requested:
        return ""
    return "Only one clip is usable, so the method with another clip's audio was not run."


def _one(table: pd.DataFrame, **wanted: str) -> Mapping[str, Any] | None:
    for name, value in wanted.items():
        table = table[table[name] == value]
    return {str(name): value for name, value in table.iloc[0].items()} if len(table) else None


def settings_part(means: pd.DataFrame, gains: pd.DataFrame, by_clip: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """One section per region and span: a plot of the clips, the table of means, and the gains of our method."""
    sections = []
    for (region, span), chosen in means.groupby(["region", "span"], sort=False):
        of_all = chosen[chosen["part"] == "all"]
        # Regions without lips are compared at all occluded landmarks.
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
        compared = gains[(gains["region"] == region) & (gains["span"] == span) & (gains["metric"] == metric)]
        sections.append(
            {
                "title": f"{REGION_NAMES[str(region)]}, occluded {SPAN_NAMES[str(span)]}",
                "note": "Means over clips in pixels of the 224 crop, with 95 % intervals. Dots in the plot are clips "
                f"({'occluded lips' if metric == 'lips_px' else 'all occluded landmarks'}). The truth is the fit to "
                "all landmarks. All methods use identity, pose and camera from the visible landmarks only."
                + spread_note(of_all),
                "plot": bars_by_method(clips, "px", seed),
                "columns": [heading for _, heading, _ in COLUMNS],
                "rows": rows,
                "gain_columns": [*PART_NAMES.values(), "better, of all clips"],
                "gains": _gain_rows(compared),
            }
        )
    return sections


def spread_note(means: pd.DataFrame) -> str:
    """A note on the calibration of our spread; empty if no lips were occluded."""
    rows = [_one(means, method="ours", metric=name) for name in ("coverage_50", "coverage_90", "spread_rank")]
    if any(row is None or pd.isna(row["mean"]) for row in rows):
        return ""
    half, most, rank = (row["mean"] for row in rows if row is not None)
    clips = with_interval(_one(means, method="ours", metric="spread_rank_of_clips"), 2)
    return (
        f" Our 50 % intervals of the lip opening contain the truth in {100 * half:.0f} % of the occluded frames, our "
        f"90 % intervals in {100 * most:.0f} %. Rank correlation of spread and error within a clip: {rank:.2f}"
        + (f"; over clips: {clips}." if clips else ".")
    )


def _gain_rows(compared: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for method in (one for one in METHOD_NAMES if (compared["against"] == one).any()):
        parts = {part: _one(compared, against=method, part=part) for part in PART_NAMES}
        cells = [with_interval(row, 1, "gain_percent") for row in parts.values()]
        of_all = parts["all"]
        share = f"{100 * of_all['share_better']:.0f} % of {of_all['n']}" if of_all is not None else ""
        rows.append({"name": METHOD_NAMES[method], "cells": [*cells, share]})
    return rows


def group_rows(groups: pd.DataFrame, region: str, span: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Lip errors by source and by loudness, one row per group: clips, methods, opening correlation of ours."""
    rows = []
    chosen = groups[(groups["region"] == region) & (groups["span"] == span)]
    for (kind, group), part in chosen.groupby(["grouped_by", "group"], sort=False):
        cells = [with_interval(_one(part, method=method, metric="lips_px"), 2) for method in methods]
        cells.append(with_interval(_one(part, method="ours", metric="opening_correlation"), 2))
        first = _one(part, method="ours", metric="lips_px")
        rows.append({"name": f"{kind}: {group}", "cells": [str(first["n"]) if first else "", *cells]})
    return rows


def clip_rows(clips: pd.DataFrame) -> list[dict[str, str]]:
    """One row per clip of the folder: its properties, or why it failed."""
    rows = []
    for row in clips.to_dict("records"):
        if row["status"] == "ok":
            text = f"{row['frames']:.0f} frames, loudest {row['level_db']} dB, fit {row['fit_px']} px"
            late = int(row["offset_frames"])
            text += f", audio {abs(late)} frames {'late' if late > 0 else 'early'}" if late else ""
            text += ", held out" if row["held_out"] == 1 else ""
        else:
            text = f"{row['reason']}: {row['message']}"
        rows.append({"name": str(row["clip"]), "status": str(row["status"]), "text": text})
    return rows


def cards(means: pd.DataFrame, gains: pd.DataFrame, region: str, span: str) -> list[dict[str, str]]:
    """The main results."""
    chosen = means[(means["region"] == region) & (means["span"] == span) & (means["part"] == "all")]
    compared = gains[(gains["region"] == region) & (gains["span"] == span) & (gains["part"] == "all")]
    found = []
    for method in ("ours", "interpolation", "bridge"):
        row = _one(chosen, method=method, metric="lips_px")
        if row is not None and not pd.isna(row["mean"]):
            found.append({"value": f"{row['mean']:.2f} px", "label": f"occluded lips: {METHOD_NAMES[method]}"})
    row = _one(chosen, method="ours", metric="opening_correlation")
    if row is not None and not pd.isna(row["mean"]):
        found.append({"value": f"{row['mean']:.2f}", "label": "correlation of lip opening: ours"})
    row = _one(compared, against="ours_without_audio", metric="lips_px")
    if row is not None and not pd.isna(row["gain_percent"]):
        found.append({"value": f"{row['gain_percent']:+.0f} %", "label": "gain from audio at the lips"})
    return found
