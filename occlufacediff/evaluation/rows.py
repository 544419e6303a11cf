"""Columns of the tables with one row per clip, and the clips of a split that are scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from occlufacediff.datasets.manifest_rows import SplitRows
from occlufacediff.evaluation.failures import Failure

BY_CLIP_COLUMNS = ["method", "occlusion", "subject", "clip", "metric", "unit", "value", "weight"]
FAILURE_COLUMNS = ["occlusion", "subject", "clip", "reason", "message"]


def chosen_clips(count: int, most: int | None) -> list[int]:
    """Indices of the clips of a split to score: all, or ``most`` evenly over the split."""
    if most is None or most >= count:
        return list(range(count))
    return np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()


def scored_rows(manifest: Path, split: str, most: int | None, subject: str | None = None) -> SplitRows:
    """Clips of a split that are scored, of all subjects or of one; there may be none of one subject.

    Raises:
        AssetError: the manifest lacks a column, or the split is empty.
    """
    found = SplitRows.read(manifest, split)
    chosen = [found.rows[number] for number in chosen_clips(len(found.rows), most)]
    return replace(found, rows=[row for row in chosen if subject is None or row[0] == subject])


def failure_row(failure: Failure) -> tuple[str, str, str, str, str]:
    """A failure as a row of `FAILURE_COLUMNS`."""
    subject, clip = failure.clip_id.split("/", 1)
    return failure.occlusion, subject, clip, failure.reason, failure.message


def failure_table(rows: Iterable[Sequence[str]]) -> pd.DataFrame:
    """A table of `FAILURE_COLUMNS`."""
    return pd.DataFrame(rows, columns=FAILURE_COLUMNS)


def read_failures(path: Path) -> pd.DataFrame:
    """Read a table of `FAILURE_COLUMNS`, all as text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)[FAILURE_COLUMNS]
