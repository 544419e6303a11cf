"""The runs of a data set and their metrics."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from occlufacediff.evaluation.training_overlap import SEEN, Seen
from occlufacediff.reporting.tables import METRIC_COLUMNS, read_table

METRICS = Path("evaluation", "metrics.csv")


def find_runs(results: Path) -> list[Path]:
    """Folders of the evaluated runs of a data set, sorted by name; a folder of a run is its own only run."""
    if (results / METRICS).is_file():
        return [results]
    return sorted(path.parent.parent for path in results.glob(f"runs/*/{METRICS}"))


def seen_by_run(metrics: pd.DataFrame) -> dict[str, Seen]:
    """What the training of each run used of the scored clips: a key of `SEEN`, ``unknown`` for older metrics.

    Args:
        metrics: with the columns ``run`` and, if it is recorded, ``seen_in_training``.
    """
    if "seen_in_training" not in metrics:
        return dict.fromkeys(metrics["run"], "unknown")
    found = metrics.groupby("run", sort=False)["seen_in_training"].first()
    return {str(run): seen if seen in SEEN else "unknown" for run, seen in found.items()}


def runs_table(runs: Iterable[Path]) -> pd.DataFrame:
    """Metrics of all runs, with the name of the run in the first column.

    Raises:
        ConfigError: a run has no readable metrics.
    """
    tables = []
    for run in runs:
        table = read_table(run / METRICS, METRIC_COLUMNS)
        table.insert(0, "run", run.name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
