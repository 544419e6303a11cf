"""Result tables: read the evaluation's files, pivot them, name things for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from occlufacediff.errors import ConfigError

METRIC_COLUMNS = ("method", "occlusion", "metric", "unit", "mean", "n")
#: Columns of names and words: a subject may be called 001, and one called NA is no missing value.
WORDS = frozenset(
    (
        *("subject", "clip", "emotion", "sentence_id", "text", "split", "status", "reason", "message"),
        *("method", "occlusion", "metric", "unit"),
    )
)
METHOD_NAMES = {
    "ours": "ours",
    "ours_without_sound": "ours, without sound",
    "interpolation": "linear interpolation",
    "neutral": "neutral face",
}
METHOD_ORDER = ("ours", "ours_without_sound", "interpolation", "neutral")
OCCLUSION_ORDER = ("none", "mouth", "upper", "random", "audio_driven")
METRIC_NAMES = {
    "lve": "lip vertices (LVE)",
    "lve_hidden": "lip vertices, hidden frames",
    "mvpe": "all vertices",
    "mvpe_face": "face vertices",
    "mouth_closure": "mouth closure",
    "jitter": "jitter",
}


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file and demand some columns; names stay the strings they are, empty where there is none.

    Raises:
        ConfigError: the file is missing, empty or lacks a column.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; run the workflow first (`make run`)")
    try:
        header = pd.read_csv(path, nrows=0).columns
        table = pd.read_csv(
            path,
            dtype={name: str for name in header if name in WORDS},
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in header if name not in WORDS},
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable CSV table: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ConfigError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    return table


def in_order(values: Iterable[object], order: tuple[str, ...]) -> list[str]:
    """Sort names by a preferred order; unknown ones come last, in the order given."""
    names = dict.fromkeys(str(value) for value in values)
    return sorted(names, key=lambda value: order.index(value) if value in order else len(order))


def method_name(method: str) -> str:
    """Name of a method for people."""
    return METHOD_NAMES.get(method, method.replace("_", " "))


def metric_name(metric: str) -> str:
    """Name of a metric for people."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def pivot(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric as a table, methods down and occlusions across, means."""
    chosen = metrics[metrics["metric"] == metric]
    table = chosen.pivot_table(index="method", columns="occlusion", values="mean", aggfunc="first", sort=False)
    rows = in_order([str(name) for name in table.index], METHOD_ORDER)
    columns = in_order([str(name) for name in table.columns], OCCLUSION_ORDER)
    return table.loc[rows, columns]


def unit_of(metrics: pd.DataFrame, metric: str) -> str:
    """Unit of a metric; empty where there is none."""
    units = metrics.loc[metrics["metric"] == metric, "unit"].dropna()
    return str(units.iloc[0]) if len(units) else ""


def headline_metric(metrics: pd.DataFrame) -> str:
    """The metric the report leads with: lip vertex error; that of all visible vertices where no lips are ever seen.

    Raises:
        ConfigError: the table has neither.
    """
    names = set(metrics["metric"])
    for name in ("lve", "lve_hidden", "mvpe"):
        if name in names:
            return name
    raise ConfigError(f"the metrics have no vertex error (lve, mvpe); they have {', '.join(sorted(names))}")
