"""Result tables of evaluation and benchmark: read them, pivot them, and describe their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.metrics import TRUTH, best_of
from occlufacediff.reporting.names import METHOD_ORDER, OCCLUSION_ORDER, counted

#: Fewer subjects give too narrow intervals.
FEW_SUBJECTS = 10
METRIC_COLUMNS = ("method", "occlusion", "metric", "unit", "mean", "n")
#: Columns that are read as text. A subject or clip may be called 001 or NA: neither a number nor a missing value.
TEXT_COLUMNS = frozenset(
    (
        *("subject", "clip", "emotion", "sentence_id", "text", "split", "status", "reason", "message"),
        *("method", "occlusion", "metric", "unit", "run", "seen_in_training"),
        *("interval_over", "protocol", "identity"),
        *("source", "group", "grouped_by", "region", "occluder", "span", "part", "against", "audio_kind"),
    )
)
#: What methods received, by `evaluation.identity`.
IDENTITY_NOTES = {
    "all": "Methods receive identity, head pose and crops of the clip without occlusion (identity: all); methods "
    "without a network receive the true motion of visible frames.",
    "visible": "Methods receive identity, head pose, crops and visible motion estimated from what is visible "
    "(identity: visible).",
}


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV table. Text columns stay strings, empty where a cell is empty; other empty cells are NaN.

    Args:
        path: the file.
        columns: columns that it must have.

    Raises:
        ConfigError: the file is missing, not a CSV table, or lacks a column.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; run the workflow first (`make run`)")
    try:
        header = pd.read_csv(path, nrows=0).columns
        table = pd.read_csv(
            path,
            dtype={name: str for name in header if name in TEXT_COLUMNS},
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in header if name not in TEXT_COLUMNS},
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable CSV table: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ConfigError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    return table


def in_order(values: Iterable[object], order: tuple[str, ...]) -> list[str]:
    """Unique names sorted by a preferred order; unknown names come last, in their own order."""
    names = dict.fromkeys(str(value) for value in values)
    return sorted(names, key=lambda value: order.index(value) if value in order else len(order))


def pivot(metrics: pd.DataFrame, metric: str, column: str = "mean") -> pd.DataFrame:
    """Means (or another column) of one metric as a table: one row per method, one column per occlusion."""
    chosen = metrics[metrics["metric"] == metric]
    table = chosen.pivot_table(
        index="method", columns="occlusion", values=column, aggfunc="first", sort=False, dropna=False
    )
    rows = in_order([str(name) for name in table.index], METHOD_ORDER)
    columns = in_order([str(name) for name in table.columns], OCCLUSION_ORDER)
    return table.loc[rows, columns]


def intervals(metrics: pd.DataFrame, metric: str, means: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lower and upper limits of one metric, in the shape of its ``means`` (see `pivot`); NaN without limits."""
    if not {"low", "high"} <= set(metrics.columns):
        empty = pd.DataFrame(np.nan, index=means.index, columns=means.columns)
        return empty, empty
    low, high = (pivot(metrics, metric, name).reindex_like(means) for name in ("low", "high"))
    return low, high


def identity_note(metrics: pd.DataFrame) -> list[str]:
    """A sentence about what methods received (column ``identity``); none for tables without it."""
    if "identity" not in metrics or metrics.empty:
        return []
    return [IDENTITY_NOTES[str(metrics["identity"].iloc[0])]]


def interval_note(metrics: pd.DataFrame) -> str:
    """What the intervals of a table of means or differences are."""
    if "low" not in metrics or metrics["low"].isna().all():
        return "There are too few clips for intervals."
    over = set(metrics["interval_over"]) if "interval_over" in metrics else set()
    clips = " over clips where there is only one subject" if "clips" in over else ""
    if "subjects" in over:
        count = int(metrics["n_subjects"].max())
        few = " So few subjects give intervals that are too narrow." if count < FEW_SUBJECTS else ""
        rest = f", and{clips}" if clips else ""
        return f"Brackets are 95 % intervals by a bootstrap over {counted(count, 'subject')}{rest}.{few}"
    if clips:
        return "Brackets are 95 % intervals by a bootstrap over clips, because there is only one subject."
    return "Brackets are 95 % intervals."


def count_texts(metrics: pd.DataFrame, metric: str, means: pd.DataFrame) -> pd.DataFrame:
    """Numbers of clips such as ``9 of 12 clips`` for methods that lack clips, in the shape of the `pivot` ``means``."""
    texts = pd.DataFrame("", index=means.index, columns=means.columns)
    if "missing" not in metrics.columns:
        return texts
    counts, missing = (
        pivot(metrics, metric, name).reindex_like(means).fillna(0).astype(int) for name in ("n", "missing")
    )
    return texts.mask(missing > 0, counts.astype(str) + " of " + (counts + missing).astype(str) + " clips")


def best_values(means: pd.DataFrame, metric: str) -> dict[str, float]:
    """The best value of each column of a table of `pivot`, without the truth; empty if no direction is better."""
    best, methods = best_of(metric), means.drop(index=TRUTH, errors="ignore")
    if best is None:
        return {}
    values = methods.min() if best == "lowest" else methods.max()
    return {str(name): float(value) for name, value in values.items()}


def digits_of(means: pd.DataFrame) -> int:
    """Decimals to print of the values of a table."""
    return 2 if means.abs().max().max() >= 0.2 else 4


def cell_text(value: float, low: float, high: float, digits: int) -> str:
    """A value with its interval, such as ``2.31 [2.10, 2.50]``; empty for NaN."""
    if np.isnan(value):
        return ""
    return f"{value:.{digits}f} {interval_text(low, high, digits)}".rstrip()


def interval_text(low: float, high: float, digits: int) -> str:
    """An interval, such as ``[2.10, 2.50]``; empty if a limit is NaN."""
    return "" if np.isnan(low) or np.isnan(high) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def unit_of(metrics: pd.DataFrame, metric: str) -> str:
    """Unit of a metric; empty if it has none, or is a pure number (unit ``1``)."""
    units = metrics.loc[metrics["metric"] == metric, "unit"].dropna()
    unit = str(units.iloc[0]) if len(units) else ""
    return "" if unit == "1" else unit


def headline_metric(metrics: pd.DataFrame) -> str:
    """The main metric of the report: lip vertex error, or the error of all visible vertices if no lips are visible.

    Raises:
        ConfigError: the table has neither.
    """
    names = set(metrics["metric"])
    for name in ("lve", "lve_hidden", "mvpe"):
        if name in names:
            return name
    raise ConfigError(f"the metrics have no vertex error (lve, mvpe); they have {', '.join(sorted(names))}")
