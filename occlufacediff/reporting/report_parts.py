"""Parts of the report as plain values for its template."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from occlufacediff.errors import ARCHIVE
from occlufacediff.evaluation import bootstrap
from occlufacediff.evaluation.bootstrap import Resampling
from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.media.rates import FPS
from occlufacediff.reporting import plots
from occlufacediff.reporting.names import counted, method_name, metric_name, occluded, occlusion_name
from occlufacediff.reporting.result_tables import table_cell
from occlufacediff.reporting.tables import (
    best_values,
    count_texts,
    digits_of,
    headline_metric,
    in_order,
    interval_note,
    intervals,
    pivot,
    read_table,
    unit_of,
)

#: Errors of the landmark fit: names for display.
FIT_NAMES = {
    "error_px": "all landmarks, px",
    "lips_px": "lips, px",
    "opening_correlation": "correlation of the lip opening",
}
#: Bootstrap draws of the errors of the landmark fit.
DRAWS = 2000
SPLITS = ("train", "validation", "test", "unused")


def result_tables(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """One table per metric, with one row per method and one column per occlusion. The headline metric comes first."""
    first = headline_metric(metrics)
    names = [first, *[name for name in dict.fromkeys(str(name) for name in metrics["metric"]) if name != first]]
    return [_table(metrics, name) for name in names]


def _table(metrics: pd.DataFrame, metric: str) -> dict[str, Any]:
    means = pivot(metrics, metric)
    unit = unit_of(metrics, metric)
    lows, highs = intervals(metrics, metric, means)
    counts = count_texts(metrics, metric, means)
    best, digits = best_values(means.where(counts == ""), metric), digits_of(means)
    rows = []
    for method, *limits in zip(means.index, means.to_numpy(), lows.to_numpy(), highs.to_numpy(), strict=True):
        cells = []
        for name, value, low, high in zip(means.columns, *limits, strict=True):
            few = str(counts.loc[method, name])
            is_best = method != TRUTH and not few and value == best.get(str(name))
            cell = table_cell(value, low, high, digits, best=is_best)
            cells.append(cell | {"text": f"{cell['text']} ({few})".strip()} if few else cell)
        rows.append({"name": method_name(str(method)), "cells": cells})
    columns = [occlusion_name(str(name)) for name in means.columns]
    title = metric_name(metric) + (f", {unit}" if unit else "")
    return {"title": title, "columns": columns, "rows": rows}


def headline_cards(metrics: pd.DataFrame, manifest: pd.DataFrame, occlusion: str) -> list[dict[str, str]]:
    """Main results: lip vertex error of each method under one occlusion, and the number of clips used."""
    metric = headline_metric(metrics)
    means, unit = pivot(metrics, metric), unit_of(metrics, metric)
    counts = count_texts(metrics, metric, means)
    cards = []
    if occlusion in means.columns:
        columns = (means[occlusion], *(table[occlusion] for table in intervals(metrics, metric, means)))
        for method, value, low, high in zip(means.index, *columns, strict=True):
            if np.isnan(value):
                continue
            few = str(counts.loc[str(method), occlusion])
            label = f"{metric_name(metric)}, {occluded(occlusion)}: {method_name(str(method))}"
            cards.append(
                {
                    "value": f"{value:.2f} {unit}",
                    "interval": str(table_cell(value, low, high, 2).get("interval", "")),
                    "label": label + (f" ({few})" if few else ""),
                }
            )
    good, found = (manifest["status"] == "ok").sum(), (manifest["clip"] != ARCHIVE).sum()
    return [*cards, {"value": f"{good} / {found}", "label": "clips used / found"}]


def splits_note(manifest: pd.DataFrame) -> str:
    """Whether train, validation and test split share subjects or sentences, counted in the usable clips."""
    good = manifest[manifest["status"] == "ok"]
    parts = {split: good[good["split"] == split] for split in SPLITS[:3] if (good["split"] == split).any()}
    notes = []
    for one, other in combinations(parts, 2):
        shared = {
            name: len(set(parts[one][column]) & set(parts[other][column]) - {""})
            for name, column in (("subject", "subject"), ("sentence", "sentence_id"))
        }
        if any(shared.values()):
            counts = " and ".join(counted(count, name) for name, count in shared.items() if count)
            notes.append(f"The splits {one} and {other} share {counts}.")
    if notes:
        return " ".join(notes)
    return f"The splits {', '.join(parts)} share neither subjects nor sentences." if len(parts) > 1 else ""


def test_failure_rows(failures: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Rows ``occlusion clip reason message`` of clips that failed in the evaluation, for all methods."""
    return [
        (str(row["occlusion"]), f"{row['subject']}/{row['clip']}", str(row["reason"]), str(row["message"]))
        for row in failures[failures["method"] == ""].to_dict("records")
    ]


def split_rows(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """Subjects, sentences, clips and minutes of each split, without failed clips."""
    good = manifest[manifest["status"] == "ok"]
    rows = []
    for split in in_order(good["split"], SPLITS):
        part = good[good["split"] == split]
        rows.append(
            {
                "split": split,
                "subjects": part["subject"].nunique(),
                "sentences": part["sentence_id"].nunique(),
                "clips": len(part),
                "minutes": f"{part['frames'].sum() / FPS / 60:.1f}",
            }
        )
    return rows


def fit_part(fits: pd.DataFrame, seed: int) -> dict[str, Any] | None:
    """Plots and a table of the errors of the landmark fit; None if there are no errors.

    Args:
        fits: one row per clip, with the columns ``subject`` and ``clip``, and numeric columns of errors.
        seed: of the bootstrap.
    """
    columns = [name for name in fits.select_dtypes("number").columns if fits[name].notna().any()]
    if fits.empty or not columns:
        return None
    names = [FIT_NAMES.get(str(name), str(name).replace("_", " ")) for name in columns]
    by_subject = fits.groupby("subject")[columns].mean()
    rows = [
        {"name": str(subject), "cells": [f"{value:.3f}" for value in row]} for subject, row in by_subject.iterrows()
    ]
    rows.append({"name": "all", "cells": [f"{fits[name].mean():.3f}" for name in columns]})
    resampling = Resampling.of(list(zip(fits["subject"], fits["clip"], strict=True)), DRAWS, seed)
    values = fits[columns].to_numpy(np.float64)
    low, high = bootstrap.means(values, np.ones_like(values), resampling).limits()
    over = pd.DataFrame({"low": low, "interval_over": resampling.over, "n_subjects": fits["subject"].nunique()})
    pictures = [
        plots.histogram(fits[name].to_numpy(), label, limits)
        for name, label, limits in zip(columns[:2], names, zip(low, high, strict=True), strict=False)
    ]
    return {
        "note": "The head model is fitted to the detected landmarks of each clip. Errors are pixels of the 224 crop. "
        f"Lines are means over clips, red bands their intervals. {interval_note(over)}",
        "columns": names,
        "rows": rows,
        "plots": pictures,
    }


def curves(histories: dict[str, Path]) -> list[dict[str, str]]:
    """Loss curves of the networks, from their training histories."""
    made = []
    for name, path in histories.items():
        history = read_table(path, ())
        plot = plots.loss_curves(history)
        if plot:
            made.append({"title": name.replace("_", " "), "plot": plot, "note": _training_note(history)})
    return made


def _training_note(history: pd.DataFrame) -> str:
    last = history.iloc[-1]
    parts = [("step", "{:.0f} steps"), ("seconds", "{:.0f} s"), ("windows_per_s", "{:.0f} windows per second")]
    return ", ".join(text.format(last[name]) for name, text in parts if name in history.columns)


def config_text(config: dict[str, Any]) -> str:
    """The configuration as YAML."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
