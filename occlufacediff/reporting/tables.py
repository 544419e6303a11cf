"""Result tables of evaluation and benchmark: read them, pivot them, and give names for display."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from occlufacediff.errors import ConfigError

METRIC_COLUMNS = ("method", "occlusion", "metric", "unit", "mean", "n")
#: Columns that are read as text. A subject or clip may be called 001 or NA: neither a number nor a missing value.
TEXT_COLUMNS = frozenset(
    (
        *("subject", "clip", "emotion", "sentence_id", "text", "split", "status", "reason", "message"),
        *("method", "occlusion", "metric", "unit", "run", "seen_in_training"),
        *("source", "group", "grouped_by", "region", "span", "part", "against", "audio_kind"),
    )
)
#: Names of the methods of evaluation and benchmark, in the order of all tables and plots.
METHOD_NAMES = {
    "ours": "ours",
    "ours_without_audio": "ours, without audio",
    "before_finetuning": "ours, before fine-tuning",
    "ours_other_audio": "ours, another clip's audio",
    "fit_alone": "fit to visible landmarks only",
    "interpolation": "linear interpolation",
    "hold": "hold last visible frame",
    "visible_mean": "mean of visible frames",
    "bridge": "decay to visible mean",
    "phone_rules": "viseme rules, no network",
    "neutral": "neutral face",
}
METHOD_ORDER = tuple(METHOD_NAMES)
OCCLUSION_ORDER = ("none", "mouth", "upper", "random", "audio_driven")
METRIC_NAMES = {
    "lve": "lip vertices (LVE)",
    "lve_hidden": "lip vertices, occluded frames",
    "mvpe": "all vertices",
    "mvpe_face": "face vertices",
    "mouth_closure": "mouth closure",
    "jitter": "jitter",
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


def method_name(method: str) -> str:
    """Display name of a method."""
    return METHOD_NAMES.get(method, method.replace("_", " "))


def metric_name(metric: str) -> str:
    """Display name of a metric."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def pivot(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means of one metric as a table: one row per method, one column per occlusion."""
    chosen = metrics[metrics["metric"] == metric]
    table = chosen.pivot_table(index="method", columns="occlusion", values="mean", aggfunc="first", sort=False)
    rows = in_order([str(name) for name in table.index], METHOD_ORDER)
    columns = in_order([str(name) for name in table.columns], OCCLUSION_ORDER)
    return table.loc[rows, columns]


def unit_of(metrics: pd.DataFrame, metric: str) -> str:
    """Unit of a metric; empty if it has none."""
    units = metrics.loc[metrics["metric"] == metric, "unit"].dropna()
    return str(units.iloc[0]) if len(units) else ""


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
