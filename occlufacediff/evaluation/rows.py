"""Columns of the tables with one row per clip, and the clips of a split that are scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.datasets.manifest_rows import SplitRows
from occlufacediff.errors import AssetError
from occlufacediff.evaluation.clip_list import ListedClip, clip_list
from occlufacediff.evaluation.failures import Failure

BY_CLIP_COLUMNS = ["method", "occlusion", "subject", "clip", "metric", "unit", "value", "weight"]
FAILURE_COLUMNS = ["occlusion", "subject", "clip", "method", "reason", "message"]


@dataclass(frozen=True)
class ScoredClips:
    """Clips that an evaluation scores, and those that its protocol skips with the reason in words."""

    rows: SplitRows
    skipped: dict[tuple[str, str], str]


def scored_clips(manifest: Path, settings: EvaluationSettings, subject: str | None = None) -> ScoredClips:
    """Clips of the split that are scored, of all subjects or of one; there may be none of one subject.

    Raises:
        AssetError: the manifest lacks a column, or the split is empty.
        ConfigError: the filter of the settings leaves no clip.
    """
    found = SplitRows.read(manifest, settings.split)
    frames = _frames(manifest) if settings.protocol == "published" else {}
    listed = [ListedClip(*row, found.sentences[row], frames.get(row, 0)) for row in found.rows]
    chosen = clip_list(listed, settings)

    def wanted(number: int) -> bool:
        return subject is None or found.rows[number][0] == subject

    rows = [found.rows[number] for number in chosen.chosen if wanted(number)]
    skipped = {found.rows[number]: message for number, message in chosen.skipped.items() if wanted(number)}
    return ScoredClips(replace(found, rows=rows), skipped)


def _frames(manifest: Path) -> dict[tuple[str, str], int]:
    """Number of frames of each usable clip.

    Raises:
        AssetError: the manifest has no such column.
    """
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    if "frames" not in table.columns:
        raise AssetError(f"{manifest}: the column frames is missing, which the published protocol needs; rebuild it")
    table = table[table["status"] == "ok"]
    return {
        (subject, clip): int(float(frames))
        for subject, clip, frames in zip(table["subject"], table["clip"], table["frames"], strict=True)
    }


def failure_row(failure: Failure) -> tuple[str, str, str, str, str, str]:
    """A failure as a row of `FAILURE_COLUMNS`."""
    subject, clip = failure.clip_id.split("/", 1)
    return failure.occlusion, subject, clip, failure.method, failure.reason, failure.message


def failure_table(rows: Iterable[Sequence[str]]) -> pd.DataFrame:
    """A table of `FAILURE_COLUMNS`."""
    return pd.DataFrame(rows, columns=FAILURE_COLUMNS)


def read_failures(path: Path) -> pd.DataFrame:
    """Read a table of `FAILURE_COLUMNS`, all as text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)[FAILURE_COLUMNS]
