"""Paired comparison of two evaluations on the same clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from occlufacediff.errors import ConfigError
from occlufacediff.evaluation import aggregation
from occlufacediff.evaluation.metrics import TRUTH
from occlufacediff.reporting.runs import find_runs
from occlufacediff.reporting.tables import METRIC_COLUMNS, read_table

#: Bootstrap draws of a comparison, and their seed.
DRAWS, SEED = 2000, 0
BY_CLIP_COLUMNS = ("method", "occlusion", "subject", "clip", "metric", "value")
COMPARED_COLUMNS = [
    *("first", "second", "method", "occlusion", "metric", "unit", "mean_first", "mean_second", "difference", "low"),
    *("high", "share_lower", "n", "n_subjects", "interval_over", "identity", "protocol"),
]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: its name, folder, protocol, what its methods received (identity), and scores by clip."""

    name: str
    folder: Path
    protocol: str
    identity: str
    by_clip: pd.DataFrame


def read_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation in a folder: that of a run, ``evaluation/`` itself, or a data set with one run.

    Raises:
        ConfigError: there is no evaluation, there are several, or its tables cannot be compared.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; give the folder of a run, results/<dataset>/runs/<run>")
    if (folder / "metrics.csv").is_file():
        place, name = folder, folder.resolve().parent.name
    else:
        runs = find_runs(folder)
        if not runs:
            raise ConfigError(f"{folder}: has no evaluation/metrics.csv; run the target evaluate first")
        if len(runs) > 1:
            names = ", ".join(run.name for run in runs)
            raise ConfigError(f"{folder}: has {len(runs)} runs ({names}); give the folder of one, {folder}/runs/<run>")
        place, name = runs[0] / "evaluation", runs[0].resolve().name
    metrics = read_table(place / "metrics.csv", METRIC_COLUMNS)
    if "protocol" not in metrics:
        raise ConfigError(f"{place / 'metrics.csv'}: has no column protocol; evaluate again with this version")
    by_clip = read_table(place / "metrics_by_clip.csv", BY_CLIP_COLUMNS)
    identity = str(metrics["identity"].iloc[0]) if "identity" in metrics else ""
    return Evaluation(name, place, str(metrics["protocol"].iloc[0]), identity, by_clip)


def compare(first: Evaluation, second: Evaluation) -> pd.DataFrame:
    """Differences of each method that both evaluations scored, first minus second: `COMPARED_COLUMNS`.

    The means are over the same clips; the intervals are a bootstrap over subjects.

    Raises:
        ConfigError: occlusions or clips of the two evaluations differ, or they share no method or occlusion.
    """
    if first.protocol != second.protocol:
        raise ConfigError(
            f"{first.folder} and {second.folder}: different test protocols ({first.protocol} and {second.protocol}); "
            "evaluate both with the same split, head, seed and settings evaluation.occlusion"
        )
    tables = [one.by_clip[one.by_clip["method"] != TRUTH] for one in (first, second)]
    shared = {
        name: [v for v in tables[0][name].unique() if v in set(tables[1][name])] for name in ("method", "occlusion")
    }
    for name, values in shared.items():
        if not values:
            raise ConfigError(f"{first.folder} and {second.folder}: have no {name} in common; evaluate both with one")
    tables = [
        table[table["method"].isin(shared["method"]) & table["occlusion"].isin(shared["occlusion"])] for table in tables
    ]
    _require_equal_clips(first, second, tables)
    frames = []
    for method in shared["method"]:
        labelled = [
            table[table["method"] == method].assign(method=side) for side, table in zip("ab", tables, strict=True)
        ]
        both = pd.concat(labelled, ignore_index=True)
        found = aggregation.paired(both, DRAWS, SEED).drop(columns=["method", "against"])
        means = aggregation.means(both, 1, SEED).set_index(["method", "occlusion", "metric"])["mean"]
        for side, column in (("a", "mean_first"), ("b", "mean_second")):
            of_side = means.loc[side]
            found[column] = [
                of_side.get(key, float("nan")) for key in zip(found["occlusion"], found["metric"], strict=True)
            ]
        frames.append(found.assign(method=method))
    names = [first.name, second.name]
    if names[0] == names[1]:
        names = [str(first.folder), str(second.folder)]
    return pd.concat(frames, ignore_index=True).assign(
        first=names[0], second=names[1], identity=first.identity, protocol=first.protocol
    )[COMPARED_COLUMNS]


def _require_equal_clips(first: Evaluation, second: Evaluation, tables: list[pd.DataFrame]) -> None:
    sets = [set(zip(table["occlusion"], table["subject"], table["clip"], strict=True)) for table in tables]
    only = sorted(sets[0] ^ sets[1])
    if only:
        occlusion, subject, clip = only[0]
        where = first if only[0] in sets[0] else second
        raise ConfigError(
            f"{first.folder} and {second.folder}: {len(only)} clips are scored in only one of both, the first is "
            f"{subject}/{clip} under {occlusion} in {where.folder}; evaluate both on the same clips (see failures.csv)"
        )


def compare_with(folder: Path, others: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Comparisons of a run with other runs, and a note for each that cannot be compared."""
    if not others:
        return _compared([])
    first = read_evaluation(folder)
    evaluations, notes = _read_all(others)
    compared, refused = _compared([(first, second) for second in evaluations])
    return compared, notes + refused


def compare_all(folders: list[Path]) -> tuple[pd.DataFrame, list[str]]:
    """Comparisons of all pairs of runs, and a note for each pair that cannot be compared."""
    evaluations, notes = _read_all(folders)
    compared, refused = _compared(combinations(evaluations, 2))
    return compared, notes + refused


def _read_all(folders: Iterable[Path]) -> tuple[list[Evaluation], list[str]]:
    """The evaluations that can be read, and a note for each other folder."""
    evaluations, notes = [], []
    for folder in folders:
        try:
            evaluations.append(read_evaluation(folder))
        except ConfigError as error:
            notes.append(str(error))
    return evaluations, notes


def _compared(pairs: Iterable[tuple[Evaluation, Evaluation]]) -> tuple[pd.DataFrame, list[str]]:
    """Comparisons of pairs in one table, and a note for each pair that cannot be compared."""
    frames, notes = [], []
    for first, second in pairs:
        try:
            frames.append(compare(first, second))
        except ConfigError as error:
            notes.append(str(error))
    return (pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COMPARED_COLUMNS)), notes
